"""What lies under the microscope: a block of the model, or one of the examples, in a format."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.block import dials, words
from pages.shared import controls, saving, tensors
from quantcore.evaluate import specimens
from quantcore.evaluate.quantized import check_fit
from quantcore.evaluate.specimens import TEXTBOOK_VALUE, OutlierHarm, Specimen
from quantcore.format import Format
from quantcore.formats import get_format

_PLACES = ("type", "tensor", "row", "block", "part")  # what an address says of a model's block
_TO_ABOUT = "_block_to_about"  # the example's own sub-block is to be shown, whichever was


@dataclass(frozen=True, slots=True)
class ChosenBlock:
    """A block in a format, and the sub-block that is looked at."""

    example: str  # one of `words.EXAMPLES`
    fmt: Format
    specimen: Specimen
    part: int
    about: int | None = None  # the sub-block that the example is about
    stored_as: str = "F32"  # what the weights were stored in before; made-up ones are float32
    harm: OutlierHarm | None = None  # what the outlier does, where there are sub-blocks
    stored_bits: float = 32.0  # of a weight, before
    held: bool = False  # whether a quantized folder holds these very codes

    @property
    def has_step(self) -> bool:
        """Whether the values of the grid are equally far apart, so that dials can turn it."""
        even = self.fmt.family not in ("float", "uneven")
        return even and bool(np.ptp(self.specimen.opened.parts[self.part].grid))


def choose() -> ChosenBlock:
    """Ask for an example, a format, and for a place in the model where the example is from it."""
    if "example" not in st.session_state and "example" not in st.query_params:
        _open()
    places, part = st.container(horizontal=True, vertical_alignment="bottom"), 0
    example = places.segmented_control(
        "Example", words.EXAMPLES, required=True, key="example", on_change=_format_changed,
        **controls.BOUND,
    )  # fmt: skip
    assert example is not None  # `_open` chose one
    from_model = example in (words.MODEL, words.OUTLIER)
    own = _stored_type() if from_model else None
    with places:
        of = controls.tensor_to_come() if from_model else None
        default, key = own or dials.PLAIN, dials.type_key()
        name = controls.type_(of, default, key=key, on_change=_format_changed, width=210)
        fmt = get_format(name)
    specimen, harm = _specimen(fmt, example, places)
    about, n_parts = _about(example, specimen), len(specimen.opened.parts)
    if st.session_state.pop(_TO_ABOUT, False) and about is not None:
        st.session_state["part"] = about
    with places:
        if n_parts > 1:
            part = controls.part(n_parts, about or 0, on_change=dials.reset, width=140)
        if own and own != fmt.name:
            label = f"As stored in the file: {own}"
            st.button(label, on_click=_take, args=[own], key="block_stored")
    model, tensor = controls.model(), st.session_state.get("tensor")
    saving.of(*((model.name, str(tensor)) if from_model else (example,)), fmt.name)
    if not from_model or tensor not in model.tensors:
        return ChosenBlock(example, fmt, specimen, part, about, "F32", harm)
    info = model.tensors[tensor]
    return ChosenBlock(
        *(example, fmt, specimen, part, about, info.stored_as, harm),
        stored_bits=8 * info.n_bytes / info.n_weights,
        held=bool(info.layout) and example == words.MODEL and info.dtype == fmt.name,
    )


def _open() -> None:
    """Open on the textbook's numbers, unless the address speaks of a block of the model."""
    named = any(key in st.query_params for key in _PLACES)
    st.session_state["example"] = words.MODEL if named else words.TEXTBOOK


def _about(example: str, specimen: Specimen) -> int | None:
    """Find the sub-block that an example is about: that of its 33, or of its outlier."""
    weights = specimen.weights
    if example == words.TEXTBOOK:
        at = int(np.argmax(weights == TEXTBOOK_VALUE))
    elif example == words.OUTLIER:
        at = int(np.argmax(np.abs(weights)))
    else:
        return None
    spans = [part.weights for part in specimen.opened.parts]
    return next(i for i, span in enumerate(spans) if span.start <= at < span.stop)


def _format_changed() -> None:
    """Show the sub-block that the example is about: it lies elsewhere in another format."""
    st.session_state[_TO_ABOUT] = True
    dials.reset()


def _take(type_name: str) -> None:
    st.session_state["type"] = type_name
    dials.reset()


def _specimen(
    fmt: Format, example: str, places: DeltaGenerator
) -> tuple[Specimen, OutlierHarm | None]:
    if example == words.TEXTBOOK:
        return specimens.textbook(fmt), None
    if example == words.EQUAL:
        return specimens.all_equal(fmt), None
    return _of_model(fmt, places, spoilt=example == words.OUTLIER)


def _of_model(
    fmt: Format, places: DeltaGenerator, *, spoilt: bool
) -> tuple[Specimen, OutlierHarm | None]:
    """Ask for tensor, row and block; a spoilt one has a weight eight times the largest."""
    model = controls.model()
    with places:
        tensor = controls.tensor(on_change=dials.reset, width=300)
    shape = model.tensors[tensor].shape
    check_fit(model, tensor, fmt)
    length = fmt.block_length(shape[1])
    with places:
        row = controls.row(shape[0], on_change=dials.reset, width=140)
        block = controls.block(shape[1] // length, on_change=dials.reset, width=140)
    weights = tensors.weights(model.name, tensor)
    if spoilt:
        sound = weights[row, block * length : (block + 1) * length]
        return specimens.spoilt(fmt, sound), specimens.outlier_harm(fmt, sound)
    packed = tensors.packed(model.name, tensor, fmt.name)
    return specimens.from_tensor(fmt, weights, packed, row, block, model.as_stored(tensor)), None


def _stored_type() -> str | None:
    """Type in which the chosen tensor is stored; None for floats, and where the lab has it not."""
    try:
        fmt = get_format(controls.model().tensors[controls.tensor_to_come()].dtype)
    except ValueError:  # such as FP8 in blocks, or columns in another order
        return None
    return fmt.name if fmt.family != "float" else None
