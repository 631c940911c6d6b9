"""The desk: what visitors ask the studio for, and what they are shown of it."""

import contextlib
import html
import inspect
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr

from nst import timelapse
from nst.images import ImageError
from nst.page import display
from nst.page.components import data_url
from nst.page.display import told, trouble
from nst.page.results import View, kept, offer, show
from nst.page.sharing import PARAMETERS
from nst.page.studio import MORE_STEPS, Run, Studio
from nst.page.text import CROWD, FAULT, GONE, INVITATION, LOOKING
from nst.painting import FOLLOWING_STEPS
from nst.settings import Settings

FILM_BYTES = 8_000_000
USUAL = 384, 512  # height and width of the picture for which the time is told

log = logging.getLogger(__name__)


class Handlers:
    """The handlers that need the studio.  A visitor is known by the session of the browser's tab."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def describe(self, network: str) -> str:
        """HTML: which network paints, why, and how long it takes, as far as that is known."""
        settings = Settings(network=network)
        try:
            reason = self.studio.reason(settings)
            seconds = self.studio.engine(settings).expected_seconds(*USUAL, settings)
        except ValueError as error:
            return trouble(str(error))
        time_needed = f" A picture of {max(USUAL)} pixels takes {display.about(seconds)} here." if seconds else ""
        return html.escape(reason + time_needed)

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
            with contextlib.closing(self.studio.paint(visitor, run, at_least)) as frames:
                for frame in frames:
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
        sentence = " ".join(filter(None, (display.ending(run.frame, run.shape), run.note)))
        told = {"sentence": sentence, "numbers": display.numbers(run.frame, run.history)}
        view = show(path, (kept(path), str(run.content), run.style), run.shape)
        return view._replace(**told, **_buttons("idle"), film=gr.update(open=False), more=gr.update(visible=True))

    def film(self, request: gr.Request) -> tuple[Any, Any]:
        """The time-lapse of the visitor's picture, and its file."""
        run = self.studio.run(_visitor(request))
        if run is None or run.frame is None:
            return trouble(GONE), gr.update(visible=False)
        with tempfile.TemporaryDirectory() as folder:
            path = (Path(folder) / display.file_name(run.content, run.style)).with_suffix(timelapse.suffix())
            run.film.write(path, max_bytes=FILM_BYTES)
            stills = [data_url(still) for still in run.film.stills(count=40, max_bytes=40_000)]
            height, width = run.shape
            return display.film(stills, width, height), offer(Path(kept(path)))

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
    """What programs are told about `Handlers.paint`, in the form that Gradio hands on to them."""
    knobs = {knob.name: knob for knob in fields(Settings)}
    lines = [f"    {name}: {knobs[name].metadata['help']}" for name in PARAMETERS]
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
    """What programs call the values that go into `Handlers.paint`."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    settings = [inspect.Parameter(name, kind, default=getattr(Settings(), name)) for name in PARAMETERS]
    return [inspect.Parameter(name, kind) for name in ("self", "request", "content", "style")] + settings


Handlers.paint.__doc__ = _manual()
Handlers.paint.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]


def _buttons(state: str) -> dict[str, Any]:
    return {
        "paint": gr.update(visible=state == "idle"),
        "stop": gr.update(visible=state == "painting"),
        "leave": gr.update(visible=False),
    }
