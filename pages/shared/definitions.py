"""The words of the field, defined once; every page takes from here what it uses.

`head` opens a page: its title, what it is for in one sentence, and, folded behind it, the
definitions of the words that it uses.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from pages.shared import look
from pages.shared.palette import SANS


@dataclass(frozen=True, slots=True)
class Definition:
    """A word, what it means, and how it can stand in a text."""

    word: str
    says: str
    forms: str = ""  # a regular expression; the word, and its plural, where it is left out

    @property
    def pattern(self) -> re.Pattern[str]:
        """Match the word where a text uses it."""
        return re.compile(rf"\b(?:{self.forms or re.escape(self.word) + 's?'})\b", re.IGNORECASE)


DEFINITIONS = {
    each.word: each
    for each in (
        Definition(
            "token",
            "A piece of text that the model reads, or predicts, as one: a word or a part of one.",
        ),
        Definition("tensor", "One named array of weights; those of two dimensions are matrices."),
        Definition(
            "embedding",
            "The matrix with a row of numbers for each token; the first thing a token meets.",
        ),
        Definition(
            "quantization",
            "Storing each weight as a small whole number, its code, which a scale turns back into "
            "a value near the weight.",
            "quantiz(?:e|es|ed|ing|ation)",
        ),
        Definition("code", "The small whole number that is stored for a weight."),
        Definition(
            "scale",
            "The distance between two neighbouring values that a block can store: a weight comes "
            "back as scale × code.",
        ),
        Definition(
            "minimum",
            "What is taken off all values of a block, so that they need not be centred on zero: "
            "scale × code − minimum.",
            "minim(?:um|ums|a)",
        ),
        Definition(
            "zero point", "The code that stands for zero, where the grid of values is shifted."
        ),
        Definition("grid", "The values that a weight can take when it comes back."),
        Definition(
            "block", "A run of weights of one row, mostly 32 or 256, that are stored together."
        ),
        Definition(
            "super-block",
            "A block of 256 weights in sub-blocks, each with a scale of its own, which is stored "
            "as a small multiple of one scale for all of them.",
            "super-blocks?|sub-blocks?",
        ),
        Definition(
            "outlier", "A weight far larger than the others: a scale that reaches it is coarse."
        ),
        Definition(
            "format", "How weights are stored: bits per code, and which of them share a scale."
        ),
        Definition(
            "method",
            "How codes are chosen: each weight rounded to the nearest, or with an eye on what it "
            "is multiplied by.",
        ),
        Definition(
            "rotation",
            "Mixing all columns of a matrix, and all rows, by signs and sums that can be undone: "
            "then no weight stands out, and the layer computes the same. Weights are turned by it.",
            "rotations?|turned",
        ),
        Definition(
            "lattice",
            "Points at regular distances in several dimensions. E8P stores eight weights together "
            "as one of 65,536 points of such a lattice, E8.",
            "lattices?|E8P",
        ),
        Definition(
            "trellis",
            "A code in which each weight adds a few new bits and is read with those before it, so "
            "that few bits choose among many values.",
            "trellis",
        ),
        Definition(
            "mix",
            "A recipe for a whole file, such as llama-quantize’s Q4_K_M: matrices that matter more "
            "get a format of more bits.",
            "mix|mixes",
        ),
        Definition(
            "pure", "One format for every matrix, instead of a mix; llama-quantize’s --pure."
        ),
        Definition(
            "bits per weight",
            "All bits that the weights take, scales and norms included, divided by their number.",
        ),
        Definition(
            "GGUF",
            "llama.cpp’s kind of file: tensors, tokenizer and settings of a model in one.",
            "GGUFs?",
        ),
        Definition(
            "importance matrix",
            "For each column of a matrix, the mean square of the inputs that it multiplies while "
            "the model reads a text. With it, errors are kept small where inputs are large.",
            "importance matri(?:x|ces)|imatrix",
        ),
        Definition(
            "divergence",
            "How far the predictions for the next token are from the original’s: their mean "
            "Kullback-Leibler divergence, in nats per token. Zero where both say the same.",
            "diverge(?:nces?|s|d)?|drifts?",
        ),
        Definition(
            "nat",
            "The unit of divergence: information in natural logarithms, as a bit is in those to "
            "base 2. One nat is 1.44 bits.",
        ),
        Definition(
            "perplexity",
            "Among how many tokens the model wavers, on average; lower is better. It is exp of the "
            "mean of −log p(token).",
        ),
        Definition(
            "noise floor",
            "The divergence of the original from itself when each number between its layers is "
            "moved at random by as much as rounding to BF16 does.",
        ),
        Definition(
            "sure tokens",
            "Places where the original gave one token more than half of the probability.",
            "sure (?:tokens?|of)|tokens the model was sure of",
        ),
        Definition(
            "root mean square",
            "The size of a typical number: square, take the mean, take the root.",
        ),
        Definition("σ", "Standard deviation: how far a typical weight is from the mean.", "σ"),
        Definition(
            "kurtosis",
            "How heavy the tails of a distribution are. Excess kurtosis is 0 for a normal "
            "distribution, and large where there are outliers.",
            "kurtosis",
        ),
        Definition(
            "Fisher",
            "Fisher information: how strongly the predictions answer to a small change of a "
            "weight, from gradients of the model.",
            "Fisher",
        ),
        Definition(
            "rank correlation",
            "Whether two measures put things in the same order: 1 where they do, 0 where they have "
            "nothing to do with each other, −1 where one is the other reversed.",
            "rank correlations?",
        ),
        Definition(
            "KV cache",
            "Keys and values of all tokens so far, which attention reads again for each new one.",
            "KV caches?|cache",
        ),
        Definition(
            "temperature",
            "How freely the next token is drawn: at 0 always the most probable one, at 1 each as "
            "often as the model finds it probable.",
        ),
        Definition(
            "equivalence margin",
            "How much worse still counts as good. Without one, too few prompts would make "
            "everything look as good.",
            "equivalence margin",
        ),
        Definition(
            "context", "The tokens that a model can take in at once, prompt and answer together."
        ),
    )
}


BESIDE = 120  # letters of a purpose that has room beside a title


def says(word: str) -> str:
    """Return what a word means, for a tooltip."""
    return DEFINITIONS[word].says


def used_in(text: str) -> set[str]:
    """Find the words that a text uses.

    >>> sorted(used_in("Its scales diverge by 0.1 nats, in a GGUF file."))
    ['GGUF', 'divergence', 'nat', 'scale']
    """
    return {word for word, each in DEFINITIONS.items() if each.pattern.search(text)}


def head(title: str, purpose: str, words: Sequence[str]) -> None:
    """Open a page: its title, what it is for, and what its words mean, folded behind that.

    A short purpose stands beside the title where there is room, so that the first chart stays in
    sight.
    """
    if look.narrow() or look.large() or len(purpose) > BESIDE:
        st.title(title, anchor=False)
        _purpose_and_words(purpose, words, "0")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(title, anchor=False, width="content")
        _purpose_and_words(purpose, words, "0.35rem")


def _purpose_and_words(purpose: str, words: Sequence[str], below: str) -> None:
    """Write them; `below` is the room below, which puts them on the line of the title."""
    style = look.current()
    defined = "".join(
        f"<dt>{escape(word)}</dt><dd>{escape(says(word))}</dd>"
        for word in DEFINITIONS
        if word in words
    )
    st.html(
        f"""<style>
.lab-head {{font: 400 1rem/1.55 {SANS}; color: {style.ink}; max-width: 60rem;
 padding-bottom: {below}}}
.lab-head details, .lab-head summary {{display: inline}}
.lab-head summary {{cursor: pointer; color: {style.quiet}; font-size: .875rem;
 text-decoration: underline dotted; text-underline-offset: .25em}}
.lab-head summary:focus-visible {{outline: 2px solid {style.ink}; outline-offset: 2px}}
.lab-head dl {{display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
 margin: .5rem 0 0; font-size: .875rem; line-height: 1.5; color: {style.quiet}}}
.lab-head dt {{font-weight: 600; color: {style.ink}}}
.lab-head dd {{margin: 0}}
@media (max-width: 40rem) {{.lab-head dl {{display: block}}}}
</style><div class="lab-head">{escape(purpose)}
<details><summary>Words on this page</summary><dl>{defined}</dl></details></div>"""
    )
