"""Placement of names beside the points of a scatter plot without overlaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Box = tuple[float, float, float, float]  # left, bottom, right, top; pixels

CHARACTER_PX, LINE_PX, MARKER_PX = 7.2, 15.0, 8.0


@dataclass(frozen=True, slots=True)
class Label:
    """Offset of a name's centre from its point, in pixels; `up` is positive upwards."""

    right: float
    up: float


def place(
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    size: tuple[float, float],
    line: Sequence[tuple[float, float]] = (),
) -> list[Label]:
    """Place each name at the nearest candidate position that covers no point, no line and no other name.

    Args:
        points: In the unit square, (0, 0) at the bottom left.
        names: One per point.
        size: Width and height of the plot, in pixels.
        line: The corners of a stepped line, in the unit square.
    """
    centres = [(x * size[0], y * size[1]) for x, y in points]
    taken: list[Box] = [(x - MARKER_PX, y - MARKER_PX, x + MARKER_PX, y + MARKER_PX) for x, y in centres]
    corners = [(x * size[0], y * size[1]) for x, y in line]
    taken += [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(corners)]
    labels = []
    for (x, y), name in zip(centres, names, strict=True):
        half = CHARACTER_PX * len(name) / 2
        candidates = [
            (side * (half + MARKER_PX + 3 + away / 2), up)
            for away in range(0, 160, 8)
            for up in ((0.0,) if away == 0 else (float(away), float(-away)))
            for side in (1, -1, 0)
            if side or away >= LINE_PX
        ]
        right, up = next(
            (
                (dx, dy)
                for dx, dy in candidates
                if x + dx - half >= 0 and x + dx + half <= size[0] and not _hits(_box(x + dx, y + dy, half), taken)
            ),
            candidates[0],
        )
        taken.append(_box(x + right, y + up, half))
        labels.append(Label(right, up))
    return labels


def _box(x: float, y: float, half: float) -> Box:
    return (x - half, y - LINE_PX / 2, x + half, y + LINE_PX / 2)


def _hits(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in others)
