"""Commands as tests run them."""

import json

from quantcore.cli import main


def json_of(capsys, *arguments):
    """Run a command and read the object that it prints; nothing else may be there."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)
