"""The sentences of the page Memory: numbers in, text out. Sizes are binary: GiB is 2³⁰ bytes."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pages.shared.units import an, binary, millions, opening, percent, times
from quantcore.memory import Estimate, FoundModel, Setup
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.fitting import STEP
from quantcore.memory.hardware import Machine
from quantcore.memory.loads import MARGIN_BYTES
from quantcore.memory.placement import Placement
from quantcore.memory.rules_of_thumb import RuleOfThumb
from quantcore.memory.speed import SpeedBound
from quantcore.memory.this_machine import HERE
from quantcore.shape import ModelShape
from quantcore.which_type import Recommendation

PURPOSE = "What a model takes in memory, whether it fits a machine, and which type to take there."
WHOSE = (
    "At first the model on the bench; while that is the one in the box, which fits any machine, a "
    "known model of a usual size."
)
MEASURED_ON_DRIFT = "the page Drift; types that were not measured there are left out"
DEFINED = (
    "token, tensor, embedding, quantization, scale, block, format, mix, pure, bits per weight, "
    "importance matrix, divergence, nat, perplexity, KV cache, context"
).split(", ")

NOT_ASKED = (
    "Nothing is sent before you press the button. Then only headers are read, a few kilobytes: "
    "config.json, and the names, types and shapes of the tensors."
)
HOW_TO_READ_FACTORS = (
    "The formula with this model’s numbers. What counts: the **KV** heads, not all heads; the head "
    "size of config.json, not hidden size / heads; and, in layers with a window, only the window."
)
HOW_TO_READ_TABLE = (
    "Weights, cache and buffers in GiB, one row per type and one column per context. ● fits, ◐ "
    "fits, but with less than 5 % to spare, ○ fits only with layers in system memory, × does not "
    "fit."
)
VERDICTS = {"fits": "fits", "just": "fits", "in part": "fits in part", "not": "does not fit"}
SIGNS = {"fits": "●", "just": "◐", "in part": "○", "not": "×"}


def verdict(taken: Estimate, machine: Machine, says: str) -> str:
    """Say whether a set-up fits a machine; `says` is the engine's verdict, which begins so."""
    setup = taken.setup
    many = f" in {setup.sequences} sequences" if setup.sequences > 1 else ""
    stored = (
        ", stored as in the file," if setup.type_name == AS_STORED else f" in {setup.type_name}"
    )
    what = f"**{taken.shape.name}**{stored} with {setup.context:,} tokens{many}"
    return f"{what} takes **{binary(taken.total_bytes)}**; on {called(machine)} it {says}."


def called(machine: Machine) -> str:
    """Name a machine within a sentence: "an RTX 3060 12 GB with 32 GB DDR5-5600"."""
    if machine.name == HERE:
        return HERE
    if machine.unified:
        return an(machine.name)
    counts = Counter(gpu.name for gpu in machine.gpus)
    cards = [an(name) if count == 1 else f"{count} × {name}" for name, count in counts.items()]
    with_memory = f" with {machine.system.name}" if machine.system else ""
    return (" and ".join(cards) or "a computer") + with_memory


def how_to_read_devices(taken: Estimate) -> str:
    """Explain the bars, and give the parts of the total."""
    parts = [f"Weights {binary(taken.weights_bytes)}", f"KV cache {binary(taken.kv_cache_bytes)}"]
    if taken.compute_bytes + taken.overhead_bytes:
        parts.append(f"buffers {binary(taken.compute_bytes + taken.overhead_bytes)}")
    return (
        f"One bar per device; its full length is the usable memory. {', '.join(parts)}; "
        f"{millions(taken.shape.n_weights)} weights of {taken.stored.bits_per_weight:.4g} bits "
        f"each on average{active(taken.shape)}. "
        + {
            "none": "No runtime is chosen; the buffers of one come on top.",
            "llama.cpp": "Cache and compute buffer as llama.cpp allocates them; "
            f"{binary(MARGIN_BYTES)} of each device are kept free.",
            "vllm": "vLLM gives the cache everything that is left of its share of each GPU, "
            f"{percent(taken.setup.utilization)}.",
        }[taken.setup.runtime]
    )


def active(shape: ModelShape) -> str:
    """Say how many weights a token passes through, where those are not all."""
    if shape.active_weights == shape.n_weights:
        return ""
    return f", {millions(shape.active_weights)} of them used by each token"


def about_model(model: FoundModel) -> list[str]:
    """Say what is odd about a model: extras in the published count, guesses, notes of its files."""
    shape, said = model.shape, list(model.notes)
    if shape.estimated:
        said.append(f"An estimate: {shape.estimated}.")
    if shape.published_weights and shape.published_weights != shape.n_weights:
        extras = [f"{n:,} {name.replace('_', ' ')}" for name, n in shape.extras.items()]
        if shape.unexplained_weights:
            extras.append(f"{shape.unexplained_weights:,} that are in no list of its tensors")
        said.append(
            f"The published {shape.published_weights:,} weights include {', '.join(extras)}, in "
            f"addition to the {shape.n_weights:,} of the model."
        )
    return said


def beyond(shape: ModelShape, context: int) -> str:
    """Warn of a context that the model was not made for."""
    return (
        f"{context:,} tokens are more than the {shape.context_length:,} that {shape.name} was made "
        "for."
    )


def speed(bound: SpeedBound) -> str:
    """Say the upper bounds of speed."""
    each = " for all sequences together" if bound.sequences > 1 else ""
    read = f"{binary(bound.step_bytes)} are read per token"
    if bound.tokens_per_s is None:
        return f"{read}; the bandwidth of this memory is not known."
    text = f"At most **{bound.tokens_per_s:,.0f} tokens per second**{each}: {read}"
    if bound.prompt_tokens_per_s:
        text += (
            f"; a prompt is read at no more than {bound.prompt_tokens_per_s:,.0f} tokens per second"
        )
    return text + "."


SPEED_IS_A_BOUND = (
    "These are bounds: bytes divided by the bandwidth of the memory that they are in, operations "
    "divided by the FLOPS of the data sheet. No program is faster; most reach 50 to 90 % of this."
)


def placed(placement: Placement) -> str:
    """Say how many layers are where."""
    return f"{opening(placement.reasons[0])}."


def which_type(chosen: Recommendation) -> str:
    """Name the type to take, and say why."""
    reason = chosen.reason
    return reason.replace(chosen.best.type, f"**{chosen.best.type}**", 1) if chosen.best else reason


def how_to_read_types(chosen: Recommendation) -> str:
    """Say whose figures they are, and which types are left out."""
    return f"{chosen.whose} Types that are larger and further off than another are left out."


NO_COSTS = (
    "Which type to take is not known here **for vLLM**.",
    "Of GPTQ, AWQ, FP8 and the others that it loads, no divergences come with the lab; the "
    "largest that fits is named below.",
)


def best(
    type_name: str | None, longest: int, setup: Setup, where: str, trained: int = 1 << 30
) -> str:
    """Say the best type and the longest context that fit.

    `where` is "GPU memory" or "memory", `trained` how many tokens the model was made for: nobody
    looked for more.
    """
    kind = "type" if setup.runtime == "vllm" else "type without an importance matrix"
    if type_name is None:
        return f"With {setup.context:,} tokens, no {kind} is small enough for **{where}**."
    fits = f"With {setup.context:,} tokens, the largest {kind} that fits is **{type_name}**"
    if not longest:
        return f"{fits}; {setup.type_name} is too large for any context."
    if longest < setup.context:
        return f"{fits}; {setup.type_name}, which is larger, fits with **{longest:,} tokens**."
    if longest > trained * setup.sharing - STEP and setup.context_of_each <= trained:
        return f"{fits}; in {setup.type_name}, **all {trained:,} tokens** that it was made for fit."
    return f"{fits}; in {setup.type_name}, up to **{longest:,} tokens** fit."


def commands(runtime: str) -> tuple[str, str]:
    """Say what the commands are, and what of them was counted."""
    examples = "File names and the model’s name are examples."
    if runtime == "none":
        return (
            "The commands for **this set-up**.",
            "Only what the model itself needs is counted; a runtime, chosen above, adds buffers of "
            f"its own. {examples}",
        )
    name = {"llama.cpp": "llama.cpp", "vllm": "vLLM"}[runtime]
    return (
        f"The command that runs **exactly this**, for {name}.",
        f"The other programs load the same weights, with the same cache and contexts, but place "
        f"them in their own way. {examples}",
    )


def heads(shape: ModelShape, cache: int, rules: Sequence[RuleOfThumb], per_token: float) -> str:
    """Say what sharing keys and values saves; `rules` are the rules of thumb."""
    if not any(layer.key_values for layer in shape.caches):
        return (
            f"No layer keeps keys or values: the states take **{binary(cache)}**, however long the "
            "context."
        )
    all_heads = next(rule.bytes for rule in rules if rule.name.startswith("2 × layers × hidden"))
    if shape.latent:
        return (
            "One latent vector per token stands for the keys and values of all heads: the cache is "
            f"**{times(all_heads / cache)} times smaller**, {binary(cache)}."
        )
    if shape.n_kv_heads < shape.n_heads:
        pairs = "one pair" if shape.n_kv_heads == 1 else f"{shape.n_kv_heads} pairs"
        return (
            f"{shape.n_heads} heads share {pairs} of keys and values: the cache takes "
            f"**{binary(cache)}**, {binary(per_token)} per token."
        )
    return f"Every head keeps keys and values of its own: **{binary(per_token)}** per token."


def misread(rule: str) -> str:
    """Name a wrong formula for the cache in a few words."""
    return "if every head kept its own" if "hidden size" in rule else "if heads were hidden / heads"


def crossing(tokens: int | None, longest: int, type_name: str, share: float) -> str:
    """Say from which context on the cache is larger than the weights; `share` is at the longest."""
    if tokens is None or tokens > longest:
        return (
            f"Up to {longest:,} tokens, the cache stays smaller than the weights in {type_name}: "
            f"at most **{percent(share)}** of their size."
        )
    return f"From **{tokens:,} tokens** on, the cache is larger than the weights in {type_name}."


def how_to_read_growth(shape: ModelShape, wrong: bool) -> str:
    """Explain the curves."""
    dashed = " Dashed: the result of a formula that gets heads, windows or the head size wrong."
    return (
        "Cache by context, both on log scales; the ring marks your choice. "
        f"{shape.name} was made for {shape.context_length:,} tokens.{dashed if wrong else ''}"
    )


def users(
    sequences: Sequence[int], totals: Sequence[int], fits: Sequence[bool], limit: int | None
) -> str:
    """Say how many sequences the memory is enough for; `limit` is that of the GPUs, if any."""
    if limit is None:
        grown = times(totals[-1] / totals[0])
        return f"{sequences[-1]} sequences take **{grown} times** the memory of one."
    fitting = [n for n, fit in zip(sequences, fits, strict=True) if fit]
    if not fitting:
        return "Not even one sequence of this length fits in GPU memory."
    if len(fitting) == len(sequences):
        return f"All **{sequences[-1]} sequences** of this length fit in GPU memory at once."
    most = fitting[-1]
    if most == 1:
        return "**1 sequence** of this length fits in GPU memory, 2 do not."
    return f"**{most} sequences** of this length fit in GPU memory, {2 * most} do not."


def flash_attention(on: bool) -> str:
    """Name a curve by whether flash attention is on."""
    return "flash attention" if on else "without it"


def batches(at: Sequence[int], buffers: Mapping[str, Sequence[int]], now: int, size: int) -> str:
    """Say what a larger micro-batch costs."""
    first = next(iter(buffers.values()))
    grown = f"from {binary(first[0])} at {at[0]} tokens to {binary(first[-1])} at {at[-1]:,}"
    text = f"The compute buffer takes **{binary(size)}** with a micro-batch of {now}: {grown}"
    if len(buffers) > 1 and (other := list(buffers.values())[1])[-1] > 1.05 * first[-1]:
        return f"{text}, or to {binary(other[-1])} without flash attention."
    return text + "."


def types(names: Sequence[str], sizes: Mapping[str, int], n_fitting: int, limit: int | None) -> str:
    """Compare the types by size; `limit` is the memory of the GPUs, if any."""
    smallest, largest = min(sizes.values()), max(sizes.values())
    if limit is None:
        shrinks = times(largest / smallest)
        return f"From {names[0]} to {names[-1]}, the total becomes **{shrinks} times** smaller."
    fit = "fits" if n_fitting == 1 else "fit"
    return f"**{n_fitting} of {len(sizes)}** types here {fit} into {binary(limit)} of GPU memory."


def thumb(rules: Sequence[RuleOfThumb]) -> str:
    """Say how far the rules are off."""
    worst = max(rules, key=lambda rule: max(rule.factor, 1 / rule.factor))
    if max(worst.factor, 1 / worst.factor) < 1.1:
        return "Here every rule of thumb is within 10 % of the exact figure."
    way = "low" if worst.factor > 1 else "high"
    off = max(worst.factor, 1 / worst.factor)
    return f"The rule of thumb **{worst.name}** is {times(off)} times too {way} here."


HOW_TO_READ_RULES = (
    "Rules of thumb from popular articles, filled in with this model’s numbers, next to the exact "
    "result above. Below the table: why each differs."
)


def compared(names: Sequence[str], totals: Sequence[int]) -> str:
    """Compare kept set-ups."""
    if len(names) < 2:
        return "Keep other set-ups to compare them with this one here."
    least, most = min(totals), max(totals)
    return (
        f"**{names[totals.index(most)]}** takes {times(most / least)} times the memory of "
        f"{names[totals.index(least)]}."
    )
