"""Sentences and HTML about a run: pure functions of plain values.  Standard library only."""

import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nst.page.loss_plot import History, Point, curves
from nst.page.translation import tr

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

# Inline event handlers, because browsers do not run scripts in HTML that is inserted later.  A vertical swipe scrolls.
WIPE_INPUT = """this.parentNode.style.setProperty('--at', this.value + '%');
this.setAttribute('aria-valuetext', this.dataset.share.replace('{share}', Math.round(this.value)));"""
POINTER_DOWN = """this.from = event; this.setPointerCapture(event.pointerId);
if (event.pointerType !== 'touch') this.onpointermove(event);"""
POINTER_MOVE = """const box = this.getBoundingClientRect(), range = this.querySelector('input');
const distance = axis => Math.abs(event[axis] - this.from[axis]);
const isHorizontal = event.pointerType !== 'touch' || distance('clientX') > distance('clientY');
if (event.type === 'click' || event.buttons === 1 && isHorizontal) {
range.value = 100 * (event.clientX - box.left) / box.width; range.oninput(); }
if (event.type === 'click') range.focus({preventScroll: true});"""
CLICK = "this.onpointermove(event)"
HANDLERS = WIPE_INPUT, POINTER_DOWN, POINTER_MOVE, CLICK  # scripts that the page's security policy lets run

HANDLE = '<b><svg viewBox="0 0 24 24" width="24" height="24"><path d="M9.5 7 4.5 12l5 5M14.5 7l5 5-5 5"/></svg></b>'


# --- Sentences --------------------------------------------------------------------------------------------------------


def message(sentence: str) -> str:
    """A message as HTML."""
    return f"<span>{html.escape(sentence)}</span>"


def error_message(sentence: str) -> str:
    """An error message as HTML."""
    return f'<span class="error-message">{html.escape(sentence)}</span>'


def progress(frame: "Frame", scales: Sequence[tuple[int, int]] = ()) -> str:
    """The stage of the run, by `Settings.scales()`, and the time left; rounded, because screen readers announce it."""
    number, count = max(sum(side <= frame.scale for side, _ in scales), 1), len(scales)
    stage = tr("Sketching" if number < count else "Painting")
    if count > 1:
        stage = tr("{stage} ({number} of {count})", stage=stage, number=number, count=count)
    return tr("{stage} · {time} left", stage=stage, time=about(frame.remaining)) if frame.remaining else f"{stage} …"


def ending(frame: "Frame", shape: tuple[int, int]) -> str:
    """How the run ended; `shape` is the (height, width) of the picture to download."""
    size = {"width": shape[1], "height": shape[0]}
    if frame.step == frame.steps:
        return tr("Painted in {time}: {width} × {height} pixels.", time=duration(frame.elapsed), **size)
    if frame.image.shape[:2] != shape:
        stopped = "Stopped after {step} of {steps} steps, enlarged to {width} × {height} pixels."
    else:
        stopped = "Stopped after {step} of {steps} steps: {width} × {height} pixels."
    return tr(stopped, step=frame.step, steps=frame.steps, **size)


def waiting(ahead: int, seconds: float | None = None) -> str:
    """A visitor's place in the queue.

    Args:
        ahead: visitors in the queue before this one, not counting the one whose picture is being painted.
        seconds: estimated time until this visitor's turn; None if unknown.
    """
    who = "{ahead} people are ahead of you" if ahead > 1 else "{ahead} person is ahead of you"
    place = tr(who, ahead=ahead) if ahead else tr("You are next")
    if seconds is None:
        return tr("{place}.", place=place)
    return tr("{place}; your turn in {time}.", place=place, time=about(seconds))


def duration(seconds: float) -> str:
    """A duration in words: "59 s", "1 min 00 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes:
        return tr("{minutes} min {seconds} s", minutes=minutes, seconds=f"{seconds:02d}")
    return tr("{seconds} s", seconds=seconds)


def file_name(content: str | None, style: str | None) -> str:
    """File name for the result of these two files: letters, digits, hyphens and underscores, then .png.

    At most 200 bytes in UTF-8, which Gradio's cache takes; file systems take 255.
    """
    stems = (re.sub(r"\W+", "-", Path(path or "").stem)[:40] for path in (content, style))
    short = (stem.encode()[:96].decode(errors="ignore").strip("-") or "picture" for stem in stems)
    return "_".join(short) + ".png"


def about(seconds: float) -> str:
    """An estimated duration in words, rounded to ten seconds or a minute to match its precision."""
    if seconds < 5:
        return tr("a few seconds")
    if seconds < 55:
        return tr("about {seconds} s", seconds=10 * math.floor(seconds / 10 + 0.5))
    return tr("about {minutes} min", minutes=max(1, math.floor(seconds / 60 + 0.5)))


# --- Numbers ----------------------------------------------------------------------------------------------------------


def bar(frame: "Frame | None" = None) -> str:
    """HTML: a progress bar."""
    done = 0.0
    if frame is not None and frame.step:  # by time, because later steps take longer
        done = 100 * frame.elapsed / (frame.elapsed + frame.remaining or 1)
    return (
        f'<div class="bar" role="progressbar" aria-label="{tr("Progress of the painting")}" aria-live="off" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{done:.0f}"><i style="width:{done:.1f}%"></i></div>'
    )


def numbers(frame: "Frame | None" = None, history: History | None = None) -> str:
    """HTML: numbers and loss curves.  The height is the same with and without a run."""
    values = dict.fromkeys(NUMBERS, "–")
    points = history.points if history else []
    if frame is not None:
        position = (
            tr("{step} of {steps}", step=frame.step, steps=frame.steps),
            f"{frame.scale} px",
            _speed(frame, points),
        )
        times = (duration(frame.elapsed), duration(frame.remaining))
        losses = (f"{frame.losses[name]:.3g}" for name in ("content", "style", "total_variation", "total"))
        values = dict(zip(NUMBERS, (*position, *times, *losses), strict=True))
    cells = "".join(f"<div><dt>{tr(name)}</dt><dd>{value}</dd></div>" for name, value in values.items())
    return f"<dl>{cells}</dl>{curves(points, frame.steps if frame else 0)}"


def _speed(frame: "Frame", points: Sequence[Point]) -> str:
    """Steps per second at this scale; at its first frame, since the previous point or the start."""
    before = [point for point in points if point.step < frame.step]
    here = [point for point in before if point.scale == frame.scale]
    since = (here or before[-1:] or [Point(0, 0, 0.0, {})])[0]
    steps, seconds = frame.step - since.step, frame.elapsed - since.elapsed
    if steps <= 0 or seconds <= 0:
        return "–"
    speed = steps / seconds
    return tr("{speed} steps/s", speed=f"{speed:.0f}" if speed >= 9.95 else f"{speed:#.2g}")


# --- Before/after slider and time-lapse -------------------------------------------------------------------------------


def wipe(
    photo_url: str,
    width: int,
    height: int,
    label: str = "",
    at: int = 0,
    painted_url: str = "",
    caption: str = "",
) -> str:
    """HTML of a before/after slider over a picture that fills its container: dragging reveals the photo from the left.

    Args:
        photo_url: URL or data URL of an image that browsers can display.
        width, height: size of the picture beneath, in any unit.
        label: accessible name; by default what it does.
        at: share of the photo shown at first, 0 to 100 %.
        painted_url: URL of the picture beneath, if the container does not show it.
        caption: text below the slider's handle.
    """
    drag, share = html.escape(POINTER_MOVE), tr("{share} % of the photo")
    label = label or tr("Before and after: share of the photo shown")
    beneath = f'<img class="beneath" src="{html.escape(painted_url)}" alt="{html.escape(caption)}">' * bool(painted_url)
    return (
        f'<div class="wipe"><div dir="ltr" style="{_fit_css(width, height)}; --at: {at}%" '
        f'title="{tr("Drag to see the photo")}" onpointerdown="{html.escape(POINTER_DOWN)}" onpointermove="{drag}" '
        f'onclick="{CLICK}">{beneath}'
        f'<img src="{html.escape(photo_url)}" alt=""><input type="range" min="0" max="100" step="any" value="{at}" '
        f'aria-label="{html.escape(label)}" data-share="{share}" aria-valuetext="{share.format(share=at)}" '
        f'oninput="{html.escape(WIPE_INPUT)}">'
        f"<i></i>{HANDLE}</div>{f'<p>{html.escape(caption)}</p>' if caption else ''}</div>"
    )


def cards(examples: Sequence[tuple[str, str, str, str]]) -> str:
    """HTML of a row of examples: (name, title, painter, URL of photo and result side by side) of each."""
    buttons = "".join(
        f'<button type="button" class="card" id="pair-{name}" data-name="{name}"><img src="{html.escape(url)}" alt="" '
        f'loading="lazy"><b>{html.escape(title)}</b><span>{html.escape(painter)}</span></button>'
        for name, title, painter, url in examples
    )
    return f'<div role="group" aria-label="{tr("Examples")}">{buttons}</div>'


def paintings(tiles: Sequence[tuple[str, str, str, str]]) -> str:
    """HTML of a strip of paintings to choose from: (name, title, painter, URL of a thumbnail) of each."""
    buttons = "".join(
        f'<button type="button" data-name="{name}"><img src="{html.escape(url)}" alt="" loading="lazy" width="56" '
        f'height="56"><span><b>{html.escape(title)}</b> {html.escape(painter)}</span></button>'
        for name, title, painter, url in tiles
    )
    title = f'<h2 id="paintings-title">{tr("Paintings")}</h2>'
    return f'{title}<div role="group" aria-labelledby="paintings-title">{buttons}</div>'


def film(url: str) -> str:
    """HTML of a time-lapse, .mp4 or .webp; a video has the browser's own controls and does not play by itself."""
    if url.endswith(".mp4"):
        return f'<video controls loop playsinline preload="metadata" src="{html.escape(url)}"></video>'
    return f'<img src="{html.escape(url)}" alt="{tr("Time-lapse: from the photo to the painting")}">'


def _fit_css(width: int, height: int) -> str:
    """CSS of the largest box with these proportions that fits into its container."""
    return f"aspect-ratio: {width} / {height}; width: min(100%, 100cqh * {width / height:.6g})"


# --- The algorithm ----------------------------------------------------------------------------------------------------


def _formula(words: str, left: str, right: str) -> str:
    return f'<math display="block" alttext="{words}"><mrow>{left}<mo>=</mo>{right}</mrow></math>'


def _loss(name: str) -> str:
    return f"<msub><mi>J</mi><mtext>{name}</mtext></msub>"


def _error(symbol: str) -> str:
    """‖X − X of the painting‖ / ‖X of the painting‖ at layer ℓ, for the symbol X."""
    norm = '<mrow><mo stretchy="false">‖</mo>{}<mo stretchy="false">‖</mo></mrow>'
    target = f"<msubsup>{symbol}<mi>ℓ</mi><mtext>s</mtext></msubsup>"
    difference = f"<msub>{symbol}<mi>ℓ</mi></msub><mo>−</mo>{target}"
    return f"<mfrac>{norm.format(difference)}{norm.format(target)}</mfrac>"


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
_STYLE = "<munder><mo>∑</mo><mi>ℓ</mi></munder><msub><mi>λ</mi><mi>ℓ</mi></msub>" + _error("<mi>G</mi>")

PARAGRAPH = """\
A neural network that was trained to recognize objects looks at three pictures: your photo, the painting, \
and the picture being made. The content is what its deep layers respond to, and where; it should stay the photo’s. \
The style is how strongly its filters respond on average, and which of them respond together, anywhere in the picture; \
it should become the painting’s. Each step changes every pixel a little, to reduce the weighted sum of both \
differences and of the differences between neighboring pixels. It starts with a small picture, where large strokes \
form quickly, and continues at larger and larger sizes, up to the size you chose."""
FORMULAS = (
    ("J = alpha J content + beta J style + gamma J variation", "<mi>J</mi>", _SUM),
    (
        "J content = the sum of w times the square of F minus P, over the sum of w times the square of P minus mean P",
        _loss("content"),
        _CONTENT,
    ),
    (
        "J style = the sum over the layers l of lambda l times the relative distance of the Gram matrices G",
        _loss("style"),
        _STYLE,
    ),
)
TERMS = (
    ("J", "the total loss, which every step reduces"),
    ("α, β, γ", "the weights of the parts; Strength shifts weight from α to β"),
    ("F, P", "a deep layer’s responses to the picture being made, and to the photo"),
    ("P̄", "each filter’s mean of P over all positions"),
    ("w", "how much a position counts: more where P differs much from P̄, less in a flat sky"),
    ("ℓ, λ<sub>ℓ</sub>", "a layer and its weight; all weights add up to 1"),
    (
        "G<sub>ℓ</sub>",
        "Gram matrix: products of each two filters’ responses, averaged over all positions; with s, the painting’s",
    ),
    ("J<sub>variation</sub>", "mean squared difference of neighboring pixels; it keeps the picture smooth"),
)


def explanation() -> str:
    """HTML: how the algorithm works."""
    formulas = "\n".join(_formula(tr(words), left, right) for words, left, right in FORMULAS)
    terms = _terms(*((symbol, tr(words)) for symbol, words in TERMS))
    return f'<div class="about">\n<p>{tr(PARAGRAPH)}</p>\n{formulas}\n{terms}\n</div>'
