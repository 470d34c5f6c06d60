"""Stories on the terminal, or the texts beside the shipped model.

python -m quantcore.corpus --seed 7 --stories 3       prints three stories
python -m quantcore.corpus --write assets/fable-7m    writes the evaluation text and its floor,
                                                      the calibration text, the skills' prompts
"""

import argparse
import sys
from pathlib import Path

from quantcore.corpus import log_probabilities, stories
from quantcore.corpus.files import write


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m quantcore.corpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", default="7", help="any text; each gives its own stories")
    parser.add_argument("--stories", type=int, default=3, help="how many to print")
    parser.add_argument("--entropy", action="store_true", help="show nats and words of each")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the model's texts")
    arguments = parser.parse_args()
    if arguments.write is not None:
        if not arguments.write.is_dir():
            print(f"{arguments.write} is no folder.", file=sys.stderr)
            return 2
        for path in write(arguments.write):
            print(path)
        return 0
    for story in stories(arguments.seed, max(arguments.stories, 0)):
        print(story)
        if arguments.entropy:
            words = log_probabilities(story)
            nats = -sum(value for _, value in words)
            print(f"    {nats:.1f} nats in {len(words)} words and marks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
