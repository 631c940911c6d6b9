"""What the page shows of a run, in words and HTML: pure functions of plain values.  Standard library only."""

import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nst.page.loss_plot import History, Point, curves

if TYPE_CHECKING:
    from nst.transfer import Frame

NUMBERS = (
    "Step",
    "Scale",
    "Speed",
    "Time so far",
    "Time left",
    "Content loss",
    "Style loss",
    "Variation",
    "Total loss",
)

# Handlers, since a script in HTML that is put in later does not run.  A finger that goes up or down scrolls the page.
WIPE = """this.parentNode.style.setProperty('--at', this.value + '%');
this.setAttribute('aria-valuetext', Math.round(this.value) + ' % of the photo');"""
CATCH = """this.from = event; this.setPointerCapture(event.pointerId);
if (event.pointerType !== 'touch') this.onpointermove(event);"""
DRAG = """const box = this.getBoundingClientRect(), range = this.querySelector('input');
const far = axis => Math.abs(event[axis] - this.from[axis]);
const across = event.pointerType !== 'touch' || far('clientX') > far('clientY');
if (event.type === 'click' || event.buttons === 1 && across) {
range.value = 100 * (event.clientX - box.left) / box.width; range.oninput(); }
if (event.type === 'click') range.focus({preventScroll: true});"""
GRIP = '<b><svg viewBox="0 0 24 24" width="24" height="24"><path d="M9.5 7 4.5 12l5 5M14.5 7l5 5-5 5"/></svg></b>'
# Called by a person it has an event, and PLAY ends.
SHOW = """this.closest('.film').querySelectorAll('img').forEach(
(still, index) => still.style.visibility = index > this.value ? 'hidden' : 'visible');
this.setAttribute('aria-valuetext', `picture ${+this.value + 1} of ${+this.max + 1}`);
if (event && this.previousElementSibling.timer) this.previousElementSibling.click();"""
PLAY = """const button = this, range = this.nextElementSibling;
const show = value => { range.value = value; range.oninput(); };
const pause = () => { clearInterval(button.timer); button.timer = 0; button.textContent = 'Play'; };
if (button.timer) return pause();
if (range.value === range.max) show(0);
button.textContent = 'Pause';
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
button.timer = setInterval(() => {
if (range.isConnected && range.value !== range.max) show(+range.value + 1);
if (!range.isConnected || range.value === range.max) pause(); }, calm ? 1000 : INTERVAL);"""


# --- Words ------------------------------------------------------------------------------------------------------------


def told(sentence: str) -> str:
    """A sentence as HTML."""
    return f"<span>{html.escape(sentence)}</span>"


def trouble(problem: str) -> str:
    """A sentence on what went wrong, as HTML."""
    return f'<span class="trouble">{html.escape(problem)}</span>'


def progress(frame: "Frame") -> str:
    """What is being done; it changes with the scale only, since screen readers read it aloud."""
    return f"Painting at {frame.scale} pixels …"


def ending(frame: "Frame", shape: tuple[int, int]) -> str:
    """How the run ended; `shape` is the height and width of the picture that is handed out."""
    pixels = f"{shape[1]} × {shape[0]} pixels"
    if frame.step == frame.steps:
        return f"Painted in {duration(frame.elapsed)}: {pixels}."
    enlarged = f", enlarged to {pixels}" if frame.image.shape[:2] != shape else f": {pixels}"
    return f"Stopped after {frame.step} of {frame.steps} steps{enlarged}."


def waiting(ahead: int, seconds: float | None = None) -> str:
    """Where a visitor stands in the queue.

    Args:
        ahead: visitors who are served before this one; whoever is being served already does not count.
        seconds: until this one's turn, estimated; None where nobody knows.
    """
    who = f"{ahead} people are" if ahead > 1 else "1 person is"
    place = f"{who} before you" if ahead else "You are next"
    return f"{place}; your turn in {about(seconds)}." if seconds is not None else f"{place}."


def duration(seconds: float) -> str:
    """Seconds in words: "59 s", "1 min 00 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def file_name(content: str | None, style: str | None) -> str:
    """A name for the picture painted from these two files: letters, digits, hyphens and underscores, and .png."""
    stems = (re.sub(r"\W+", "-", Path(path or "").stem)[:40].strip("-") or "picture" for path in (content, style))
    return "_".join(stems) + ".png"


def about(seconds: float) -> str:
    """Seconds in words, an estimate to one digit or to the minute, for it is no better than that."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 55:
        return f"about {10 * math.floor(seconds / 10 + 0.5)} s"
    return f"about {max(1, math.floor(seconds / 60 + 0.5))} min"


# --- Numbers ----------------------------------------------------------------------------------------------------------


def numbers(frame: "Frame | None" = None, history: History | None = None) -> str:
    """HTML: how far the run is, its losses and their curves; of the same height whether there is a run or not."""
    values, done = dict.fromkeys(NUMBERS, "–"), 0.0
    points = history.points if history else []
    if frame is not None:
        if frame.step:  # by time: late steps take longer
            done = 100 * frame.elapsed / (frame.elapsed + frame.remaining or 1)
        standing = (f"{frame.step} of {frame.steps}", f"{frame.scale} px", _speed(frame, points))
        times = (duration(frame.elapsed), duration(frame.remaining))
        losses = (f"{frame.losses[name]:.3g}" for name in ("content", "style", "total_variation", "total"))
        values = dict(zip(NUMBERS, (*standing, *times, *losses), strict=True))
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in values.items())
    bar = (
        '<div class="bar" role="progressbar" aria-label="Progress of the painting" aria-live="off" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{done:.0f}"><i style="width:{done:.1f}%"></i></div>'
    )
    return f"{bar}<dl>{cells}</dl>{curves(points, frame.steps if frame else 0)}"


def _speed(frame: "Frame", points: Sequence[Point]) -> str:
    """Steps a second at this scale, as far as it is known; before that, since the last point or the beginning."""
    before = [point for point in points if point.step < frame.step]
    here = [point for point in before if point.scale == frame.scale]
    since = (here or before[-1:] or [Point(0, 0, 0.0, {})])[0]
    steps, seconds = frame.step - since.step, frame.elapsed - since.elapsed
    if steps <= 0 or seconds <= 0:
        return "–"
    speed = steps / seconds
    return f"{speed:.0f} steps/s" if speed >= 9.95 else f"{speed:#.2g} steps/s"


# --- Before and after, and the way between ----------------------------------------------------------------------------


def wipe(
    photo_url: str, width: int, height: int, label: str = "Before and after: how much of the photo is shown"
) -> str:
    """HTML to lie over a picture that is shown as large as it fits: the photo, uncovered from the left by dragging.

    Args:
        photo_url: an address or data URL of what browsers can show.
        width, height: of the picture beneath, in any unit.
        label: what screen readers call it.
    """
    drag = html.escape(DRAG)
    return (
        f'<div class="wipe"><div dir="ltr" style="{_box(width, height)}" title="Drag to see the photo" '
        f'onpointerdown="{html.escape(CATCH)}" onpointermove="{drag}" onclick="{drag}">'
        f'<img src="{html.escape(photo_url)}" alt=""><input type="range" min="0" max="100" step="any" value="0" '
        f'aria-label="{html.escape(label)}" aria-valuetext="0 % of the photo" oninput="{html.escape(WIPE)}">'
        f"<i></i>{GRIP}</div></div>"
    )


def film(stills: Sequence[str], width: int, height: int, interval: int = 120) -> str:
    """HTML with a scrubber through the pictures of a run; nothing moves until somebody asks for it.

    Args:
        stills: addresses or data URLs, first to last; sizes may differ, the proportions are the same.
        width, height: of the last one, in any unit.
        interval: milliseconds from one to the next when played, a second where motion is to be reduced.
    """
    if not stills:
        return ""
    shown = "".join(f'<img src="{html.escape(still)}" alt="">' for still in stills)
    last = len(stills) - 1
    return (
        f'<div class="film"><div><div style="{_box(width, height)}">{shown}</div></div>'
        f'<p><button type="button" onclick="{html.escape(PLAY.replace("INTERVAL", str(interval)))}">Play</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" autocomplete="off" '
        f'aria-label="Time-lapse: from the photo to the painting" '
        f'aria-valuetext="picture {last + 1} of {last + 1}" oninput="{html.escape(SHOW)}"></p></div>'
    )


def _box(width: int, height: int) -> str:
    """CSS: as large as fits into what is around it, with these proportions."""
    return f"aspect-ratio: {width} / {height}; width: min(100%, 100cqh * {width / height:.6g})"


# --- The algorithm ----------------------------------------------------------------------------------------------------


def _formula(words: str, left: str, right: str) -> str:
    return f'<math display="block" alttext="{words}"><mrow>{left}<mo>=</mo>{right}</mrow></math>'


def _loss(name: str) -> str:
    return f"<msub><mi>J</mi><mtext>{name}</mtext></msub>"


def _error(ours: str) -> str:
    """‖ours − the painting's‖² / ‖the painting's‖² at layer ℓ."""
    norm = '<mrow><mo stretchy="false">‖</mo>{}<msup><mo stretchy="false">‖</mo><mn>2</mn></msup></mrow>'
    theirs = f"<msubsup>{ours}<mi>ℓ</mi><mtext>s</mtext></msubsup>"
    difference = f"<msub>{ours}<mi>ℓ</mi></msub><mo>−</mo>{theirs}"
    return f"<mfrac>{norm.format(difference)}{norm.format(theirs)}</mfrac>"


def _squares(of: str) -> str:
    left, right = ('<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>')
    return f"<mrow><mo>∑</mo><mi>w</mi><mo>⁢</mo>{left}{of}<msup>{right}<mn>2</mn></msup></mrow>"


def _terms(*terms: tuple[str, str]) -> str:
    return "<dl>" + "".join(f"<div><dt>{symbol}</dt><dd>{words}</dd></div>" for symbol, words in terms) + "</dl>"


_MEAN_P = '<mover accent="true"><mi>P</mi><mo stretchy="false">¯</mo></mover>'
_SUM = (
    f"<mi>α</mi><mo>⁢</mo>{_loss('content')}<mo>+</mo><mi>β</mi><mo>⁢</mo>{_loss('style')}"
    f"<mo>+</mo><mi>γ</mi><mo>⁢</mo>{_loss('variation')}"
)
_CONTENT = f"<mfrac>{_squares('<mi>F</mi><mo>−</mo><mi>P</mi>')}{_squares(f'<mi>P</mi><mo>−</mo>{_MEAN_P}')}</mfrac>"
_STYLE = (  # ½ and no root sign: where there is no font for mathematics, browsers draw that too small
    "<munder><mo>∑</mo><mi>ℓ</mi></munder><msub><mi>λ</mi><mi>ℓ</mi></msub>"
    f"<msup><mrow><mo>(</mo>{_error('<mi>C</mi>')}<mo>+</mo>{_error('<mi>μ</mi>')}<mo>)</mo></mrow><mn>½</mn></msup>"
)

ABOUT = f"""<div class="about">
<p>A neural network that has learned to tell what is in a picture looks at three of them: your photo, the painting, and
the picture being made.
What its deep layers respond to, and where, is the content, which should stay the photo’s.
How strongly its filters respond on average, and which of them respond together, wherever in the picture that may be,
is the style, which should become the painting’s.
Step by step, every pixel is moved a little in the direction that makes the weighted sum of both differences, and of
those between neighboring pixels, smaller.
It begins small, where large strokes are found quickly, and goes on at larger and larger sizes up to the one you asked
for.</p>
{_formula("J = alpha J content + beta J style + gamma J variation", "<mi>J</mi>", _SUM)}
{
    _formula(
        "J content = the sum of w times the square of F minus P, over the sum of w times the square of P minus mean P",
        _loss("content"),
        _CONTENT,
    )
}
{
    _formula(
        "J style = the sum over the layers l of lambda l times the root of the relative squared distance of the "
        "covariances C plus that of the means mu",
        _loss("style"),
        _STYLE,
    )
}
{
    _terms(
        ("J", "what every step makes smaller: the total loss"),
        ("α, β, γ", "how much each part counts; Strength shifts weight from α to β"),
        ("F, P", "a deep layer’s responses to the picture being made, and to the photo"),
        ("P̄", "each filter’s mean of P over all places"),
        ("w", "how much a place counts: more where P differs much from P̄, less in a flat sky"),
        ("ℓ, λ<sub>ℓ</sub>", "a layer, and its share; all shares add up to 1"),
        (
            "C<sub>ℓ</sub>, μ<sub>ℓ</sub>",
            "covariance and mean of a layer’s responses over all places; with s, the painting’s",
        ),
        ("J<sub>variation</sub>", "mean squared difference of neighboring pixels, which keeps the picture calm"),
    )
}
</div>"""
