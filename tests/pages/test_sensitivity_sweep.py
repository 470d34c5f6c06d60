"""The page Sensitivity: a sweep measured, cancelled, gone on with, and refused."""

import time

import pytest

from pages.sensitivity import run as sensitivity_run
from pages.sensitivity import setup as sensitivity_setup
from pages.shared import bench
from quantcore import open_model
from quantcore.sensitivity import results as stored
from quantcore.sensitivity.measure import Settings, guide_steps_of, sensitivity_steps
from tests.support.app import drawn_charts, finish_job, said, visit
from tests.support.patience import wait_until
from tests.support.toy_model import write_folder

TOY = {"model": "toy", "formats": ["Q4_0", "Q8_0"], "sweep_text": "passage", "tokens": "512"}
pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Put a small model on the bench."""
    (tmp_path / "models").mkdir()
    folder = write_folder(tmp_path / "models" / "toy")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path / "models")
    return folder


def _sweep(app):
    """Wait for the run of a page, and draw it again."""
    app.button(key="measure_sensitivity").click().run()
    finish_job(app)
    assert not app.exception
    return app


def test_a_model_is_measured_kept_and_shown(toy, kept):
    app = visit("sensitivity", **TOY)
    assert "Nothing has been measured for **toy**" in app.header[0].value and not drawn_charts(app)
    assert "32 pieces" in said(app)
    _sweep(app)
    assert not app.error
    assert app.header[0].value.startswith("In **Q4_0**, **")
    (file,) = kept.glob("*.sensitivity.json")
    results = stored.load(file)
    opened = open_model(toy)
    text = bench.passage()
    settings = Settings(formats=["Q4_0", "Q8_0"], text=text, context=results.source.context,
                        text_name="passage.txt", tokens=results.source.tokens)  # fmt: skip
    *_, last = sensitivity_steps(opened, settings)
    for _ in guide_steps_of(opened, last.result.results, ["Q4_0", "Q8_0"], text):
        pass
    assert len(results.effects) == len(last.result.results.effects) == 32
    for effect in last.result.results.effects:
        mine = results.effect(effect.name, effect.format, effect.group)
        assert mine.mean_kl_divergence == pytest.approx(effect.mean_kl_divergence, rel=1e-4)
    assert len(results.guides) == len(last.result.results.guides) == 30
    again = visit("sensitivity", **TOY)  # as after a restart
    assert again.header[0].value == app.header[0].value
    assert "32 of them known already" in said(again)


def _toy_sweep(toy):
    return sensitivity_setup.Sweep(
        open_model(toy),
        Settings(formats=["Q4_0", "Q8_0"], text=bench.passage(), context=128, tokens=512),
        guides=True, scheduler=None,
    )  # fmt: skip


def _stopped(sweep, enough):
    """Begin a sweep, and cancel it when its results are enough."""
    steps = sensitivity_run.steps(sweep)
    for step in steps:
        assert step.share < 1
        if enough(step.result.results):
            break
    steps.close()  # as a cancel does
    return stored.load(sweep.path)


def test_a_sweep_that_was_stopped_goes_on(toy, kept):
    sweep = _toy_sweep(toy)
    kept.mkdir()
    half = len(_stopped(sweep, lambda results: len(results.effects) == 20).effects)
    assert half == 20
    assert sensitivity_setup.estimate(sweep).n_known == half
    new = {len(step.result.results.effects) for step in sensitivity_run.steps(sweep)}
    assert min(new) == half and max(new) == 32
    assert not list(kept.glob("*.tmp"))


def test_a_sweep_that_was_stopped_during_its_guides_goes_on(toy, kept):
    sweep = _toy_sweep(toy)
    kept.mkdir()
    part = _stopped(sweep, lambda results: len(results.guides) == 7)
    assert (len(part.effects), len(part.guides)) == (32, 7)
    left = sensitivity_setup.estimate(sweep)
    assert (left.n_known, left.n_guides) == (32, 23) and left.core_seconds > 0
    *_, last = sensitivity_run.steps(sweep)
    assert last.share == 1
    assert sensitivity_setup.estimate(sweep).n_guides == 0
    resumed = stored.load(sweep.path)
    sweep.path.unlink()
    *_, _ = sensitivity_run.steps(sweep)
    whole = stored.load(sweep.path)
    assert len(whole.guides) == 30
    for guide in whole.guides:
        mine = resumed.guide(guide.name, guide.format)
        assert (mine.weight_error, mine.weighted_error) == (guide.weight_error, None)
        assert mine.fisher == pytest.approx(guide.fisher, rel=1e-4)
        assert mine.output_error == pytest.approx(guide.output_error, rel=1e-4)


def test_a_mix_is_chosen_by_guides_when_they_are_whole(toy, kept):
    sweep = _toy_sweep(toy)
    kept.mkdir()
    _stopped(sweep, lambda results: len(results.guides) == 7)
    by = {"model": "toy", "by": "Fisher", "budget": "6bpw"}
    app = visit("mix", **by)
    assert "Fisher" not in app.selectbox(key="by").options and not app.error
    for _ in sensitivity_run.steps(sweep):
        pass
    app = visit("mix", **by)
    assert app.selectbox(key="by").value == "Fisher" and not app.error


def test_a_cancelled_sweep_says_what_is_kept(toy, monkeypatch):
    app = visit("sensitivity", **TOY)
    whole = sensitivity_run.steps

    def slowly(sweep):
        for step in whole(sweep):
            time.sleep(0.2)
            yield step

    monkeypatch.setattr(sensitivity_run, "steps", slowly)
    app.button(key="measure_sensitivity").click().run()
    job = app.session_state["_job"]
    wait_until(lambda: job.latest is not None and len(job.latest.result.results.effects) > 3)
    app.run()
    assert not app.exception and drawn_charts(app), "the map fills up"
    app.button(key="cancel_job").click().run()
    finish_job(app)
    assert not app.exception and not app.error
    assert "to continue from there" in said(app)
    assert "of them known already" in said(app)
    assert app.header[0].value.startswith("In **Q")  # what was found is shown


def test_a_part_of_a_sweep_can_be_looked_at(toy, kept):
    opened = open_model(toy)
    settings = Settings(formats=["Q4_0", "Q8_0"], text=bench.passage(), context=64, tokens=512)
    kept.mkdir()
    for n, step in enumerate(sensitivity_steps(opened, settings)):
        if n in (1, 2, 3, 6):
            step.result.results.save(kept / f"{opened.key}-{n}.sensitivity.json")
            assert not visit("sensitivity", model="toy").error


def _why_not(app):
    """Return the notes of a page that cannot measure: one says why, beside the button."""
    assert not app.exception and not app.error
    assert app.button(key="measure_sensitivity").disabled
    return said(app)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"tokens": "10"}, "10 tokens are asked for; measuring needs at least 128."),
        ({"formats": ["Q5_9"]}, "Q5_9"),
        ({"formats": ["Q4_K"]}, "Q4_K can store no tensor"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(toy, query, sentence):
    assert sentence in _why_not(visit("sensitivity", **TOY | query))


def test_a_text_of_ten_tokens_is_one_sentence(toy):
    app = visit("sensitivity", **TOY | {"sweep_text": "own"})
    app.text_area(key="sweep_own").set_value("ten tokens").run()
    assert "needs at least 128" in _why_not(app)


def test_nothing_to_measure_is_one_sentence(toy):
    app = visit("sensitivity", **TOY)
    app.multiselect(key="formats").set_value([]).run()
    assert "No format is given." in _why_not(app)


def test_the_owner_alone_names_a_cluster(toy, monkeypatch):
    """Whoever runs a scheduler can run programs here, so no page takes an address."""
    monkeypatch.delenv("QUANTLAB_CLUSTER", raising=False)
    app = visit("sensitivity", **TOY, scheduler="tcp://127.0.0.1:9", on_cluster="true")
    assert not app.text_input
    assert "on_cluster" not in {toggle.key for toggle in app.toggle}
    assert "shared among the workers" not in said(app)
    monkeypatch.setenv("QUANTLAB_CLUSTER", "file:///etc")
    assert "QUANTLAB_CLUSTER=tcp://HOST:PORT" in _why_not(app.run())
    monkeypatch.setenv("QUANTLAB_CLUSTER", "tcp://127.0.0.1:9")
    app.run()
    app.toggle(key="on_cluster").set_value(True).run()
    assert "shared among the workers" in said(app)
    app.button(key="measure_sensitivity").click().run()
    (error,) = app.error  # nothing answers there
    assert "Dask" in error.value and "\n" not in error.value
    assert "_job" not in app.session_state, "it waits in the queue"


def test_a_broken_kept_file_is_passed_over(toy, kept):
    kept.mkdir()
    (kept / f"{open_model(toy).key}-0.sensitivity.json").write_text("{", encoding="utf-8")
    assert "Nothing has been measured" in visit("sensitivity", model="toy").header[0].value
