"""The floor of a divergence: how far the original is from itself computed in BF16.

Whoever computes in 16 bits rounds what passes from layer to layer, quantized or not. So each number
of the hidden states gets a random relative error of BF16's size after each layer; no format that is
then run in BF16 can be told from the original by less than what that does.

Source: exllamav3, eval/qbench (its "noise floor").
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.disturbed import Changes, Pass, changes_of, disturbed_steps
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.sureness import SureBin, by_sureness
from quantcore.evaluate.text import Chunks, cut, evaluation_text
from quantcore.model.llama import Floats, Llama
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of

BF16_SIZE = 2.0**-9  # rounding to BF16 is off by 0.85 of it, the root mean square


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor(Changes):
    """The original with noise after each layer, against the original."""

    relative_size: float  # standard deviation of the noise, of 1 that stands for the number
    seed: int
    by_sureness: tuple[SureBin, ...]


def measure_noise_floor(
    model: Model,
    text: str | None = None,
    context: int = 512,
    on_progress: Callable[[Progress[NoiseFloor]], None] | None = None,
    seed: int = 0,
) -> NoiseFloor:
    """Compare a model with itself under noise of BF16's size.

    Parameters
    ----------
    text
        By default the evaluation text that ships with the lab.
    context
        Tokens a chunk.
    on_progress
        Called at each step; an exception that it raises ends the work.
    seed
        Of the noise.

    Raises
    ------
    ValueError
        If the context or the text does not suit the model.
    """
    return result_of(noise_floor_steps(model, text, context, seed), on_progress)


def noise_floor_steps(
    model: Model, text: str | None = None, context: int = 512, seed: int = 0
) -> Iterator[Progress[NoiseFloor]]:
    """Do what `measure_noise_floor` does, layer by layer; it waits for the end."""
    chunks = cut(model, evaluation_text() if text is None else text, context)
    return floor_of_chunks(llama_of(model), chunks, seed)


def floor_of_chunks(
    llama: Llama, chunks: Chunks, seed: int = 0, relative_size: float = BF16_SIZE
) -> Iterator[Progress[NoiseFloor]]:
    """Measure on chunks that were cut already, with noise of any size."""
    passes = {"with noise": noisy(llama, relative_size, seed)}
    for step in disturbed_steps(llama, passes, chunks):
        yield Progress(step.share, step.stage)
    (tokens,) = step.known.values()
    floor = NoiseFloor(
        relative_size=relative_size,
        seed=seed,
        by_sureness=by_sureness(tokens.kl, tokens.base_top_probability, ~tokens.same_top),
        **changes_of(tokens, chunks.tokens.shape[1]),
    )
    yield Progress(1.0, "done", floor)


def noisy(llama: Llama, relative_size: float, seed: int) -> Pass:
    """Return a pass in which each state is off by so much after each layer, at random."""
    rng = np.random.default_rng(seed)

    def run(tokens: NDArray[np.int32]) -> Iterator[Floats]:
        stop = llama.begin(tokens)
        for index in range(llama.config.n_layers):
            while stop.layer == index:
                stop = llama.step(stop)
            noise = rng.standard_normal(stop.states.shape, np.float32)
            stop = replace(stop, states=stop.states * (1 + np.float32(relative_size) * noise))
            yield stop.states
        yield from llama.hidden_after(stop)

    return run
