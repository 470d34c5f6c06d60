"""A prompt put into a model's chat template, as transformers does.

Templates come with a model, so they run in Jinja's sandbox: they see the messages and the names of
tokens, and nothing of this machine.
"""

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from quantcore.model.chat_templates import chat_template
from quantcore.model.source import Model


class ChatTemplate:
    """The chat template of a model.

    Raises
    ------
    ValueError
        If it has none, or one that cannot be read.
    """

    def __init__(self, model: Model) -> None:
        template = chat_template(model.files)
        if not template:
            raise ValueError(f"{model.name} has no chat template: ask it without.")
        self._name, self._tokens = model.name, _token_names(model)
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
        try:
            self._template = environment.from_string(template)
        except (TemplateError, RecursionError) as problem:
            raise ValueError(self._unreadable(problem)) from problem

    def prompt(self, message: str) -> str:
        """Write a user's message as the text that the model answers.

        Raises
        ------
        ValueError
            If the template refuses it.
        """
        messages = [{"role": "user", "content": message}]
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._tokens
            )
        except Exception as problem:  # a template is a program: it can fail in any way
            raise ValueError(self._unreadable(problem)) from problem

    def _unreadable(self, problem: BaseException) -> str:
        why = str(problem).splitlines()[0][:100] if str(problem) else type(problem).__name__
        return f"The chat template of {self._name} fails ({why}): ask it without."


def _token_names(model: Model) -> dict[str, str]:
    known = {"bos_token": model.tokenizer.bos_id, "eos_token": model.tokenizer.eos_id}
    return {name: model.tokenizer.pieces([n])[0] for name, n in known.items() if n is not None}


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)  # as transformers: no HTML escapes


def _refuse(says: str) -> NoReturn:
    raise TemplateError(says)
