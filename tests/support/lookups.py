"""What tests of the memory calculator's look-up share: headers made by hand, refusals."""

import time
from pathlib import Path

import numpy as np
import pytest

from quantcore import ModelError
from quantcore.io.gguf import GgufFile, GgufTensor
from quantcore.memory import find_shape
from quantcore.memory.lookup.gguf_shape import find_in_gguf
from quantcore.shape import LayerCache

LAYER = LayerCache(kind="full", key_values=32, value_values=32)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever asks the Hub here has read a name wrongly."""
    import httpx2

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(httpx2.Client, "send", refuse)


def refused(place, pattern, work=find_shape):
    """Read the sentence, which comes at once."""
    start = time.process_time()
    with pytest.raises(ModelError, match=pattern) as caught:
        work(place)
    assert time.process_time() - start < 1
    sentence = str(caught.value)
    assert len(sentence) < 400 and "\n" not in sentence
    return sentence


def header(architecture, own, shapes, **general):
    """Make a GGUF file's header as `read_gguf` gives it; arrays are numpy's."""
    metadata = {"general.architecture": architecture}
    metadata |= {f"general.{key}": value for key, value in general.items()}
    metadata |= {
        f"{architecture}.{key}": np.array(value) if isinstance(value, list) else value
        for key, value in own.items()
    }
    path = Path("m.gguf")
    stored = {
        name: GgufTensor(path, name, "F16", shape, 0, 2 * int(np.prod(shape)))
        for name, shape in shapes.items()
    }
    return GgufFile(path, 3, False, metadata, {}, stored, {}, 0, 0)


def looked_up(architecture, own, shapes=None):
    sizes = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4}
    shapes = {"token_embd.weight": (100, 64)} if shapes is None else shapes
    return find_in_gguf(header(architecture, sizes | own, shapes), "m", "s").shape
