"""A compiled kernel is never older than what went into it, and an edit recompiles little."""

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
import time

import pytest

from quantcore import _jit, _kernel_cache, scratch
from tests.support.places import ROOT

# A small package around the true decorators: a kernel with constants from near and far.
PACKAGE = {
    "kernels.py": """
from quantcore._jit import kernel
from quantcore.middle import TWICE
from quantcore.pieces import piece
from quantcore.tables import pair


@kernel
def run(x):
    return piece(x) + TWICE + pair.FIRST
""",
    "middle.py": "from quantcore.far import ONE\n\nTWICE = 2 * ONE\n",
    "far.py": """
from pathlib import Path

ONE = int(Path(__file__).with_suffix(".txt").read_text())
""",
    "far.txt": "1",
    "pieces.py": """
from quantcore._jit import inlined


@inlined
def piece(x):
    return 10 * x
""",
    "tables/__init__.py": "",
    "tables/pair.py": "FIRST = 100\n",
    "apart.py": """
from quantcore._jit import kernel


@kernel
def run(x):
    return x + 1
""",
}
RUN = "from quantcore import apart, kernels; print(kernels.run(1), apart.run(1))"
EDITS = [  # what the kernel gives for 1 after each of them, one after the other
    ("far.txt", "1", "4", 118),
    ("middle.py", "2 *", "3 *", 122),
    ("tables/pair.py", "100", "200", 222),
    ("pieces.py", "10 *", "20 *", 232),
    ("kernels.py", "TWICE +", "TWICE * 5 +", 280),
    ("kernels.py", "TWICE * 5 +", "TWICE +", 232),
]


@pytest.fixture
def package(tmp_path):
    for name in ("_jit.py", "_kernel_cache.py", "scratch.py", "__init__.py"):
        (tmp_path / "quantcore").mkdir(exist_ok=True)
        shutil.copy(ROOT / "quantcore" / name, tmp_path / "quantcore" / name)
    for name, text in PACKAGE.items():
        (tmp_path / "quantcore" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "quantcore" / name).write_text(text, encoding="utf-8")
    for path in (tmp_path / "quantcore").rglob("*.*"):
        os.utime(path, (1e9, 1e9))  # as files that were there before the process
    return tmp_path


def run(package, code=RUN, home="home", says="", preexec_fn=None):
    """Run the kernels in a process of its own, and return what they give; all share a cache.

    `says` is what the process says besides, a regular expression.
    """
    environment = os.environ | {"PYTHONPATH": str(package), "HOME": str(package / home)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment, cwd=package, capture_output=True, text=True, check=False,
        preexec_fn=preexec_fn,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(says, done.stderr), done.stderr
    return [int(number) for number in done.stdout.split()]


def edit(package, file, old, new):
    """Change a file, and let its time stay the same, as where it comes out of an archive."""
    path = package / "quantcore" / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    os.utime(path, (1e9, 1e9))


def machine_code(package, module):
    """When each file of compiled kernels of a module was written."""
    files = (package / "home/.cache/quantcore").glob(f"{module}-*/**/*.nbc")
    return {path: path.stat().st_mtime_ns for path in files}


def test_results_follow_an_edit_anywhere_and_little_is_compiled_again(package):
    assert run(package) == [112, 2]
    apart = machine_code(package, "apart")
    for file, old, new, wanted in EDITS:
        edit(package, file, old, new)
        assert run(package) == [wanted, 2], file
    assert machine_code(package, "apart") == apart
    assert len(apart) == 1
    assert len(machine_code(package, "kernels")) == len(EDITS)  # the last was known


def test_a_file_edited_under_a_running_process_leaves_nothing_behind(package):
    """The process has the old constant and the file the new one: neither may be kept as new."""
    under_way = (
        "import pathlib, quantcore._jit, quantcore.middle\n"
        "pathlib.Path(quantcore.middle.__file__).write_text('TWICE = 7\\n')\n" + RUN
    )
    assert run(package, under_way) == [112, 2]  # what the process imported
    assert machine_code(package, "apart")
    assert not machine_code(package, "kernels")
    os.utime(package / "quantcore/middle.py", (1e9, 1e9))
    assert run(package) == [117, 2]


def test_a_damaged_cache_is_compiled_again(package):
    """Each file in another way: cut short, empty, one bit of machine code, no pickle at all."""
    before = run(package)
    files = sorted((package / "home/.cache/quantcore").rglob("*.nb[ci]"))
    assert [path.suffix for path in files] == 2 * [".nbc", ".nbi"]
    whole = [path.read_bytes() for path in files]
    flipped = bytearray(whole[2])
    flipped[-1000] ^= 1
    broken = (whole[0][:-500], b"", bytes(flipped), b"garbage" * 100)
    for path, content in zip(files, broken, strict=True):
        path.write_bytes(content)
    assert run(package) == before
    assert all(
        _kernel_cache._is_sound(path) and path.read_bytes() != content
        for path, content in zip(files, broken, strict=True)
    )


def test_where_nothing_can_be_kept_one_sentence_says_so(package):
    (package / "file").write_text("no folder")
    says = r"Compiled kernels are not kept, and are compiled at each start: .*file.*\n"
    assert run(package, home="file", says=says) == [112, 2]

    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    says = r"Compiled kernels cannot be kept in .*home.*: File too large\.\n"
    assert run(package, says=says, preexec_fn=fill_the_disk) == [112, 2]


def test_what_another_user_can_write_is_not_loaded(tmp_path, monkeypatch, caplog):
    names = [f"k-{i:012x}" for i in range(4)]
    for name in names:
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "k.nbc").write_bytes(b"theirs")
    _, open_file, open_folder, link = (tmp_path / name for name in names)
    (open_file / "deep" / "k.nbc").chmod(0o666)
    (open_folder / "deep").chmod(0o777)
    (link / "deep" / "k.nbi").symlink_to("k.nbc")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for cached in (_kernel_cache.cache_folder, _kernel_cache._folder, _kernel_cache._say):
        monkeypatch.setattr(_kernel_cache, cached.__name__, cached.__wrapped__)
    assert [bool(list(_kernel_cache._folder(name).iterdir())) for name in names] == [
        *(True, False, False, False)
    ]
    tmp_path.chmod(0o777)
    assert _kernel_cache.cache_folder() == tmp_path
    assert not list(tmp_path.iterdir()) and tmp_path.stat().st_mode & 0o777 == 0o755
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # the folder is another's, who lets us in
    tmp_path.chmod(0o777)
    assert _kernel_cache.cache_folder() == scratch.own_folder()
    assert "belongs to another user" in caplog.text


def test_what_nobody_used_for_a_month_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(_kernel_cache, "cache_folder", lambda: tmp_path)
    old, unused = time.time() - 31 * 86400, ["0123456789ab", "q4_k-0123456789ab"]
    for name in (*unused, "q4_k-ba9876543210", "of-somebody-else"):
        (tmp_path / name / "inside").mkdir(parents=True)
        os.utime(tmp_path / name, (old, old))
    kept = _kernel_cache._folder(
        "q4_k-ba9876543210"
    )  # asked for again, and nothing new: nothing goes
    assert len(list(tmp_path.iterdir())) == 4
    made = _kernel_cache._folder("q4_k-0a0a0a0a0a0a")
    assert set(tmp_path.iterdir()) == {kept, made, tmp_path / "of-somebody-else"}


def test_every_import_of_the_engine_is_seen():
    """The cache finds imports without parsing: it must find what the parser finds."""
    for module, files in _jit._files().items():
        path = next((path for path in files if path.endswith(".py")), None)
        if path is None:
            continue
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        wanted = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        seen = _jit._text_of(module, ())[1]
        assert wanted & _jit._files().keys() - _jit._IN_NO_KERNEL <= set(seen), path
    assert not _jit._text_of("quantcore._jit", ())[1]  # else every kernel would hold all of it
