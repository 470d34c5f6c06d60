"""What std::regex finds, as llama-quantize asks it: ``python -m tests.peers.make_patterns``.

Compiles a few lines of C++ and asks them about patterns written by hand, those that people publish
among them, and about random strings of their parts. Writes tests/golden/patterns.json: names, and
by pattern a digit for each name, or "error".
"""

import json
import random
import subprocess
import tempfile
from pathlib import Path

from tests.support.places import GOLDEN

SOURCE = r"""
#include <algorithm>
#include <iostream>
#include <regex>
int main() {
    for (std::string line; std::getline(std::cin, line);) {
        auto at = line.find('\x1f');
        std::string pattern = line.substr(0, at), name = line.substr(at + 1);
        std::transform(pattern.begin(), pattern.end(), pattern.begin(), ::tolower);
        try {
            std::cout << std::regex_search(name, std::regex(pattern)) << '\n';
        } catch (const std::regex_error &) {
            std::cout << "error\n";
        }
    }
}
"""
NAMES = (
    "blk.0.ffn_down.weight",
    "blk.12.attn_k.weight",
    "blk.3.ffn_gate_exps.weight",
    "token_embd.weight",
    "output.weight",
    "a{2} [x]-(y)^z",
    "été.weight",
    "",
)
# From llama-quantize's help and its tests, from recipes that people publish, and edges of both.
WRITTEN = r"""
attn_q ffn_down token_embd \.weight$ ^blk\.[0-9]+\.ffn_ blk\.([0-9]|1[0-9])\.attn_(q|k|v)
\.([0-4]|7|12)\.attn_[qk]\. blk\.(?:[0-9]|[1-9][0-9])\.ffn_(gate|up)_exps\.weight ATTN_K
^output\.weight$ (output|token_embd)\.weight blk\.\d+\.ffn_down .*attn.* ffn_.*_exps [[:digit:]]+
a** (ffn_down ffn_[down [] [^] [[] [a\]] [[=a=]] [[.a.]] (?=a) (?!a) (?i)a
(?P<n>a) (?<n>a) \1 (a)\1 \x61 \u0061 \ca \0 \q \_ \z \pl [\b] [z-a] [a-\d] {2} a{ a{,2} a{2,1} a{2}
a{1,} a{2}? ^* $+ \b* \bblk \Battn } ] ) | a|| () (|a) [-a] [a-] [\^z] \/ \- été [é] ^.t. ^..t..$
""".split()
PARTS = r"blk ffn . \. \d \w \b \s [0-9] [^a-z] [\d_] ( (?: ) | * + ? {2} {1,} ^ $ - k".split()


def main() -> None:
    """Ask, and write what was answered."""
    draw = random.Random(1)
    mixed = ("".join(draw.choices(PARTS, k=draw.randint(2, 5))) for _ in range(400))
    patterns = list(dict.fromkeys([*WRITTEN, *mixed]))
    asked = "".join(f"{pattern}\x1f{name}\n" for pattern in patterns for name in NAMES)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ask"
        subprocess.run(["g++", "-x", "c++", "-", "-o", program], input=SOURCE.encode(), check=True)
        run = subprocess.run([program], input=asked.encode(), capture_output=True, check=True)
    lines = iter(run.stdout.decode().split())
    answers = {}
    for pattern in patterns:
        found = [next(lines) for _ in NAMES]
        answers[pattern] = "error" if "error" in found else "".join(found)
    text = json.dumps({"names": NAMES, "found": answers}, indent=0, ensure_ascii=False)
    (GOLDEN / "patterns.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
