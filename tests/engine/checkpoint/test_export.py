"""Checkpoints of packed integers: decoded from the definitions they are what methods chose."""

import json
from functools import partial

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from quantcore import ModelError, export, export_steps, get_format, open_model, quantize
from quantcore.checkpoint.export import LAYOUTS, METHODS
from quantcore.formats.integers.integer import IntegerPacked
from quantcore.io.safetensors import read_header
from quantcore.methods import METHODS as ALL_METHODS
from quantcore.methods import get_method
from quantcore.methods.fold import deployed
from quantcore.methods.inputs.calibration import calibration_steps
from quantcore.methods.method import LayerInputs
from quantcore.methods.whole_model import choose_all
from quantcore.model.llama import Llama
from quantcore.model.outliers.settings import Channels, OutlierSettings
from quantcore.progress import result_of
from tests.support.checkpoints import arrays_of, modules_of, read_back
from tests.support.on_grid import write_on_grid
from tests.support.toy_model import CONFIG, write_folder, write_safetensors

CASES = [
    ("gptq", "INT2_G64"),
    ("gptq", "INT3_G32"),
    ("gptq", "INT4_G32_ASYM"),
    ("gptq", "INT8_ROW"),
    ("awq", "INT4_G32_ASYM"),
    ("awq", "INT4_ROW_ASYM"),
    ("compressed-tensors", "INT4_G32"),
    ("compressed-tensors", "INT4_ROW_ASYM"),
    ("compressed-tensors", "INT8_G64_ASYM"),
]
ROLES = 7  # matrices of a layer
HEADS = CONFIG | {"num_key_value_heads": 4, "tie_word_embeddings": False}
"""As many heads of keys as of queries: scales fold into attn_v as well."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(3).integers(0, 256, (4, 64)).astype(np.int32)


@pytest.mark.parametrize(("layout", "type"), CASES)
def test_what_is_packed_is_what_rounding_chose(toy, tokens, tmp_path, layout, type):
    folder = export(toy, layout, type, tmp_path / "out", tokens)
    fmt, read = get_format(type), read_back(folder)
    assert read.keys() == toy.tensors.keys()
    for name, info in toy.tensors.items():
        weights = toy.weights(name)
        packed = info.quantizable and info.layer is not None
        expected = fmt.round_trip(weights) if packed else weights
        np.testing.assert_array_equal(read[name], expected, err_msg=name)
    opened = open_model(folder)
    for name, info in opened.tensors.items():
        np.testing.assert_array_equal(opened.weights(name), read[name], err_msg=name)
        if info.layout:
            restored = get_format(info.dtype).dequantize(opened.packed(name))
            np.testing.assert_array_equal(restored, read[name])
    assert sum(bool(info.layout) for info in opened.tensors.values()) == 2 * ROLES


def test_names_types_and_shapes_are_those_that_loaders_ask_for(toy, tokens, tmp_path):
    expected = {
        "gptq": {
            "qweight": ("I32", [16, 32]), "qzeros": ("I32", [4, 4]),
            "scales": ("F16", [4, 32]), "g_idx": ("I32", [128]),
        },
        "awq": {
            "qweight": ("I32", [128, 4]), "qzeros": ("I32", [4, 4]), "scales": ("F16", [4, 32]),
        },
        "compressed-tensors": {
            "weight_packed": ("I32", [32, 16]), "weight_scale": ("F16", [32, 4]),
            "weight_shape": ("I64", [2]), "weight_zero_point": ("I32", [4, 4]),
        },
    }  # fmt: skip
    config = CONFIG | {"hidden_size": 128, "num_attention_heads": 8}  # of keys: 2 heads of 16
    model = open_model(write_folder(tmp_path / "wide", config))
    for layout, parts in expected.items():
        folder = export(model, layout, "INT4_G32_ASYM", tmp_path / layout, tokens)
        with safe_open(folder / "model.safetensors", "np") as file:
            assert file.metadata() == {"format": "pt"}
            start = "model.layers.1.self_attn.k_proj."
            slices = {n: file.get_slice(n) for n in file.keys() if n.startswith(start)}
            found = {
                n.removeprefix(start): (s.get_dtype(), s.get_shape()) for n, s in slices.items()
            }
        assert found == parts
        assert len(modules_of(load_file(folder / "model.safetensors"))) == 2 * ROLES


def test_config_says_how_to_read_it(toy, tokens, tmp_path):
    def written(layout, type):
        path = export(toy, layout, type, tmp_path / f"{layout}-{type}", tokens)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        assert {key: config[key] for key in CONFIG} == CONFIG
        assert config["torch_dtype"] == "float16" and "dtype" not in config
        return config["quantization_config"]

    plain = written("gptq", "INT4_G32")
    assert plain["quant_method"] == "gptq" and plain["checkpoint_format"] == "gptq"
    assert (plain["bits"], plain["group_size"], plain["sym"]) == (4, 32, True)
    assert plain["desc_act"] is False
    assert written("gptq", "INT3_G32_ASYM")["checkpoint_format"] == "gptq_v2"
    assert written("gptq", "INT8_ROW")["group_size"] == -1
    awq = written("awq", "INT4_G64_ASYM")
    assert (awq["quant_method"], awq["version"], awq["zero_point"]) == ("awq", "gemm", True)
    assert (awq["bits"], awq["group_size"]) == (4, 64)
    tensors = written("compressed-tensors", "INT8_ROW_ASYM")
    assert tensors["format"] == "pack-quantized" and tensors["ignore"] == ["lm_head"]
    (group,) = tensors["config_groups"].values()
    assert group["weights"] == {
        "num_bits": 8, "type": "int", "symmetric": False, "strategy": "channel",
        "group_size": None, "dynamic": False,
    }  # fmt: skip


def test_the_first_version_of_gptq_takes_one_off(toy, tokens, tmp_path):
    """Symmetric codes of 4 bits are around 8, which the file says as 7 in every nibble."""
    stored = load_file(
        export(toy, "gptq", "INT4_G32", tmp_path / "x", tokens) / "model.safetensors"
    )
    for module in modules_of(stored):
        assert set(arrays_of(stored, module)["qzeros"].ravel().tolist()) == {0x77777777}


@pytest.mark.parametrize("by", [by for by in METHODS if by != "own_grid"])
def test_the_model_is_the_one_that_the_method_made(tokens, tmp_path, by):
    """Norms and matrices before hold what AWQ folds into them."""
    model = open_model(write_folder(tmp_path / "toy", HEADS | {"num_hidden_layers": 1}))
    tokens = tokens[:2, :32]
    folder = export(model, "compressed-tensors", "INT4_G32_ASYM", tmp_path / "out", tokens, by=by)
    names = [n for n in model.quantizable if model.tensors[n].layer is not None]
    formats = dict.fromkeys(names, get_format("INT4_G32_ASYM"))
    chosen = choose_all(model, get_method(by), formats, tokens)
    weights = {name: model.weights(name) for name in model.tensors}
    expected = deployed(model.config, weights, chosen).logits(tokens[0])
    read = read_back(folder)
    found = Llama(model.config, read).logits(tokens[0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.std(expected))
    folds = by == "awq"
    assert folds == any(each.column_scales is not None for each in chosen.values())
    for norm in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"):
        assert np.array_equal(read[norm], weights[norm]) != folds


def test_weights_on_a_grid_are_exported_as_they_are(tokens, tmp_path):
    model = open_model(write_on_grid(tmp_path / "trained", HEADS | {"num_hidden_layers": 1}, "F16"))
    by_own = partial(export, model, "compressed-tensors", "INT4_G32", tokens=tokens, by="own_grid")
    read = read_back(by_own(path=tmp_path / "out"))
    for name in model.tensors:
        np.testing.assert_allclose(read[name], model.weights(name), rtol=2**-11)
    with pytest.raises(ValueError, match="INT4_G32_ASYM cannot be given a grid"):
        export(model, "awq", "INT4_G32_ASYM", tmp_path / "no", tokens, by="own_grid")


def test_methods_that_are_allowed_keep_nothing_else(toy, tokens):
    """And all others do: nothing is refused that could be said."""
    name, fmt = "blk.0.ffn_up.weight", get_format("INT8_ROW")
    needs = {"second_moment", "rows"}
    given = result_of(calibration_steps(toy, tokens, [name], needs))[name]
    for by, method in ALL_METHODS.items():
        try:
            method.check(toy.tensors[name].shape, fmt)
        except ValueError:
            assert by not in METHODS
            continue
        fields = {f: getattr(given, f) for f in LayerInputs.__slots__}
        fields["cross_moment"] = given.second_moment
        weights = fmt.round_trip(toy.weights(name))  # on a grid, as one of them demands
        chosen = method.choose(weights, fmt, LayerInputs(**fields))
        plain = isinstance(chosen.packed, IntegerPacked) and chosen.format == fmt
        assert (plain and chosen.rotation is None and chosen.inputs == "F32") == (by in METHODS)


def test_floats_keep_their_type_and_only_what_loaders_read_is_copied(tokens, tmp_path):
    source = write_folder(tmp_path / "toy", HEADS, dtype="BF16")
    (source / "notes.txt").write_text("private", encoding="utf-8")
    model = open_model(source)
    folder = export(model, "awq", "INT4_G32_ASYM", tmp_path / "out", tokens)
    stored, before = (read_header(place / "model.safetensors") for place in (folder, source))
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"):
        assert stored[name].dtype == "BF16"
        np.testing.assert_array_equal(stored[name].read(), before[name].read())
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()


def test_biases_stand_beside_packed_matrices(tokens, tmp_path):
    """Those of AWQ's values are divided by what the columns after them are multiplied by."""
    folder = tmp_path / "qwen2"
    write_folder(folder, HEADS | {"model_type": "qwen2", "num_hidden_layers": 1})
    arrays, rng = load_file(folder / "model.safetensors"), np.random.default_rng(7)
    modules = [f"model.layers.0.self_attn.{letter}_proj" for letter in "qkv"]
    arrays |= {f"{m}.bias": rng.normal(size=64).astype(np.float32) for m in modules}
    write_safetensors(folder / "model.safetensors", arrays)
    model, type = open_model(folder), "INT4_G32_ASYM"
    read = read_back(export(model, "gptq", type, tmp_path / "out", tokens, by="awq"))
    names = [n for n in model.quantizable if model.tensors[n].layer is not None]
    chosen = choose_all(model, get_method("awq"), dict.fromkeys(names, get_format(type)), tokens)
    scales = chosen["blk.0.attn_output.weight"].column_scales
    for name in ("blk.0.attn_q.bias", "blk.0.attn_k.bias"):
        np.testing.assert_array_equal(read[name], model.weights(name))
    values = model.weights("blk.0.attn_v.bias")
    np.testing.assert_array_equal(read["blk.0.attn_v.bias"], values / scales)
    assert not np.array_equal(values / scales, values)


def test_a_model_with_outlier_channels(toy, tokens, tmp_path):
    """Its config.json is its base's, except that rotated states give the output its own matrix."""
    direction = np.random.default_rng(5).normal(size=64)
    settings = OutlierSettings(rotated=True, norms=Channels(n=2, size=8.0))
    model = toy.with_outliers(settings, direction)
    folder = export(model, "compressed-tensors", "INT8_G32", tmp_path / "out", tokens)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["tie_word_embeddings"] is False and CONFIG["tie_word_embeddings"] is True
    read = read_back(folder)
    assert read.keys() == model.tensors.keys() == toy.tensors.keys() | {"output.weight"}
    for name in ("output.weight", "token_embd.weight", "blk.1.ffn_norm.weight"):
        np.testing.assert_array_equal(read[name], model.weights(name))
    expected = get_format("INT8_G32").round_trip(model.weights("blk.0.attn_q.weight"))
    np.testing.assert_array_equal(read["blk.0.attn_q.weight"], expected)


@pytest.mark.parametrize(
    ("layout", "type", "by", "says"),
    [
        ("gguf", "INT4_G32", "rtn", "There is no layout 'gguf'; there are gptq, awq, compressed-"),
        ("gptq", "Q4_K", "rtn", "integers with a scale a group or a row.* not 'Q4_K'"),
        ("gptq", "INT4_TENSOR", "rtn", "not 'INT4_TENSOR'"),
        ("gptq", "INT5_G32", "rtn", "codes of 2, 3, 4 or 8 bits, not the 5 of INT5_G32"),
        ("awq", "INT4_G32", "rtn", "take INT4_G128_ASYM, not INT4_G32"),
        ("awq", "INT8_G32_ASYM", "rtn", "take INT4_G128_ASYM"),
        ("compressed-tensors", "INT3_G32", "rtn", "export it as gptq"),
        ("gptq", "INT4_G48", "rtn", "blk.0.attn_q.weight: .*48"),
        ("gptq", "INT4_G32", "hqq", "HQQ needs more than codes.* take rtn, gptq"),
        ("gptq", "INT4_G32", "quip", "needs more than codes"),
        ("gptq", "INT4_G32", "gtpq", "There is no method called 'gtpq'"),
    ],
)
def test_what_a_layout_cannot_say_is_refused_before_any_work(
    toy, tokens, tmp_path, layout, type, by, says
):
    with pytest.raises(ValueError, match=says):
        export_steps(toy, layout, type, tmp_path / "out", tokens, by=by)  # no step is taken
    assert not list(tmp_path.iterdir())


def test_matrices_that_do_not_fill_words(tokens, tmp_path):
    config = CONFIG | {"hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 96}
    model = open_model(write_folder(tmp_path / "toy", config))
    with pytest.raises(ValueError, match=r"rows in 32s and columns in 32s, which 48 x 48 is not"):
        export_steps(model, "gptq", "INT4_G24", tmp_path / "out", tokens, by="rtn")
    folder = export(model, "compressed-tensors", "INT4_G24_ASYM", tmp_path / "out", tokens)
    read = read_back(folder)["blk.0.attn_k.weight"]
    expected = get_format("INT4_G24_ASYM").round_trip(model.weights("blk.0.attn_k.weight"))
    np.testing.assert_array_equal(read, expected)


def test_a_gguf_file_has_no_config(toy, tokens, tmp_path):
    model = open_model(quantize(toy, "F32", tmp_path / "toy.gguf"))
    with pytest.raises(ModelError, match=r"toy\.gguf is a GGUF file, without the config\.json"):
        export(model, "gptq", "INT4_G32", tmp_path / "out", tokens)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_stop_at_any_step_leaves_nothing(toy, tokens, tmp_path, layout):
    arguments = (toy, layout, "INT4_G32_ASYM", tmp_path / "out", tokens)
    shares = [step.share for step in export_steps(*arguments, by="rtn")]
    assert shares == sorted(shares) and shares[-1] == 1
    for file in (tmp_path / "out").iterdir():
        file.unlink()
    (tmp_path / "out").rmdir()
    for n in (1, len(shares) // 2, len(shares) - 1):
        steps = export_steps(*arguments, by="rtn")
        for _ in range(n):
            next(steps)
        steps.close()
        assert not list(tmp_path.iterdir())


def test_what_is_there_stays(toy, tokens, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="exists already"):
        export(toy, "gptq", "INT4_G32", tmp_path / "out", tokens)
    steps = export_steps(toy, "gptq", "INT4_G32", tmp_path / "other", tokens, by="rtn")
    next(steps)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "theirs").write_text("x", encoding="utf-8")
    with pytest.raises(ModelError, match="exists already"):
        list(steps)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["theirs"]


def test_a_folder_that_is_not_there(toy, tokens, tmp_path):
    with pytest.raises(ModelError, match="There is no folder"):
        export(toy, "gptq", "INT4_G32", tmp_path / "none" / "out", tokens)
