"""What tests of the Hub share: models on a Hub of the loopback, which the client asks."""

import json

import pytest
from huggingface_hub import close_session, constants

from tests.engine.io.test_gguf_parts import SHARES, write_parts
from tests.support.gguf_bytes import gguf_bytes, small_file
from tests.support.mock_hub import SHARDS, served, use
from tests.support.toy_model import CONFIG, tensors, write_safetensors


def files_of(path, arrays_by_file):
    """Write safetensors files and read their bytes."""
    for name, arrays in arrays_by_file.items():
        write_safetensors(path / name, arrays, "BF16")
    return {name: (path / name).read_bytes() for name in arrays_by_file}


@pytest.fixture
def models(tmp_path):
    arrays, config = tensors(), {"config.json": json.dumps(CONFIG).encode()}
    names = sorted(arrays)
    halves = [{name: arrays[name] for name in part} for part in (names[:7], names[7:])]
    shards = files_of(tmp_path, dict(zip(SHARDS, halves, strict=True)))
    weight_map = {name: shard for shard, half in zip(SHARDS, halves, strict=True) for name in half}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}
    write_parts(tmp_path, {"general.architecture": "llama"}, SHARES)
    parts = {f"deep/{path.name}": path.read_bytes() for path in tmp_path.glob("*.gguf")}
    padded = gguf_bytes({"general.architecture": "llama"}, {"m": ([2**23], 0, bytes(2**25))})
    return {
        "me/whole": config | files_of(tmp_path, {"model.safetensors": arrays}),
        "me/shards": config | shards | index,
        "me/half": config | {SHARDS[1]: shards[SHARDS[1]]},
        "me/gguf": {"small-Q8_0.gguf": small_file(), "mmproj-F16.gguf": b"", "big.gguf": padded},
        "me/parts": parts,
        "me/pickled": config | {"pytorch_model.bin": b"x"},
        "me/nothing": {"README.md": b"x"},
    }


@pytest.fixture
def mock(models, monkeypatch, tmp_path):
    with served(models, gated={"me/gated"}) as hub:
        use(monkeypatch, hub.url)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(name, raising=False)
        close_session()
        yield hub
        close_session()
