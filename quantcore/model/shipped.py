"""The models in the box, and where they lie: the first is opened where none is named.

The others are made of it when they are opened. Texts and questions lie with it and serve all.
"""

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SHIPPED = ("fable-7m", "fable-7m-outliers")


def shipped_folder(name: str = SHIPPED[0]) -> Path:
    """Name the folder of a shipped model."""
    return ASSETS / name


def shipped_name(folder: Path) -> str:
    """Name the shipped model that a folder, or what a link leads to, is of; "" for any other."""
    place = folder.resolve()
    return place.name if place.parent == ASSETS and place.name in SHIPPED else ""
