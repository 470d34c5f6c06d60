"""The machine at hand: memory by psutil, NVIDIA's cards by nvidia-smi, Apple's chip by sysctl."""

import platform
import shutil
import subprocess
from dataclasses import replace

import psutil

from quantcore.memory.hardware import (
    Device,
    Machine,
    card_reported_as,
    machine,
    macs,
    unified_machine,
)
from quantcore.memory.sizes import gib

QUERY = ("--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
PATIENCE_S = 10
HERE = "this machine"


def this_machine() -> Machine:
    """Look at memory and cards; what a tool cannot say is left out, and nothing is raised."""
    memory = psutil.virtual_memory().total
    system = Device(name=f"{gib(memory)} of system memory", memory_bytes=memory, kind="cpu")
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        chip = _answer("sysctl", "-n", "machdep.cpu.brand_string").strip() or "Apple silicon"
        return apple_machine(chip, memory)
    cards = parse_nvidia_smi(_answer("nvidia-smi", *QUERY))
    return replace(machine(cards, system), name=HERE)


def parse_nvidia_smi(text: str) -> tuple[Device, ...]:
    """Read the answer to `QUERY`, a card a line: "NVIDIA GeForce RTX 4090, 24564, 715" in MiB.

    Bandwidth and FLOPS are those of the known card with that name and about that memory.
    """
    cards = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 2)]
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit() and int(fields[1]):
            total, used = int(fields[1]) << 20, int(fields[2]) << 20
            cards.append(_card(fields[0], total, min(used, total)))
    return tuple(cards)


def apple_machine(chip: str, memory: int) -> Machine:
    """Take the figures of a known Mac with that chip, whatever its memory."""
    known = {mac.gpus[0].name.split(",")[0]: mac.gpus[0] for mac in macs().values()}.get(chip)
    name = f"{chip}, {gib(memory)}"
    device = replace(known, name=name, memory_bytes=memory) if known else None
    return unified_machine(device or Device(name=name, memory_bytes=memory, kind="unified"))


def _card(name: str, total: int, used: int) -> Device:
    known = card_reported_as(name)
    if known and abs(known.memory_bytes - total) < known.memory_bytes / 20:
        return replace(known, memory_bytes=total, taken_bytes=used)
    return Device(name=name, memory_bytes=total, taken_bytes=used)


def _answer(program: str, *arguments: str) -> str:
    """Return the standard output of a program, "" where there is none or it fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run(
            (path, *arguments), capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout
