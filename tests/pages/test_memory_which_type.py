"""Which type the page Memory takes for a machine, and by whose figures."""

import re

from pages.shared import bench
from tests.support.app import findings, said, visit
from tests.support.kept_figures import keep_drift


def _which(app):
    """Return what the page says of the type to take, the types of its table, and the table."""
    (at,) = (i for i, said in enumerate(findings(app)) if said.startswith(("Take", "No type is")))
    (table,) = (e.proto.body for e in app.get("html") if "and what each costs" in e.proto.body)
    names = re.findall(r'<th scope="row">(.*?)</th>', table)
    return findings(app)[at], [re.sub("<.*?>", "", name).strip() for name in names], table


def test_which_type_to_take_is_said_with_whose_figures_say_so():
    said, names, table = _which(visit("memory", hardware="24GiB"))
    assert said.startswith("Take **Q6_K**: of the types that diverge by no more than 0.01 nats")
    assert names[0] == "Q8_0" and "Q4_K_M" in names and "Q4_0" not in names
    assert "divergence of Llama-3-8B" in table
    notes = " ".join(m.value for m in visit("memory", hardware="24GiB").markdown)
    assert "published ones of another model, Llama-3-8B" in notes


def test_a_small_card_gets_the_closest_type_that_fits_and_the_next_larger_is_shown():
    said, names, table = _which(visit("memory", hardware="8GiB"))
    assert said.startswith("Take **IQ4_XS**: of the types that fit it diverges least")
    assert names[:2] == ["IQ4_NL", "IQ4_XS"] and "fits in part" in table
    assert _which(visit("memory", hardware="2GiB", system="4GiB"))[0].startswith("No type is small")


def test_the_shipped_model_is_chosen_for_by_its_own_figures():
    app = visit("memory", whose="Model on the bench")
    assert "divergence of fable-7m" in _which(app)[2]
    assert "measured of fable-7m itself" in " ".join(m.value for m in app.markdown)


def test_a_model_of_ones_own_is_counted_first_and_by_what_drift_measured_of_it(own_models, kept):
    app = visit("memory", model="small-toy")
    trained = bench.model("small-toy").config.context_length
    assert f"**small-toy** in Q4_K_M with {trained} tokens takes" in findings(app)[0]
    assert f"**all {trained} tokens** that it was made for fit." in findings(app)[2]
    assert "divergence of Llama-3-8B" in _which(app)[2]
    assert app.button(key="memory_to_drift").label == "Measure these types of this model on Drift"

    # The first as if the model were in Q8_0 already; the last is no type of a file.
    keep_drift("small-toy", Q8_0=0.0, Q4_0=0.02, INT4_ROW=0.03)
    app = visit("memory", model="small-toy", context="512")
    _, names, table = _which(app)
    assert names == ["Q8_0", "Q4_0"] and "divergence of small-toy" in table
    assert "measured of small-toy itself, on the passage on quantization" in said(app)
    assert findings(app)[1] == "Take **Q8_0**: the file is in it already, so nothing more is lost."
    assert not any(button.key == "memory_to_drift" for button in app.button)

    known = visit("memory", model="small-toy", whose="Known model")
    assert "**Llama-3.1-8B**" in findings(known)[0] and "Llama-3-8B" in _which(known)[2]


def test_for_vllm_no_type_is_chosen():
    assert "Which type to take is not known here **for vLLM**." in findings(
        visit("memory", runtime="vllm", hardware="24GiB", stored="AWQ")
    )
