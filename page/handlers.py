"""The page's handlers: from what a visitor does to what changes on the page.

What is painted is the studio's business, what is told of it that of `nst.display`.
"""

import html
import inspect
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr
import numpy as np
from gradio import processing_utils
from gradio.utils import get_upload_folder

from nst import catalogue, display, finishing, images, recipe, sharing, timelapse
from nst.display import told, trouble
from nst.finishing import Finishing
from nst.images import ImageError
from nst.settings import Settings
from nst.sharing import PARAMETERS
from nst.studio import FOLLOWING_STEPS, MORE_STEPS, Run, Studio
from page.components import data_url

DEFAULTS = Settings()
KNOBS = {knob.name: knob.metadata for knob in fields(Settings)}
TOUCHES = tuple(touch.name for touch in fields(Finishing))
FILM_BYTES = 8_000_000
INVITATION = "Choose a photo and a painting, or start with an example."
LOOKING = "Looking at both pictures …"
CROWD = "Too many visitors are waiting already; please come back in a few minutes."
FAULT = "The painting broke off through a fault of ours; a smaller size may work."
GONE = "This picture is no longer kept here; please paint it again."
LINKED = ("picture", "photo", "painting")  # what a link to a visitor's own result names, in a Canvas's order
LINK_LIMITS = (
    "The link lasts until this page is restarted, a day at most, and whoever has it sees your photo, too. The "
    "downloaded picture keeps for good: dropped in here, it brings back its settings."
)

# What a visitor can set, with a word and a line for each; programs can give the other settings as well.
CONTROLS = {
    "size": ("Size", "Longest side of the result in pixels; twice the size takes about four times as long."),
    "strength": ("Strength", "0 keeps the photo, 100 gives in to the painting. Pull it while the picture is painted."),
    "style_scale": (
        "Stroke size",
        "Below 1 strokes come out finer, above 1 broader. It counts from the next Paint.",
    ),
    "network": ("Network", "The eye that compares the pictures: VGG-19 sees more, the compact one is quicker."),
    "style_statistics": ("What counts as manner", "How colors and shapes vary together, or the paper's Gram matrices."),
    "init": ("Begin with", "The photo keeps its outlines; noise lets the painting find its own."),
    "seed": ("Chance", "Another number is another noise; it counts where the picture begins with noise."),
    "total_variation_weight": ("Smoothness", "0 keeps every grain, 8 is usual, 50 is very calm."),
    "detail": ("Photo's detail", "How much of the photo's fine detail comes back while the picture grows."),
}

Canvas = tuple[str, str, str]  # paths of the picture as it was painted, of the photo, and of the painting

log = logging.getLogger(__name__)


class View(NamedTuple):
    """What painting changes on the page: one value for each output, in this order."""

    picture: Any = gr.skip()  # an array while painting, at the end the path of a PNG
    sentence: Any = gr.skip()
    numbers: Any = gr.skip()
    wipe: Any = gr.skip()  # the photo, to be drawn over the picture
    download: Any = gr.skip()
    canvas: Any = gr.skip()  # a Canvas, or None while there is no finished picture
    after: Any = gr.skip()  # the block with what can be done with a finished picture
    film: Any = gr.skip()  # the block with the time-lapse
    more: Any = gr.skip()
    paint: Any = gr.skip()
    stop: Any = gr.skip()
    leave: Any = gr.skip()


class Setup(NamedTuple):
    """What a handler changes of what goes in; the values of PARAMETERS and TOUCHES follow it."""

    content: Any = gr.skip()
    style: Any = gr.skip()
    credit: Any = gr.skip()
    note: Any = gr.skip()  # about the pictures, beneath them
    repeated: Any = gr.skip()  # the recipe last taken over
    go: Any = gr.skip()  # a new value: paint now


class Desk:
    """The handlers that need the studio.  A visitor is known by the session of the browser's tab."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def describe(self, network: str) -> str:
        """HTML: which network paints, and why."""
        try:
            return html.escape(self.studio.reason(Settings(network=network)))
        except ValueError as error:
            return trouble(str(error))

    def paint(self, request: gr.Request, content: str | None, style: str | None, *values: Any) -> Iterator[View]:
        """Pictures on the way as JPEG, last a PNG of the asked size."""
        try:
            run = Run(content, style, Settings(**dict(zip(PARAMETERS, values))))
        except ValueError as error:
            self.studio.leave(_visitor(request))
            yield View(sentence=trouble(str(error)), **_buttons("idle"))
            raise gr.Error(str(error), visible=False, print_exception=False) from error
        yield from self._views(_visitor(request), run)

    def go_on(self, request: gr.Request) -> Iterator[View]:
        """More steps for the visitor's picture."""
        yield from self._again(_visitor(request), MORE_STEPS)

    def follow(self, request: gr.Request) -> Iterator[View]:
        """A few steps for the visitor's picture to follow a slider."""
        yield from self._again(_visitor(request), FOLLOWING_STEPS)

    def _again(self, visitor: str, steps: int) -> Iterator[View]:
        run = self.studio.run(visitor)
        if run is None or run.frame is None:
            self.studio.leave(visitor)
            yield View(sentence=trouble(GONE), **_buttons("idle"))
            return
        left = run.frame.steps - run.frame.step
        yield from self._views(visitor, run, at_least=left or steps)

    def _views(self, visitor: str, run: Run, at_least: int = 0) -> Iterator[View]:
        self.studio.leave(visitor)
        scale, settings, problem = 0, run.settings, ""
        hidden = gr.update(visible=False)
        yield View(sentence=LOOKING, wipe="", canvas=None, after=hidden, more=hidden, **_buttons("painting"))
        try:
            for frame in self.studio.paint(visitor, run, at_least):
                if run.stop.is_set() or frame.step == frame.steps:
                    continue  # this one will be the PNG
                news = gr.skip()  # read aloud by screen readers, so not more often than a few times a run
                if frame.scale != scale or run.settings != settings:
                    scale, settings, news = frame.scale, run.settings, display.progress(frame)
                yield View(frame.image, news, display.numbers(frame, run.history))
        except (ValueError, FloatingPointError, MemoryError) as error:
            problem = str(error)
        except Exception:
            log.exception("Painting failed")
            problem = FAULT
        last = View(**_buttons("idle"))
        with tempfile.TemporaryDirectory() as folder:  # emptied when Gradio, having taken a copy, comes back
            if run.frame is not None:
                try:
                    last = self._finished(run, Path(folder))
                except ImageError as error:
                    problem = str(error)
            yield last._replace(sentence=trouble(problem)) if problem else last
        if problem:
            raise gr.Error(problem, visible=False, print_exception=False)

    def _finished(self, run: Run, folder: Path) -> View:
        path = folder / display.file_name(run.content, run.style)
        assert run.frame is not None
        run.save(path)
        told = {"sentence": display.ending(run.frame, run.shape), "numbers": display.numbers(run.frame, run.history)}
        shown = _shown(path, (_kept(path), run.content or "", run.style or ""), run.shape)
        return shown._replace(**told, **_buttons("idle"), film=gr.update(open=False), more=gr.update(visible=True))

    def film(self, request: gr.Request) -> tuple[Any, Any]:
        """The time-lapse of the visitor's picture, and its file."""
        run = self.studio.run(_visitor(request))
        if run is None or run.frame is None:
            return trouble(GONE), gr.update(visible=False)
        with tempfile.TemporaryDirectory() as folder:
            path = (Path(folder) / display.file_name(run.content, run.style)).with_suffix(timelapse.suffix())
            run.film.write(path, max_bytes=FILM_BYTES)
            stills = [data_url(still) for still in run.film.stills(count=40, max_bytes=40_000)]
            return display.film(stills, *run.shape[::-1]), _offer(Path(_kept(path)))

    # The following are answered at once, outside the queue.

    def join(self, request: gr.Request) -> tuple[Any, ...]:
        """Stand in line; what `wait` gives.  The page says why if that fails."""
        if not self.studio.join(_visitor(request)):
            raise gr.Error(CROWD, visible=False, print_exception=False)
        return self.wait(request)

    def wait(self, request: gr.Request) -> tuple[Any, ...]:
        """How long it may take till the visitor's turn comes, the buttons meanwhile, and whether to ask again."""
        place = self.studio.place(_visitor(request))
        if place is None:
            return gr.skip(), gr.skip(), gr.update(visible=False), gr.update(active=False)
        return told(display.waiting(*place)), gr.update(visible=False), gr.update(visible=True), gr.update(active=True)

    def leave(self, request: gr.Request) -> tuple[Any, ...]:
        """Stand in line no longer; Gradio's queue is left by the event's `cancels`."""
        self.studio.leave(_visitor(request))
        return INVITATION, gr.update(visible=True), gr.update(visible=False), gr.update(active=False)

    def stop(self, request: gr.Request) -> None:
        """Let this visitor's painter end after the step it is at, with a finished picture."""
        if run := self.studio.run(_visitor(request)):
            run.stop.set()

    def steer(self, request: gr.Request, content: str | None, style: str | None, strength: Any) -> Any:
        """Let the visitor's picture follow the slider; a new value when it needs another turn for that."""
        visitor = _visitor(request)
        run = self.studio.run(visitor)
        if run is None or run.frame is None or (content, style) != (run.content, run.style):
            return gr.skip()
        try:
            changed = run.steer(strength)
        except ValueError:
            return gr.skip()  # a number half typed; Paint says what is wrong with it
        return time.time() if changed and not self.studio.is_busy_for(visitor) else gr.skip()

    def gone(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        self.studio.forget(_visitor(request))


def _visitor(request: gr.Request) -> str:
    return request.session_hash or ""


def _manual() -> str:
    """What programs are told about `Desk.paint`, in the form that Gradio hands on to them."""
    lines = [f"    {name}: {KNOBS[name]['help']}" for name in PARAMETERS]
    return "\n".join(
        [
            "Repaint a photo in the manner of a painting (neural style transfer), streaming pictures on the way.",
            "",
            "Args:",
            "    content: the photo to repaint",
            "    style: the painting whose manner it is repainted in",
            *lines,
            "",
            "Returns:",
            "    the picture, JPEG on the way and at last a PNG; a sentence on the run; its numbers as HTML",
        ]
    )


def _parameters() -> list[inspect.Parameter]:
    """What programs call the values that go into `Desk.paint`."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    settings = [inspect.Parameter(name, kind, default=getattr(DEFAULTS, name)) for name in PARAMETERS]
    return [inspect.Parameter(name, kind) for name in ("self", "request", "content", "style")] + settings


Desk.paint.__doc__ = _manual()
Desk.paint.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]


def _shown(path: Path, canvas: Canvas, shape: tuple[int, int]) -> View:
    """A finished picture, height x width, with all that can be done with it."""
    photo = images.to_uint8(images.load(canvas[1], longest_side=max(shape)))
    return View(
        picture=path,
        wipe=display.wipe(data_url(images.encode_jpeg(images.rescale(photo, *shape))), *shape[::-1]),
        download=_offer(path),
        canvas=canvas,
        after=gr.update(visible=True),
    )


def finish(canvas: Canvas | None, *percents: float) -> tuple[Any, Any, Any]:
    """The picture, the download and the sentence after finishing touches to the picture as it was painted."""
    if canvas is None:
        return gr.skip(), gr.skip(), gr.skip()
    painted, content, _ = canvas
    try:
        touches = {name: percent / 100 for name, percent in zip(TOUCHES, percents, strict=True) if percent}
        if not touches:
            return painted, _offer(Path(painted)), gr.skip()
        pixels = _pixels(painted)
        photo = _pixels(content, pixels.shape[:2])
        made = recipe.read(painted)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(painted).name
            texts = replace(made, finishing=touches).texts if made else None
            images.save(finishing.finish(pixels, photo, Finishing(**touches)), path, texts=texts)
            finished = _kept(path)
    except ImageError:  # swept away after a day
        return gr.skip(), gr.skip(), trouble(GONE)
    return finished, _offer(Path(finished)), gr.skip()


@lru_cache(maxsize=8)  # asked for again and again while a slider moves; the names are made of the files' hashes
def _pixels(path: str, shape: tuple[int, int] | None = None) -> np.ndarray:
    pixels = images.to_uint8(images.load(path, longest_side=max(shape) if shape else None))
    return images.rescale(pixels, *shape) if shape else pixels


def _kept(path: Path) -> str:
    """A copy in Gradio's own folder, since it serves no other; swept there after a day."""
    return processing_utils.save_file_to_cache(path, cache_dir=get_upload_folder())


def choose(pair: catalogue.Pair) -> tuple[Any, ...]:
    """An example's pictures, with the settings of which the visitor sees nothing at their defaults: paint it."""
    setup = Setup(*_pictures(pair.content, pair.style), note="", repeated=None, go=time.time())
    further = (gr.skip() if name in CONTROLS else value for name, value in values_of(DEFAULTS).items())
    return *setup, *further, *(0 for _ in TOUCHES)


def choose_painting(example: catalogue.Example) -> tuple[str, str]:
    """A painting, and whose it is."""
    path, credit = catalogue.picture(example.name)
    return _kept(path), html.escape(credit)


def look_into(path: str | None, repeated: str | None) -> tuple[Any, ...]:
    """Look at a picture that was dropped in: one of ours brings its settings, and the examples it was made from."""
    unchanged = *Setup(), *(gr.skip() for _ in PARAMETERS + TOUCHES)
    try:
        if path:
            images.load(path, longest_side=64)
        made = recipe.read(path) if path else None
    except ValueError as error:
        return *Setup(note=trouble(str(error))), *unchanged[len(Setup._fields) :]
    if made is None or made.text == repeated:  # dropped once more: now it is to be painted on
        return *Setup(note=""), *unchanged[len(Setup._fields) :]
    shared = sharing.from_recipe(made, CONTROLS)
    setup = Setup(*_pictures(*shared.pictures)) if shared.pictures else Setup()
    setup = setup._replace(note=told(shared.sentence), repeated=made.text)
    touches = (round(100 * made.finishing.get(name, 0)) for name in TOUCHES)
    return *setup, *values_of(shared.settings).values(), *touches


def arrive(request: gr.Request) -> tuple[Any, ...]:
    """What a link asks for, when the page is opened with it; else The Starry Night, for a photo yet to come."""
    query = dict(request.query_params)
    if "picture" in query:
        return _arrive_at(query)
    link = sharing.from_query(query, CONTROLS)
    if link.pair:
        setup = Setup(*_pictures(link.pair.content, link.pair.style))
    else:
        path, credit = catalogue.picture("starry-night", fetch=False)
        setup = Setup(style=_kept(path), credit=html.escape(credit))
    setup = setup._replace(note=told(link.sentence)) if link.sentence else setup
    return *View(), *setup, *(link.given.get(name, gr.skip()) for name in PARAMETERS), *(gr.skip() for _ in TOUCHES)


def _arrive_at(query: dict[str, str]) -> tuple[Any, ...]:
    """A visitor's own result."""
    unchanged = [gr.skip() for _ in PARAMETERS + TOUCHES]
    try:
        canvas = tuple(_kept_as(query.get(name, "")) for name in LINKED)
        made = recipe.read(canvas[0])
        if made is None:
            raise ValueError("Only pictures of this page are linked to.")
        shown = _shown(Path(canvas[0]), canvas, made.size[::-1])
    except ValueError:
        return *View(), *Setup(note=trouble(GONE)), *unchanged
    settings = sharing.from_recipe(made, CONTROLS).settings
    return *shown, *Setup(*canvas[1:], repeated=made.text), *values_of(settings).values(), *unchanged[len(PARAMETERS) :]


def link(content: str | None, style: str | None, canvas: Canvas | None, *values: Any) -> str:
    """HTML that page.js makes a link of, or says why there is none."""
    photo, painting = (catalogue.recognize(path or "") for path in (content, style))
    try:
        settings = Settings(**dict(zip(PARAMETERS, values)))
        query, sentence = sharing.to_query(photo, painting, settings, CONTROLS)
    except ValueError as error:
        return trouble(str(error))
    if not query and canvas:  # the files' names in Gradio's folder are hashes, and nobody can guess them
        query, sentence = "?" + urlencode(dict(zip(LINKED, (Path(path).parent.name for path in canvas)))), LINK_LIMITS
    return f'<i data-query="{html.escape(query)}"></i>{told(sentence)}' if query else told(sentence)


def _kept_as(key: str) -> str:
    """The file that `_kept`, or an upload, has kept under this name."""
    files = Path(get_upload_folder(), key).glob("*") if re.fullmatch("[0-9a-f]{64}", key) else ()
    for file in files:
        return str(file)
    raise ImageError(GONE)


def values_of(settings: Settings) -> dict[str, Any]:
    """The settings of PARAMETERS as components take them."""
    values = {name: getattr(settings, name) for name in PARAMETERS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _pictures(content: str, style: str) -> tuple[str, str, str]:
    """Two examples and whose they are."""
    (photo, whose), (painting, whose_style) = catalogue.picture(content), catalogue.picture(style)
    return _kept(photo), _kept(painting), html.escape(f"{whose} {whose_style}")


def _buttons(state: str) -> dict[str, Any]:
    return {
        "paint": gr.update(visible=state == "idle"),
        "stop": gr.update(visible=state == "painting"),
        "leave": gr.update(visible=False),
    }


def _offer(path: Path) -> dict[str, Any]:
    return gr.update(value=path, visible=True)
