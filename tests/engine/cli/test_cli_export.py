"""The command `export`: a folder, what it prints, and one sentence for each mistake."""

import json

import numpy as np
import pytest

from quantcore import export, open_model
from quantcore.cli import main
from quantcore.evaluate.text import cut
from tests.support.checkpoints import read_back
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 20


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return write_folder(folder / "toy")


def command(toy, output, *more, layout="gptq", type="INT4_G32"):
    text = str(toy.parent / "text.txt")
    return ["export", str(toy), "--as", layout, "--type", type, "--calibration", text,
            "--context", "64", "--output", str(output), *more]  # fmt: skip


def test_the_command_writes_what_python_writes(toy, tmp_path, capsys):
    assert main(command(toy, tmp_path / "out", "--by", "gptq", type="int4_g32")) == 0
    n_bytes = sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    expected = f"{tmp_path / 'out'}: INT4_G32 by gptq as gptq, {n_bytes:,} bytes\n"
    assert capsys.readouterr().out == expected
    model = open_model(toy)
    tokens = cut(model, TEXT, 64).inputs
    again = export(model, "gptq", "INT4_G32", tmp_path / "again", tokens, by="gptq")
    for file in again.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert json.loads((again / "config.json").read_text())["quantization_config"]["bits"] == 4


def test_rounding_is_what_happens_without_a_method(toy, tmp_path):
    assert main(command(toy, tmp_path / "out", layout="awq", type="INT4_G32_ASYM")) == 0
    model = open_model(toy)
    expected = export(model, "awq", "INT4_G32_ASYM", tmp_path / "x", np.zeros((1, 8), np.int32))
    first, second = read_back(tmp_path / "out"), read_back(expected)
    assert all(np.array_equal(first[name], second[name]) for name in model.tensors)


def test_mistakes_get_one_sentence(toy, tmp_path, capsys):
    def refused(*more, **how):
        assert main(command(toy, tmp_path / "out", *more, **how)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not (tmp_path / "out").exists()
        return line

    assert "take INT4_G128_ASYM, not INT4_G32." in refused(layout="awq")
    assert "such as INT4_G128 or INT8_ROW, not 'Q4_K'." in refused(type="Q4_K")
    assert "HQQ needs more than codes" in refused("--by", "hqq")
    with pytest.raises(SystemExit) as stopped:
        main(command(toy, tmp_path / "out", layout="exl3"))
    assert stopped.value.code == 2 and "exl3" in capsys.readouterr().err
