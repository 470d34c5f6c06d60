"""Command lines that realize a choice: llama-server, Ollama, vLLM.

Options as in llama.cpp's common/arg.cpp (commit 0c1e57098), Ollama's FAQ and Modelfile reference,
and vLLM's engine arguments.
"""

import shlex

from quantcore.formats import FORMATS
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.estimate import Setup
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.placement import Placement
from quantcore.memory.vllm import Reservation
from quantcore.recipe.types import get_type

# vLLM finds the method in the checkpoint's config.json too; naming it makes a mistake visible.
_VLLM_METHODS = {
    "GPTQ": "gptq",
    "GPTQ_3BIT": "gptq",
    "GPTQ_8BIT": "gptq",
    "AWQ": "awq",
    "INT8": "bitsandbytes",
    "NF4": "bitsandbytes",
    "NF4_DQ": "bitsandbytes",
    "FP8": "fp8",
    "FP8_CHANNEL": "compressed-tensors",
    "FP8_BLOCK": "fp8",
    "MXFP4": "mxfp4",
    "NVFP4": "modelopt_fp4",
}
_VLLM_DTYPES = {"BF16": "bfloat16", "F16": "float16"}
_OLLAMA_CACHES = ("F16", "Q8_0", "Q4_0")


def llama_server(file: str, setup: Setup, placement: Placement) -> str:
    """Write the command for llama.cpp's server; what is its default is left out.

    Parameters
    ----------
    placement
        Of this set-up, from `fitting.place`.

    Raises
    ------
    ValueError
        If llama.cpp has no such type of weights or of cache.
    """
    _check_gguf(setup, "llama.cpp")
    words = ["llama-server", "-m", file, "-c", setup.context_of_all]
    if setup.sequences > 1:  # which share the context
        words += ["-np", setup.sequences]
    words += ["-ngl", placement.layers_on_gpu]
    if placement.experts_on_cpu:
        words += ["--n-cpu-moe", placement.experts_on_cpu]
    if len(placement.layers_by_gpu) > 1:
        words += ["-ts", ",".join(map(str, placement.layers_by_gpu))]
    words += ["-fa", "on" if setup.flash_attention else "off"]
    for option, kind in (("-ctk", setup.key_type), ("-ctv", setup.value_type)):
        if kind.upper() != "F16":
            words += [option, kind.lower()]
    for option, value, usual in (("-b", setup.batch, 2048), ("-ub", setup.ubatch, 512)):
        if value != usual:
            words += [option, value]
    return shlex.join(map(str, words))


def ollama(file: str, setup: Setup, placement: Placement) -> tuple[str, str]:
    """Write the server's command, with its environment, and the Modelfile.

    Ollama's num_ctx is that of each sequence, and one setting is for keys and values.

    Raises
    ------
    ValueError
        If Ollama has no such type of weights or of cache.
    """
    _check_gguf(setup, "Ollama")
    kinds = {setup.key_type.upper(), setup.value_type.upper()}
    if len(kinds) > 1 or not kinds <= set(_OLLAMA_CACHES):
        raise ValueError(
            f"Ollama keeps keys and values in one type, of {', '.join(_OLLAMA_CACHES)}; not in "
            f"{setup.key_type} and {setup.value_type}"
        )
    server = [f"OLLAMA_FLASH_ATTENTION={int(setup.flash_attention)}"]
    if kinds != {"F16"}:
        server.append(f"OLLAMA_KV_CACHE_TYPE={setup.key_type.lower()}")
    if setup.sequences > 1:
        server.append(f"OLLAMA_NUM_PARALLEL={setup.sequences}")
    modelfile = [
        f"FROM ./{file}",
        f"PARAMETER num_ctx {max(setup.context_of_each, 1)}",
        f"PARAMETER num_gpu {placement.layers_on_gpu}",
    ]
    if setup.ubatch != 512:
        modelfile.append(f"PARAMETER num_batch {setup.ubatch}")
    return " ".join([*server, "ollama serve"]), "\n".join(modelfile)


def vllm_serve(
    model: str, setup: Setup, n_gpus: int = 1, reserved: Reservation | None = None
) -> str:
    """Write the command for vLLM's server.

    Parameters
    ----------
    model
        An id on the Hub or a folder, of a checkpoint in the set-up's type.
    reserved
        What was counted, from `tensor_parallel.reserve_on`: its batch and number of sequences are
        asked for. Without it, as many sequences as the set-up has.

    Raises
    ------
    ValueError
        If vLLM has no such type of weights or of cache.
    """
    type_name = setup.type_name.upper()
    if type_name not in (*_VLLM_METHODS, *_VLLM_DTYPES):
        raise ValueError(
            f"vLLM does not load {setup.type_name}: choose a type of its checkpoints, such as AWQ "
            "or BF16, or llama.cpp"
        )
    if {setup.key_type.upper(), setup.value_type.upper()} not in ({"F16"}, {"BF16"}, {"FP8"}):
        raise ValueError(
            "vLLM keeps keys and values in 16 bits or in FP8, not in "
            f"{setup.key_type} and {setup.value_type}"
        )
    words = ["vllm", "serve", model, "--max-model-len", setup.context_of_each]
    if reserved is None:
        words += ["--max-num-seqs", setup.sequences]
    else:
        words += ["--max-num-batched-tokens", reserved.batched_tokens]
        words += ["--max-num-seqs", reserved.max_sequences]
    words += ["--gpu-memory-utilization", f"{setup.utilization:g}"]
    if setup.key_type.upper() == "FP8":
        words += ["--kv-cache-dtype", "fp8"]
    if n_gpus > 1:
        words += ["--tensor-parallel-size", n_gpus]
    if method := _VLLM_METHODS.get(type_name):
        words += ["--quantization", method]
    else:
        words += ["--dtype", _VLLM_DTYPES[type_name]]
    return shlex.join(map(str, words))


def _check_gguf(setup: Setup, program: str) -> None:
    if setup.type_name.upper() in DEPLOYED or not _in_gguf(setup.type_name):
        raise ValueError(
            f"{program} runs GGUF files, and {setup.type_name} is not one of their types: choose "
            "another type, such as Q4_K_M, or vLLM"
        )
    if "FP8" in (setup.key_type.upper(), setup.value_type.upper()):
        raise ValueError(f"{program} has no cache in FP8: choose Q8_0, or vLLM")


def _in_gguf(type_name: str) -> bool:
    """Whether a GGUF file can hold a type: a mix, or a format that ggml has."""
    if type_name == AS_STORED:
        return True
    meant = get_type(type_name)
    return meant.mix is not None or meant.format.name in FORMATS
