"""The command line: `python -m quantcore COMMAND`, listed by `--help`.

With --json, one object on standard output and nothing else there; progress goes to standard error.
A mistake of the user gives one sentence there and exit status 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from quantcore.cli.output import complain, sentence, visible_output
from quantcore.cli.parser import make_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its status: 0 done, 1 not healthy, 2 a mistake, 130 stopped."""
    with visible_output():
        return _run(make_parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return complain("Stopped.", 130)
    except MemoryError:
        return complain("There is not enough memory for that.", 2)
    except (ValueError, OSError) as problem:
        return complain(sentence(problem), 2)
    except Exception as problem:
        if sys.flags.dev_mode:  # python -X dev -m quantcore ...
            raise
        return complain(f"A fault of the lab: {type(problem).__name__}: {sentence(problem)}", 2)
