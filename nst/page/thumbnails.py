"""Small copies of pictures for the page, in a temporary folder that Gradio serves as it is."""

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import gradio as gr
import numpy as np

from nst import images


def url(path: Path, side: int) -> str:
    """The address of a WebP copy of at most `side` pixels, relative because the page may have a root path."""
    return _address(_copy(path, path.stat().st_mtime_ns, side))


def before_and_after(photo: Path, painted: Path, side: int) -> str:
    """The address of a WebP with a square detail of both, `side` pixels each, side by side."""
    return _address(_both(photo, painted, side))


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
    images.save(pixels, file, quality=75)
    return file


def _address(file: Path) -> str:
    return f"gradio_api/file={file.as_posix()}"
