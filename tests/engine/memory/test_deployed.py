"""Checkpoints for GPUs: bytes against published files, and what each format keeps beside codes."""

import pytest

from quantcore.memory.deployed import deployed_weights
from quantcore.memory.deployed_formats import DEPLOYED, nf4, packed_int32
from quantcore.shape import preset

# Sizes as the Hugging Face Hub lists them, GB of 10^9, three digits.
PUBLISHED = [
    ("Llama-3.1-8B", "AWQ", 5.73, "pavan01729/Meta-Llama-3.1-8B-Instruct-AWQ"),
    ("Llama-2-70b-hf", "AWQ", 36.6, "TheBloke/Llama-2-70B-AWQ, model card"),
    ("Meta-Llama-3-8B", "GPTQ", 5.73, "Efficient-ML/LLaMA-3-8B-GPTQ-4bit-b128"),
    ("Meta-Llama-3-70B", "GPTQ", 39.8, "Efficient-ML/LLaMA-3-70B-GPTQ-4bit-b128"),
    ("Mistral-7B-v0.1", "NF4_DQ", 4.13, "unsloth/mistral-7b-bnb-4bit"),
    ("Llama-3.1-8B", "FP8", 9.08, "neuralmagic/Meta-Llama-3.1-8B-FP8: 5 + 4.08"),
]
# TheBloke/LLaMa-7B-GPTQ, one branch each. AutoGPTQ then stored a zero bias, float16, for each row.
THE_BLOKE = [(4, 128, 3.90), (4, 32, 4.28), (8, 128, 7.16), (8, 64, 7.31), (8, 4096, 7.01)]


@pytest.mark.parametrize(("model", "name", "size_gb", "source"), PUBLISHED)
def test_sizes_are_those_of_published_checkpoints(model, name, size_gb, source):
    gb = deployed_weights(preset(model), name).total_bytes / 1e9
    assert float(f"{gb:.3g}") == size_gb, source


def test_gpt_oss_is_right_to_the_byte():
    """openai/gpt-oss-20b, model.safetensors.index.json: metadata.total_size."""
    assert deployed_weights(preset("gpt-oss-20b"), "MXFP4").total_bytes == 13_761_264_768


@pytest.mark.parametrize(("bits", "group", "size_gb"), THE_BLOKE)
def test_groups_and_bits_of_gptq_follow_its_files(bits, group, size_gb):
    shape = preset("Llama-2-7b-hf")
    total = 0
    for name, size in shape.tensors.items():
        if DEPLOYED["GPTQ"].covers_tensor(name, size):
            groups = group if group < 4096 else size[1]  # 4096 stands for no groups: one a row
            total += sum(packed_int32(bits, groups, True, *size).values()) + 2 * size[0]
        else:
            total += 2 * (size[0] if len(size) == 1 else size[0] * size[1])
    assert float(f"{total / 1e9:.3g}") == size_gb


def test_three_bits_have_the_number_of_words_of_a_published_file():
    """kaitchup/Llama-2-7b-hf-gptq-3bit: the Hub counts 927 million int32 and float16 numbers."""
    shape, numbers = preset("Llama-2-7b-hf"), 0
    for name, size in shape.tensors.items():
        if DEPLOYED["GPTQ_3BIT"].covers_tensor(name, size):
            parts = DEPLOYED["GPTQ_3BIT"].parts(*size)
            numbers += sum(bytes_ // 4 for part, bytes_ in parts.items() if part != "scales")
            numbers += parts["scales"] // 2 + size[0]  # and the zero bias
        else:
            numbers += size[0] if len(size) == 1 else size[0] * size[1]
    assert round(numbers / 1e6) == 927


def test_double_quantization_is_what_its_tensors_say():
    """4 MB of codes of a 2048 x 4096 matrix have 131,072 absmax, in 512 groups."""
    assert nf4(True, 2048, 4096) == {
        "weight": 4_194_304,
        "absmax": 131_072,
        "quant_map": 64,
        "nested_absmax": 2048,
        "nested_quant_map": 1024,
    }
    assert nf4(False, 2048, 4096)["absmax"] == 4 * 131_072


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("GPTQ", 4 + 20 / 128 + 32 / 4096),
        ("GPTQ_3BIT", 3 + 19 / 128 + 32 / 4096),
        ("GPTQ_8BIT", 8 + 24 / 128 + 32 / 4096),
        ("AWQ", 4 + 20 / 128),
        ("INT8", 8 + 32 / 4096 + 8 / 4096**2),
        ("NF4", 4.5 + 8 * 64 / 4096**2),
        ("NF4_DQ", 4 + 8 / 64 + 32 / (64 * 256) + 8 * 1088 / 4096**2),
        ("FP8", 8 + 64 / 4096**2),
        ("FP8_CHANNEL", 8 + 16 / 4096),
        ("FP8_BLOCK", 8 + 32 / 128**2),
        ("MXFP4", 4.25),
        ("NVFP4", 4.5 + 64 / 4096**2),
    ],
)
def test_bits_of_a_square_matrix(name, bits):
    assert 8 * DEPLOYED[name].matrix_bytes(4096, 4096) / 4096**2 == pytest.approx(bits, rel=1e-12)


def test_every_format_says_what_it_is():
    assert len(DEPLOYED) == 12
    for fmt in DEPLOYED.values():
        assert fmt.title and fmt.source and "16 bits" in fmt.stays


@pytest.mark.parametrize("model", ["gpt2", "DeepSeek-V3", "Mixtral-8x7B-v0.1", "gemma-3-27b-it"])
@pytest.mark.parametrize("name", ["GPTQ", "NF4_DQ", "FP8_BLOCK", "NVFP4"])
def test_other_architectures_keep_what_is_no_linear_layer(model, name):
    shape = preset(model)
    stored = deployed_weights(shape, name)
    assert {t.name for t in stored.tensors} == {n for n in shape.tensors if "rope_" not in n}
    kept = {t.name for t in stored.tensors if t.format == "BF16"}
    assert "token_embd.weight" in kept and "output_norm.weight" in kept
    assert not {"blk.3.attn_output.weight", "blk.3.ffn_down_exps.weight"} & kept
    if shape.experts:
        assert "blk.3.ffn_gate_inp.weight" in kept
    assert stored.total_bytes < 2 * shape.n_weights


def test_latent_attention_is_grouped_as_one_linear_layer():
    """DeepSeek's kv_b has 512 inputs; GGUF turns the keys' half round."""
    stored = {t.name: t for t in deployed_weights(preset("DeepSeek-V3"), "GPTQ").tensors}
    keys, values = stored["blk.0.attn_k_b.weight"], stored["blk.0.attn_v_b.weight"]
    assert keys.bytes == values.bytes == sum(packed_int32(4, 128, True, 128 * 128, 512).values())


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="No deployed format 'GTPQ'; there are GPTQ, "):
        deployed_weights(preset("gpt2"), "GTPQ")
    with pytest.raises(ValueError, match="gpt2 has no experts to store so"):
        deployed_weights(preset("gpt2"), "mxfp4")
