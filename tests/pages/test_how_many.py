"""Sentences of 0, 1, 2 and many things read as somebody would say them."""

from types import SimpleNamespace

import pytest

from pages.drift import words as drift
from pages.file import words as file
from pages.imatrix import words as imatrix
from pages.layer_error import words as layer_error
from pages.memory import words as memory
from pages.mix import words as mix
from pages.sensitivity.words import beside, run, skills, trust
from pages.sensitivity.words import costs as sensitivity
from quantcore.evaluate.mix_error import MixSummary
from quantcore.evaluate.skills import SkillScore
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.sensitivity.compare import Sum, correlation_of
from quantcore.sensitivity.costs import Cost, measures
from tests.support.spoken import slips
from tests.support.sweep_results import cost, effect, results, skill_change

COUNTS = (0, 1, 2, 40)
SOME = [count for count in COUNTS if count]
MEASURES = measures(results(effect("a", 0.1, skills=(skill_change("facts", "hard", 0.5),))))


def _tensors(n):
    return [f"blk.{i}.ffn_up.weight" for i in range(n)]


def _costs(n, size):
    return {name: cost(size * (1 + i)) for i, name in enumerate(_tensors(n))}


def _types(n):
    return ["IQ1_S", "IQ2_XXS", *(f"T{i}" for i in range(40))][:n]


def _promise(n_tensors, n_differ, n_back):
    """Make a file of which some tensors differ from its name, or fell back."""
    kinds = ["differs"] * n_differ + ["back"] * n_back + [""] * (n_tensors - n_differ - n_back)
    planned = SimpleNamespace(type="IQ1_S", fallback="Q4_K")
    tensors = [
        SimpleNamespace(differs=kind == "differs", fell_back=kind == "back", type="Q6_K",
                        planned=planned, shape=(4, 100))
        for kind in kinds
    ]  # fmt: skip
    return SimpleNamespace(tensors=tensors, file_type=FILE_TYPES["IQ1_S"], bytes=100)


def _answers(n_lost):
    before = [SkillScore(f"skill{i}", "easy", 90, 100) for i in range(5)]
    after = [SkillScore(f"skill{i}", "easy", 20 if i < n_lost else 90, 100) for i in range(5)]
    return {"F32": before, "Q2_K": after}


def _answers_of(n_types):
    """Make types that lose more and more, the last one everything."""
    before = [SkillScore("facts", "hard", 90, 100)]
    lost = {name: [SkillScore("facts", "hard", 80 - 80 * (i + 1) // n_types, 100)]
            for i, name in enumerate(_types(n_types))}  # fmt: skip
    return {"F32": before, **lost}


SAID = {
    "a cancelled sweep": (COUNTS, run.cancelled),
    "failed pieces": (SOME, lambda n: run.failed_pieces([f"{t} failed: no" for t in _tensors(n)])),
    "types not measured": (SOME, lambda n: drift.missing(_types(n), "the passage")),
    "types that break skills": (SOME, lambda n: drift.what_breaks(_answers_of(n))),
    "skills that break": ((0, 1, 2, 5), lambda n: drift.first_to_break(_answers(n))),
    "tensors changed by hand": (
        COUNTS,
        lambda n: mix.headline(MixSummary("a", 9, 4, 0.1), MixSummary("b", 8, 4, 0.2), n),
    ),
    "tensors shifted": (SOME, lambda n: mix.shifted(_tensors(n))),
    "fallbacks": (
        SOME,
        lambda n: mix.fallbacks(
            [
                SimpleNamespace(name=t, shape=(1, 64), fallback="Q4_K", type="Q5_0")
                for t in _tensors(n)
            ]
        ),
    ),
    "types with a matrix": (COUNTS, lambda n: mix.with_and_without(_types(42), _types(n), [])),
    "types refused": (SOME, lambda n: mix.with_and_without(_types(42), [], _types(n))),
    "tensors unlike the name": (SOME, lambda n: file.kept_its_promise(_promise(n, n, 0))),
    "some of them": (SOME, lambda n: file.kept_its_promise(_promise(n + 5, n, 0))),
    "tensors that fell back": (COUNTS, lambda n: file.kept_its_promise(_promise(n + 5, 0, n))),
    "tensors that differ": (
        COUNTS,
        lambda n: file.side_by_side(("a", "b"), [_promise(40, 0, 0)] * 2, 40, n),
    ),
    "tensors in both": (
        SOME,
        lambda n: file.side_by_side(("a", "b"), [_promise(40, 0, 0)] * 2, n, 0),
    ),
    "weights that come back otherwise": (
        COUNTS,
        lambda n: imatrix.one_block(
            0,
            0,
            SimpleNamespace(
                n_changed=n, weights=SimpleNamespace(size=max(n, 32)), loudest_over_mean=2.0
            ),
        ),
    ),
    "matrices of a mix": (
        SOME,
        lambda n: layer_error.which("Q4_K_M", dict.fromkeys(_tensors(n), "Q4_K")),
    ),
    "types left out": (SOME, lambda n: layer_error.not_compared(_types(n), "It needs a matrix")),
    "types that fit": (
        COUNTS,
        lambda n: memory.types(_types(40), dict.fromkeys(_types(40), 10), n, 2**30),
    ),
    "kept set-ups": (SOME, lambda n: memory.compared(_types(n), list(range(10, 10 + n)))),
}
for _name, _measure in MEASURES.items():
    for _size in (0.0, 0.01, 1.0, 50.0):
        for _how in ("alone", "kept"):
            for _joint in (None, Cost(0.5, 0.4, 0.6)):
                SAID[f"pieces by {_name}, {_how}, of {_size}, {_joint}"] = (
                    SOME,
                    lambda n, m=_measure, s=_size, h=_how, j=_joint: " ".join(
                        [
                            sensitivity.headline("Q4_K", _costs(n, s), m, h, j, "tensors"),
                            sensitivity.how_to_read_map(
                                m, h, sensitivity.unit(_costs(n, s).values(), m)[1], j
                            ),
                            sensitivity.worst(_costs(n, s), h, min(n, 15), "tensors"),
                            sensitivity.depth(_costs(n, s), {}, "Q4_K", m),
                            sensitivity.roles(_costs(n, s), m),
                            sensitivity.curves(
                                {t: {"Q2_K": (2.6, c), "Q4_K": (4.5, c)}
                                 for t, c in _costs(n, s).items()},
                                m,
                            ),
                        ]
                    ),
                )  # fmt: skip
        SAID[f"skills, of {_size}"] = (
            SOME,
            lambda n, s=_size: " ".join(
                skills.finding({"hard facts": _costs(n, s)}, "Q4_K", "tensors", min(n, 12))
            ),
        )
    SAID[f"two results by {_name}"] = (
        SOME,
        lambda n: beside.beside(
            _costs(n, 0.1), _costs(n, 0.3), correlation_of(_costs(n, 0.1), _costs(n, 0.3)),
            ("here", "there"),
        ),
    )  # fmt: skip
    SAID["sums"] = (
        SOME,
        lambda n: trust.sums([Sum(f"layer {i}", 0.1, cost(0.1)) for i in range(n)], "Q4_K")[0],
    )


@pytest.mark.parametrize("what", SAID)
def test_a_sentence_agrees_with_how_many(what):
    counts, say = SAID[what]
    for n in counts:
        said = say(n)
        assert said or not n
        assert not slips(said), (n, said)
