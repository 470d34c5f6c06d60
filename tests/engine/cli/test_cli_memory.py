"""The command `memory`: what it prints, against published figures and llama.cpp's own."""

import json

import pytest

from quantcore import open_model, plan
from quantcore.cli import main

KEYS = {
    *("model", "type", "context", "runtime", "weights_bytes", "weights_estimated"),
    *("bits_per_weight", "weights", "active_weights", "kv_cache_bytes", "kv_bytes_per_token"),
    *("compute_bytes", "overhead_bytes", "total_bytes", "fits", "layers_on_gpu", "devices"),
    *("terms", "recommended", "notes", "compute_estimated"),
}
LLAMA = "meta-llama/Llama-3.1-8B"
MIB, GIB = 2**20, 2**30


def json_of(capsys, *arguments):
    """Run the command and read the object that it prints; nothing else may be there."""
    assert main(["memory", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_model_alone(capsys):
    printed = json_of(capsys, LLAMA, "--type", "Q4_K_M", "--context", "131072")
    assert set(printed) == KEYS
    assert printed["kv_cache_bytes"] == 16 * GIB
    assert printed["kv_bytes_per_token"] == 131_072
    assert round(printed["bits_per_weight"], 4) == 4.8944
    assert (printed["compute_bytes"], printed["fits"], printed["layers_on_gpu"]) == (0, None, None)
    assert printed["total_bytes"] == sum(term["bytes"] for term in printed["terms"])


def test_without_a_name_it_is_the_shipped_model(capsys):
    printed = json_of(capsys, "--type", "Q4_K_M", "--context", "512")
    model = open_model()
    assert printed["weights_bytes"] == plan(model, "Q4_K_M").bytes
    assert printed["weights"] == model.n_weights


def test_llama_cpp_with_its_options(capsys):
    """As recorded in tests/golden/llama_cpp_memory.json."""
    options = ["--type", "F16", "--runtime", "llama.cpp", "--context", "32768"]
    printed = json_of(
        capsys, LLAMA, *options, "--cache-type", "q8_0", "--ubatch", "1024", "--sequences", "2"
    )
    assert printed["weights_bytes"] // MIB == 15_317
    assert printed["kv_cache_bytes"] / MIB == 2_176
    assert printed["compute_bytes"] / MIB == pytest.approx(549, rel=0.01)
    mixed = json_of(capsys, LLAMA, *options, "--cache-type-k", "q8_0", "--cache-type-v", "q4_0")
    assert mixed["kv_cache_bytes"] / MIB == (2_176 + 1_152) / 2


def test_a_machine_is_told_which_type_to_take(capsys):
    assert json_of(capsys, LLAMA)["recommended"] is None
    options = ["--context", "32768", "--gpu-memory", "24GiB"]
    said = json_of(capsys, LLAMA, *options)["recommended"]
    assert said["type"] == "Q6_K" and "Q6_K" in said["reason"]
    assert "another model, Llama-3-8B" in said["figures"]
    assert {"type", "total_bytes", "fits", "divergence"} <= set(said["types"][0])
    assert main(["memory", LLAMA, *options]) == 0
    assert "Take Q6_K: of the types" in capsys.readouterr().out


def test_sequences_share_the_context_under_llama_cpp_only(capsys):
    alone, shared = (
        json_of(capsys, LLAMA, "--sequences", "4", "--runtime", name)["kv_cache_bytes"]
        for name in ("none", "llama.cpp")
    )
    assert alone == 4 * shared == 2 * GIB


def test_what_fits(capsys):
    large = json_of(capsys, LLAMA, "--gpu-memory", "24GiB")
    assert (large["fits"], large["layers_on_gpu"]) == (True, 33)
    small = json_of(capsys, LLAMA, "--runtime", "llama.cpp", "--gpu-memory", "4GiB")
    assert small["fits"] is False
    assert 0 < small["layers_on_gpu"] < 33
    two = json_of(
        capsys, LLAMA, "--runtime", "llama.cpp", "--gpu-memory", "4GiB", "4 GiB", "--type", "Q3_K_M"
    )
    assert two["fits"] is True
    assert [load["n_layers"] > 0 for load in two["devices"]] == [True, True, False]


def test_system_memory_alone_is_a_machine_without_gpu(capsys):
    run = [LLAMA, "--type", "Q4_K_M", "--runtime", "llama.cpp"]
    enough = json_of(capsys, *run, "--system-memory", "32 GB")
    assert (enough["fits"], enough["layers_on_gpu"]) == (True, 0)
    (load,) = enough["devices"]
    assert (load["name"], load["capacity_bytes"]) == ("system memory", 32 * 10**9)
    assert load["n_layers"] == 33
    assert load["weights_bytes"] + load["cache_bytes"] == (
        enough["weights_bytes"] + enough["kv_cache_bytes"]
    )
    assert json_of(capsys, *run, "--system-memory", "4GiB")["fits"] is False
    assert main(["memory", *run, "--system-memory", "4GiB"]) == 0
    printed = capsys.readouterr().out
    assert "are computed by the CPU" in printed and "System memory lacks" in printed


def test_system_memory_beside_gpus_takes_what_they_leave(capsys):
    run = [LLAMA, "--runtime", "llama.cpp", "--gpu-memory", "4GiB"]
    beside = json_of(capsys, *run, "--system-memory", "64 GB DDR5-5600")
    gpu, system = beside["devices"]
    assert beside["fits"] is False and 0 < gpu["n_layers"] < 33
    assert gpu["n_layers"] + system["n_layers"] == 33
    assert system["capacity_bytes"] == 64 * GIB


def test_vllm_gives_the_cache_its_share_of_the_gpu(capsys):
    run = [LLAMA, "--type", "AWQ", "--runtime", "vllm", "--gpu-memory", "24GiB"]
    all_of_it = json_of(capsys, *run, "--gpu-memory-utilization", "1")["devices"][0]
    usual = json_of(capsys, *run)["devices"][0]
    assert all_of_it["cache_bytes"] - usual["cache_bytes"] == pytest.approx(2.4 * GIB, rel=1e-6)


def test_a_longer_context_than_the_model_was_made_for_is_a_warning(capsys):
    assert json_of(capsys, LLAMA, "--context", "131072")["notes"] == []
    (note,) = json_of(capsys, LLAMA, "--context", "131073")["notes"]
    assert "more than the 131,072" in note


def test_a_config_of_an_unknown_architecture_is_an_estimate(capsys, tmp_path):
    config = {"model_type": "brand_new", "hidden_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 100}  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    printed = json_of(capsys, str(path), "--type", "F16", "--context", "10")
    assert printed["weights_estimated"] is True
    assert printed["kv_cache_bytes"] == 2 * 10 * 2 * 64 * 2


def test_a_table_for_people(capsys):
    assert main(["memory", LLAMA, "--gpu-memory", "6GiB", "--runtime", "llama.cpp"]) == 0
    printed = capsys.readouterr().out
    assert "32 layers" in printed
    assert "4.8944 bits per weight" in printed


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["no-such-model"], "no known model 'no-such-model'"),
        ([LLAMA, "--context", "0"], "context must be at least 1"),
        ([LLAMA, "--sequences", "-2"], "sequences must be at least 1"),
        ([LLAMA, "--type", "Q9"], "no type called 'Q9'"),
        ([LLAMA, "--cache-type", "q9"], "No cache of type Q9"),
        ([LLAMA, "--runtime", "ollama"], "No runtime 'ollama'; there are none, llama.cpp, vllm"),
        ([LLAMA, "--gpu-memory-utilization", "1.2"], "gpu_memory_utilization must be more than 0"),
        ([LLAMA, "--gpu-memory", "24 GX"], "'24 GX' is not a size"),
        ([LLAMA, "--gpu-memory", "0"], "is not a size"),
        ([LLAMA, "--system-memory", "much"], "'much' is not a size"),
        ([LLAMA, "--system-memory", "8GiB", "--runtime", "vllm"], "vLLM needs graphics cards"),
        ([LLAMA, "--shared-prefix", "5000"], "must be within the context"),
        ([LLAMA, "--runtime", "llama.cpp", "--shared-prefix", "5"], "leave the shared prefix at 0"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, says, capsys):
    assert main(["memory", *arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1


def test_a_gguf_file_counts_as_it_is_stored(capsys, tmp_path):
    path = tmp_path / "shipped.gguf"
    assert main(["quantize", "--type", "Q4_K_M", "--output", str(path)]) == 0
    capsys.readouterr()
    printed = json_of(capsys, str(path), "--context", "512")
    assert printed["type"] == "as in the file"
    assert printed["weights_bytes"] == plan(open_model(), "Q4_K_M").bytes
    assert json_of(capsys, str(path), "--type", "F16")["bits_per_weight"] > 15.9
