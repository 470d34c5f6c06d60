"""Short walks through the pages with random controls: nothing breaks, and every page settles."""

import logging

import numpy as np
import pytest

from pages.shared import controls
from tests.support.app import visit
from tests.support.places import ROOT
from tests.support.spoken import slips
from tests.support.toy_model import CONFIG, write_folder

WALKS, STEPS = 50, 2
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))
KINDS = ("selectbox", "toggle", "checkbox", "number_input", "slider", "button", "button_group",
         "select_slider", "multiselect", "text_area")  # fmt: skip
# What works for long or asks the network has tests of its own; models are changed between walks.
LEFT_ALONE = ("measure_", "mix_measure", "write", "file_write", "read_hub", "example_", "model")
RUNS_A_STEP = 3  # of the script: one, and another for each click that goes somewhere
TEXTS = ("", "Nora", "The river ran uphill, and nobody minded.", '{"model_type": "llama"}')


@pytest.fixture(scope="module")
def toy_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    write_folder(folder / "wide-toy", CONFIG | {"hidden_size": 256, "intermediate_size": 256})
    write_folder(folder / "small-toy")
    return folder


@pytest.fixture(scope="module")
def kinds():
    """Remember what kind of widget each key stood for, on whatever page it was met."""
    return {}


@pytest.fixture
def counted(monkeypatch):
    """Count the runs of the script; one that asks for the next for ever ends with a failure."""
    runs, begin = [0], controls.carry_over

    def carry_over(page):
        runs[0] += 1
        if runs[0] > RUNS_A_STEP:
            raise RuntimeError(f"{page} does not settle")
        begin(page)

    monkeypatch.setattr(controls, "carry_over", carry_over)
    return runs


def _widgets(app):
    """List what can be used on a page, in the order of its keys."""
    found = [widget for kind in KINDS for widget in app.get(kind)]
    able = [w for w in found if w.key and not w.proto.disabled]
    return sorted((w for w in able if not w.key.startswith(LEFT_ALONE)), key=lambda w: w.key)


def _use(widget, rng):
    """Give a widget a random value, as somebody could who tries everything."""
    kind = type(widget).__name__
    if kind == "Button":
        return widget.click()
    if kind in ("Toggle", "Checkbox"):
        return widget.set_value(not widget.value)
    if kind == "TextArea":
        return widget.set_value(str(rng.choice(TEXTS)))
    if kind in ("NumberInput", "Slider"):
        low, high = (int(end) for end in (widget.min, widget.max))
        return widget.set_value(int(rng.integers(low, min(high, low + 5_000) + 1)))
    options = list(widget.options)
    if kind == "Multiselect":
        return widget.set_value([str(o) for o in rng.permutation(options)[: rng.integers(3)]])
    if kind == "ButtonGroup" and isinstance(widget.value, list):
        return widget.set_value([str(o) for o in rng.permutation(options)[: rng.integers(3)]])
    return widget.set_value(options[rng.integers(len(options))]) if options else widget


def _run(app, counted):
    """Draw the page anew; a click may have gone to another, which AppTest has to be told."""
    counted[0] = 0
    app.run()
    app.switch_page(f"pages/{app.session_state['_page'] or 'home'}.py")


def _said(app):
    return [element.value for element in (*app.header, *app.markdown, *app.error)]


@pytest.mark.parametrize("seed", range(WALKS))
def test_a_walk_meets_no_exception_and_every_page_settles(
    seed, toy_folder, kinds, counted, monkeypatch
):
    monkeypatch.setattr("pages.shared.bench.OWN_MODELS", toy_folder)
    monkeypatch.setattr(logging.getLogger("quantlab"), "disabled", True)
    rng = np.random.default_rng(seed)
    page = PAGES[seed % len(PAGES)]
    model = str(rng.choice(["wide-toy", "wide-toy", "small-toy"]))
    path = [f"{page} of {model}"]
    app = visit(page, model=model)
    for _ in range(STEPS):
        if rng.random() < 0.3:
            page = str(rng.choice(PAGES))
            path.append(page)
            app.switch_page(f"pages/{page}.py")
        elif widgets := _widgets(app):
            widget = widgets[rng.integers(len(widgets))]
            _use(widget, rng)
            path.append(f"{widget.key}={widget.value}")
        _run(app, counted)
        assert not app.exception, (path, app.exception)
        for widget in _widgets(app):
            kind = kinds.setdefault(widget.key, type(widget).__name__)
            assert kind == type(widget).__name__, f"{widget.key} is two kinds of widgets"
    while any(button.key == "cancel_job" for button in app.button):  # the panel of a job
        _run(app, counted)
    said = _said(app)
    assert not [sentence for sentence in said if slips(sentence)], path
    _run(app, counted)
    assert _said(app) == said, path
