"""Records the losses of a run and plots them as SVG.  Standard library only."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nst.page.translation import tr

if TYPE_CHECKING:
    from nst.transfer import Frame

MAX_POINTS = 120
CURVES = ("content", "style", "total")  # losses to plot; page.css uses these names as classes
HEIGHT = 88  # of the plot area, in pixels
LABEL_HEIGHT = 13  # pixels from one label to the next
MAX_TICKS = 5


class Point(NamedTuple):
    """The part of a frame that `History` stores."""

    step: int
    scale: int  # longest side in pixels
    elapsed: float  # seconds
    losses: dict[str, float]


class History:
    """The losses of a run by step, thinned out to MAX_POINTS; the last one is always included."""

    def __init__(self):
        self.points: list[Point] = []

    def append(self, frame: "Frame") -> None:
        """Add a frame.

        A later step continues the run, even after it was stopped or finished.  The same step replaces the existing
        point.  An earlier step, such as a new run's first, replaces all points from that step on.
        """
        self.points = [point for point in self.points if point.step < frame.step]
        self.points.append(Point(frame.step, frame.scale, frame.elapsed, dict(frame.losses)))
        if len(self.points) > MAX_POINTS:
            del self.points[self._least_important()]

    def _least_important(self) -> int:
        """Index of the point whose two neighbors are closest together, except the first point of a scale."""
        steps, scales = [point.step for point in self.points], [point.scale for point in self.points]
        inner = [index for index in range(1, len(steps) - 1) if scales[index] == scales[index - 1]]
        return min(inner, key=lambda index: steps[index + 1] - steps[index - 1], default=1)


def curves(points: Sequence[Point], steps: int) -> str:
    """Plot the losses on a logarithmic axis: an SVG as wide as its container."""
    steps = max(steps, points[-1].step if points else 0, 1)
    low, high = _bounds(points)

    def position(step: int, value: float) -> tuple[float, float]:
        """Percent from the left, pixels from the top; values that are too low lie on the bottom edge."""
        return 100 * step / steps, HEIGHT * math.log(high / max(value, low)) / math.log(high / low)

    lines = {name: [position(p.step, p.losses[name]) for p in points if _plottable(p.losses[name])] for name in CURVES}
    lines = {name: line for name, line in lines.items() if line}
    labels = _spread([line[-1][1] for line in lines.values()])
    drawn = "".join(_curve(name, line, label) for (name, line), label in zip(lines.items(), labels, strict=True))
    left = tr("Losses by step, logarithmic" if points else "Losses by step appear here")
    right = tr("{steps} steps", steps=steps) if points else ""
    below = f'<text y="{HEIGHT + 15}">{left}</text><text x="100%" y="{HEIGHT + 15}" class="end">{right}</text>'
    grid = _grid((position(0, tick)[1], f"{tick:g}" if points else "") for tick in _ticks(low, high))
    size = f'width="100%" height="{HEIGHT}"'  # labels lie outside, in the padding that page.css adds
    start = f'<svg class="curves" role="img" aria-label="{_summary(points)}" {size}>'
    return f"{start}{grid}{_marks(points, steps)}{drawn}{below}</svg>"


def _curve(name: str, line: Sequence[tuple[float, float]], label: float) -> str:
    """One loss: a line that stretches horizontally only, with a dot and a label at its end."""
    path = " ".join(f"{10 * x:.0f},{y:.1f}" for x, y in line)
    stretching = f'<svg width="100%" height="{HEIGHT}" viewBox="0 0 1000 {HEIGHT}" preserveAspectRatio="none">'
    x, y = line[-1]
    return (
        f'<g class="curve {name}">{stretching}<polyline vector-effect="non-scaling-stroke" points="{path}"/></svg>'
        f'<circle cx="{x:.1f}%" cy="{y:.1f}" r="2.5"/>'
        f'<text x="{x:.1f}%" y="{label:.1f}" dx="8" dy="4">{tr(name.capitalize())}</text></g>'
    )


def _grid(lines: Iterable[tuple[float, str]]) -> str:
    return "".join(
        f'<line x2="100%" y1="{y:.1f}" y2="{y:.1f}"/><text y="{y:.1f}" dx="-8" dy="4" class="end">{label}</text>'
        for y, label in lines
    )


def _marks(points: Sequence[Point], steps: int) -> str:
    """A vertical line where each scale begins, labeled with its size if there is room."""
    starts = {point.scale: 100 * point.step / steps for point in reversed(points)}
    marks, last = [], -math.inf
    for scale, x in reversed(starts.items()):
        unit = " px" if scale == points[-1].scale else ""
        word = f'<text x="{x:.1f}%" y="-6">{scale}{unit}</text>' if x - last >= 12 else ""
        last = x if word else last
        marks.append(f'<line x1="{x:.1f}%" x2="{x:.1f}%" y1="-4" y2="{HEIGHT}"/>{word}')
    return "".join(marks)


def _summary(points: Sequence[Point]) -> str:
    totals = [point.losses["total"] for point in points if math.isfinite(point.losses["total"])]
    if not totals:
        return tr("Losses by step: none yet.")
    first, last = f"{totals[0]:.2g}", f"{totals[-1]:.2g}"
    if first == last:
        return tr("Losses by step, logarithmic: total is {last}.", last=last)
    if totals[-1] < totals[0]:
        return tr("Losses by step, logarithmic: total fell from {first} to {last}.", first=first, last=last)
    return tr("Losses by step, logarithmic: total rose from {first} to {last}.", first=first, last=last)


def _plottable(value: float) -> bool:
    return 1e-30 < value < 1e30  # excludes 0, infinity and NaN


def _bounds(points: Sequence[Point]) -> tuple[float, float]:
    """Bounds of the axis: 1, 2 or 5 times a power of ten, so that they seldom change.

    Losses below both the latest ones and a hundredth of the largest lie on the bottom edge.  So may those of the start
    picture: a photo has no content loss against itself, and a range that includes it would squeeze all other losses.
    """
    drawn = [(point.step, [loss for name, loss in point.losses.items() if name in CURVES]) for point in points]
    drawn = [(step, list(filter(_plottable, losses))) for step, losses in drawn]
    high = max((max(losses) for _, losses in drawn if losses), default=1.0)
    painted = [min(losses) for step, losses in drawn if losses and step]
    low = max(min(painted, default=high / 100), min([high / 100, *painted[-1:]]))
    if high < 4 * low:
        low, high = low / 2, 2 * high
    return max(v for v in _round_values(low, high) if v <= low), min(v for v in _round_values(low, high) if v >= high)


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, starting at or below `low` and ending at or above `high`."""
    # One power more on each side: the logarithm of what lies just below a power of ten is rounded to that.
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    return [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]


def _ticks(low: float, high: float) -> list[float]:
    """At most MAX_TICKS round values between the bounds."""
    ticks = [value for value in _round_values(low, high) if low <= value <= high]
    if len(ticks) > MAX_TICKS:
        ticks = [value for value in ticks if f"{value:e}".startswith("1")]
    return ticks[:: math.ceil(len(ticks) / MAX_TICKS)]


def _spread(heights: Sequence[float]) -> list[float]:
    """Move these label positions apart, in the same order, until no labels overlap."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    spread, next_free = list(heights), 0.0
    for index in order:
        spread[index] = max(heights[index], next_free)
        next_free = spread[index] + LABEL_HEIGHT
    limit = HEIGHT - 5.0  # above the captions
    for index in reversed(order):
        spread[index] = min(spread[index], limit)
        limit = spread[index] - LABEL_HEIGHT
    return spread
