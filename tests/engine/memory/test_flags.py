"""Commands for runtimes: what they say, and what cannot be said."""

import shlex
from dataclasses import replace

import pytest

from quantcore.memory import CACHE_FORMATS, Setup, estimate
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.fitting import place
from quantcore.memory.flags import llama_server, ollama, vllm_serve
from quantcore.memory.hardware import gpus, machine, systems
from quantcore.memory.tensor_parallel import reserve_on
from quantcore.shape import preset

LLAMA = Setup(runtime="llama.cpp", context=8192)
RAM = systems()["64 GB DDR5-5600"]


def _placed(model, setup, *cards):
    return place(preset(model), setup, machine([gpus()[name] for name in cards], RAM))


def test_llama_server_says_where_layers_go():
    placed = _placed("Llama-3.1-8B", LLAMA, "RTX 3060 12 GB")
    assert llama_server("model.gguf", LLAMA, placed) == (
        "llama-server -m model.gguf -c 8192 -ngl 33 -fa on"
    )
    placed = _placed("Llama-2-70b-hf", LLAMA, "RTX 3090", "RTX 3090")
    command = llama_server("model.gguf", LLAMA, placed)
    first, second = placed.layers_by_gpu
    assert f"-ngl {first + second} -ts {first},{second} " in command
    placed = _placed("gpt-oss-120b", LLAMA, "RTX 3090")
    assert f"-ngl 37 --n-cpu-moe {placed.experts_on_cpu} " in llama_server("m", LLAMA, placed)
    assert " -ngl 0 " in llama_server("m", LLAMA, _placed("gemma-3-1b-it", LLAMA))


def test_llama_server_says_what_is_not_its_default():
    setup = replace(LLAMA, sequences=4, key_type="Q8_0", value_type="Q4_0", ubatch=128, batch=1024)
    command = llama_server("my model.gguf", setup, _placed("Llama-3.1-8B", setup, "RTX 3090"))
    words = shlex.split(command)
    for option, value in {
        "-m": "my model.gguf",
        "-np": "4",
        "-ctk": "q8_0",
        "-ctv": "q4_0",
        "-b": "1024",
        "-ub": "128",
    }.items():
        assert words[words.index(option) + 1] == value
    off = replace(LLAMA, flash_attention=False)
    assert "-fa off" in llama_server("m", off, _placed("Llama-3.1-8B", off, "RTX 3090"))


def test_ollama_has_environment_and_modelfile():
    setup = replace(LLAMA, sequences=2, key_type="Q8_0", value_type="Q8_0", ubatch=256)
    server, modelfile = ollama("m.gguf", setup, _placed("Llama-3.1-8B", setup, "RTX 3090"))
    assert server == (
        "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0 OLLAMA_NUM_PARALLEL=2 ollama serve"
    )
    assert modelfile.splitlines() == [
        "FROM ./m.gguf",
        "PARAMETER num_ctx 4096",  # of each sequence
        "PARAMETER num_gpu 33",
        "PARAMETER num_batch 256",
    ]
    plain, _ = ollama("m.gguf", LLAMA, _placed("Llama-3.1-8B", LLAMA, "RTX 3090"))
    assert plain == "OLLAMA_FLASH_ATTENTION=1 ollama serve"


def test_vllm_names_the_method_and_the_share():
    setup = Setup(
        type_name="AWQ",
        runtime="vllm",
        context=8192,
        sequences=16,
        key_type="FP8",
        value_type="FP8",
    )
    assert vllm_serve("owner/name", setup, 2) == (
        "vllm serve owner/name --max-model-len 8192 --max-num-seqs 16 --gpu-memory-utilization 0.9 "
        "--kv-cache-dtype fp8 --tensor-parallel-size 2 --quantization awq"
    )
    plain = vllm_serve("owner/name", Setup(type_name="BF16", runtime="vllm", utilization=0.85))
    assert plain.endswith("--max-num-seqs 1 --gpu-memory-utilization 0.85 --dtype bfloat16")
    for name in DEPLOYED:
        assert "--quantization" in vllm_serve("m", Setup(type_name=name))


def test_what_a_program_cannot_do_is_told():
    placed = _placed("Llama-3.1-8B", LLAMA, "RTX 3090")
    with pytest.raises(ValueError, match=r"GPTQ is not one of their types"):
        llama_server("m", replace(LLAMA, type_name="GPTQ"), placed)
    with pytest.raises(ValueError, match="Ollama has no cache in FP8"):
        ollama("m", replace(LLAMA, key_type="FP8"), placed)
    with pytest.raises(ValueError, match="one type, of F16, Q8_0, Q4_0; not in Q8_0 and F16"):
        ollama("m", replace(LLAMA, key_type="Q8_0"), placed)
    for name in set(CACHE_FORMATS) - {"F16", "BF16", "FP8"}:
        with pytest.raises(ValueError, match="16 bits or in FP8, not in"):
            vllm_serve("m", Setup(type_name="AWQ", key_type=name, value_type=name))
    for name in ("Q4_K_M", "Q4_K pure", "F32", "INT4_G64", "as in the file"):
        with pytest.raises(ValueError, match="vLLM does not load"):
            vllm_serve("m", Setup(type_name=name))
    for name in ("INT4_G64", "NVFP4_TENSOR"):
        with pytest.raises(ValueError, match=r"llama\.cpp runs GGUF files"):
            llama_server("m", replace(LLAMA, type_name=name), placed)


@pytest.mark.parametrize("runtime", ["none", "llama.cpp", "vllm"])
@pytest.mark.parametrize("sequences", [1, 3, 4])
def test_a_command_runs_what_was_counted(runtime, sequences):
    """As many tokens as the cache was counted for, however a runtime words its context."""
    setup = Setup(type_name="BF16", runtime=runtime, context=8192, sequences=sequences)
    tokens = 8192 if runtime == "llama.cpp" else 8192 * sequences
    placed = _placed("Llama-3.1-8B", setup, "H200")
    counted = setup.context_of_each
    words = shlex.split(llama_server("m", setup, placed))
    assert words[words.index("-c") + 1] == str(tokens)
    _, modelfile = ollama("m.gguf", setup, placed)
    assert f"num_ctx {counted}" in modelfile
    assert f"--max-model-len {counted} " in vllm_serve("m", setup)


@pytest.mark.parametrize("card", ["RTX 3090", "H100 80 GB"])
def test_vllm_is_asked_for_the_batch_that_was_counted(card):
    setup = Setup(type_name="AWQ", runtime="vllm", context=8192, sequences=4)
    found = estimate(preset("Llama-3.1-8B"), setup)
    reserved = reserve_on(found, machine([gpus()[card]], RAM))
    words = shlex.split(vllm_serve("m", setup, 1, reserved))
    (step,) = (term for term in reserved.terms if term.name == "largest step")
    for option in ("--max-num-batched-tokens", "--max-num-seqs"):
        assert f"{int(words[words.index(option) + 1]):,} " in step.formula, option
