"""What this machine has and lacks for the lab, in one screen."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HUB = ("huggingface.co", 443)
MEMORY_WANTED_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `ok` is None where a lack stops nothing."""

    what: str
    ok: bool | None
    says: str


def examine(port: int = 8501) -> Iterator[Finding]:
    """Look at everything that the lab needs, most basic first."""
    yield _python()
    yield from _packages()
    yield Finding("cores", True, f"{os.cpu_count()}")
    yield _memory()
    yield _model()
    yield _kernels()
    yield _port(port)
    yield _browser()
    yield _network()


def _python() -> Finding:
    says = f"{platform.python_version()} (3.11 or newer)"
    return Finding("Python", sys.version_info >= (3, 11), says)


def _packages() -> Iterator[Finding]:
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, _, wanted = line.partition("==")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, f"missing; pip install {line}")
            continue
        note = "" if version == wanted else f" (tested with {wanted})"
        yield Finding(name, True if version == wanted else None, version + note)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    total = psutil.virtual_memory().total
    says = f"{free / 2**30:.1f} GiB free of {total / 2**30:.1f} GiB"
    return Finding("memory", free >= MEMORY_WANTED_BYTES, says)


def _model() -> Finding:
    from quantcore.model.source import open_model

    try:
        model = open_model()
    except (ValueError, OSError) as problem:
        return Finding("shipped model", False, str(problem))
    says = f"{model.name}, {model.n_weights / 1e6:.1f} million weights"
    return Finding("shipped model", True, says)


def _kernels() -> Finding:
    from quantcore import _kernel_cache

    folder = _kernel_cache.cache_folder()
    n_files = len(list(folder.rglob("*.nbc"))) if folder.exists() else 0
    if n_files:
        return Finding("compiled kernels", True, f"{n_files} in {folder}")
    return Finding("compiled kernels", None, "none yet; python -m quantcore compile")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    advice = f"taken; streamlit run app.py --server.port {port + 1}"
    says = f"{port} is {advice if taken else 'free'}"
    return Finding("port", None if taken else True, says)


def _browser() -> Finding:
    for name in BROWSERS:
        if path := shutil.which(name):
            return Finding("Chromium", True, path)
    return Finding("Chromium", None, "not on the path; only the browser tests need it")


def _network() -> Finding:
    if re.fullmatch("1|on|yes|true", os.environ.get("HF_HUB_OFFLINE", ""), re.IGNORECASE):
        return Finding("network", True, "off by choice (HF_HUB_OFFLINE); the lab needs none")
    try:
        with socket.create_connection(HUB, timeout=2):
            return Finding("network", True, "on; the lab needs none")
    except OSError:
        return Finding("network", True, "off; the lab needs none")


def main(as_json: bool = False, port: int = 8501) -> int:
    """Print the report; 0 when nothing that the lab needs is missing, 1 otherwise."""
    findings = list(examine(port))
    healthy = all(finding.ok is not False for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(f) for f in findings]}))
    else:
        show(findings)
        print(f"\nThe lab {'can run' if healthy else 'cannot run yet: see the lines that say NO'}.")
    return 0 if healthy else 1


def show(findings: Iterable[Finding]) -> None:
    """Print a line for each."""
    marks = {True: "ok", None: "--", False: "NO"}
    for finding in findings:
        print(f"{marks[finding.ok]:>4}  {finding.what:<18} {finding.says}")
