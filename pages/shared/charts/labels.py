"""Where labels stand, so that neighbours do not collide."""

from collections.abc import Sequence

_LETTER, _LINE, _MARK = 7.0, 15.0, 9.0  # pixels: a letter's width, a line, half a marker and a gap
_SIDES = {
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top center": (0, 1),
    "bottom center": (0, -1),
    "top right": (1, 1),
    "bottom left": (-1, -1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
}

Box = tuple[float, float, float, float]  # left, bottom, right, top


def sides(
    x: Sequence[float],
    y: Sequence[float],
    texts: Sequence[str],
    size: tuple[float, float],
    avoid: Sequence[tuple[float, float]] = (),
    written: Sequence[Box] = (),
) -> list[str]:
    """Choose plotly's ``textposition`` of each label; "" for one that has no free place.

    Parameters
    ----------
    x, y
        Places of the marks in pixels, upwards.
    texts
        The labels, the most important first: earlier ones choose first.
    size
        Width and height of the plot in pixels; labels stay inside.
    avoid
        Further places that a label should not cover.
    written
        Words that stand in the chart already.

    Examples
    --------
    >>> sides([50, 60], [20, 20], ["left", "right"], (120, 40))
    ['middle left', 'middle right']
    """
    marks = [(px - 6, py - 6, px + 6, py + 6) for px, py in zip(x, y, strict=True)]
    taken: list[Box] = [(px - 5, py - 5, px + 5, py + 5) for px, py in avoid] + [*written]
    chosen = []
    for i, text in enumerate(texts):
        others = marks[:i] + marks[i + 1 :] + taken
        free = ((side, _box(x[i], y[i], text, way)) for side, way in _SIDES.items())
        side, box = next(
            ((s, b) for s, b in free if _inside(b, size) and not any(_touch(b, o) for o in others)),
            ("", None),
        )
        chosen.append(side)
        if box:
            taken.append(box)
    return chosen


def box(left: float, middle: float, text: str) -> Box:
    """Find the place of a line of words that begins at `left`, at half its height."""
    return left, middle - _LINE / 2, left + _LETTER * len(text), middle + _LINE / 2


def _box(x: float, y: float, text: str, way: tuple[int, int]) -> Box:
    width, (right, up) = _LETTER * len(text), way
    # Plotly sets corner labels close to the mark, as if it were a small square.
    left = x - width / 2 if right == 0 else x + _MARK if right > 0 else x - _MARK - width
    bottom = y - _LINE / 2 if up == 0 else y + _MARK if up > 0 else y - _MARK - _LINE
    return left, bottom, left + width, bottom + _LINE


def _inside(box: Box, size: tuple[float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
