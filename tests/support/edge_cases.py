"""Rows of 512 weights at the edges of float32 and float16, where formats go wrong first."""

import numpy as np

LARGEST = np.float32(3.4028235e38)


def edge_rows() -> dict[str, np.ndarray]:
    """Return float32 (512,) by name, all finite; the same each time."""
    rng = np.random.default_rng(1)
    normal = rng.normal(size=512).astype(np.float32)
    sign = np.sign(normal)
    some = rng.random(512) < 0.3
    zeros = np.where(rng.random(512) < 0.5, np.float32(0), np.float32(-0.0))
    spike = np.where(np.arange(512) % 32 == 7, np.float32(1), np.float32(0))
    rows = {f"normal times 1e{power}": normal * np.float32(10.0**power) for power in _POWERS}
    rows |= {
        "largest, both signs": sign * LARGEST,
        "largest": np.full(512, LARGEST),
        "minus zero": np.full(512, -0.0),
        "zeros of both signs": zeros,
        "zeros among positive": np.where(some, zeros, abs(normal)),
        "zeros among negative": np.where(some, zeros, -abs(normal)),
        "constant": np.full(512, 0.3),
        "negative constant": np.full(512, -0.3),
        "one magnitude": sign,
        "ties of 4 bits": rng.integers(-8, 9, 512) / 2,
        "ties of 6 bits": rng.integers(-32, 33, 512) / 2,
        "ties of 8 bits": rng.integers(-254, 255, 512) / 2,
        "ties from zero": rng.integers(0, 31, 512) + 0.5,
        "one weight a block": spike,
        "one negative weight a block": -spike,
        "all magnitudes": normal * np.exp(20 * rng.normal(size=512)).clip(1e-30, 1e30),
        "largest float16": sign * np.float32(65504),
        "scale beyond float16": sign * np.float32(65520 * 127),
        "scale below float16": sign * np.float32(2.0**-22),
        "scale subnormal in float16": normal * np.float32(2.0**-21),
    }
    return {name: np.asarray(row, np.float32) for name, row in rows.items()}


_POWERS = (-44, -39, -37, -35, -30, -20, -9, -6, 5, 7, 20, 30, 37)
