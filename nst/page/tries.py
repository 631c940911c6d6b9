"""Tries: eight small quick pictures in unlike strengths and brush sizes, of which a visitor goes on with one."""

import contextlib
import html
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gradio as gr

from nst import images
from nst.page import display
from nst.page.components import data_url
from nst.page.display import error_message
from nst.page.programs import Reader
from nst.page.results import View, buttons, trouble
from nst.page.studio import TRY_BRUSHES, TRY_STEPS, TRY_STRENGTHS, Run, variants
from nst.page.text import DELETED, UNREAD
from nst.page.translation import tr
from nst.page.wishes import Wishes

if TYPE_CHECKING:
    from nst.page.handlers import Handlers
    from nst.transfer import Frame

COUNT = len(TRY_STRENGTHS) * len(TRY_BRUSHES)
BUTTON = "Paint eight small tries"
INTRODUCTION = (
    "Eight small pictures in different strengths and brush sizes, within seconds. Choose one to paint it large."
)
PAINTING = "Painting eight tries …"
CHOOSE = "Choose one of the eight tries to paint it at full size."
BRUSHES = {0.5: "fine brush", 2.0: "broad brush"}
CHOOSE_TRY = """element.addEventListener("click", event => {
  const button = event.target.closest("[data-try]");
  if (button) trigger("select", {index: button.dataset.try});
});"""


def tab(words: Callable[[str], Any]) -> SimpleNamespace:
    """The contents of the tab."""
    gr.HTML(words(INTRODUCTION), elem_id="tries-introduction")
    start = gr.Button(words(BUTTON), elem_id="try")
    return SimpleNamespace(start=start, grid=gr.HTML(label="Tries", elem_id="tries", js_on_load=CHOOSE_TRY))


def connect(
    parts: SimpleNamespace,
    handlers: "Handlers",
    arguments: list[Any],
    views: list[Any],
    controls: list[Any],
    queue: Callable[[Callable, Callable, list[Any], list[Any]], Any],
) -> list[Any]:
    """Connect the tab; return the events that paint the tries, and the one that was chosen.

    Args:
        controls: of strength and brush size.
        queue: queue(event, painter, inputs, outputs) lets an event paint when it is its turn.
    """
    chosen = gr.Number(visible="hidden")
    parts.grid.select(choose, None, [*controls, chosen], queue=False, show_progress="hidden", api_visibility="private")

    def paint(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        yield from paint_tries(handlers, request, *values)

    def go_on(request: gr.Request, number: float) -> Iterator[View]:
        yield from paint_chosen(handlers, request, int(number) % COUNT)

    return [
        queue(parts.start.click, paint, arguments, [*views, parts.grid]),
        queue(chosen.change, go_on, [chosen], views),
    ]


def choose(event: gr.EventData) -> tuple[Any, ...]:
    """The strength and the brush size of the try that was clicked, and a number that is new and names it."""
    index = int(getattr(event, "index", 0)) % COUNT
    brush, strength = divmod(index, len(TRY_STRENGTHS))
    return TRY_STRENGTHS[strength], TRY_BRUSHES[brush], COUNT * round(10 * time.monotonic()) + index


def paint_tries(handlers: "Handlers", request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
    """The values of `View`, and the grid; the values taken are those of ARGUMENTS."""
    visitor, studio, problem = request.session_hash or "", handlers.studio, ""
    studio.leave(visitor)
    frames: Sequence[Frame] = ()
    run = None
    yield *View(sentence=tr(PAINTING), **buttons("painting")), gr.skip()
    try:
        wishes = Wishes.of(values)
        run = Run(wishes.content, wishes.styles, wishes.settings, wishes.where)
        reader = Reader.of(visitor)
        with contextlib.closing(studio.tries(visitor, run, variants(wishes.settings), TRY_STEPS)) as grids:
            for frames in grids:
                if reader.has_gone():
                    problem = tr(UNREAD)
                    break
                if not reader.is_behind():
                    studio.metrics.frames.inc()
                    yield *View(bar=display.bar(frames[0])), grid(run, frames, ready=False)
    except Exception as error:
        names = (run.content, *run.styles) if run else ()
        problem = trouble(error, "Painting tries failed", *names, run=run.id if run else "")
    sentence = error_message(problem) if problem else tr(CHOOSE)
    shown = grid(run, frames, ready=True) if run and frames else gr.skip()
    yield *View(sentence=sentence, bar=display.bar(), **buttons("idle")), shown
    if problem:
        raise gr.Error(problem, visible=False, print_exception=False)


def paint_chosen(handlers: "Handlers", request: gr.Request, index: int) -> Iterator[View]:
    """Go on with a try; it is shown enlarged until the first frame."""
    visitor = request.session_hash or ""
    run = handlers.studio.tried(visitor)
    if run is None:
        handlers.studio.leave(visitor)
        yield View(sentence=error_message(tr(DELETED)), **buttons("idle"))
        return
    run.pick(index)
    assert run.frame is not None  # that of the try
    with contextlib.closing(handlers.views(visitor, run)) as views:
        yield next(views)._replace(picture=run.shown(run.frame.image), wipe="")
        yield from views


def grid(run: Run, frames: Sequence["Frame"], ready: bool) -> str:
    """HTML of the tries as buttons, which work when `ready`."""
    cells = []
    for index, frame in enumerate(frames):
        strength = html.escape(tr("Strength {strength}", strength=f"{frame.settings.strength:g}"))
        label = f"{strength}<br>{html.escape(tr(BRUSHES[frame.settings.style_scale]))}"
        source = data_url(images.encode_jpeg(run.shown(frame.image)))
        cells.append(
            f'<button type="button" data-try="{index}"{"" if ready else " disabled"}><img src="{source}" alt="">'
            f"<span>{label}</span></button>"
        )
    return f'<div role="group" aria-label="{tr("Tries")}">{"".join(cells)}</div>'
