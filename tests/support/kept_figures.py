"""Figures of the page Drift for a model that nobody waits to have measured."""

from dataclasses import replace

from pages.shared import bench, drifts, shipped, texts
from quantcore.evaluate.kept_drift import KeptDrift, text_digest


def keep_drift(name, **divergences):
    """Keep a divergence by type as if it had been measured on the text that suits the model."""
    model, figures = bench.model(name), shipped.measured(bench.shipped()).drifts
    text = texts.to_judge_on(texts.suited(name))
    found = {
        type: replace(figures[type], mean_kl_divergence=value)
        for type, value in divergences.items()
    }
    measured = KeptDrift(
        model=name,
        fingerprint=model.fingerprint,
        text="a text",
        text_digest=text_digest(text),
        context=texts.length(name, text).context,
        drifts=found,
    )
    drifts.keep(model, text, measured)
