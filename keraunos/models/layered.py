"""Where the boxes of a diagram go: ranks by depth, few crossings, straight chains.

Places are (along, across) pairs: along the way the data go, and across it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keraunos.models.diagram import Diagram, End, Label

Point = tuple[float, float]

_GAP, _SPACE, _TRACK, _PAD, _TITLE, _AROUND = 30.0, 22.0, 7.0, 14.0, 16.0, 12.0
_SWEEPS = 8
_LIGHT = 1e-4  # how much a long edge counts where it pulls at a box


@dataclass
class Picture:
    """Boxes, frames around inner models, and the lines between them, with their places."""

    size: Point = (0.0, 0.0)
    boxes: list[tuple[Label, Point, Point]] = field(default_factory=list)
    frames: list[tuple[str, Point, Point]] = field(default_factory=list)
    lines: list[tuple[list[Point], bool]] = field(default_factory=list)
    inputs: list[list[Point]] = field(default_factory=list)
    outputs: list[list[Point]] = field(default_factory=list)

    def take(self, other: "Picture", by: Point) -> None:
        """Put another picture into this one."""
        move = lambda point: (point[0] + by[0], point[1] + by[1])
        self.boxes += [(label, move(place), size) for label, place, size in other.boxes]
        self.frames += [(title, move(place), size) for title, place, size in other.frames]
        self.lines += [(list(map(move, points)), head) for points, head in other.lines]
        self.inputs = [[move(p) for p in points] for points in other.inputs]
        self.outputs = [[move(p) for p in points] for points in other.outputs]


@dataclass(eq=False)
class _Item:
    """What takes room in a rank: a box, a framed picture, or a long edge passing by."""

    rank: int
    size: Point
    picture: Picture | None = None
    weight: float = 1.0
    along: float = 0.0  # where it starts
    across: float = 0.0  # its middle
    before: list["_Item"] = field(default_factory=list)
    after: list["_Item"] = field(default_factory=list)


def layout(drawn: Diagram, measure: Callable[[Label], Point], rankdir: str) -> Picture:
    """Place the parts of a diagram; `measure` tells the size of a label along and across."""
    return _layout(drawn, measure, rankdir, False)


def _layout(drawn: Diagram, measure: Any, rankdir: str, inner: bool) -> Picture:
    ranks, skips = _ranks(drawn), _skips(drawn)
    items = []
    for part, rank in zip(drawn.parts, ranks):
        if isinstance(part, Label):
            picture = _boxed(part, measure(part))
        else:
            picture = _framed(part.title, _layout(part, measure, rankdir, True), rankdir)
        items.append(_Item(rank, picture.size, picture))
    paths, loops = {}, []
    for start, end in drawn.edges:
        if start.part < end.part:
            weight = _LIGHT if (start.part, end.part) in skips else 1.0
            paths[start, end] = _path(items[start.part], items[end.part], items, weight)
        else:
            loops.append((start, end))
    ports = {}
    if inner:  # a line leads from each output to the frame's edge, past what lies between
        last = max(ranks, default=0) + 1
        for end in dict.fromkeys(end for ends in drawn.outputs for end in ends):
            items.append(_Item(last, (0.0, 0.0), Picture(inputs=[[(0.0, 0.0)]])))
            ports[end] = items[-1]
            paths[end, End(len(items) - 1, 0)] = _path(items[end.part], items[-1], items, _LIGHT)
    rows: list[list[_Item]] = [[] for _ in range(max((i.rank for i in items), default=-1) + 1)]
    for item in items:
        rows[item.rank].append(item)
    _order(rows)
    _settle(rows)
    edges = list(paths.values())
    for path in [*edges, *reversed(edges), *edges]:  # one that moves makes room for others
        _straighten(path[1:-1], rows)
    return _drawn(drawn, items, rows, paths, loops, ports)


def _boxed(label: Label, size: Point) -> Picture:
    middle = size[1] / 2
    boxes = [(label, (0.0, 0.0), size)]
    return Picture(size, boxes, inputs=[[(0.0, middle)]], outputs=[[(size[0], middle)]])


def _framed(title: str, picture: Picture, rankdir: str) -> Picture:
    """A picture with a frame around it, and room for the title at the frame's upper edge."""
    start = (_PAD + _TITLE * (rankdir == "TB"), _PAD + _TITLE * (rankdir in ("LR", "RL")))
    rest = _PAD + _TITLE * (rankdir == "BT"), _PAD
    size = (picture.size[0] + start[0] + rest[0], picture.size[1] + start[1] + rest[1])
    framed = Picture(size, frames=[(title, (0.0, 0.0), size)])
    framed.take(picture, start)
    framed.lines += [
        ([p, (size[0], p[1])], False) for p in {p for ps in framed.outputs for p in ps}
    ]
    framed.outputs = [[(size[0], p[1]) for p in points] for points in framed.outputs]
    return framed


def _ranks(drawn: Diagram) -> list[int]:
    """The depth of every part. Edges back, where a layer is used again, do not count."""
    ranks = [0] * len(drawn.parts)
    for start, end in sorted(drawn.edges, key=lambda edge: edge[1].part):
        if start.part < end.part:
            ranks[end.part] = max(ranks[end.part], ranks[start.part] + 1)
    return ranks


def _skips(drawn: Diagram) -> set[tuple[int, int]]:
    """The edges beside which another way leads from the same part to the same part."""
    edges = sorted(
        {(a.part, b.part) for a, b in drawn.edges if a.part < b.part}, key=lambda e: e[1]
    )
    before: list[set[int]] = [set() for _ in drawn.parts]
    for start, end in edges:
        before[end] |= {start, *before[start]}
    parents: dict[int, list[int]] = {}
    for start, end in edges:
        parents.setdefault(end, []).append(start)
    return {(a, b) for a, b in edges if any(a in before[other] for other in parents[b])}


def _path(start: _Item, end: _Item, items: list[_Item], weight: float) -> list[_Item]:
    """The items from one to another, one in each rank; those on the way are made."""
    between = [_Item(rank, (0.0, 0.0), weight=weight) for rank in range(start.rank + 1, end.rank)]
    items += between
    path = [start, *between, end]
    for a, b in itertools.pairwise(path):
        a.after.append(b)
        b.before.append(a)
    return path


# Order and place ----------------------------------------------------------------------------


def _order(rows: list[list[_Item]]) -> None:
    """Order the ranks by the barycentres of their neighbours, and keep the best order seen."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            place = {id(item): k for k, item in enumerate(rows[i - 1 if down else i + 1])}
            keys = {}
            for k, item in enumerate(rows[i]):
                near = [place[id(other)] for other in (item.before if down else item.after)]
                keys[id(item)] = sum(near) / len(near) if near else k
            rows[i].sort(key=lambda item: keys[id(item)])
        count = _crossings(rows)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best


def _crossings(rows: list[list[_Item]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {id(item): k for k, item in enumerate(lower)}
        ends = [sorted(place[id(other)] for other in item.after) for item in upper]
        seen: list[int] = []
        for mine in ends:
            count += sum(other > end for end in mine for other in seen)
            seen += mine
    return count


def _settle(rows: list[list[_Item]]) -> None:
    """Move the items across, each to the middle of its neighbours as far as there is room."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS + 1):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _spread(row, [_wish(item, sweep) for item in row])


def _wish(item: _Item, sweep: int) -> float:
    near = item.before if sweep % 2 == 0 else item.after
    total = sum(other.weight for other in near)
    return sum(o.across * o.weight for o in near) / total if total else item.across


def _spread(row: list[_Item], wishes: list[float]) -> None:
    """The places nearest to the wishes, by weighted squares, that keep order and distance."""
    offset, offsets = 0.0, []
    for before, item in zip([None, *row], row):
        if before is not None:
            offset += (before.size[1] + item.size[1]) / 2 + _SPACE
        offsets.append(offset)
    pools: list[list[float]] = []  # mean, weight, number of items
    for item, wish, offset in zip(row, wishes, offsets):
        pools.append([wish - offset, item.weight, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            mean, weight, number = pools.pop()
            other = pools[-1]
            other[0] = (other[0] * other[1] + mean * weight) / (other[1] + weight)
            other[1], other[2] = other[1] + weight, other[2] + number
    means = [pool[0] for pool in pools for _ in range(int(pool[2]))]
    for item, mean, offset in zip(row, means, offsets):
        item.across = mean + offset


def _straighten(between: list[_Item], rows: list[list[_Item]]) -> None:
    """Put the middle of a long edge on one straight line, if it has room on one."""
    rooms = [_room(item, rows[item.rank]) for item in between]
    if not rooms:
        return
    low, high = max(room[0] for room in rooms), min(room[1] for room in rooms)
    if low <= high + 0.5:  # rounding
        wish = sorted(item.across for item in between)[len(between) // 2]
        for item in between:
            item.across = min(max(wish, low), high)


def _room(item: _Item, row: list[_Item]) -> Point:
    """How far to the left and to the right an item may go between its neighbours."""
    k = row.index(item)
    low, high = -float("inf"), float("inf")
    if k > 0:
        low = row[k - 1].across + (row[k - 1].size[1] + item.size[1]) / 2 + _SPACE
    if k + 1 < len(row):
        high = row[k + 1].across - (row[k + 1].size[1] + item.size[1]) / 2 - _SPACE
    return low, high


# Lines --------------------------------------------------------------------------------------


def _drawn(
    drawn: Diagram, items: list, rows: list, paths: dict, loops: list, ports: dict
) -> Picture:
    left = min((item.across - item.size[1] / 2 for item in items), default=0.0)
    for item in items:
        item.across -= left
    right = max((item.across + item.size[1] / 2 for item in items), default=0.0)
    gaps = _tracks(rows)
    along, ends = 0.0, []
    for row, tracks in zip(rows, gaps):
        thick = max(item.size[0] for item in row)
        for item in row:
            item.along = along + (thick - item.size[0]) / 2
        ends.append(along + thick)
        gap = _GAP + _TRACK * max(0, len(tracks) - 1)
        to_ports = len(ends) == len(rows) - 1 and bool(ports)
        along += thick + (gap if tracks or not to_ports else 0.0)
    picture = Picture()
    places: list[Picture] = []
    for item in items[: len(drawn.parts)]:
        picture.take(item.picture, (item.along, item.across - item.size[1] / 2))
        places.append(Picture(inputs=picture.inputs, outputs=picture.outputs))
    outs = lambda end: _of(places[end.part].outputs, end.index)
    ins = lambda end: _of(places[end.part].inputs, end.index)
    for (start, end), path in paths.items():
        port = end.part >= len(places)
        targets = [(path[-1].along, path[-1].across)] if port else ins(end)
        for a in outs(start):
            for b in targets:
                picture.lines.append((_line(a, b, path, ends, gaps), not port))
    for start, end in loops:
        for a in outs(start):
            for b in ins(end):
                own = items[start.part]
                far = own.across + own.size[1] / 2 if start.part == end.part else right
                picture.lines.append((_around(a, b, far + _AROUND), True))
                right = max(right, far + _AROUND)
    picture.size = (ends[-1] if ends else 0.0, right)
    picture.inputs = [[p for end in each for p in ins(end)] for each in drawn.inputs]
    picture.outputs = [
        [(ports[e].along, ports[e].across) for e in each]
        if ports
        else [p for e in each for p in outs(e)]
        for each in drawn.outputs
    ]
    return picture


def _of(points: list[list[Point]], index: int) -> list[Point]:
    """The points of one input or output; a box has one point for all."""
    return points[index] if index < len(points) else points[-1]


def _tracks(rows: list[list[_Item]]) -> list[dict[int, int]]:
    """For each gap behind a rank: the targets of lines that bend there, each with a track."""
    tracks = []
    for row in rows:
        bends = [
            (other.across, id(other)) for item in row for other in item.after if _bends(item, other)
        ]
        tracks.append({key: k for k, (_, key) in enumerate(dict.fromkeys(sorted(bends)))})
    return tracks


def _bends(item: _Item, other: _Item) -> bool:
    """Whether a line between neighbours may go across; in a frame it may start anywhere."""
    framed = any(each.picture and each.picture.frames for each in (item, other))
    return framed or abs(other.across - item.across) > 0.5


def _line(a: Point, b: Point, path: list[_Item], ends: list[float], gaps: list) -> list[Point]:
    """The corners of a line from `a` to `b`: it goes across in the gaps between ranks only."""
    points = [a]
    for before, item in itertools.pairwise(path):
        across = b[1] if item is path[-1] else item.across
        if abs(across - points[-1][1]) > 0.5:
            tracks = gaps[before.rank]
            track = ends[before.rank] + _GAP * 0.4 + _TRACK * tracks.get(id(item), 0)
            points += [(track, points[-1][1]), (track, across)]
    return [*points, b]


def _around(a: Point, b: Point, far: float) -> list[Point]:
    """The corners of a line back from `a` to `b`, round what lies between."""
    off = _GAP * 0.4
    return [a, (a[0] + off, a[1]), (a[0] + off, far), (b[0] - off, far), (b[0] - off, b[1]), b]
