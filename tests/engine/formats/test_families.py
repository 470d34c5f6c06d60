"""The folders of formats: what each may import, and that every format has a file there."""

import ast
from pathlib import Path

import quantcore.formats
from quantcore.formats import FORMATS, OUTSIDE_GGUF

FOLDER = Path(quantcore.formats.__file__).parent
FAMILIES = {path.parent.name for path in FOLDER.glob("*/__init__.py")} - {"shared"}
ARROWS = {("outside_gguf", "floats")}  # the four-bit floats of MXFP4 and NVFP4 are the same


def imported_families(family):
    """Folders beside this one that its modules import from."""
    for path in (FOLDER / family).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("quantcore.formats."):
                yield node.module.split(".")[2]


def test_families_share_only_what_lies_in_shared():
    arrows = {(f, other) for f in FAMILIES for other in imported_families(f) if other in FAMILIES}
    assert {(here, there) for here, there in arrows if here != there} == ARROWS
    assert not FAMILIES.intersection(imported_families("shared"))


def test_every_format_has_a_file_of_its_name():
    files = {path.stem for family in FAMILIES for path in (FOLDER / family).glob("*.py")}
    together = {"nf4_dq": "nf4"} | {n.lower(): "fp8" for n in OUTSIDE_GGUF if n.startswith("FP8")}
    names = [name.lower() for name in (*FORMATS, *OUTSIDE_GGUF)]
    assert {together.get(name, name) for name in names} <= files


def test_every_family_says_what_it_is():
    for family in (*FAMILIES, "shared"):
        assert ast.get_docstring(ast.parse((FOLDER / family / "__init__.py").read_text("utf-8")))
