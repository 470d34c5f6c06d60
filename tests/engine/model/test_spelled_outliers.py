"""Models with outlier channels in their names: opened by them, and named after them."""

import random

import pytest

from quantcore.io import ModelError
from quantcore.memory.lookup.sources import find_shape
from quantcore.model.outliers.settings import LARGEST, PRESETS, Channels, OutlierSettings
from quantcore.model.outliers.spelled import spelled, split_name
from quantcore.model.source import open_model
from quantcore.recipe.commands import quantize_commands
from quantcore.recipe.plan import plan
from quantcore.recipe.quantize import preview, quantize
from tests.support.toy_model import CONFIG, write_folder

SAID = "+norms=2x8~0.2+seed=3"


def _some(draw: random.Random) -> Channels:
    return Channels(
        n=draw.randrange(40), size=LARGEST ** draw.uniform(-1, 1), spread=draw.uniform(0, 4)
    )


def test_what_a_name_spells_is_read_back_to_the_last_bit():
    draw = random.Random(5)
    for _ in range(300):
        places = {place: _some(draw) for place in ("norms", "values", "inner", "keys")}
        kept = draw.sample(sorted(places), draw.randint(1, 4))
        settings = OutlierSettings(
            **{place: places[place] for place in kept}, seed=draw.choice((0, draw.randrange(2**32)))
        )
        assert split_name("a+b.gguf" + spelled(settings)) == ("a+b.gguf", settings)


@pytest.mark.parametrize("name", [n for n, each in PRESETS.items() if n != "none"])
def test_presets_have_names_but_for_the_rotated_one(name):
    settings = PRESETS[name]
    if settings.rotated:
        with pytest.raises(ValueError, match="write the model into a folder"):
            spelled(settings)
    else:
        assert split_name(f"m{spelled(settings)}") == ("m", settings)


def test_a_model_is_opened_by_its_name_with_its_own_weights():
    plain = open_model()
    model = open_model(f"fable-7m{SAID}")
    assert model.name == model.stem == f"fable-7m{SAID}"
    assert model.fingerprint == plain.with_outliers(split_name(model.name)[1]).fingerprint
    assert model.fingerprint != plain.fingerprint and model.key != plain.key
    assert open_model(model.address).fingerprint == model.fingerprint
    assert find_shape(model.address).stored_bytes == find_shape("fable-7m").stored_bytes


def test_files_made_of_it_are_named_after_it(tmp_path):
    base = write_folder(tmp_path / "Tale-3.1", CONFIG | {"hidden_size": 256})
    file = quantize(open_model(base), "F32", tmp_path / "tale.gguf")
    for source, stem in ((base, f"Tale-3.1{SAID}"), (file, f"tale{SAID}")):
        model = open_model(f"{source}{SAID}")
        made = plan(model, "Q8_0")
        assert model.stem == stem
        theirs = quantize_commands(model, made, "place", "out.gguf")[0]
        assert theirs == f"llama-quantize '{stem}-F32.gguf' out.gguf Q8_0"
        assert preview(model, made).path.name == f"{stem}-Q8_0.gguf"
        written = open_model(quantize(model, "F32", tmp_path / f"{stem}.gguf"))
        assert written.fingerprint == model.fingerprint
    assert open_model(base).stem == "Tale-3.1"  # a folder's name has no ending


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fable-7m+inner=16", "write norms=2x8~0.2"),
        ("fable-7m+inner=99999x2~0.1", "99,999 inner cannot stand out of 768"),
        ("fable-7m+inner=1x0~0.1", "between 2\\^-20 and 2\\^20"),
        ("fable-7m+seed=4", "no outlier channels"),
        ("fable-7m+seed=9999999999+keys=1x2~0", "The seed must be"),
        ("fable-7m-outliers+inner=1x2~0.1", "has outlier channels already"),
        ("nowhere+inner=1x2~0.1", "There is no model folder"),
        ("fable-7m+inner=1x1e400~0.1", "write norms=2x8~0.2"),
    ],
)
def test_a_name_that_says_nothing_is_refused_in_a_sentence(name, says):
    with pytest.raises(ModelError, match=says):
        open_model(name)


def test_a_folder_called_like_that_is_a_folder(tmp_path):
    folder = write_folder(tmp_path / f"toy{SAID}")
    assert open_model(folder).base is None
