"""Machines and sizes: what data sheets and programs say, and mistakes told in a sentence."""

import subprocess

import pytest

from quantcore.memory import hardware, this_machine
from quantcore.memory.hardware import Device, Machine, card, gpus, machine, macs, systems
from quantcore.memory.sizes import gib, parse_size

GIB = 2**30
SMI = """NVIDIA GeForce RTX 4090, 24564, 715
NVIDIA GeForce RTX 4060 Ti, 8188, 11
Tesla T4, 15360, 0
[Not Supported], [N/A], [N/A]
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GiB", 24 * GIB),
        ("24 GB", 24 * 10**9),
        ("24g", 24 * GIB),
        (" 1.5 TiB ", 3 * 2**39),
        ("16384MiB", 16 * GIB),
        ("24Gi", 24 * GIB),
        ("512 b", 512),
        (".5gb", 5 * 10**8),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["24", "", "GB", "24 gigs", "24 GBB", "two GB", "1e3 GB", "nan GB", "1,024 MB", "24 GB 8"],
)
def test_misspelt_sizes_are_told_how_to_write_them(text):
    with pytest.raises(ValueError, match="is not a size: write a number with B, KB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0 GB", "-24GiB", "0.1 B", "1025 PiB", "9" * 24 + " GB"])
def test_impossible_sizes_are_refused(text):
    with pytest.raises(ValueError, match="a size is more than 0"):
        parse_size(text)


def test_a_card_has_what_its_driver_reports_and_not_the_gigabytes_of_the_box():
    for name, sold in [("RTX 4090", 24), ("L4", 24), ("H100 80 GB", 80), ("H200", 141)]:
        size = gpus()[name].memory_bytes
        assert 0.93 * sold * GIB < size <= sold * GIB
    assert gpus()["L4"].memory_bytes < 22.5 * GIB  # error correction takes a sixteenth of the chips
    assert gpus()["RTX 4090"].memory_bytes > 24e9


def test_every_figure_has_a_source():
    devices = [*gpus().values(), *systems().values(), *(m.gpus[0] for m in macs().values())]
    assert len(devices) > 60
    for device in devices:
        assert device.source
        assert 5e9 < device.bandwidth_bytes_per_s < 1e13
        assert device.flops is None or 1e12 < device.flops < 1e16


def test_bandwidth_follows_from_bus_and_clock():
    """Bits of the bus times transfers a second, in bytes, as the data sheets give both."""
    buses = {
        "RTX 3060 12 GB": (192, 15.0),
        "RTX 3090": (384, 19.5),
        "RTX 4060 Ti 16 GB": (128, 18.0),
        "RTX 4070": (192, 21.0),
        "RTX 4080": (256, 22.4),
        "RTX 4090": (384, 21.0),
        "RTX 3080 10 GB": (320, 19.0),
        "RTX 5060 Ti 16 GB": (128, 28.0),
        "RTX 5070 Ti": (256, 28.0),
        "RTX 5080": (256, 30.0),
        "RTX 5090": (512, 28.0),
        "RTX PRO 6000": (512, 28.0),
        "RX 7900 XTX": (384, 20.0),
        "A10": (384, 12.5),
        "T4": (256, 10.0),
        "L40S": (384, 18.0),
        "A100 40 GB": (5120, 2.43),
    }
    for name, (bits, gbps) in buses.items():
        assert gpus()[name].bandwidth_bytes_per_s == pytest.approx(bits * gbps * 1e9 / 8, rel=0.002)
    assert systems()["32 GB DDR5-5600"].bandwidth_bytes_per_s == 5600e6 * 8 * 2
    assert systems()["16 GB DDR4-3200"].bandwidth_bytes_per_s == 3200e6 * 8 * 2


@pytest.mark.parametrize(
    ("name", "usable_gib"),
    [
        ("M2, 24 GB", 16),  # logged by ggml_metal_init as 17179.89 MB
        ("M1 Max, 32 GB", 21.333),  # 21845.34 MB, ollama issue 434
        ("M3 Pro, 36 GB", 27),
        ("M3 Max, 48 GB", 36),  # 38654.71 MB
        ("M2 Max, 96 GB", 72),  # 73728.00 MB, llama.cpp issue 3213
    ],
)
def test_macs_let_the_gpu_use_what_metal_recommends(name, usable_gib):
    mac = macs()[name]
    assert mac.unified and mac.gpus[0].kind == "unified"
    assert mac.usable_bytes(mac.gpus[0]) / GIB == pytest.approx(usable_gib, abs=0.001)
    assert mac.system_memory_bytes == mac.gpus[0].memory_bytes


def test_a_machine_has_memory_and_not_too_many_cards():
    with pytest.raises(ValueError, match="needs a GPU or system memory"):
        machine()
    with pytest.raises(ValueError, match="17 GPUs are more"):
        machine([gpus()["T4"]] * 17)
    with pytest.raises(ValueError, match="must have memory"):
        Device(name="card", memory_bytes=0)
    with pytest.raises(ValueError, match="must have memory"):
        Device(name="card", memory_bytes=-1)
    assert Machine(name="card", gpus=(gpus()["T4"],)).system_memory_bytes is None


def test_a_card_is_known_by_name_or_made_of_a_size():
    assert card(" l40s ") is gpus()["L40S"]
    assert card("20 GB").memory_bytes == 20 * 10**9
    assert card("20 GB").bandwidth_bytes_per_s is None
    with pytest.raises(ValueError, match="'RTX 9999' is not a size"):
        card("RTX 9999")


def test_nvidia_smi_is_read_line_by_line():
    big, small, t4 = this_machine.parse_nvidia_smi(SMI)
    assert big.name == "RTX 4090" and big.flops == gpus()["RTX 4090"].flops
    assert (big.memory_bytes, big.taken_bytes) == (24564 << 20, 715 << 20)
    assert small.name == "NVIDIA GeForce RTX 4060 Ti"  # half the memory of the one that is known
    assert small.bandwidth_bytes_per_s is None
    assert t4.name == "T4"
    assert this_machine.parse_nvidia_smi("NVIDIA-SMI has failed, no driver") == ()
    assert machine((big,)).usable_bytes(big) == (24564 - 715) << 20


def test_apples_chip_keeps_its_figures_at_any_memory():
    mac = this_machine.apple_machine("Apple M3 Max", 36 << 30)
    assert (
        mac.gpus[0].bandwidth_bytes_per_s == macs()["M3 Max, 48 GB"].gpus[0].bandwidth_bytes_per_s
    )
    assert mac.usable_bytes(mac.gpus[0]) == 27 << 30
    assert this_machine.apple_machine("Apple M9", 16 << 30).gpus[0].flops is None


def test_this_machine_is_found_with_and_without_the_tools(monkeypatch):
    monkeypatch.setattr(this_machine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(this_machine.shutil, "which", lambda program: None)
    plain = this_machine.this_machine()
    assert plain.gpus == () and plain.system_memory_bytes > 2**28

    def run(command, **_):
        return subprocess.CompletedProcess(command, 0, stdout=SMI)

    monkeypatch.setattr(this_machine.shutil, "which", lambda program: program)
    monkeypatch.setattr(this_machine.subprocess, "run", run)
    assert len(this_machine.this_machine().gpus) == 3

    def fail(command, **_):
        raise subprocess.TimeoutExpired(command, 10)

    monkeypatch.setattr(this_machine.subprocess, "run", fail)
    assert this_machine.this_machine().gpus == ()


def test_the_asset_says_what_its_units_are():
    notes = " ".join(hardware._asset()["notes"])
    assert "binary" in notes and "10^9" in notes
    assert gib(gpus()["RTX 4090"].memory_bytes) == "24.0 GiB"
