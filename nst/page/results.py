"""Finished pictures: displayed, adjusted by finishing touches, and cached for a day."""

import logging
import tempfile
import traceback
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from nst import finishing, images, recipe, transparency
from nst.finishing import Finishing
from nst.images import ImageError
from nst.page import display, limits
from nst.page.cache import cache_file, touch
from nst.page.components import data_url
from nst.page.display import error_message
from nst.page.programs import brief
from nst.page.text import DELETED, FAULT, NOT_SAVED
from nst.page.translation import tr

log = logging.getLogger(__name__)

TOUCHES = tuple(touch.name for touch in fields(Finishing))
Canvas = tuple[str, ...]  # paths of the picture before finishing touches, the photo and one to four paintings


class View(NamedTuple):
    """Updates of all outputs of painting, in the order of the event listener's outputs."""

    picture: Any = gr.skip()  # an array while painting, then the path of a PNG
    sentence: Any = gr.skip()
    numbers: Any = gr.skip()
    wipe: Any = gr.skip()  # HTML of the before/after slider
    download: Any = gr.skip()
    canvas: Any = gr.skip()  # a Canvas; None without a finished picture
    after: Any = gr.skip()  # the block of actions for a finished picture
    film: Any = gr.skip()  # the accordion with the time-lapse
    more: Any = gr.skip()
    larger: Any = gr.skip()
    paint: Any = gr.skip()
    stop: Any = gr.skip()
    leave: Any = gr.skip()
    bar: Any = gr.skip()  # HTML of the progress bar


def show(path: Path, canvas: Canvas, shape: tuple[int, int]) -> View:
    """Display a finished picture of this shape (height, width), with its actions."""
    height, width = shape
    photo = images.rescale(images.to_uint8(images.load(canvas[1], longest_side=max(shape))), height, width)
    return View(
        picture=path,
        wipe=display.wipe(data_url(images.encode_jpeg(photo)), width, height),
        download=offer_download(path),
        canvas=canvas,
        after=gr.update(visible=True),
    )


def finish(canvas: Canvas | None, *percents: float) -> tuple[Any, Any, Any]:
    """Apply finishing touches to the picture as painted; return the picture, the download and a sentence."""
    if canvas is None:
        return gr.skip(), gr.skip(), gr.skip()
    painted, content, *_ = canvas
    touch(*canvas)
    touches = {name: percent / 100 for name, percent in zip(TOUCHES, percents, strict=True) if percent}
    if not touches:
        return painted, offer_download(Path(painted)), gr.skip()
    try:
        pixels = _pixels(painted)
        photo = _pixels(content, pixels.shape[:2])[..., :3]
        made = recipe.read(painted)
    except ImageError:  # deleted from the cache after a day
        return gr.skip(), gr.skip(), error_message(tr(DELETED))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(painted).name
            texts = replace(made, finishing=touches).texts if made else None
            images.save(finishing.finish(pixels, photo, Finishing(**touches)), path, texts=texts)
            finished = cache_file(path)
    except (ImageError, OSError):  # as when the disk is full
        log_failure("Saving failed", painted, content)
        return gr.skip(), gr.skip(), error_message(tr(NOT_SAVED))
    return finished, offer_download(Path(finished)), gr.skip()


@lru_cache(maxsize=8)  # for a moving slider; safe to cache, because the paths contain hashes of the files
def _pixels(path: str, shape: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 (H, W, 3), or (H, W, 4) with alpha."""
    picture = images.read(path, longest_side=max(shape) if shape else None)
    pixels = images.to_uint8(transparency.filled(picture.pixels, picture.alpha))
    pixels = transparency.cut_out(pixels, picture.alpha)
    return images.rescale(pixels, *shape) if shape else pixels


def log_failure(what: str, *paths: str, run: str = "") -> None:
    """Log the exception being handled, without the names of these files, which are the visitor's own.

    `run` is the id of a run.
    """
    trace = traceback.format_exc()
    for path in filter(None, paths):
        trace = trace.replace(Path(path).name, "(file)")
    log.error("%s%s\n%s", f"Run {run}: " * bool(run), what, trace, extra={"run": run})


def trouble(error: Exception, what: str, *paths: str, run: str = "") -> str:
    """What a visitor is told of the error that is being handled; a fault of ours is logged, as by `log_failure`."""
    if isinstance(error, ValueError | FloatingPointError | MemoryError):
        return brief(str(error))
    log_failure(what, *paths, run=run)
    return tr(FAULT)


def buttons(state: str) -> dict[str, Any]:
    """Which of the buttons of a run are shown, as part of a `View`; `state` is "idle" or "painting"."""
    return {
        "paint": gr.update(visible=state == "idle"),
        "stop": gr.update(visible=state == "painting"),
        "leave": gr.update(visible=False),
    }


def continuing(shape: tuple[int, int]) -> dict[str, Any]:
    """How a finished picture of this (height, width) can be gone on with, as part of a `View`."""
    return {
        "more": gr.update(visible=True),
        "larger": gr.update(visible=2 * max(shape) <= limits.current().size),
    }


def offer_download(path: Path) -> dict[str, Any]:
    """Show the download button, with this file."""
    return gr.update(value=path, visible=True)
