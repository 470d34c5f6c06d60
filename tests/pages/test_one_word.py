"""One word, one number: what two pages say of the same thing is the same."""

import re

import pytest

from pages.shared.units import WEIGHT_ERROR
from tests.support.app import drawn_charts, findings, sentences, visit
from tests.support.places import ROOT
from tests.support.spoken import match

PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


def _texts(app):
    """All that a page shows: sentences, tables, what stands in charts and opens above them."""

    def strings(thing):
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, dict | list):
            for each in thing.values() if isinstance(thing, dict) else thing:
                yield from strings(each)

    bodies = [element.proto.body for element in app.get("html")]
    bare = [re.sub("<style>.*?</style>|<[^>]*>", " ", body, flags=re.S) for body in bodies]
    said = [element.value for element in (*app.header, *app.markdown)]
    return [*said, *bare, *strings(drawn_charts(app))]


@pytest.mark.parametrize("type", ["Q4_K_M", "Q3_K_L"])
def test_the_error_of_a_type_is_the_same_number_on_every_page(type):
    by_layer = visit("layer_error", type=type, types=type, errors_as="mixes")
    said = " ".join(m.value for m in by_layer.markdown)
    (whole,) = match("The error of all matrices together is # %", said)
    notes = [n["text"] for c in drawn_charts(by_layer) for n in c["layout"].get("annotations", [])]
    (on_map,) = (match(f"<b>{type}</b>  # %", note) for note in notes if f"{type}</b>  " in note)
    (in_mix,) = match("changes the weights by # %", findings(visit("mix", mix=type))[0])
    file = visit("file", file=f"as {type}", beside_file=f"as {type} --pure")
    (in_file,) = match(f"{type} with # %", " ".join(findings(file)))
    assert on_map == [whole]
    assert in_file == whole == pytest.approx(in_mix, abs=0.00501)


def test_the_error_is_explained_in_the_same_words():
    for page in ("layer_error", "mix"):
        helps = [element.help for element in visit(page).header]
        assert any(WEIGHT_ERROR in (text or "") for text in helps), page


@pytest.mark.parametrize("page", PAGES)
def test_a_page_writes_numbers_and_units_in_one_way(page):
    """Powers of ten are raised; files are in MB, only memory is in MiB."""
    app = visit(page, type="F16") if page in ("layer_error", "scales") else visit(page)
    assert not sentences(app)
    for text in _texts(app):
        assert not re.search(r"\d(\.\d+)?e[-+]\d", text), text[:200]
        if page != "memory":
            assert not re.search(r"\d [KMGT]iB", text), text[:200]
        assert "one format throughout" not in text
