"""Event handlers that need the studio: painting, the queue, stopping, steering, the time-lapse."""

import contextlib
import html
import inspect
import json
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from nst import images, recipe, timelapse
from nst.images import ImageError
from nst.page import areas, display, fairness, limits
from nst.page.cache import cache_file, touch
from nst.page.display import error_message, message
from nst.page.programs import ARGUMENTS, Reader, brief
from nst.page.results import Canvas, View, buttons, continuing, log_failure, offer_download, show, trouble
from nst.page.sharing import EXTRAS, PARAMETERS
from nst.page.studio import MORE_STEPS, Run, Studio
from nst.page.text import (
    COPY,
    DELETED,
    ENDING,
    INVITATION,
    LOWERED,
    NOT_FINEST,
    NOT_SAVED,
    OUT_OF_TIME,
    PREPARING,
    UNREAD,
)
from nst.page.translation import tr
from nst.page.wishes import Wishes
from nst.settings import FOLLOWING_STEPS, Settings

FILM_BYTES = 8_000_000
USUAL = 384, 512  # height, width of the picture whose expected time is shown


class Handlers:
    """Event handlers of one studio.  The session hash of a request identifies the visitor, that is, a browser's tab."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def describe(self, network: str) -> str:
        """HTML: whether the quality is available and, once known, how long a picture takes; the log has the reasons."""
        try:
            settings = Settings(network=network)
            engine = self.studio.engine(settings)
            seconds = engine.expected_seconds(*USUAL, settings)
        except ValueError as error:
            return error_message(str(error))
        missing = tr(NOT_FINEST) if (network, engine.network.name) == ("vgg19", "compact") else ""
        time_needed = ""
        if seconds:
            sentence = "A picture of {pixels} pixels takes {time} here."
            time_needed = tr(sentence, pixels=max(USUAL), time=display.about(seconds))
        painters = self.studio.painters
        at_once = tr("{count} pictures are painted at the same time.", count=painters) if painters > 1 else ""
        return html.escape(" ".join(filter(None, (missing, time_needed, at_once))))

    def paint(self, request: gr.Request, *values: Any) -> Generator[View, None, None]:
        """Intermediate pictures as JPEG, last a PNG of the asked size; the values are those of ARGUMENTS."""
        try:
            wishes = Wishes.of(values)
            run = Run(wishes.content, wishes.styles, wishes.settings, wishes.where)
        except ValueError as error:
            self.studio.leave(_visitor(request))
            self.studio.metrics.refusals.labels("settings").inc()
            problem = brief(str(error))
            yield View(sentence=error_message(problem), **buttons("idle"))
            raise gr.Error(problem, visible=False, print_exception=False) from error
        yield from self.views(_visitor(request), run)

    def paint_for_programs(self, request: gr.Request, *arguments: Any) -> Iterator[tuple[Any, Any, Any]]:
        """What `paint` shows of the picture, its sentence, and `programs.RESULT`; the docstring is replaced below."""
        with contextlib.closing(self.paint(request, *arguments)) as views:
            for view in views:
                run = self.studio.run(_visitor(request))
                yield view.picture, view.sentence, _result(run, view.picture)

    def go_on(self, request: gr.Request, canvas: Canvas | None = None, *values: Any) -> Iterator[View]:
        """Continue the visitor's picture, or that of the canvas if its run is no longer kept."""
        visitor = _visitor(request)
        if canvas and not self._has_frame(visitor):
            yield from self._from_file(visitor, canvas, values, 1)
        else:
            yield from self._again(visitor, MORE_STEPS)

    def enlarge(self, request: gr.Request, canvas: Canvas | None = None, *values: Any) -> Iterator[View]:
        """Likewise, at twice the size."""
        visitor = _visitor(request)
        if canvas and not self._has_frame(visitor):
            yield from self._from_file(visitor, canvas, values, 2)
            return
        if run := self.studio.run(visitor):
            run.enlarge()
        yield from self._again(visitor, 0)

    def _has_frame(self, visitor: str) -> bool:
        run = self.studio.run(visitor)
        return run is not None and run.frame is not None

    def _from_file(self, visitor: str, canvas: Canvas, values: tuple[Any, ...], times: int) -> Iterator[View]:
        """Start from the finished picture of a canvas, at its size or `times` as large."""
        painted, content, *styles = canvas
        try:
            size = times * max(images.read(painted).stored_shape)
            wishes = Wishes.of(values)
            settings = replace(wishes.settings, size=size)
            run = Run(content, styles, settings, wishes.where, start=painted)
        except ValueError as error:
            self.studio.leave(visitor)
            yield View(sentence=error_message(brief(str(error))), **buttons("idle"))
            return
        yield from self.views(visitor, run)

    def follow(self, request: gr.Request) -> Iterator[View]:
        """Continue the visitor's picture for a few steps after a change of strength."""
        yield from self._again(_visitor(request), FOLLOWING_STEPS)

    def _again(self, visitor: str, steps: int) -> Iterator[View]:
        run = self.studio.run(visitor)
        if run is None or run.frame is None:
            self.studio.leave(visitor)
            yield View(sentence=error_message(tr(DELETED)), **buttons("idle"))
            return
        left = run.frame.steps - run.frame.step
        yield from self.views(visitor, run, at_least=left or steps)

    def views(self, visitor: str, run: Run, at_least: int = 0) -> Generator[View, None, None]:
        """Paint a run when it is the visitor's turn."""
        reader = Reader.of(visitor)
        touch(run.content, *run.styles)
        if (waited := fairness.seconds_waited()) is not None:
            self.studio.metrics.waits.observe(waited)
        shown, problem = "", ""
        hidden = gr.update(visible=False)
        begun = View(sentence=tr(PREPARING), canvas=None, after=hidden, more=hidden, larger=hidden)
        try:
            yield begun._replace(**buttons("painting"))
        finally:
            self.studio.leave(visitor)  # not before: meanwhile `steer` must know that a run comes
        try:
            with contextlib.closing(self.studio.paint(visitor, run, at_least)) as frames:
                for frame in frames:
                    if run.stop.is_set() or frame.step == frame.steps:
                        continue  # it follows as a PNG
                    if reader.has_gone():
                        problem = tr(UNREAD)
                        break
                    if reader.is_behind():
                        continue
                    sentence = display.progress(frame, run.settings.scales())
                    news = sentence if sentence != shown else gr.skip()  # screen readers read each change aloud
                    wipe = gr.skip() if shown else ""  # what was there stays until the first frame
                    shown = sentence
                    numbers, bar = display.numbers(frame, run.history), display.bar(frame)
                    self.studio.metrics.frames.inc()
                    yield View(run.shown(frame.image), news, numbers, wipe, bar=bar)
        except Exception as error:
            problem = trouble(error, "Painting failed", *_names(run), run=run.id)
        last = View(**buttons("idle"))
        with contextlib.ExitStack() as stack:
            if run.frame is not None:
                try:
                    folder = stack.enter_context(tempfile.TemporaryDirectory())  # Gradio copies the file from it
                    last = self._finished(run, Path(folder))
                except (ImageError, OSError):  # the page has the frame, and Continue makes a file of the run
                    log_failure("Saving failed", *_names(run), run=run.id)
                    problem = f"{tr(NOT_SAVED)} {tr(COPY)}"
                    last = last._replace(picture=run.shown(run.frame.image), more=gr.update(visible=True))
            yield last._replace(sentence=error_message(problem)) if problem else last
        if problem:
            raise gr.Error(problem, visible=False, print_exception=False)

    def _finished(self, run: Run, folder: Path) -> View:
        path = folder / display.file_name(run.content, run.style)
        assert run.frame is not None
        run.save(path)
        network = tr(NOT_FINEST) if run.substituted else ""
        sentences = (
            display.ending(run.frame, run.shape),
            tr(ENDING) if self.studio.ending else "",
            tr(OUT_OF_TIME, time=display.duration(limits.current().seconds)) if run.out_of_time else "",
            tr(LOWERED, rate=f"{run.lowered:g}") if run.lowered else "",
            network,
            run.note,
            *run.notes,
        )
        return show(path, (cache_file(path), run.content, *run.styles), run.shape)._replace(
            sentence=" ".join(filter(None, sentences)),
            numbers=display.numbers(run.frame, run.history),
            bar=display.bar(run.frame),
            film=gr.update(open=False, visible=True),
            **continuing(run.shape),
            **buttons("idle"),
        )

    def film(self, request: gr.Request) -> tuple[Any, Any]:
        """The time-lapse of the visitor's picture, and its file."""
        run = self.studio.run(_visitor(request))
        if run is None or run.frame is None:
            return error_message(tr(DELETED)), gr.update(visible=False)
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = (Path(folder) / display.file_name(run.content, run.style)).with_suffix(timelapse.suffix())
                run.film.write(path, max_bytes=FILM_BYTES)
                film = Path(cache_file(path))
        except (ImageError, OSError):  # as when the disk is full
            log_failure("Saving a film failed", *_names(run))
            return error_message(tr(NOT_SAVED)), gr.update(visible=False)
        return display.film(f"gradio_api/file={film.as_posix()}"), offer_download(film)

    # The handlers below run outside Gradio's queue.

    def join(self, request: gr.Request) -> tuple[Any, ...]:
        """Join the queue; returns what `wait` does.  On failure the page says why."""
        if reason := self.studio.join(_visitor(request), fairness.address(request)):
            self.studio.metrics.refusals.labels(reason).inc()
            raise gr.Error(fairness.sentence(self.studio, reason), visible=False, print_exception=False)
        return self.wait(request)

    def refusal(self, request: gr.Request) -> Any:
        """The sentence on why this visitor could not join, which the page shows after a generic one."""
        reason = self.studio.refusal(_visitor(request), fairness.address(request))
        return error_message(fairness.sentence(self.studio, reason)) if reason else gr.skip()

    def wait(self, request: gr.Request) -> tuple[Any, ...]:
        """The expected wait, the buttons meanwhile, and whether to poll again."""
        visitor = _visitor(request)
        place = self.studio.place(visitor)
        if place is None:
            # An answer that was on its way when the visitor left has hidden Paint again.
            paint = gr.skip() if self.studio.is_busy_for(visitor) else gr.update(visible=True)
            return gr.skip(), paint, gr.update(visible=False), gr.update(active=False)
        sentence = message(display.waiting(*place))
        return sentence, gr.update(visible=False), gr.update(visible=True), gr.update(active=True)

    def leave(self, request: gr.Request) -> tuple[Any, ...]:
        """Leave our queue; the event's `cancels` leaves Gradio's."""
        self.studio.leave(_visitor(request))
        return tr(INVITATION), gr.update(visible=True), gr.update(visible=False), gr.update(active=False)

    def stop(self, request: gr.Request) -> None:
        """End this visitor's run at the next frame, with a finished picture."""
        self.studio.stop(_visitor(request))

    def steer(self, request: gr.Request, *values: Any) -> Any:
        """Change the LIVE settings of the visitor's picture, to those among the values of ARGUMENTS.

        Returns:
            If no run is active or queued, a timestamp, whose change continues the picture; else no update, since the
            active run takes the new settings.
        """
        visitor = _visitor(request)
        run = self.studio.run(visitor)
        try:
            wishes = Wishes.of(values)
            if run is None or run.frame is None or (wishes.content, wishes.styles) != (run.content, run.styles):
                return gr.skip()
            changed = run.steer(wishes.settings)
        except ValueError:
            return gr.skip()  # a half-typed number; Paint will say what is wrong
        if not changed or self.studio.is_busy_for(visitor):
            return gr.skip()
        # At once: of the many values of a dragged slider only one starts a run.
        self.studio.join(visitor, fairness.address(request))
        return time.monotonic()

    def on_unload(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        self.studio.forget(_visitor(request))


def _names(run: Run) -> tuple[str, ...]:
    """Of the visitor's files, and of those that we name after them."""
    result = display.file_name(run.content, run.style)
    return result, str(Path(result).with_suffix(timelapse.suffix())), run.content, *run.styles


def _visitor(request: gr.Request) -> str:
    return request.session_hash or ""


def _result(run: Run | None, shown: Any) -> dict[str, Any] | None:
    """`programs.RESULT`, the recipe with a finished picture only; None before the first frame."""
    if run is None or run.frame is None:
        return None
    made = recipe.read(shown) if isinstance(shown, Path) else None
    height, width = run.shape if made else run.frame.image.shape[:2]
    numbers = {
        "step": run.frame.step,
        "steps": run.frame.steps,
        "scale": run.frame.scale,
        "width": width,
        "height": height,
        "seconds": round(run.frame.elapsed, 3),
        "remaining": round(run.frame.remaining, 3),
        "losses": run.frame.losses,
    }
    return numbers | ({"recipe": json.loads(made.text)} if made else {})


def _manual() -> str:
    """The docstring of `paint`, from which Gradio makes its API and MCP descriptions."""
    knobs = {knob.name: knob for knob in fields(Settings)}
    lines = [f"    {name}: {knobs[name].metadata['help']}" for name in PARAMETERS]
    return "\n".join(
        [
            "Repaint a photo in the style of a painting (neural style transfer), streaming intermediate pictures.",
            "",
            "Args:",
            "    content: the photo to repaint: a data: URL, or the URL here of a file uploaded to this page",
            "    style: the painting whose style it gets, likewise",
            *lines,
            *(f"    {name}: another painting, likewise" for name in EXTRAS[:-1]),
            f"    areas: {areas.manual()}",
            "",
            "Returns:",
            "    the picture, first as JPEG and at last as PNG; a sentence on the run; its numbers and recipe as JSON",
        ]
    )


def _parameters() -> list[inspect.Parameter]:
    """The signature of `paint`: API argument names are those of the settings."""
    kind, defaults = inspect.Parameter.POSITIONAL_OR_KEYWORD, dict.fromkeys(EXTRAS) | vars(Settings())
    names = ("self", "request", *ARGUMENTS)
    return [inspect.Parameter(name, kind, default=defaults.get(name, inspect.Parameter.empty)) for name in names]


Handlers.paint_for_programs.__name__ = "paint"  # becomes the name of the tool for language models
Handlers.paint_for_programs.__doc__ = _manual()
Handlers.paint_for_programs.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]
