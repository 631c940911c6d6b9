"""Small copies of pictures for the page, in a temporary folder that Gradio serves as it is."""

import atexit
import contextlib
import errno
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from nst import images
from nst.images import ImageError

_made: dict[tuple[Any, tuple[Any, ...]], None] = {}  # the calls of `_copy` and `_both`


def url(path: Path, side: int) -> str:
    """The address of a WebP copy of at most `side` pixels, relative because the page may have a root path.

    Raises:
        OSError: the picture is gone, or the copy cannot be written.
    """
    return _address(_copy, path, path.stat().st_mtime_ns, side)


def before_and_after(photo: Path, painted: Path, side: int) -> str:
    """The address of a WebP with a square detail of both, `side` pixels each, side by side."""
    return _address(_both, photo, painted, side)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nst-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    gr.set_static_paths([folder])
    return folder


@cache
def _copy(path: Path, _time: int, side: int) -> Path:
    return _write(images.to_uint8(images.load(path, side)), path, side)


@cache
def _both(photo: Path, painted: Path, side: int) -> Path:
    gap = np.full((side, max(1, side // 40), 3), 255, np.uint8)
    left, right = (_square(path, side) for path in (photo, painted))
    return _write(np.concatenate([left, gap, right], axis=1), photo, painted, side)


def _square(path: Path, side: int) -> np.ndarray:
    """A square as large as fits; the upper part of a portrait, where heads are."""
    pixels = images.to_uint8(images.load(path))
    height, width = pixels.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 4, (width - size) // 2
    return images.rescale(pixels[top : top + size, left : left + size], side, side)


def _write(pixels: np.ndarray, *source: object) -> Path:
    file = _folder() / f"{hashlib.sha256(repr(source).encode()).hexdigest()[:16]}.webp"
    try:
        images.save(pixels, file, quality=75)
    except ImageError as error:  # its sentence names a folder of this server
        raise OSError(errno.EIO, "a thumbnail could not be written") from error
    return file


def _address(make: Any, *arguments: Any) -> str:
    _made[make, arguments] = None
    file = make(*arguments)
    if not file.exists():  # someone has emptied the temporary folder: make all again, also those that style sheets name
        _folder().mkdir(exist_ok=True)
        _copy.cache_clear()
        _both.cache_clear()
        for each, its_arguments in list(_made):
            with contextlib.suppress(ImageError):  # of a picture that has gone
                each(*its_arguments)
        file = make(*arguments)
    return f"gradio_api/file={file.as_posix()}"
