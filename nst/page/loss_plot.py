"""The losses of a run, kept and drawn as curves in SVG.  Standard library only."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nst.transfer import Frame

MOST_POINTS = 120
CURVES = ("content", "style", "total")  # the losses that are drawn; the page's CSS knows them by these names
PLOT = 88  # pixels: height of the curves
LETTERS = 13  # pixels from one name to the next
MOST_TICKS = 5


class Point(NamedTuple):
    """What `History` keeps of a frame."""

    step: int
    scale: int  # longest side in pixels
    elapsed: float  # seconds
    losses: dict[str, float]


class History:
    """The losses of a run by step: at most MOST_POINTS of them and the last one, however long the run."""

    def __init__(self):
        self.points: list[Point] = []

    def append(self, frame: "Frame") -> None:
        """Add a frame.

        A later one goes on with the run, also after it was stopped or finished; another of the same step takes the
        first one's place, and an earlier one, such as a new run's, that of all that came after it.
        """
        self.points = [point for point in self.points if point.step < frame.step]
        self.points.append(Point(frame.step, frame.scale, frame.elapsed, dict(frame.losses)))
        if len(self.points) > MOST_POINTS:
            del self.points[self._least()]

    def _least(self) -> int:
        """Which point is missed the least: the one between the two closest, unless a scale begins with it."""
        steps, scales = [point.step for point in self.points], [point.scale for point in self.points]
        inner = [index for index in range(1, len(steps) - 1) if scales[index] == scales[index - 1]]
        return min(inner, key=lambda index: steps[index + 1] - steps[index - 1], default=1)


def curves(points: Sequence[Point], steps: int) -> str:
    """SVG, as wide as there is room: the losses on a logarithmic axis."""
    steps = max(steps, points[-1].step if points else 0, 1)
    low, high = _bounds(points)

    def place(step: int, value: float) -> tuple[float, float]:
        """Percent from the left, pixels from the top; what is too low lies on the ground."""
        return 100 * step / steps, PLOT * math.log(high / max(value, low)) / math.log(high / low)

    lines = {name: [place(p.step, p.losses[name]) for p in points if _can_be_drawn(p.losses[name])] for name in CURVES}
    lines = {name: line for name, line in lines.items() if line}
    labels = _apart([line[-1][1] for line in lines.values()])
    drawn = "".join(_curve(name, line, label) for (name, line), label in zip(lines.items(), labels, strict=True))
    words = ["Losses by step appear here", ""] if not points else ["Losses by step, logarithmic", f"{steps} steps"]
    below = f'<text y="{PLOT + 15}">{words[0]}</text><text x="100%" y="{PLOT + 15}" class="end">{words[1]}</text>'
    grid = _grid((place(0, tick)[1], f"{tick:g}" if points else "") for tick in _ticks(low, high))
    size = f'width="100%" height="{PLOT}"'  # the words lie outside, where the CSS makes room for them
    start = f'<svg class="curves" role="img" aria-label="{_summary(points)}" {size}>'
    return f"{start}{grid}{_marks(points, steps)}{drawn}{below}</svg>"


def _curve(name: str, line: Sequence[tuple[float, float]], label: float) -> str:
    """One loss: its line, stretched in one direction only, with a dot and its name at the end of it."""
    path = " ".join(f"{10 * x:.0f},{y:.1f}" for x, y in line)
    stretched = f'<svg width="100%" height="{PLOT}" viewBox="0 0 1000 {PLOT}" preserveAspectRatio="none">'
    x, y = line[-1]
    return (
        f'<g class="curve {name}">{stretched}<polyline vector-effect="non-scaling-stroke" points="{path}"/></svg>'
        f'<circle cx="{x:.1f}%" cy="{y:.1f}" r="2.5"/>'
        f'<text x="{x:.1f}%" y="{label:.1f}" dx="8" dy="4">{name.capitalize()}</text></g>'
    )


def _grid(lines: Iterable[tuple[float, str]]) -> str:
    return "".join(
        f'<line x2="100%" y1="{y:.1f}" y2="{y:.1f}"/><text y="{y:.1f}" dx="-8" dy="4" class="end">{label}</text>'
        for y, label in lines
    )


def _marks(points: Sequence[Point], steps: int) -> str:
    """Where each scale begins, with its size where there is room."""
    starts = {point.scale: 100 * point.step / steps for point in reversed(points)}
    marks, last = [], -math.inf
    for scale, x in reversed(starts.items()):
        unit = " px" if scale == points[-1].scale else ""
        word = f'<text x="{x:.1f}%" y="-6">{scale}{unit}</text>' if x - last >= 12 else ""
        last = x if word else last
        marks.append(f'<line x1="{x:.1f}%" x2="{x:.1f}%" y1="-4" y2="{PLOT}"/>{word}')
    return "".join(marks)


def _summary(points: Sequence[Point]) -> str:
    totals = [point.losses["total"] for point in points if math.isfinite(point.losses["total"])]
    if not totals:
        return "Losses by step: none yet."
    first, last = f"{totals[0]:.2g}", f"{totals[-1]:.2g}"
    way = "fell" if totals[-1] < totals[0] else "rose"
    change = f"total {way} from {first} to {last}" if first != last else f"total is {last}"
    return f"Losses by step, logarithmic: {change}."


def _can_be_drawn(value: float) -> bool:
    return 1e-30 < value < 1e30  # not so 0, infinity and what is no number


def _bounds(points: Sequence[Point]) -> tuple[float, float]:
    """Least and greatest value on the axis, each 1, 2 or 5 times a power of ten, so that it seldom moves.

    Losses below both a hundredth of the greatest and the latest ones lie on the ground, and so may the start picture's:
    the photo itself has no content loss, which would press all the rest together.
    """
    drawn = [(point.step, [loss for name, loss in point.losses.items() if name in CURVES]) for point in points]
    drawn = [(step, list(filter(_can_be_drawn, losses))) for step, losses in drawn]
    high = max((max(losses) for _, losses in drawn if losses), default=1.0)
    painted = [min(losses) for step, losses in drawn if losses and step]
    low = max(min(painted, default=high / 100), min([high / 100, *painted[-1:]]))
    if high < 4 * low:
        low, high = low / 2, 2 * high
    return max(v for v in _round_values(low, high) if v <= low), min(v for v in _round_values(low, high) if v >= high)


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten, from one at or below `low` to one at or above `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]


def _ticks(low: float, high: float) -> list[float]:
    """A few round values between the two."""
    ticks = [value for value in _round_values(low, high) if low <= value <= high]
    if len(ticks) > MOST_TICKS:
        ticks = [value for value in ticks if f"{value:e}".startswith("1")]
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]


def _apart(heights: Sequence[float]) -> list[float]:
    """Heights near these, in their order, at which names do not cover one another."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed, next_free = list(heights), 0.0
    for index in order:
        placed[index] = max(heights[index], next_free)
        next_free = placed[index] + LETTERS
    ground = PLOT - 5.0  # clear of the words below
    for index in reversed(order):
        placed[index] = min(placed[index], ground)
        ground = placed[index] - LETTERS
    return placed
