"""A diagram as an SVG, without a program that draws graphs."""

from __future__ import annotations

from html import escape

from ._diagram import Box, Diagram
from ._layout import Layout, Point, layout

#: The look is that of the page (`page/page.css`), on a white ground.
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #5c6675; text-anchor: middle }
.title { font-weight: 600; fill: #1d2430 }
rect { fill: #ffffff; stroke: #bbb7aa }
.input rect { fill: #e4efe6 }
.op rect { fill: #ecebf4 }
.open rect { fill: #f4f5f8 }
.edge { fill: none; stroke: #8b93a0; stroke-width: 1.3; marker-end: url(#tip) }
"""
#: A line of text, the width of a letter of it and of a title, and what is free around it, in pixels.
_LINE, _LETTER, _BOLD, _BORDER = 17.0, 6.6, 7.6, 10.0
_MARGIN = 8.0


def svg(diagram: Diagram, rankdir: str = "TB") -> str:
    """The diagram as a document.

    Args:
        rankdir: `"TB"` reads from top to bottom; `"BT"`, `"LR"` and `"RL"` likewise.
    """
    scene = _Scene(diagram, rankdir)
    width, height = scene.extent
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}">',
        f"<style>{_STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#8b93a0"/></marker>',
        '<rect width="100%" height="100%" style="stroke: none"/>',
        *map(scene.drawn, diagram.boxes),
        *(f'<path class="edge" d="{path}"/>' for path in scene.paths()),
        "</svg>\n",
    ]
    return "\n".join(lines)


class _Scene:
    """Boxes with their places. It is laid out from top to bottom, and turned as it is drawn."""

    def __init__(self, diagram: Diagram, rankdir: str) -> None:
        self._diagram, self._across, self._back = (
            diagram,
            rankdir[0] in "LR",
            rankdir in ("BT", "RL"),
        )
        self._boxes = {box.key: box for box in diagram.boxes}
        self._sizes: dict[int, Point] = {}
        self._layouts: dict[int | None, Layout] = {}
        #: The corners from which the insides of boxes are laid out, and the middle of each box.
        self._corners: dict[int | None, Point] = {}
        self._centres: dict[int, Point] = {}
        self._size = self._lay_out(None)
        self._place(None, (_MARGIN, _MARGIN))

    @property
    def extent(self) -> Point:
        """The width and height of the picture."""
        width, height = (size + 2 * _MARGIN for size in self._size)
        return (height, width) if self._across else (width, height)

    def drawn(self, box: Box) -> str:
        """A box and its text."""
        (width, height), (x, y) = self._turned_size(box.key), self._turned(self._centres[box.key])
        left, top = x - width / 2, y - height / 2
        look = "open" if box.is_open else box.look
        parts = [
            f'<g class="box {look}"><rect x="{left:.1f}" y="{top:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}" rx="7"/>'
        ]
        for i, text in enumerate([box.title, *box.lines]):
            kind = ' class="title"' if i == 0 else ""
            below = top + _BORDER + (i + 0.72) * _LINE
            parts.append(f'<text{kind} x="{x:.1f}" y="{below:.1f}">{escape(text)}</text>')
        return "".join([*parts, "</g>"])

    def paths(self) -> list[str]:
        """The lines between boxes, as SVG has them: each leaves below and arrives above."""
        made = []
        for a, b in self._diagram.edges:
            above, below, around = self._level(a, b)
            route = self._layouts[around].routes[above, below][1:-1]
            left, top = self._corners[around]
            way = [(x + left, y + top) for x, y in route]
            way = [self._end(a, 1), *way, self._end(b, -1)]
            made.append(self._curve(way))
        return made

    def _curve(self, way: list[Point]) -> str:
        start = "M{:.1f} {:.1f}".format(*self._turned(way[0]))
        for (x1, y1), (x2, y2) in zip(way, way[1:], strict=False):
            middle = (y1 + y2) / 2
            points = [self._turned(p) for p in ((x1, middle), (x2, middle), (x2, y2))]
            start += " C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
        return start

    def _end(self, key: int, side: int) -> Point:
        x, y = self._centres[key]
        return x, y + side * self._sizes[key][1] / 2

    def _turned(self, point: Point) -> Point:
        x, y = point
        if self._back:
            y = self._size[1] + 2 * _MARGIN - y
        return (y, x) if self._across else (x, y)

    def _turned_size(self, key: int) -> Point:
        width, height = self._sizes[key]
        return (height, width) if self._across else (width, height)

    # ----------------------------------------------------------------- places

    def _lay_out(self, parent: int | None) -> Point:
        """Lay out the inside of a box, after those inside of it; its size."""
        inside = self._diagram.inside(parent)
        for box in inside:
            widths = [len(box.title) * _BOLD, *(len(line) * _LETTER for line in box.lines)]
            width = max(widths) + 2 * _BORDER
            height = len(widths) * _LINE + 1.4 * _BORDER
            size = (height, width) if self._across else (width, height)
            if box.is_open:
                inner = self._lay_out(box.key)
                left, top, right, bottom = self._frame()
                wide, tall = inner[0] + left + right, inner[1] + top + bottom
                # As wide as its title, too.
                size = (wide, max(tall, width)) if self._across else (max(wide, width), tall)
            self._sizes[box.key] = size
        edges = {
            (above, below): None
            for above, below, around in (self._level(a, b) for a, b in self._diagram.edges)
            if around == parent
        }
        made = layout({box.key: self._sizes[box.key] for box in inside}, list(edges))
        self._layouts[parent] = made
        return made.size

    def _frame(self) -> tuple[float, float, float, float]:
        """What is left free within an open box, on the sides of the layout: most where its title is drawn."""
        sides = [_BORDER] * 4
        sides[0 if self._across else 3 if self._back else 1] += _LINE + _BORDER / 2
        left, top, right, bottom = sides
        return left, top, right, bottom

    def _place(self, parent: int | None, corner: Point) -> None:
        self._corners[parent] = corner
        for box in self._diagram.inside(parent):
            x, y = self._layouts[parent].centres[box.key]
            self._centres[box.key] = x, y = x + corner[0], y + corner[1]
            if box.is_open:
                width, height = self._sizes[box.key]
                left, top, *_ = self._frame()
                self._place(box.key, (x - width / 2 + left, y - height / 2 + top))

    def _level(self, a: int, b: int) -> tuple[int, int, int | None]:
        """The boxes that stand side by side and hold two, be it as they are; and the box around these."""
        for one, two in zip(self._chain(a), self._chain(b), strict=False):
            if one != two:
                return one, two, self._boxes[one].within
        raise ValueError(f"A box is not joined with what is inside of it. Received: {a}, {b}.")

    def _chain(self, key: int | None) -> list[int]:
        return [] if key is None else [*self._chain(self._boxes[key].within), key]
