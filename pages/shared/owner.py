"""What the owner of a server allows its visitors: said when it is started, never on a page.

``QUANTLAB_CLUSTER=tcp://10.0.0.5:8786`` lets sweeps run on the Dask cluster of this scheduler.
``QUANTLAB_LEND_TOKEN=1`` looks models up on the Hugging Face Hub with the owner's token, so that
visitors see the sizes of what the owner may see.
"""

import os
import re

_ADDRESS = r"(tcp|tls|ws|wss|ucx)://[^\s/:]+:\d+"


def cluster() -> str | None:
    """Return the address of the one Dask scheduler that sweeps may use; None where there is none.

    Raises
    ------
    ValueError
        If it is no address.
    """
    address = os.environ.get("QUANTLAB_CLUSTER", "")
    if address and not re.fullmatch(_ADDRESS, address):
        raise ValueError(
            "QUANTLAB_CLUSTER does not hold the address of a scheduler: start the lab with "
            "`QUANTLAB_CLUSTER=tcp://HOST:PORT`."
        )
    return address or None


def lends_token() -> bool:
    """Whether visitors' look-ups on the Hub use the owner's token."""
    return os.environ.get("QUANTLAB_LEND_TOKEN") == "1"
