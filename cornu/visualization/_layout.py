"""Where the boxes of a graph stand: in layers, each below all that leads to it.

The method is that of Sugiyama, Tagawa and Toda (1981): boxes get ranks, those of a rank an order with few
crossings, then places as near to what they are joined with as their sizes allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Edge = tuple[int, int]
Point = tuple[float, float]

#: Between boxes of a rank, and between ranks, in the unit of their sizes.
GAP, SPACE = 24.0, 40.0
#: How often orders and places are improved, down and up.
_SWEEPS = 6


class Layout(NamedTuple):
    """Where everything stands.

    Attributes:
        centres: Of each box its middle.
        routes: Of each edge the points that it runs through, from the middle of a box to that of another.
        size: The width and the height of all.
    """

    centres: dict[int, Point]
    routes: dict[Edge, list[Point]]
    size: Point


def layout(sizes: Mapping[int, Point], edges: Sequence[Edge]) -> Layout:
    """Place boxes of these sizes, ranks from top to bottom.

    Args:
        sizes: The width and height of each box, in the order in which what they stand for happens: an edge to
            one that stands before runs upwards.
        edges: Pairs of boxes.

    >>> found = layout({0: (10, 10), 1: (10, 10), 2: (10, 10)}, [(0, 1), (0, 2)])
    >>> found.centres[0], found.centres[1], found.size
    ((22.0, 5.0), (5.0, 55.0), (44.0, 60.0))
    """
    place = {box: i for i, box in enumerate(sizes)}
    down = {(a, b): (a, b) if place[a] < place[b] else (b, a) for a, b in edges if a != b}
    ranks = _ranks(sizes, list(down.values()))
    # An edge over several ranks goes by way of a bend in each, a box without a size.
    sizes = dict(sizes)
    bends: dict[Edge, list[int]] = {}
    for a, b in dict.fromkeys(down.values()):
        between, first = range(ranks[a] + 1, ranks[b]), 1 + max(sizes)
        bends[a, b] = list(range(first, first + len(between)))
        sizes |= dict.fromkeys(bends[a, b], (0.0, 0.0))
        ranks |= dict(zip(bends[a, b], between, strict=True))
    joined = [pair for (a, b), way in bends.items() for pair in pairwise([a, *way, b])]
    rows = _ordered(ranks, joined)
    xs = _across(rows, joined, sizes)
    ys: dict[int, Point] = {}
    size = 0.0
    for row in rows:
        height = max(sizes[box][1] for box in row)
        ys |= dict.fromkeys(row, (size, size + height))
        size += height + SPACE
    left = min((xs[box] - width / 2 for box, (width, _) in sizes.items()), default=0.0)
    right = max((xs[box] + width / 2 for box, (width, _) in sizes.items()), default=0.0)
    centres = {box: (xs[box] - left, sum(ys[box]) / 2) for box in place}
    routes = {}
    for edge, (a, b) in down.items():
        # Past the boxes of a rank it runs straight down.
        past = [(xs[bend] - left, y) for bend in bends[a, b] for y in ys[bend]]
        way = [centres[a], *past, centres[b]]
        routes[edge] = way if edge == (a, b) else way[::-1]
    return Layout(centres, routes, (right - left, max(size - SPACE, 0.0)))


def _ranks(boxes: Iterable[int], edges: Collection[Edge]) -> dict[int, int]:
    """The rank of each box: below all that leads to it, what nothing leads to just above what it leads to."""
    after = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
    ranks = dict.fromkeys(boxes, 0)
    for box in ranks:
        for other in after[box]:
            ranks[other] = max(ranks[other], ranks[box] + 1)
    led_to = {b for _, b in edges}
    for box in ranks:
        if box not in led_to and after[box]:
            ranks[box] = min(ranks[other] for other in after[box]) - 1
    return ranks


def _ordered(ranks: Mapping[int, int], joined: Sequence[Edge]) -> list[list[int]]:
    """The boxes of each rank from left to right: by the means of those they are joined with, the best of some
    sweeps."""
    rows: list[list[int]] = [[] for _ in range(1 + max(ranks.values(), default=-1))]
    for box, rank in ranks.items():
        rows[rank].append(box)
    above, below = _neighbours(joined)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        near = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            places = {box: i for other in rows for i, box in enumerate(other)}
            means = {box: _mean([places[x] for x in near[box]], places[box]) for box in row}
            row.sort(key=means.__getitem__)
        if (count := _crossings(rows, below)) < fewest:
            best, fewest = rows, count
    return best


def _crossings(rows: Sequence[Sequence[int]], below: Mapping[int, Sequence[int]]) -> int:
    count = 0
    for row, following in pairwise(rows):
        places = {box: i for i, box in enumerate(following)}
        ends: list[int] = []
        for box in row:
            found = [places[x] for x in below[box]]
            count += sum(end > place for end in ends for place in found)
            ends += found
    return count


def _across(
    rows: Sequence[Sequence[int]], joined: Sequence[Edge], sizes: Mapping[int, Point]
) -> dict[int, float]:
    """Where the middle of each box is from left to right."""
    above, below = _neighbours(joined)
    xs: dict[int, float] = {}
    for row in rows:
        xs |= _spread(row, dict.fromkeys(row, 0.0), sizes)
    for sweep in range(2 * _SWEEPS):
        near = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            xs |= _spread(row, {b: _mean([xs[x] for x in near[b]], xs[b]) for b in row}, sizes)
    return xs


def _spread(
    row: Sequence[int], wanted: Mapping[int, float], sizes: Mapping[int, Point]
) -> dict[int, float]:
    """Places as near as can be to those that are wanted (least squares), without overlaps.

    With what stands before each box subtracted, they must not fall: an isotonic regression.
    """
    offsets, at = [], 0.0
    for box in row:
        offsets.append(at + sizes[box][0] / 2)
        at += sizes[box][0] + GAP
    groups: list[list[float]] = []
    for box, offset in zip(row, offsets, strict=True):
        groups.append([wanted[box] - offset])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    levels = [_mean(group) for group in groups for _ in group]
    return {box: x + y for box, x, y in zip(row, levels, offsets, strict=True)}


def _neighbours(joined: Sequence[Edge]) -> tuple[Mapping[int, list[int]], Mapping[int, list[int]]]:
    """The boxes above each box, and those below."""
    above, below = defaultdict(list), defaultdict(list)
    for a, b in joined:
        above[b].append(a)
        below[a].append(b)
    return above, below


def _mean(values: Sequence[float], otherwise: float = 0.0) -> float:
    return sum(values) / len(values) if values else otherwise
