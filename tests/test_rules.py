"""The rules of the house that a machine can check: who imports whom, one door a package."""

import ast
import tomllib

from quantcore.architectures import ARCHITECTURES
from quantcore.model.shipped import SHIPPED
from tests.support.places import ROOT

SOURCES = [
    *sorted((ROOT / "quantcore").rglob("*.py")),
    *sorted((ROOT / "pages").rglob("*.py")),
    ROOT / "app.py",
]

# Inner rooms first: a room may import from itself and from the rooms above it, not from one that
# stands beside it. What stands on the ground may also use what else stands there.
LAYERS = (
    {
        "_jit",
        "_kernel_cache",
        "bits",
        "rounding",
        "pool",
        "sweep",
        "checks",
        "format",
        "progress",
        "scratch",
    },
    {"formats", "architectures"},
    {"io"},
    {"layouts"},
    {"model", "corpus"},
    {"methods"},
    {"shape"},
    {"recipe", "checkpoint"},
    {"evaluate", "memory"},
    {"sensitivity", "which_type", "trial"},
    {"doctor", "warm"},
    {"diagnosis"},
    {"cli"},
    {"__main__", "__init__"},
)
DOORS = {
    "distributed": ("quantcore/sweep.py",),
    "dask": ("quantcore/sweep.py",),
    "numba": ("quantcore/_jit.py", "quantcore/_kernel_cache.py"),
    "llvmlite": (),
    "plotly": ("pages/shared/charts/figure.py",),
    "huggingface_hub": ("quantcore/io/hub.py",),
    "httpx2": ("quantcore/io/hub.py",),  # huggingface_hub's own client
    "re2": ("quantcore/recipe/patterns.py", "quantcore/trial/prompts.py"),
    "safetensors": (),  # why: CONTRIBUTING.md
    "mmap": (),  # why: quantcore/io/on_disk.py
    "tokenizers": ("quantcore/model/tokenizer.py",),
    "streamlit": ("pages/", "app.py"),
    "psutil": (
        "quantcore/doctor.py",
        "quantcore/memory/this_machine.py",
        "pages/shared/serving.py",
    ),
}

# Where words stand that are also names of architectures, and what they mean there.
NO_ARCHITECTURES = {
    "quantcore/corpus/": "words of the shipped model's stories",
    "quantcore/model/pre_tokenizers.py": "names in tokenizer.ggml.pre",
    "quantcore/model/gguf_vocabulary.py": "kinds of tokenizers, and names in tokenizer.ggml.pre",
    "quantcore/shape/hybrid.py": "kinds of layers in config.json's layer_types",
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


def _place(module):
    """Room of a module of the engine, and its layer."""
    room = module.split(".")[1] if "." in module else "__init__"
    return room, next(i for i, rooms in enumerate(LAYERS) if room in rooms)


def _is_chart(path):
    """Whether a module draws: ``charts.py``, or any module in a folder ``charts``."""
    return "pages" in path.parts and "charts" in (path.stem, path.parent.name)


def test_packages_are_entered_by_their_door():
    for path, module in _ARROWS:
        package = module.split(".")[0]
        if package in DOORS:
            assert _name(path).startswith(DOORS[package]), f"{package} is not for {path}"


def test_no_file_is_mapped():
    """Why: quantcore/io/on_disk.py."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "arg", None)
            assert name not in ("memmap", "open_memmap", "mmap_mode"), path


def test_the_engine_imports_inward():
    for path, module in _ARROWS:
        if "quantcore" in path.parts:
            here, layer = _place(".".join(path.relative_to(ROOT).with_suffix("").parts))
            assert module.split(".")[0] not in ("pages", "app"), f"{path} imports {module}"
            if module.split(".")[0] == "quantcore":
                room, inner = _place(module)
                assert room == here or inner < layer or inner == layer == 0, (
                    f"{path} imports {module}, which stands beside it or further out"
                )


def test_charts_know_no_streamlit():
    for path in filter(_is_chart, SOURCES):
        assert "streamlit" not in {module.split(".")[0] for module in _imports(path)}, path


def _room(path):
    """Name the room of a module under pages/; None for the stubs, which only show theirs."""
    parts = path.relative_to(ROOT / "pages").parts
    return parts[0] if len(parts) > 1 else None


def _rooms_imported(path):
    """Rooms of pages that a module imports: `from pages.mix import x`, `from pages import mix`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{_name(path)}: imports are written out"
            inside = node.module == "pages"
            names = [f"pages.{alias.name}" for alias in node.names] if inside else [node.module]
        yield from (name.split(".")[1] for name in names if name.startswith("pages."))


def test_no_page_imports_another():
    """A room imports itself, what is shared, and the engine; what is shared imports no room."""
    for path in (ROOT / "pages").rglob("*.py"):
        if room := _room(path):
            assert not set(_rooms_imported(path)) - {room, "shared"}, f"{path} reaches over"


def test_a_file_of_an_address_only_shows_its_room():
    addresses = [path for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__"]
    assert len(addresses) > 10
    for path in addresses:
        assert set(_imports(path)) == {f"pages.{path.stem}.page", "pages.shared"}, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 6, path


def test_a_page_reads_top_to_bottom():
    for path in (ROOT / "pages").glob("*/page.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 150, path
        assert "\ndef main() -> None:" in text, path


def test_words_know_no_charts():
    words = [
        path
        for path in (ROOT / "pages").rglob("*.py")
        if path.stem.endswith("words") or path.parent.name == "words"
    ]
    assert len(words) > 10
    for path in words:
        assert not any("charts" in module.split(".") for module in _imports(path)), path


def test_every_requirement_is_pinned():
    for path in ROOT.glob("requirements*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert "==" in line, f"{path.name}: {line}"


def test_the_models_in_assets_are_those_that_ship():
    found = [*(ROOT / "assets").glob("*/config.json"), *(ROOT / "assets").glob("*/outliers.json")]
    assert [path.parent.name for path in found] == list(SHIPPED)


def test_sentences_are_drawn_by_look():
    """There, text from outside is disarmed, whatever sentence it stands in."""
    draws = {"markdown", "error", "header", "subheader", "warning", "info", "success", "caption",
             "write", "toast", "exception", "latex"}  # fmt: skip
    for path in SOURCES:
        if _name(path) == "pages/shared/look.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                drawn = node.value.id == "st" and node.attr in draws
                assert not drawn, f"{_name(path)}: st.{node.attr}"


def test_what_visitors_hand_over_is_bounded():
    bounds = {"text_area": "max_chars", "text_input": "max_chars", "chat_input": "max_chars",
              "file_uploader": "max_upload_size"}  # fmt: skip
    asked = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in bounds
    ]
    assert len(asked) > 5
    for path, call in asked:
        bound = bounds[call.func.attr]
        assert bound in {word.arg for word in call.keywords}, f"{_name(path)} lacks {bound}"


def test_both_palettes_have_ten_colours():
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    for mode in ("light", "dark"):
        assert len(set(theme[mode]["chartCategoricalColors"])) == 10


def _literals(path):
    """Words of each string of a file that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node.value.split()


def test_architectures_are_named_in_their_table_only():
    names = {entry.name for entry in ARCHITECTURES}
    names |= {model_type for entry in ARCHITECTURES for model_type in entry.model_types}
    allowed = ("quantcore/architectures/", *NO_ARCHITECTURES)
    for path in (path for path in SOURCES if _name(path).startswith("quantcore/")):
        for words in _literals(path):
            named = words and names.issuperset(words)
            assert not named or _name(path).startswith(allowed), f"{_name(path)}: {words}"
