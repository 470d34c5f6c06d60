"""The end of the page Mix: the recipe as files and as commands."""

from typing import Any

import streamlit as st

from pages.mix import by_hand, words
from pages.mix.choice import RULES, ChosenMix
from pages.shared import bench, look, writing
from quantcore.recipe.commands import quantize_commands
from quantcore.recipe.overrides import overrides_as_text
from quantcore.recipe.plan import Plan
from quantcore.recipe.recipe_file import recipe_as_json

TYPES_FILE = "tensor-types.txt"


def section(choice: ChosenMix, hand: Plan, hand_types: dict[str, str]) -> None:
    """Draw downloads, the run that writes the file, the upload and the commands."""
    model = choice.model
    look.finding("The recipe is a short file that **llama-quantize** reads.", words.TAKE_ALONG)
    asked = choice.asked(hand_types)
    text = overrides_as_text(asked.items())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        why = "" if text else "The mix’s own rules decide every format: there is nothing to save."
        st.download_button(
            "Save the recipe", text, TYPES_FILE, "text/plain", key="save_recipe",
            disabled=bool(why), help=why or "What `--tensor-type-file` reads.", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Save as JSON", lambda: _as_json(choice, hand), f"{model.name}-recipe.json",
            "application/json", key="save_json", on_click="ignore",
        )  # fmt: skip
        what = str((model.key, hand.file_type.name, hand.with_imatrix, hand.pure, hand.types))
        imatrix = model.imatrix if choice.with_imatrix else None
        if choice.with_imatrix and imatrix is None:
            look.note(words.NO_MATRIX)
        else:
            writing.offer(model, hand, what, imatrix)
    st.file_uploader(
        "Load a recipe", key="recipe_file", on_change=by_hand.load, args=(model,),
        max_upload_size=4,
        help="JSON that this page or `plan --json` wrote, or a file for `--tensor-type-file`: "
        "PATTERN=TYPE, separated by spaces or line ends.",
    )  # fmt: skip
    if problem := by_hand.problem():
        look.problem(problem)
    lies_in = model.base.name if model.base and model.added else model.name
    place = model.name if bench.is_shipped(lies_in) else f"{bench.OWN_MODELS.name}/{model.name}"
    types_file = TYPES_FILE if text else None
    file = writing.file_name(model, hand)
    commands = quantize_commands(model, hand, place, file, types_file)
    look.commands("\n".join(commands))


def _as_json(choice: ChosenMix, hand: Plan) -> str:
    known: dict[str, Any] = {"by": choice.by}
    if choice.budget and choice.by != RULES and not choice.with_imatrix:
        predicted = choice.budget.predicted(hand)
        known |= {} if predicted is None else {"predicted_kl_divergence": predicted}
    return recipe_as_json(hand, **known)
