"""Curves of a metric over severity, as SVG that takes its colours and its typeface from the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 7  # var(--series-0), the input, to var(--series-6); then they come round again
DASHES = ((2, 3), (1, 0), (8, 3), (9, 3, 2, 3))  # the input's first; (1, 0) is an unbroken line
_MARKERS = "osD^vP"
_INK, _LINE, _SERIES = "#00000a", "#00000b", "#0000f{}"  # stand-ins, replaced by the page's variables


@dataclass(frozen=True)
class Series:
    """One line of a plot: its number on the page (0 is the input) and its points (severity, value)."""

    number: int
    points: list[tuple[int, float]]


def look(number: int) -> int:
    """Which of the colours 0..COLOURS-1 the series of that number has."""
    return number if number < 1 else 1 + (number - 1) % (COLOURS - 1)


def curves(series: Sequence[Series]) -> str:
    """An <svg> element of the lines over severity, for embedding in HTML; the same bytes for the same points.

    Nothing but numbers is drawn (names and units stand on the page), and figures that are not finite are left out.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator

    settings = {"svg.fonttype": "none", "svg.hashsalt": repr(series), "lines.scale_dashes": False, "font.size": 9.5}
    with style.context(["default", settings]):
        figure = Figure(figsize=(4.6, 2.9), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for one in series:
            drawn = [(x, y) for x, y in one.points if math.isfinite(y) and abs(y) < 1e9]
            colour = _SERIES.format(look(one.number))
            axes.plot(
                [x for x, _ in drawn],
                [y for _, y in drawn],
                color=colour,
                linestyle=(0, DASHES[one.number % len(DASHES)]),
                marker=_MARKERS[one.number % len(_MARKERS)],
                linewidth=1.8,
                markersize=4.5,
                clip_on=False,
            )
        axes.xaxis.set_major_locator(FixedLocator(sorted({x for one in series for x, _ in one.points})))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.ticklabel_format(axis="y", useOffset=False, style="plain")
        axes.set_xlabel("severity", color=_INK)
        axes.tick_params(length=0, labelcolor=_INK, pad=6)
        axes.grid(axis="y", color=_LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.margins(x=0.04, y=0.12)
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _for_page(drawing.getvalue())


def _for_page(svg: str) -> str:
    """The bare element: no prolog, no size of its own, no names that would clash, colours from the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    svg = re.sub(r"#0000f(\d)", r"var(--series-\1)", svg)
    return svg.replace(_INK, "var(--soft)").replace(_LINE, "var(--line)").replace("xlink:href", "href")
