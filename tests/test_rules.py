"""The rules of the house that a machine can check: who imports whom, one door a package."""

import ast
import tomllib

from tests.support.places import ROOT

SOURCES = [
    *sorted((ROOT / "quantcore").rglob("*.py")),
    *sorted((ROOT / "pages").rglob("*.py")),
    ROOT / "app.py",
]

# Inner rooms first: a room may import from itself and from the rooms above it.
LAYERS = (
    {"_jit", "bits", "rounding", "pool", "sweep", "checks", "format", "progress"},
    {"formats"},
    {"io", "model", "corpus"},
    {"shape"},
    {"evaluate", "memory", "recipe", "sensitivity"},
    {"doctor", "warm"},
    {"cli", "__main__", "__init__"},
)
DOORS = {
    "distributed": ("quantcore/sweep.py",),
    "dask": ("quantcore/sweep.py",),
    "numba": ("quantcore/_jit.py",),
    "llvmlite": (),
    "huggingface_hub": ("quantcore/io/hub.py",),
    "httpx2": ("quantcore/io/hub.py",),  # huggingface_hub's own client
    "safetensors": ("quantcore/io/safetensors.py",),
    "tokenizers": ("quantcore/model/tokenizer.py",),
    "streamlit": ("pages/", "app.py"),
    "psutil": (
        "quantcore/doctor.py",
        "quantcore/memory/this_machine.py",
        "pages/shared/serving.py",
    ),
}


def _name(path):
    return path.relative_to(ROOT).as_posix()


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = node.module == "quantcore"  # `from quantcore import pool` names a room
            yield from (f"quantcore.{a.name}" for a in node.names) if inside else (node.module,)


_ARROWS = [(path, module) for path in SOURCES for module in _imports(path)]


def _layer(module):
    room = module.split(".")[1] if "." in module else "__init__"
    return next(i for i, rooms in enumerate(LAYERS) if room in rooms)


def _is_chart(path):
    """Whether a module draws: ``charts.py``, or any module in a folder ``charts``."""
    return "pages" in path.parts and "charts" in (path.stem, path.parent.name)


def test_packages_are_entered_by_their_door():
    for path, module in _ARROWS:
        package = module.split(".")[0]
        if package == "plotly":
            assert _is_chart(path) or _name(path) == "pages/shared/look.py", path
        if package in DOORS:
            assert _name(path).startswith(DOORS[package]), f"{package} is not for {path}"


def test_the_engine_imports_inward():
    for path, module in _ARROWS:
        if "quantcore" in path.parts:
            here = _layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
            assert module.split(".")[0] not in ("pages", "app"), f"{path} imports {module}"
            if module.split(".")[0] == "quantcore":
                assert _layer(module) <= here, f"{module} is further out than {path}"


def test_charts_know_no_streamlit():
    for path in filter(_is_chart, SOURCES):
        assert "streamlit" not in {module.split(".")[0] for module in _imports(path)}, path


def test_every_requirement_is_pinned():
    for path in ROOT.glob("requirements*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert "==" in line, f"{path.name}: {line}"


def test_one_model_is_shipped():
    assert len(list((ROOT / "assets").glob("*/config.json"))) == 1


def test_both_palettes_have_ten_colours():
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    for mode in ("light", "dark"):
        assert len(set(theme[mode]["chartCategoricalColors"])) == 10
