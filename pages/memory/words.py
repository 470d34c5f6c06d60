"""The sentences of the page Memory: numbers in, text out. Sizes are binary: GiB is 2³⁰ bytes."""

from collections.abc import Mapping, Sequence

from pages.shared.units import binary, millions, percent, times
from quantcore.memory import Estimate, FoundModel, Setup
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.hardware import Machine
from quantcore.memory.loads import MARGIN_BYTES
from quantcore.memory.placement import Placement
from quantcore.memory.rules_of_thumb import RuleOfThumb
from quantcore.memory.speed import SpeedBound
from quantcore.shape import ModelShape
from quantcore.which_type import Recommendation

PURPOSE = "What a model takes in memory, whether it fits a machine, and which type to take there."
DEFINED = (
    "token, tensor, embedding, quantization, scale, block, format, mix, pure, bits per weight, "
    "importance matrix, divergence, nat, perplexity, KV cache, context"
).split(", ")

NOT_ASKED = (
    "Nothing is sent before you press the button. Then only headers are read, some kilobytes: "
    "config.json, and the names, types and shapes of the tensors."
)
HOW_TO_READ_FACTORS = (
    "The formula with this model’s numbers. What counts are the **KV** heads, not all heads; the "
    "head size of config.json, not hidden size / heads; and layers with a window keep the window "
    "only."
)
HOW_TO_READ_TABLE = (
    "Weights, cache and buffers in GiB, a type a row, a context a column. ● fits, ◐ fits with less "
    "than a twentieth to spare, ○ only with layers in system memory, × not at all."
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
    return f"{what} takes **{binary(taken.total_bytes)}**; on {machine.name} it {says}."


def how_to_read_devices(taken: Estimate) -> str:
    """Explain the bars, and give the parts of the total."""
    parts = [f"Weights {binary(taken.weights_bytes)}", f"KV cache {binary(taken.kv_cache_bytes)}"]
    if taken.compute_bytes + taken.overhead_bytes:
        parts.append(f"buffers {binary(taken.compute_bytes + taken.overhead_bytes)}")
    return (
        f"A bar a device, up to its end what can be used. {', '.join(parts)}; "
        f"{millions(taken.shape.n_weights)} weights at {taken.stored.bits_per_weight:.4g} bits"
        f"{active(taken.shape)}. "
        + {
            "none": "Without a runtime: its buffers come on top.",
            "llama.cpp": "Cache and compute buffer as llama.cpp allocates them; "
            f"{binary(MARGIN_BYTES)} of each device stay free.",
            "vllm": "vLLM gives the cache all that is left of its share of each GPU, "
            f"{percent(taken.setup.utilization)}.",
        }[taken.setup.runtime]
    )


def active(shape: ModelShape) -> str:
    """Say how many weights a token passes through, where those are not all."""
    if shape.active_weights == shape.n_weights:
        return ""
    return f", of which a token passes through {millions(shape.active_weights)}"


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
            f"The published {shape.published_weights:,} weights count {', '.join(extras)} besides "
            f"the {shape.n_weights:,} of the model."
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
    each = " of all sequences together" if bound.sequences > 1 else ""
    read = f"{binary(bound.step_bytes)} are read for a token"
    if bound.tokens_per_s is None:
        return f"{read[0].upper()}{read[1:]}; the bandwidth of this memory is not known."
    text = f"At most **{bound.tokens_per_s:,.0f} tokens per second**{each}: {read}"
    if bound.prompt_tokens_per_s:
        text += f"; a prompt is read at {bound.prompt_tokens_per_s:,.0f} tokens per second at most"
    return text + "."


SPEED_IS_A_BOUND = (
    "Bounds: bytes over the bandwidth of the memory that they lie in, operations over the FLOPS of "
    "the data sheet. No program is faster; most reach half to nine tenths."
)


def placed(placement: Placement) -> str:
    """Say how many layers are where."""
    reason = placement.reasons[0]
    return reason[:1].upper() + reason[1:] + "."


def which_type(chosen: Recommendation) -> str:
    """Name the type to take, and say why."""
    reason = chosen.reason
    return reason.replace(chosen.best.type, f"**{chosen.best.type}**", 1) if chosen.best else reason


def how_to_read_types(chosen: Recommendation) -> str:
    """Say whose figures they are, and which types are left out."""
    return f"{chosen.whose} Types that are larger and further off than another are left out."


NO_COSTS = (
    "Which type to take is not known here **for vLLM**.",
    "Of GPTQ, AWQ, FP8 and the others that it loads, no divergences lie with the lab; the largest "
    "that fits is named below.",
)


def best(type_name: str | None, longest: int, setup: Setup, where: str) -> str:
    """Say the best type and the longest context that fit; `where` is "the GPUs" or "memory"."""
    kind = "type" if setup.runtime == "vllm" else "type without an importance matrix"
    if type_name is None:
        return f"With {setup.context:,} tokens no {kind} is small enough for **{where}**."
    fits = f"With {setup.context:,} tokens the largest {kind} that fits is **{type_name}**"
    if not longest:
        return f"{fits}; {setup.type_name} is too large for any context."
    if longest < setup.context:
        return f"{fits}; {setup.type_name}, which is larger, fits with **{longest:,} tokens**."
    return f"{fits}; in {setup.type_name} up to **{longest:,} tokens** fit."


def commands(runtime: str) -> tuple[str, str]:
    """Say what the commands are, and what of them was counted."""
    examples = "File names and the model’s name are examples."
    if runtime == "none":
        return (
            "The commands for **this set-up**.",
            f"Counted is what the model itself needs; a runtime, chosen above, adds buffers of its "
            f"own. {examples}",
        )
    name = {"llama.cpp": "llama.cpp", "vllm": "vLLM"}[runtime]
    return (
        f"The command that runs **exactly this**, for {name}.",
        f"Those of the others have the same weights, cache and contexts, which they lay out in "
        f"their own way. {examples}",
    )


def heads(shape: ModelShape, cache: int, rules: Sequence[RuleOfThumb], per_token: float) -> str:
    """Say what sharing keys and values saves; `rules` are the rules of thumb."""
    if not any(layer.key_values for layer in shape.caches):
        return f"No layer keeps keys or values: states take **{binary(cache)}**, however long."
    all_heads = next(rule.bytes for rule in rules if rule.name.startswith("2 × layers × hidden"))
    if shape.latent:
        return (
            "One latent vector a token stands for the keys and values of all heads: the cache is "
            f"**{times(all_heads / cache)} times smaller**, {binary(cache)}."
        )
    if shape.n_kv_heads < shape.n_heads:
        pairs = "one pair" if shape.n_kv_heads == 1 else f"{shape.n_kv_heads} pairs"
        return (
            f"{shape.n_heads} heads share {pairs} of keys and values: the cache takes "
            f"**{binary(cache)}**, {binary(per_token)} a token."
        )
    return f"Every head keeps keys and values of its own: **{binary(per_token)}** a token."


def misread(rule: str) -> str:
    """Name a wrong formula for the cache in a few words."""
    return "if every head kept its own" if "hidden size" in rule else "if heads were hidden / heads"


def crossing(tokens: int | None, longest: int, type_name: str, share: float) -> str:
    """Say from which context on the cache is larger than the weights; `share` is at the longest."""
    if tokens is None or tokens > longest:
        return (
            f"Up to {longest:,} tokens the cache stays smaller than the weights in {type_name}: "
            f"**{percent(share)}** of them at most."
        )
    return f"From **{tokens:,} tokens** on the cache is larger than the weights in {type_name}."


def how_to_read_growth(shape: ModelShape, wrong: bool) -> str:
    """Explain the curves."""
    dashed = " Dashed: what a formula says that gets heads, windows or the head size wrong."
    return (
        "Cache by context, both on log scales; the ring is your choice. "
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
        return "Not even one sequence of this length fits on the GPUs."
    if len(fitting) == len(sequences):
        return f"All **{sequences[-1]} sequences** of this length fit on the GPUs at once."
    most = fitting[-1]
    if most == 1:
        return "**1 sequence** of this length fits on the GPUs, 2 do not."
    return f"**{most} sequences** of this length fit on the GPUs, {2 * most} do not."


def flash_attention(on: bool) -> str:
    """Name a curve by whether flash attention is on."""
    return "flash attention" if on else "without it"


def batches(at: Sequence[int], buffers: Mapping[str, Sequence[int]], now: int, size: int) -> str:
    """Say what a larger micro-batch costs."""
    first = next(iter(buffers.values()))
    grown = f"from {binary(first[0])} at {at[0]} tokens to {binary(first[-1])} at {at[-1]:,}"
    text = f"The compute buffer takes **{binary(size)}** with a micro-batch of {now}: {grown}"
    if len(buffers) > 1 and (other := list(buffers.values())[1])[-1] > 1.05 * first[-1]:
        return f"{text}, without flash attention {binary(other[-1])}."
    return text + "."


def types(names: Sequence[str], sizes: Mapping[str, int], n_fitting: int, limit: int | None) -> str:
    """Compare the types by size; `limit` is the memory of the GPUs, if any."""
    smallest, largest = min(sizes.values()), max(sizes.values())
    if limit is None:
        shrinks = times(largest / smallest)
        return f"From {names[0]} to {names[-1]} the whole shrinks **{shrinks} times**."
    fit = "fits" if n_fitting == 1 else "fit"
    return f"**{n_fitting} of {len(sizes)}** types here {fit} into {binary(limit)} of GPU memory."


def thumb(rules: Sequence[RuleOfThumb]) -> str:
    """Say how far the rules are off."""
    worst = max(rules, key=lambda rule: max(rule.factor, 1 / rule.factor))
    if max(worst.factor, 1 / worst.factor) < 1.1:
        return "Here every rule of thumb is within a tenth of the exact figure."
    way = "too little" if worst.factor > 1 else "too much"
    off = max(worst.factor, 1 / worst.factor)
    return f"**{worst.name}** says {times(off)} times {way} for this set-up."


HOW_TO_READ_RULES = (
    "What articles count with, this model’s numbers put in, beside what comes out above. Why each "
    "differs stands below the table."
)


def compared(names: Sequence[str], totals: Sequence[int]) -> str:
    """Compare kept set-ups."""
    if len(names) < 2:
        return "Keep up to four set-ups, and they are laid side by side here."
    least, most = min(totals), max(totals)
    return (
        f"**{names[totals.index(most)]}** takes {times(most / least)} times the memory of "
        f"{names[totals.index(least)]}."
    )
