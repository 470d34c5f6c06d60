"""Every format that the lab knows, in the order in which pages list them."""

from quantcore.format import BlockFormat
from quantcore.formats.q4_0 import Q4_0
from quantcore.formats.q8_0 import Q8_0

_ALL = (Q8_0, Q4_0)

FORMATS: dict[str, BlockFormat] = {fmt.name: fmt for fmt in _ALL}
