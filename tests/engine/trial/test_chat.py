"""Prompts in chat templates: as transformers writes them, and templates that cannot be run."""

import json

import pytest

from quantcore.model.source import open_model
from quantcore.progress import result_of
from quantcore.recipe.quantize import quantize
from quantcore.trial.answering import Sampling
from quantcore.trial.chat import ChatTemplate
from quantcore.trial.prompts import TestPrompt
from quantcore.trial.trial import Asked, opened, trial_steps
from tests.support.toy_model import CONFIG, write_folder

TEMPLATE = """{{ bos_token }}{% for message in messages %}
    {% if loop.index0 > 9 %}{% break %}{% endif %}
[{{ message['role'] }}] {{ message['content'] | tojson }}
{% endfor %}
{% if add_generation_prompt %}[assistant]{% endif %}"""
WRITTEN = '<s>[user] "A <day> & \\"é\\""\n[assistant]'  # by transformers 5.23, of the same template


def _folder(place, template):
    folder = write_folder(place, CONFIG | {"hidden_size": 256, "intermediate_size": 256})
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | {"chat_template": template}
    file.write_text(json.dumps(settings), encoding="utf-8")
    return folder


def test_a_template_writes_what_transformers_writes_from_a_folder_and_its_file(tmp_path):
    model = open_model(_folder(tmp_path / "toy", TEMPLATE))
    assert ChatTemplate(model).prompt('A <day> & "é"') == WRITTEN
    again = open_model(quantize(model, "F32", tmp_path / "toy.gguf"))
    assert ChatTemplate(again).prompt('A <day> & "é"') == WRITTEN


def test_answers_in_chat_are_others(tmp_path):
    model = open_model(_folder(tmp_path / "toy", TEMPLATE))
    prompts, asked, few = [TestPrompt(prompt="A day")], [Asked(type="Q8_0")], Sampling(n_tokens=4)
    one = result_of(trial_steps(model, prompts, asked, few, in_chat=True))
    other = result_of(trial_steps(model, prompts, asked, few))
    assert (
        one.original.answers[0].original_log_probability
        != other.original.answers[0].original_log_probability
    )


def test_a_text_is_opened_once_whether_or_not_the_template_does_it(tmp_path):
    """The template writes <s> itself: with it and without, the tokens open alike."""
    for name, template in (
        ("with", TEMPLATE),
        ("without", TEMPLATE.removeprefix("{{ bos_token }}")),
    ):
        model = open_model(_folder(tmp_path / name, template))
        tokens = opened(model, "A day", ChatTemplate(model))
        bos = model.tokenizer.bos_id
        assert tokens[0] == bos and (tokens[1:] != bos).all()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "no chat template"),
        ("{% for", "fails"),
        ("{{ raise_exception('only pairs') }}", "only pairs"),
        ("{{ messages.__class__.__mro__ }}", "fails"),
        ("{{ 'a' * nothing }}", "fails"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "fails"),
        ("{{ open('/etc/passwd') }}", "fails"),
    ],
)
def test_a_template_that_cannot_be_run_is_one_sentence(tmp_path, template, says):
    model = open_model(_folder(tmp_path / "toy", template))
    with pytest.raises(ValueError, match=says) as refused:
        ChatTemplate(model).prompt("A day")
    assert "ask it without" in str(refused.value) and "\n" not in str(refused.value)
