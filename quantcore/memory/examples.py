"""What articles calculate, with the set-up that they mean."""

from dataclasses import dataclass

from quantcore.memory.estimate import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A case that articles calculate."""

    name: str
    model_id: str
    setup: Setup
    said: str  # what the articles say
    said_bytes: int
    machine: str = ""  # name of a machine or card that they put it on


def _example(name: str, model_id: str, said: str, gb: float, machine: str = "", **setup) -> Example:
    return Example(
        name=name,
        model_id=model_id,
        setup=Setup(**setup),
        said=said,
        said_bytes=round(gb * 1e9),
        machine=machine,
    )


EXAMPLES = (
    _example("7B at Q4", "meta-llama/Llama-2-7b-hf", "7 × 0.5 = 3.5 GB", 3.5),
    _example("13B at Q4", "meta-llama/Llama-2-13b-hf", "13 × 0.5 = 6.5 GB", 6.5),
    _example("34B at Q4", "codellama/CodeLlama-34b-hf", "34 × 0.5 = 17 GB", 17),
    _example("70B at Q4", "meta-llama/Llama-2-70b-hf", "70 × 0.5 = 35 GB", 35),
    _example(
        "Llama-2-7B at 8 bits, 4K context",
        "meta-llama/Llama-2-7b-hf",
        "7 GB and 2 GB of cache: about 9 GB",
        9,
        type_name="Q8_0",
    ),
    _example(
        "70B at Q4 on a 48 GB Mac",
        "meta-llama/Llama-2-70b-hf",
        "70 × 0.5 × 1.2 = 42 GB: fits",
        42,
        "M4 Max, 48 GB",
        runtime="llama.cpp",
    ),
    _example(
        "8B on a 16 GB card",
        "meta-llama/Llama-3.1-8B",
        "8 × 2 = 16 GB in 16 bits: just fits",
        16,
        "RTX 4060 Ti 16 GB",
        type_name="F16",
        runtime="llama.cpp",
    ),
)
