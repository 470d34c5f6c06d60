"""What the page is about: a type, and the tensor that is followed through its charts."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.layer_error import cache, words
from pages.shared import controls, look, model_types, plans
from quantcore.evaluate.weight_error import TensorError
from quantcore.model.source import Model
from quantcore.recipe.types import get_type


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A type, what it does to each matrix, and the tensor that is followed through the page."""

    model: Model
    type_name: str
    pure: bool  # whether types are pure: one format on every matrix
    tensor: str
    errors: Mapping[str, TensorError]  # of all matrices that the type can store

    @property
    def format_name(self) -> str:
        """Format of the followed tensor."""
        return self.errors[self.tensor].format

    @property
    def is_mix(self) -> bool:
        """Whether matrices differ in their format."""
        return get_type(self.type_name).mix is not None


def choose() -> Followed:
    """Ask for the type and the tensor; one that the type cannot store gives way to the worst."""
    model, columns = controls.model(), st.columns(3, vertical_alignment="bottom")
    with columns[0]:
        pure = model_types.choose_way("errors_as", model_types.PURE)
    with columns[1]:
        type_name = model_types.type_(pure=pure)
    with columns[2]:
        tensor = controls.tensor("Follow the tensor")
    plans.formats(model.name, type_name)  # says in a sentence why the type can store nothing
    errors = cache.model_errors(model.name, type_name)
    if tensor not in errors:
        reason = plans.fitting(model.name, type_name).left_out[tensor]
        tensor = max(errors, key=lambda name: errors[name].relative_rmse)
        look.note(words.not_followed(reason, tensor))
    return Followed(model=model, type_name=type_name, pure=pure, tensor=tensor, errors=errors)


def take_clicked(chart: str, key: str) -> None:
    """Choose the tensor or the row that was clicked."""
    if place := controls.clicked(chart):
        st.session_state[key] = place[0]


def percents(errors: Mapping[str, TensorError]) -> dict[str, float]:
    """Errors by tensor in percent of the tensor's size."""
    return {name: 100 * error.relative_rmse for name, error in errors.items()}
