"""The canvas of all plots: its colours, letters and sizes, and how a drawing becomes inline SVG.

Notable:
- Colours are the page's CSS variables, so one drawing serves the light and the dark page; words are text in the page's
  own font.
- The same numbers give the same bytes: no date, no random ids.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, NullFormatter, NullLocator

# matplotlib needs real colours; each of these stands for a variable of the page's style sheet.
INK, MUTED, GRID, KEPT, REMOVED, ACCENT = (f"#{3 * f'{n:02x}'}" for n in range(1, 7))
_VARIABLES = dict(
    zip((INK, MUTED, GRID, KEPT, REMOVED, ACCENT), ("ink", "muted", "line", "kept", "removed", "accent"), strict=True)
)
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.parse_math": False,
    **{f"axes.spines.{side}": False for side in ("top", "right", "left")},
    **{"axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.linewidth": 0.8, "ytick.major.size": 0},
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), GRID),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), MUTED),
    "text.color": INK,
}
# In inches of 72 units. A drawing is stretched to its place, so these decide how large its letters come out.
WIDE, NARROW = (9.6, 2.8), (4.9, 2.6)
_LABEL_HEIGHT = 0.085


@contextmanager
def drawing(
    name: str, size: tuple[float, float], layout: Literal["constrained"] | None = "constrained"
) -> Iterator[tuple[Figure, list[str]]]:
    """Give a figure to draw on, and a list that holds its SVG afterwards."""
    out: list[str] = []
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout=layout)
        yield figure, out
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        out.append(_inline(file.getvalue(), name))


def _inline(svg: str, name: str) -> str:
    """Return the `svg` element alone, with ids of its own, in the page's colours and font, as wide as its place."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=<g) id="[^"]*"| transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r'\b(d|x|y)="[^"]*"', lambda places: re.sub(r"(\.\d)\d+", r"\1", places[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg)
    svg = re.sub(r'\bid="|href="#|url\(#', rf"\g<0>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace("<svg", '<svg class="plot" role="img"', 1)


def label_ends(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Label each line at its end; labels that would touch are moved apart."""
    to_axes = axes.transData + axes.transAxes.inverted()
    height = -float("inf")
    for y, label, colour in sorted(ends):
        height = max(float(to_axes.transform((x, y))[1]), height + _LABEL_HEIGHT)
        beside: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
        axes.annotate(label, (x, height), (6, 0), **beside, va="center", color=colour, annotation_clip=False)


def scale(axis: Axis, label: Callable[[float], str], ticks: Locator | None = None) -> None:
    """Label an axis by `label`, at `ticks` where they are given, with no minor ticks."""
    if ticks:
        axis.set_major_locator(ticks)
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def log_ticks() -> LogLocator:
    """Return ticks for a logarithmic axis that spans less than a few powers of ten."""
    return LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
