"""The table of architectures: every entry is found, and entries of one name agree."""

from collections import defaultdict
from dataclasses import fields

import pytest

from quantcore.architectures import ARCHITECTURES, RUNNABLE, Architecture, by_model_type, by_name

# What a config.json may decide: model_types of one GGUF architecture may differ in it.
BY_MODEL_TYPE = {
    "model_types", "runs", "defaults", "tied", "score_bias", "full_every", "window",
}  # fmt: skip


def test_every_entry_is_found():
    for entry in ARCHITECTURES:
        assert by_name(entry.name).name == entry.name
        for model_type in entry.model_types:
            assert by_model_type(model_type) is entry


def test_no_model_type_has_two_entries():
    model_types = [kind for entry in ARCHITECTURES for kind in entry.model_types]
    assert len(model_types) == len(set(model_types))


def test_entries_of_one_name_differ_in_what_config_json_says_only():
    by_gguf = defaultdict(list)
    for entry in ARCHITECTURES:
        by_gguf[entry.name].append(entry)
    for first, *others in by_gguf.values():
        for field in fields(Architecture):
            if field.name not in BY_MODEL_TYPE:
                for other in others:
                    assert getattr(first, field.name) == getattr(other, field.name), first.name


@pytest.mark.parametrize(
    "model_type, name",
    [("mistral", "llama"), ("gemma3", "gemma3"), ("gemma3_text", "gemma3"),
     ("llama_text", "llama"), ("qwen2_5_vl", "qwen2"), ("gpt_oss", "gpt-oss")],
)  # fmt: skip
def test_a_model_type_has_its_name_in_gguf(model_type, name):
    assert by_model_type(model_type).name == name


def test_what_has_no_entry_is_ordinary_and_uncertain():
    assert by_model_type("brand_new") is None
    assert by_name("brand-new") == Architecture(
        name="brand-new", mix_rules=False, caches_known=False, graph_known=False
    )


def test_what_the_forward_pass_runs():
    assert list(RUNNABLE) == ["llama", "mistral", "qwen2", "qwen3"]


def test_states_have_a_mixer_where_a_config_json_must_build_them():
    for entry in ARCHITECTURES:
        if entry.model_types and entry.state_layers != "none":
            assert entry.mixer in ("mamba", "mamba2", "conv", "delta"), entry.name
