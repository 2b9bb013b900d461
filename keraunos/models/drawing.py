"""The picture of a model in a file: `plot_model`, drawn by matplotlib alone."""

import os
from typing import Any

from keraunos.core.registry import export
from keraunos.models.diagram import FROZEN, TRAINED, Asked, Label, checked, diagram, model_to_dot
from keraunos.models.layered import Picture, Point, layout

FORMATS = ("png", "svg", "pdf", "dot")

# Sizes are in points.
_HEAD, _VALUE, _CAPTION = 10.0, 8.5, 6.5  # of fonts
_HEAD_HEIGHT, _ROW_HEIGHT, _SIDE, _MARGIN = 22.0, 27.0, 10.0, 16.0
_LEAST_WIDTH, _RADIUS = 70.0, 5.0
_REACH = 16.0  # of wide bends: more of it would lead lines into boxes
_INK, _GREY, _LINE, _PALE = "#1f2430", "#7a828e", "#6b7480", "#d9dde3"
_STATES = {TRAINED: "#2e7d4f", FROZEN: "#b3423a"}
_MOST_PIXELS = 60_000  # along one side: what Agg can draw
_MOST_AREA = 1e8


@export("utils.plot_model")
def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw the layers of a model and what flows between them into a file.

    Returns the picture as an IPython image where IPython is installed, else None.

    Args:
        to_file: Its ending says the format: png, svg, pdf, or dot for the text alone.
        rankdir: Where the graph goes: "TB" down, "LR" to the right, "BT" up, "RL" to the left.
        expand_nested: Whether inner models are drawn as frames around their layers.
        dpi: Pixels per inch of a png; fewer are used for a picture too large to be drawn.
        splines: How edges run: "ortho" at right angles, "polyline" and "line" slanting,
            "curved" and "spline" round.
    """
    layer_range = checked(rankdir, splines, dict(kwargs))
    path = os.fspath(to_file)
    ending = os.path.splitext(path)[1][1:].lower() or "png"
    if ending not in FORMATS:
        raise ValueError(
            f"`to_file` must end in one of .{', .'.join(FORMATS)}, got {path!r}. For another "
            "format, write an .svg and convert it."
        )
    if ending == "dot":
        model_to_dot(
            model,
            show_shapes=show_shapes,
            show_dtype=show_dtype,
            show_layer_names=show_layer_names,
            rankdir=rankdir,
            expand_nested=expand_nested,
            dpi=dpi,
            show_layer_activations=show_layer_activations,
            show_trainable=show_trainable,
            splines=splines,
            **kwargs,
        ).write(path)
        return None
    asked = Asked(
        show_shapes,
        show_dtype,
        show_layer_names,
        show_layer_activations,
        show_trainable,
        expand_nested,
    )
    drawn = diagram(model, asked, layer_range)
    pen = _Pen(rankdir, splines)
    pen.draw(layout(drawn, pen.measure, rankdir))
    pen.save(path, ending, dpi)
    return _shown(path, ending)


def _shown(path: str, ending: str) -> Any:
    """The picture for a notebook, if there can be one."""
    if ending == "pdf":
        return None
    try:
        from IPython import display  # type: ignore[import-not-found]
    except ImportError:
        return None
    return display.SVG(filename=path) if ending == "svg" else display.Image(filename=path)


def _matplotlib() -> Any:
    try:
        import matplotlib
        from matplotlib import figure, patches, path as paths, textpath
    except ImportError:
        raise ImportError(
            "`plot_model` needs matplotlib: install it by `pip install keraunos[viz]`."
        ) from None
    return matplotlib, figure, patches, textpath, paths


class _Pen:
    """Draws a picture, whose places go along and across, on a sheet with x and y."""

    def __init__(self, rankdir: str, splines: str):
        self.rankdir, self.splines = rankdir, splines
        self.lib, self.figures, self.patches, self.textpath, self.paths = _matplotlib()
        self._widths: dict[tuple, float] = {}

    # Sizes ----------------------------------------------------------------------------------

    def measure(self, label: Label) -> Point:
        """The size of a box, along and across."""
        rows = [sum(map(self._cell_width, row)) for row in label.rows]
        width = max([_LEAST_WIDTH, self._heading_width(label), *rows])
        height = _HEAD_HEIGHT + _ROW_HEIGHT * len(label.rows)
        return (height, width) if self.rankdir in ("TB", "BT") else (width, height)

    def _heading_width(self, label: Label) -> float:
        texts = [(text, weight) for text, weight in _heading(label)]
        return 2 * _SIDE + sum(self._width(text, _HEAD, weight) for text, weight in texts)

    def _cell_width(self, cell: tuple[str, str]) -> float:
        caption, value = cell
        wide = max(self._width(caption, _CAPTION, "normal"), self._width(value, _VALUE, "bold"))
        return wide + 2 * _SIDE

    def _width(self, text: str, size: float, weight: str) -> float:
        key = text, size, weight
        if key not in self._widths:
            font = self.lib.font_manager.FontProperties(size=size, weight=weight)
            measure = self.textpath.text_to_path.get_text_width_height_descent
            self._widths[key] = measure(text, font, ismath=False)[0] if text else 0.0
        return self._widths[key]

    # Places ---------------------------------------------------------------------------------

    def _at(self, point: Point) -> Point:
        along, across = point
        if self.rankdir in ("BT", "RL"):
            along = self.length - along
        x, y = (across, along) if self.rankdir in ("TB", "BT") else (along, across)
        return x + _MARGIN, y + _MARGIN

    def _rectangle(self, place: Point, size: Point) -> tuple[float, float, float, float]:
        a, b = self._at(place), self._at((place[0] + size[0], place[1] + size[1]))
        return min(a[0], b[0]), min(a[1], b[1]), abs(a[0] - b[0]), abs(a[1] - b[1])

    # Drawing --------------------------------------------------------------------------------

    def draw(self, picture: Picture) -> None:
        self.length = picture.size[0]
        x, y = self._at((0.0, 0.0)), self._at(picture.size)
        width, height = max(x[0], y[0]) + _MARGIN, max(x[1], y[1]) + _MARGIN
        self.sheet = self.figures.Figure(figsize=(width / 72, height / 72), facecolor="white")
        self.axes = self.sheet.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        for title, place, size in picture.frames:
            self._frame(title, *self._rectangle(place, size))
        for points, head in picture.lines:
            self._arrow([self._at(point) for point in points], head)
        for label, place, size in picture.boxes:
            self._box(label, *self._rectangle(place, size))

    def save(self, path: str, ending: str, dpi: float) -> None:
        width, height = self.sheet.get_size_inches()
        most = min(_MOST_PIXELS / max(width, height), (_MOST_AREA / (width * height)) ** 0.5)
        with self.lib.rc_context({"svg.fonttype": "none", "path.simplify": False}):
            self.sheet.savefig(path, format=ending, dpi=min(dpi, most))

    def _text(self, x: float, y: float, text: str, size: float, color: str, **kwargs) -> None:
        self.axes.text(x, y, text, fontsize=size, color=color, parse_math=False, **kwargs)

    def _round(self, x: float, y: float, width: float, height: float, **kwargs) -> Any:
        style = f"round,pad=0,rounding_size={_RADIUS}"
        patch = self.patches.FancyBboxPatch((x, y), width, height, boxstyle=style, **kwargs)
        return self.axes.add_patch(patch)

    def _frame(self, title: str, x: float, y: float, width: float, height: float) -> None:
        self._round(
            x, y, width, height, facecolor="#6a4c930c", edgecolor="#6a4c93", linewidth=0.9, ls="--"
        )
        self._text(x + 10, y + 14, title, 8.5, "#6a4c93", weight="bold", va="center")

    def _box(self, label: Label, x: float, y: float, width: float, height: float) -> None:
        whole = {"linewidth": 0, "zorder": 3}
        self._round(x, y, width, height, facecolor="white", **whole)
        head = self._round(x, y, width, height, facecolor=label.color, **whole)
        clip = self.patches.Rectangle((x, y), width, _HEAD_HEIGHT, transform=self.axes.transData)
        head.set_clip_path(clip)
        wide = sum(self._width(text, _HEAD, weight) for text, weight in _heading(label))
        place, middle = x + (width - wide) / 2, y + _HEAD_HEIGHT / 2
        for text, weight in _heading(label):
            style = {"weight": weight, "va": "center_baseline", "zorder": 5}
            self._text(place, middle, text, _HEAD, "white", **style)
            place += self._width(text, _HEAD, weight)
        top = y + _HEAD_HEIGHT
        for row in label.rows:
            self._row(row, x, top, width)
            top += _ROW_HEIGHT
        edge = {"facecolor": "none", "edgecolor": label.color, "linewidth": 0.9, "zorder": 4}
        self._round(x, y, width, height, **edge)

    def _row(self, row: list[tuple[str, str]], x: float, top: float, width: float) -> None:
        widths = [self._cell_width(cell) for cell in row]
        extra = (width - sum(widths)) / len(row)
        if top > 0 and row:
            self._rule([x, x + width], [top, top])
        for k, ((caption, value), own) in enumerate(zip(row, widths)):
            middle = x + (own + extra) / 2
            style = {"ha": "center", "va": "center_baseline", "zorder": 5}
            if k:
                self._rule([x, x], [top, top + _ROW_HEIGHT])
            if caption:
                self._text(middle, top + 8.5, caption, _CAPTION, _GREY, **style)
            place = top + (18.5 if caption else _ROW_HEIGHT / 2)
            color = _INK if caption else _STATES[value]
            self._text(middle, place, value, _VALUE, color, weight="bold", **style)
            x += own + extra

    def _rule(self, x: list[float], y: list[float]) -> None:
        self.axes.plot(x, y, color=_PALE, linewidth=0.6, zorder=3.5, solid_capstyle="butt")

    def _arrow(self, points: list[Point], head: bool) -> None:
        patch = self.patches.FancyArrowPatch(
            path=self._path(points),
            arrowstyle="-|>,head_length=5,head_width=2.6" if head else "-",
            mutation_scale=1,
            shrinkA=0,
            shrinkB=0,
            color=_LINE,
            linewidth=1.1,
            joinstyle="round",
            zorder=2,
        )
        self.axes.add_patch(patch)

    def _path(self, points: list[Point]) -> Any:
        kind = self.paths.Path
        reach = _RADIUS if self.splines == "ortho" else _REACH
        straight = self.splines in ("line", "polyline")
        vertices, codes = [points[0]], [kind.MOVETO]
        for before, corner, after in zip(points, points[1:], points[2:]):
            near, far = _towards(corner, before, reach), _towards(corner, after, reach)
            vertices += [near, far] if straight else [near, corner, far]
            codes += [kind.LINETO] * 2 if straight else [kind.LINETO, kind.CURVE3, kind.CURVE3]
        return kind([*vertices, points[-1]], [*codes, kind.LINETO])


def _heading(label: Label) -> list[tuple[str, str]]:
    if not label.name:
        return [(label.kind, "bold")]
    return [(label.name, "bold"), (f"  {label.kind}", "normal")]


def _towards(start: Point, end: Point, reach: float) -> Point:
    """The point at a distance from `start` on the way to `end`, no further than half of it."""
    x, y = end[0] - start[0], end[1] - start[1]
    length = (x * x + y * y) ** 0.5
    share = min(0.5, reach / length) if length else 0.0
    return start[0] + x * share, start[1] + y * share
