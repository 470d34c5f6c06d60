"""Measuring on the page Drift: what it shows does not depend on what was asked when."""

import re

import numpy as np
import pytest

from tests.support.app import finish_job, sentences, visit

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 6
TYPES = ["F32", "Q8_0", "Q4_0", "INT2_G32_ASYM"]


def _measured(app, types, chosen):
    """Press the button for some types, and return the table's cells by type, as they are read."""
    app.pills(key="types").set_value(types)
    app.selectbox(key="type").set_value(chosen)
    app.run()
    app.button(key="measure_drift").click().run()
    finish_job(app)
    assert not app.exception and not sentences(app)
    (table,) = (html for html in (e.proto.body for e in app.get("html")) if "Types ranked" in html)
    rows = re.findall(r'<tr.*?><th scope="row">(.*?)</th>(.*?)</tr>', table)
    plain = [tuple(re.sub("<.*?>", " ", cell).split()) for cell in map(" ".join, rows)]
    return {row[0]: row[1:] for row in plain}


@pytest.fixture
def drift(own_models):
    app = visit("drift", model="small-toy", text="own")
    app.text_area(key="own").set_value(TEXT).run()
    return app


def test_any_order_of_types_gives_the_same_table(drift):
    known = {}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        asked = [str(name) for name in rng.permutation(TYPES)[: rng.integers(1, 4)]]
        found = _measured(drift, asked, str(rng.choice(TYPES)))
        assert found.keys() >= set(asked)
        for name, row in found.items():
            assert known.setdefault(name, row) == row, (asked, name)
    assert known.keys() >= set(TYPES)
    assert known["F32"][-3:] == ("0", "0", "%")
