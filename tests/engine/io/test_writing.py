"""Whatever writes a file: whole or not at all, and one sentence that names the file."""

import errno
import os
from pathlib import Path

import pytest

from quantcore import ModelError
from quantcore.io import writing
from quantcore.io.writing import whole_file, whole_folder, write_whole


def _fails(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, r"There is not enough room for .*results\.json\."),
        (errno.EDQUOT, r"There is not enough room for .*results\.json\."),
        (errno.EROFS, r".* does not allow writing\."),
        (errno.EIO, r".*results\.json cannot be written: Input/output error\."),
    ],
)
def test_the_sentence_of_the_first_problem_stays(tmp_path, monkeypatch, number, says):
    """On a disk that became read-only, the temporary file cannot be removed either."""
    path = tmp_path / "results.json"
    path.write_text("before")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _fails(number))
        patched.setattr(Path, "unlink", _fails(errno.EROFS))
        with pytest.raises(ModelError, match=f"^{says}$"):
            write_whole(path, "after")
    assert path.read_text() == "before"
    write_whole(path, "after")
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]  # of the first, nothing
    assert path.read_text() == "after"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="There is no folder"):
        write_whole(tmp_path / "none" / "results.json", "x")


def test_a_new_file_replaces_nothing_that_somebody_wrote_meanwhile(tmp_path):
    path = tmp_path / "model.gguf"
    with pytest.raises(ModelError, match="exists already"):
        with whole_file(path, new=True) as file:
            file.write(b"mine")
            path.write_text("theirs")
    assert path.read_text() == "theirs" and len(list(tmp_path.iterdir())) == 1


def test_a_disk_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.os, "link", _fails(errno.EPERM))
    with whole_file(tmp_path / "model.gguf", new=True) as file:
        file.write(b"mine")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "deep").mkdir()
    link, target = tmp_path / "results.json", tmp_path / "deep" / "there.json"
    link.symlink_to(target)
    write_whole(link, "x")
    assert link.is_symlink() and target.read_text() == "x"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(ModelError, match=r"model needs 1,000 bytes, and there is not"):
        with whole_folder(path, needed=1000) as folder:
            (folder / "config.json").write_text("{}")
            assert not path.exists()
            _fails(errno.ENOSPC)()
    assert not list(tmp_path.iterdir())
    with whole_folder(path) as folder:
        (folder / "config.json").write_text("{}")
    assert [file.name for file in path.iterdir()] == ["config.json"]
    with pytest.raises(ModelError, match="exists already"), whole_folder(path):
        pass
    assert list(tmp_path.iterdir()) == [path]
