"""The page Memory: each way to name a model, verdicts, tables, and bad input in one sentence."""

import json

import pytest

from pages.memory import cache, charts
from pages.memory import kept as memory_kept
from pages.memory import model as memory_model
from pages.memory import words as memory_words
from pages.shared import bench
from pages.shared.palette import LIGHT
from pages.shared.units import binary
from quantcore import open_model
from quantcore.io.gguf import read_gguf
from quantcore.memory import Setup, estimate, find_by_name, find_shape
from quantcore.memory.fitting import lay_out
from quantcore.memory.hardware import card, gpus, machine, systems
from quantcore.memory.rules_of_thumb import rules_of_thumb
from quantcore.memory.speed import speed_bound
from quantcore.shape import preset, preset_config, preset_ids
from tests.support.app import findings, said, visit
from tests.support.gguf_models import write

GIB = 2**30
SMALL_CARD = machine([gpus()["RTX 4060 8 GB"]], systems()["16 GB DDR4-3200"])


def _text(app):
    return " ".join(element.value for element in [*app.markdown, *app.header])


def test_it_opens_with_a_verdict():
    app = visit("memory")
    assert not app.error
    (first, *_) = findings(app)
    assert first.startswith("**Llama-3.1-8B** in Q4_K_M with 32,768 tokens takes **8.58 GiB**")
    assert "fits with 3.4 GiB to spare; at 65,536 tokens it will not" in first
    assert "32 heads share 8 pairs" in _text(app)
    (server, ollama) = (element.value for element in app.code)
    assert server == "llama-server -m Llama-3.1-8B-Q4_K_M.gguf -c 32768 -ngl 33 -fa on"
    assert "num_ctx 32768" in ollama
    assert "vLLM does not load Q4_K_M" in _text(app)


def test_vllm_gets_the_checkpoint_that_was_counted():
    app = visit("memory", runtime="vllm", stored="AWQ", hardware="RTX 4090")
    assert app.code[0].value == (
        "vllm serve Llama-3.1-8B-AWQ --max-model-len 32768 --max-num-batched-tokens 2048 "
        "--max-num-seqs 256 --gpu-memory-utilization 0.9 --quantization awq"
    )
    assert any("**exactly this**, for vLLM" in finding for finding in findings(app))
    assert "to spare" not in findings(app)[0] and "are left for the cache" in findings(app)[0]


def test_a_model_that_fits_but_for_its_embedding_says_where_that_is():
    """Total of all, size of the card, and what is left do not contradict each other."""
    app = visit("memory", known="gemma-3-12b-it", runtime="llama.cpp", hardware="RTX 3060 12 GB")
    assert "to spare, the embedding in system memory" in findings(app)[0]
    assert "; the embedding, 788 MiB, stays in system memory." in _text(app)
    assert "1.00 GiB of each device are kept free" in _text(app)


def test_a_context_beyond_what_the_model_was_made_for_is_not_denied():
    app = visit("memory", known="Meta-Llama-3-8B", context="32768", hardware="H200")
    assert "to spare." in findings(app)[0] and "made for" not in findings(app)[0]
    assert "up to **32,768 tokens** fit" in findings(app)[2]
    small = visit("memory", known="Llama-3.1-8B", stored="Q6_K", context="65536")
    assert "; Q6_K, which is larger, fits with **" in findings(small)[2]


@pytest.mark.parametrize(
    "query, says",
    [
        ({"known": "gemma-3-27b-it", "runtime": "llama.cpp"}, "fits in part"),
        ({"known": "DeepSeek-V3", "hardware": "H200", "cards": "8"}, "fits with"),
        ({"known": "gpt-oss-20b", "stored": "MXFP4", "hardware": "RTX 4060 Ti 16 GB"}, "fits"),
        ({"known": "stablelm-3b-4e1t", "context": "4096"}, "fits"),
        ({"runtime": "vllm", "stored": "AWQ", "hardware": "RTX 4090"}, "fits"),
        ({"hardware": "M4 Max, 48 GB", "known": "Llama-2-70b-hf"}, "M4 Max"),
        ({"hardware": "no GPU"}, "16 GB DDR4"),
        ({"hardware": "this machine"}, "this machine"),
    ],
)
def test_models_runtimes_and_machines(query, says):
    if query.get("hardware") == "no GPU":
        query = query | {"system": "16 GB DDR4-3200"}
    app = visit("memory", **query)
    assert not app.error
    assert says in findings(app)[0]


def test_the_published_cache_of_llama_3_1_8b_is_on_the_page():
    assert "16.0 GiB" in _text(visit("memory", context="131072"))


def test_the_model_on_the_bench_has_its_memory():
    app = visit("memory", whose="Model on the bench", context="512")
    assert "4 heads share 2 pairs" in _text(app)
    assert "**fable-7m**" in findings(app)[0]


def test_a_file_on_the_bench_is_counted_as_it_is_stored(tmp_path, monkeypatch):
    path = write(open_model(), tmp_path / "tale-Q4_K_M.gguf")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    app = visit("memory", whose="Model on the bench", model=path.name, context="512")
    assert not app.error
    taken = binary(read_gguf(path).tensor_bytes + 2**21)  # 4 KiB of cache a token
    assert f", stored as in the file, with 512 tokens takes **{taken}**" in findings(app)[0]
    assert app.code, "the page goes on to its end"
    assert "vLLM does not load Q4_K: choose" in said(app)
    app.selectbox(key="stored").set_value("Q8_0").run()
    assert not app.error
    assert "**tale-Q4_K_M** in Q8_0" in findings(app)[0]


def test_what_a_model_was_made_for_is_not_taken_from_another_one():
    """Two models that differ in nothing else: sizes typed by hand, one after the other."""
    app = visit("memory", whose="Custom sizes", own_context="65536", hardware="H200")
    assert "also with all 65,536 tokens that the model was made for" in findings(app)[0]
    app.number_input(key="own_context").set_value(131_072).run()
    assert "also with all 131,072 tokens that the model was made for" in findings(app)[0]


def test_typed_sizes_are_counted():
    app = visit("memory", whose="Custom sizes", own_layers="64")
    assert not app.error
    before = findings(app)[0]
    app.number_input(key="own_experts").set_value(8).run()
    assert findings(app)[0] != before


def test_a_pasted_config_is_counted():
    assert not visit("memory", whose="config.json").error  # it waits for the text
    raw = {"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "state_size": 16,
           "conv_kernel": 4, "expand": 2, "time_step_rank": 48, "vocab_size": 50_280}  # fmt: skip
    app = visit("memory", whose="config.json", session={"config_text": json.dumps(raw)})
    assert not app.error
    assert "No layer keeps keys or values" in _text(app)


@pytest.mark.parametrize(
    "pasted, says",
    [
        ("hello", "begins with a brace"),
        ("{broken", "The pasted text"),
        ('{"model_type": "llama", "hidden_size": -4}', "hidden_size -4"),
        ('{"name": "no model"}', "is it a model’s config.json?"),
        ('{"model_type": "llama", "hidden_size": 1' + "0" * 30 + "}", "more than 18 digits"),
    ],
)
def test_what_is_no_config_is_one_sentence(pasted, says):
    (error,) = visit("memory", whose="config.json", session={"config_text": pasted}).error
    assert says in error.value
    assert "\n" not in error.value


def test_the_hub_is_not_asked_before_the_button_is_pressed():
    app = visit("memory", whose="Hugging Face Hub", hub="owner/name")
    assert not app.error
    assert "Nothing is sent before you press the button" in _text(app)


def test_the_hub_is_asked_for_names_and_as_a_stranger(monkeypatch):
    asked = []

    def find(text, as_owner):
        asked.append(as_owner)
        return find_by_name(text, as_owner=as_owner)

    monkeypatch.setattr(memory_model, "find_by_name", find)
    monkeypatch.delenv("QUANTLAB_LEND_TOKEN", raising=False)
    app = visit("memory", whose="Hugging Face Hub", hub="/etc/passwd")
    app.button(key="read_hub").click().run()
    (error,) = app.error
    assert "is not a model's name; write owner/name" in error.value
    monkeypatch.setenv("QUANTLAB_LEND_TOKEN", "1")
    app.button(key="read_hub").click().run()
    assert asked == [False, True]


def test_an_unknown_architecture_is_marked():
    raw = preset_config("Llama-3.1-8B") | {"model_type": "brand_new"}
    app = visit("memory", whose="config.json", session={"config_text": json.dumps(raw)})
    assert "An estimate: the lab does not know the architecture" in _text(app)


@pytest.mark.parametrize(
    "query, says",
    [
        ({"whose": "Custom sizes", "own_kv": "7"}, "32 heads cannot share 7 KV heads"),
        ({"whose": "Custom sizes", "own_head": "80", "cache": "Q8_0"}, "multiple of 32, got 80"),
        ({"stored": "Q9_K"}, "Q9_K"),
        ({"hardware": "24 GX"}, "24 GX"),
        ({"system": "much"}, "much"),
        ({"runtime": "vllm", "hardware": "M1, 8 GB"}, "vLLM needs graphics cards"),
        ({"runtime": "vllm", "cache": "Q4_0"}, "vLLM has no cache of type Q4_0"),
    ],
)
def test_what_cannot_be_is_one_sentence(query, says):
    (error,) = visit("memory", **query).error
    assert says in error.value
    assert "\n" not in error.value


def test_nonsense_in_the_address_opens_the_defaults():
    app = visit("memory", context="many", sequences="-4", runtime="magic", cards="x", cache="Q77",
                known="no such", whose="nobody's", keep="a b c", batch="0")  # fmt: skip
    assert not app.error
    assert "Llama-3.1-8B" in findings(app)[0]


def test_an_example_of_the_articles_sets_the_page():
    app = visit("memory")
    app.button(key="example_5").click().run()
    assert "Llama-2-70b-hf" in findings(app)[0] and "M4 Max, 48 GB" in findings(app)[0]


def test_set_ups_are_kept_side_by_side():
    app = visit("memory")
    app.button(key="keep_this").click().run()
    app.selectbox(key="stored").set_value("Q8_0").run()
    assert "takes 1.4 times the memory" in _text(app)
    assert not app.error


def test_a_kept_set_up_survives_the_address():
    text = memory_kept.as_text("Llama 3", Setup(type_name="Q4_K pure", context=77, sequences=3))
    name, setup = memory_kept.from_text(text)
    assert (name, setup.type_name, setup.context, setup.sequences) == (
        "Llama 3",
        "Q4_K pure",
        77,
        3,
    )
    with pytest.raises(ValueError, match="is not a set-up"):
        memory_kept.from_text("nonsense")


@pytest.mark.parametrize("model_id", preset_ids())
def test_every_known_model_has_its_sentences(model_id):
    shape = preset(model_id)
    taken = estimate(shape, Setup(context=131_072))
    placed = lay_out(taken, SMALL_CARD)
    assert memory_words.placed(placed).endswith(".")
    assert memory_words.speed(speed_bound(taken, placed, SMALL_CARD)).startswith("At most")
    assert "**" in memory_words.heads(shape, taken.kv_cache_bytes, rules_of_thumb(taken), 1000)
    said = " ".join(memory_words.about_model(find_shape(model_id)))
    assert all(name.replace("_", " ") in said for name in shape.extras)


def test_the_table_tells_four_kinds_of_fit_apart():
    shape = preset("Llama-3.1-8B")
    cells = cache.table(shape, Setup(), SMALL_CARD, ("F16", "Q4_K_M"), (4096, 131_072))
    assert cells["Q4_K_M", 4096].fits == "fits"
    assert cells["F16", 4096].fits == "in part"
    assert cells["F16", 131_072].fits == "not"
    whole = cells["Q4_K_M", 131_072].total_bytes
    snug = machine([card(f"{whole / GIB + 0.3:.2f}GiB")], None)
    assert (
        cache.table(shape, Setup(), snug, ("Q4_K_M",), (131_072,))["Q4_K_M", 131_072].fits == "just"
    )


def test_the_buffer_grows_with_the_batch():
    app = visit("memory", runtime="llama.cpp")
    assert "The compute buffer takes **267 MiB** with a micro-batch of 512" in _text(app)
    assert "without flash attention" in _text(app)
    figure = charts.buffer_by_batch(
        [32, 64], {"flash attention": [2**24, 2**25]}, (32, 2**24), LIGHT
    )
    assert (figure.checked.data[-1].x[0], figure.checked.data[-1].y[0]) == (32, 2**24 / GIB)


def test_rules_are_worded_by_how_far_they_are_off():
    gemma = rules_of_thumb(estimate(preset("gemma-3-27b-it"), Setup(context=131_072)))
    assert "times too high here" in memory_words.thumb(gemma)
    right = [rule for rule in gemma if 0.95 < rule.factor < 1.05] or [
        rule for rule in rules_of_thumb(estimate(preset("Llama-3.1-8B"), Setup()))
        if 0.95 < rule.factor < 1.05
    ]  # fmt: skip
    assert "within 10 %" in memory_words.thumb(right)


@pytest.mark.parametrize(
    "known, context, gib", [("Qwen3-0.6B", "40960", "4.38"), ("DeepSeek-V3", "163840", "10.7")]
)
def test_a_published_context_that_is_no_power_of_two_can_be_chosen(known, context, gib):
    app = visit("memory", known=known, context=context)
    assert f"with {int(context):,} tokens" in findings(app)[0]
    assert f"KV cache {gib} GiB" in _text(app)
    charts_drawn = {element.proto.id: json.loads(element.proto.spec)
                    for element in app.get("plotly_chart")}  # fmt: skip
    (growth,) = [spec for key, spec in charts_drawn.items() if key.endswith("memory_growth")]
    assert growth["data"][-1]["x"][0] == int(context) == growth["data"][0]["x"][-1]


@pytest.mark.parametrize("context", ["0", "-5", "9" * 30, "²"])
def test_a_context_that_cannot_be_opens_the_usual_one(context):
    assert "with 32,768 tokens" in findings(visit("memory", context=context))[0]


def test_a_kept_set_up_is_whole():
    setup = Setup(runtime="llama.cpp", flash_attention=False, batch=1024, ubatch=256)
    assert memory_kept.from_text(memory_kept.as_text("m", setup)) == ("m", setup)
    shared = Setup(sequences=4, shared_prefix=512, value_type="Q8_0")
    assert memory_kept.from_text(memory_kept.as_text("m", shared)) == ("m", shared)
    for wrong in ("m Q4_K_M many 1 F16 F16 none 0 2048 512 True", "m Q4_K_M 1 1 F16 F16 none"):
        with pytest.raises(ValueError, match="is not a set-up"):
            memory_kept.from_text(wrong)


def test_without_a_gpu_the_growth_is_that_of_all_memory():
    assert "times** the memory of one" in memory_words.users(
        [1, 4], [2**30, 2**31], [True, True], None
    )


def test_what_fits_is_the_same_in_every_sentence_and_in_the_table():
    app = visit("memory", known="gemma-3-27b-it")  # in Q2_K the embedding goes to system memory
    assert "the largest type without an importance matrix that fits is **Q2_K**" in _text(app)
    assert "**2 of 9** types here fit" in _text(app)
    app = visit(
        "memory", known="gemma-3-27b-it", runtime="llama.cpp"
    )  # IQ2_XXS alone, with its matrix
    assert "no type without an importance matrix is small enough for **GPU memory**" in _text(app)
    assert "**1 of 9** types here fit" in _text(app)
