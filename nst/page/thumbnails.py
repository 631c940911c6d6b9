"""Small copies of pictures for the page, in a temporary folder that Gradio serves as it is."""

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import gradio as gr
import numpy as np
from gradio import processing_utils
from gradio.utils import get_upload_folder

from nst import catalogue, images

PREVIEW = "preview-of-"  # begins the name of a file that stands for an example
PREVIEW_SIDE = 360  # pixels: the uploads are about 220 wide


def url(path: Path, side: int) -> str:
    """The address of a WebP copy of at most `side` pixels, relative because the page may have a root path."""
    return _address(_copy(path, path.stat().st_mtime_ns, side))


def before_and_after(photo: Path, painted: Path, side: int) -> str:
    """The address of a WebP with a square detail of both, `side` pixels each, side by side."""
    return _address(_both(photo, painted, side))


def stand_in(path: str) -> str:
    """A small copy in Gradio's cache if the file is an example, else the path itself; `original` undoes it."""
    name = catalogue.recognize(path)
    if name is None:
        return path
    return processing_utils.save_file_to_cache(_preview(Path(path), name), cache_dir=get_upload_folder())


def original(path: str) -> str:
    """The untouched file that `stand_in` has replaced, else the path itself."""
    name = Path(path).stem.removeprefix(PREVIEW)
    if Path(path).stem == name:
        return path
    try:
        picture, _ = catalogue.picture(name, fetch=False)
    except catalogue.CatalogueError:
        return path
    return processing_utils.save_file_to_cache(picture, cache_dir=get_upload_folder())


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nst-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    gr.set_static_paths([folder])
    return folder


@cache
def _preview(path: Path, name: str) -> Path:
    copy = Path(tempfile.mkdtemp(dir=_folder()), f"{PREVIEW}{name}.webp")
    images.save(_small(path, PREVIEW_SIDE), copy, quality=75)
    return copy


@cache
def _copy(path: Path, _time: int, side: int) -> Path:
    return _write(_small(path, side), path, side)


@cache
def _both(photo: Path, painted: Path, side: int) -> Path:
    gap = np.full((side, max(1, side // 40), 3), 255, np.uint8)
    left, right = (_square(path, side) for path in (photo, painted))
    return _write(np.concatenate([left, gap, right], axis=1), photo, painted, side)


def _small(path: Path, side: int) -> np.ndarray:
    return images.to_uint8(images.load(path, side))


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
