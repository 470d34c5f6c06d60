"""Machines that models run on: memory, its bandwidth, arithmetic. Figures in assets/hardware.json.

A card sold with "24 GB" has chips of 24 GiB, and the driver keeps some of it: `memory_bytes` is
what it reports. Bandwidths and FLOPS are those of the data sheets, which no program reaches.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from quantcore.memory.sizes import gib, parse_size

ASSET = Path(__file__).resolve().parents[2] / "assets" / "hardware.json"
MOST_GPUS = 16  # llama.cpp's GGML_CUDA_MAX_DEVICES

Kind = Literal["gpu", "cpu", "unified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Memory and what computes on it; None where the figure is not known."""

    name: str
    memory_bytes: int
    bandwidth_bytes_per_s: float | None = None
    flops: float | None = None  # a second, dense float16
    kind: Kind = "gpu"
    taken_bytes: int = 0  # by other programs, where that was measured
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        if self.memory_bytes < 1 or not 0 <= self.taken_bytes <= self.memory_bytes:
            raise ValueError(f"{self.name} must have memory, got {self.memory_bytes:,} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """GPUs beside system memory; with unified memory both are the same chips.

    `system` is None where only the cards are known. `gpu_share` is the part of unified memory that
    the system lets the GPU use.
    """

    name: str
    gpus: tuple[Device, ...] = ()
    system: Device | None = None
    unified: bool = False
    gpu_share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a machine without memory."""
        if not self.gpus and self.system is None:
            raise ValueError("A machine needs a GPU or system memory")
        if len(self.gpus) > MOST_GPUS:
            raise ValueError(f"{len(self.gpus)} GPUs are more than the {MOST_GPUS} of one program")

    @property
    def system_memory_bytes(self) -> int | None:
        """Bytes of system memory, None where it is not known."""
        return self.system.memory_bytes if self.system else None

    def usable_bytes(self, gpu: Device) -> int:
        """Bytes of a GPU's memory that programs may use."""
        return int(gpu.memory_bytes * self.gpu_share) - gpu.taken_bytes

    @property
    def gpu_memory_bytes(self) -> int | None:
        """Bytes of all GPUs together that programs may use, None where there is no GPU."""
        return sum(map(self.usable_bytes, self.gpus)) if self.gpus else None


@cache
def _asset() -> dict[str, Any]:
    return json.loads(ASSET.read_text(encoding="utf-8"))


@cache
def gpus() -> dict[str, Device]:
    """Known graphics cards by name, consumers' first."""
    return {
        entry["name"]: Device(
            name=entry["name"],
            memory_bytes=entry["memory_mib"] << 20,
            bandwidth_bytes_per_s=entry["bandwidth_gb_s"] * 1e9,
            flops=entry["tflops"] * 1e12,
            source=entry["source"],
        )
        for entry in _asset()["gpus"]
    }


def card_reported_as(name: str) -> Device | None:
    """Find the card that nvidia-smi calls by this name."""
    names = (entry["name"] for entry in _asset()["gpus"] if entry.get("nvidia_smi") == name)
    return next((gpus()[card] for card in names), None)


@cache
def systems() -> dict[str, Device]:
    """System memories by name, without FLOPS: processors beside the same memory differ too much."""
    return {
        entry["name"]: Device(
            name=entry["name"],
            memory_bytes=entry["memory_gib"] << 30,
            bandwidth_bytes_per_s=entry["bandwidth_gb_s"] * 1e9,
            kind="cpu",
            source=entry["source"],
        )
        for entry in _asset()["systems"]
    }


@cache
def macs() -> dict[str, Machine]:
    """Macs with Apple silicon by name, such as "M3 Max, 48 GB"."""
    return {
        f"{entry['chip']}, {size} GB": _mac(entry, size)
        for entry in _asset()["macs"]
        for size in entry["memory_gib"]
    }


def _mac(entry: dict[str, Any], memory_gib: int) -> Machine:
    name = f"{entry['chip']}, {memory_gib} GB"
    chip = Device(
        name=f"Apple {name}",
        memory_bytes=memory_gib << 30,
        bandwidth_bytes_per_s=entry["bandwidth_gb_s"] * 1e9,
        flops=entry["tflops"] * 1e12,
        kind="unified",
        source="; ".join(filter(None, (_asset()["mac_source"], entry["note"]))),
    )
    return unified_machine(chip)


def unified_machine(chip: Device) -> Machine:
    """Let the GPU use what macOS allows it: two thirds up to 32 GiB, three quarters above.

    That is Metal's recommendedMaxWorkingSetSize in logs of many machines; sources lie with the
    data. `sysctl iogpu.wired_limit_mb` changes it.
    """
    share = 2 / 3 if chip.memory_bytes <= 32 << 30 else 3 / 4
    system = replace(chip, kind="cpu", flops=None)
    return Machine(name=chip.name, gpus=(chip,), system=system, unified=True, gpu_share=share)


def card(text: str) -> Device:
    """Find a known card by its name, or make one of a size.

    Examples
    --------
    >>> card("rtx 4090").memory_bytes >> 20, card("24GiB").name
    (24564, 'GPU with 24.0 GiB')

    Raises
    ------
    ValueError
        If it is neither.
    """
    known = {name.upper(): device for name, device in gpus().items()}
    if named := known.get(text.strip().upper()):
        return named
    size = parse_size(text)
    return Device(name=f"GPU with {gib(size)}", memory_bytes=size, source="as given")


def system_memory(text: str) -> Device:
    """Find a known system memory by its name, or make one of a size.

    Examples
    --------
    >>> system_memory("32 GB DDR5-5600").memory_bytes >> 30, system_memory("24GiB").name
    (32, '24GiB of system memory')

    Raises
    ------
    ValueError
        If it is neither.
    """
    if known := systems().get(text):
        return known
    return Device(name=f"{text} of system memory", memory_bytes=parse_size(text), kind="cpu")


def machine(cards: Sequence[Device] = (), system: Device | None = None) -> Machine:
    """Put cards and system memory together.

    Examples
    --------
    >>> machine([gpus()["RTX 3090"]] * 2, systems()["64 GB DDR4-3200"]).name
    '2 × RTX 3090, 64 GB DDR4-3200'
    """
    counts: dict[str, int] = {}
    for card in cards:
        counts[card.name] = counts.get(card.name, 0) + 1
    parts = [f"{count} × {name}" if count > 1 else name for name, count in counts.items()]
    name = ", ".join(parts + ([system.name] if system else []))
    return Machine(name=name, gpus=tuple(cards), system=system)
