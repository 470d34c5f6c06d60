"""What pages say of a folder whose weights are quantized already: what they are stored as."""

from pages.shared import look
from pages.shared.units import opening, the
from quantcore.model.original import original_of
from quantcore.model.source import Model


def note(model: Model, tensor: str | None = None) -> None:
    """Say what a tensor or, without one, a model is stored as; nothing where that is floats."""
    if tensor is None:
        if any(info.layout for info in model.tensors.values()):
            look.note(of_model(model.name, original_of(model).stored_as))
    elif model.tensors[tensor].layout:
        look.note(of_tensor(tensor, model.tensors[tensor].stored_as))


def of_model(name: str, stored_as: str) -> str:
    """Say that what the folder holds is compared with, as it is decoded."""
    return (
        f"The weights of {name} are stored as {stored_as}. What that is decoded to counts as the "
        "original here; what was lost before is in no figure."
    )


def of_tensor(tensor: str, stored_as: str) -> str:
    """Say that its weights are decoded ones."""
    return (
        f"{opening(the(tensor))} is stored as {stored_as}: shown are the weights that this is "
        "decoded to, and errors count from there."
    )
