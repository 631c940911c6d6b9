"""Reading and writing image files: PIL <-> float32 (1, H, W, 3) RGB in [0, 1].

Only this module, and `opening` and `decoding` for it, read images.  Every file is treated as hostile: `load` returns a
valid array or raises `ImageError` with a one-sentence message for the user.
"""

import contextlib
import io
import math
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from nst.formats import colors, decoding, opening, writing
from nst.formats.decoding import MIN_SIDE, Picture, fit
from nst.formats.opening import MAX_BYTES, ImageError

__all__ = ["MAX_BYTES", "MIN_SIDE", "ImageError", "Picture", "fit"]  # besides what is defined here

ROWS = 256  # of a picture that are converted at once
MAX_TEXT = 30_000  # characters of an embedded text; two of them fit in a JPEG's 64 KB of EXIF

_WRITERS = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "subsampling": 0},  # 4:4:4, since many brush strokes differ in chroma only
    ".jpeg": {"format": "JPEG", "subsampling": 0},
    ".webp": {"format": "WEBP"},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"}  # of the files that are read
SUFFIXES |= {".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".jp2"}

_EXIF_TAGS = {  # for each key of `texts`; PNG stores the key itself
    "Software": ExifTags.Base.Software,
    "Description": ExifTags.Base.ImageDescription,
    "nst": ExifTags.Base.UserComment,
}
_NST_TEXT = b'\0{"nst": '  # PNG and EXIF both put a NUL before the text; file names cannot contain one


def load(source: str | os.PathLike | bytes | BinaryIO | Image.Image, longest_side: int | None = None) -> np.ndarray:
    """Read an image as a browser shows it: orientation applied, in sRGB, on white, first frame only.

    Args:
        source: a path, the bytes of a file, a binary file (read from its start) or a PIL image.
        longest_side: larger images are downscaled to this, in pixels; smaller ones are left alone.

    Returns:
        float32 (1, H, W, 3) RGB in [0, 1], C-contiguous and finite.

    Raises:
        ImageError: the file is missing, of an unsupported format, damaged, too large or too small.
    """
    return read(source, longest_side).pixels


def read(source: str | os.PathLike | bytes | BinaryIO | Image.Image, longest_side: int | None = None) -> Picture:
    """What `load` returns, with what is left out there: further frames and transparency."""
    name = (Path(source).name or str(source)) if isinstance(source, str | os.PathLike) else "The file"
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return decoding.read(
        source if isinstance(source, Image.Image | bytes) else opening.read_bytes(source, name), name, longest_side
    )


def is_grey(image: np.ndarray) -> bool:
    """Whether an image, float (1, H, W, 3 or 4) in [0, 1], has no color: its channels differ by 2/255 at most."""
    colors = image[..., :3]
    return float((colors.max(axis=-1) - colors.min(axis=-1)).max()) <= 2 / 255


def check_array(image: Any, name: str) -> None:
    """Raise a ValueError unless the array is an image as the engine takes it; one sentence with its name and shape."""
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or dtype is None:
        found = f"a {type(image).__name__}"
    elif len(shape) != 4 or shape[0] != 1 or shape[3] not in (3, 4) or not shape[1] * shape[2]:
        found = f"an array of shape {tuple(shape)}"
    elif not np.issubdtype(dtype, np.floating):
        found = f"an array of {dtype}"
    elif not np.isfinite(image).all():
        found = "an array with numbers that are not finite (NaN or infinity)"
    elif image.min() < 0 or image.max() > 1:
        found = f"an array of numbers from {image.min():g} to {image.max():g}"
    else:
        return
    raise ValueError(
        f"{name}: {found} should be float32 (1, H, W, 3) with RGB in the range [0, 1], as images.load gives"
    )


def check_strip(height: int, width: int, size: int, name: str) -> None:
    """Raise a ValueError if a picture of these proportions, its longest side `size`, has a side below MIN_SIDE."""
    small = fit(height, width, size)
    if min(small) < MIN_SIDE:
        enough = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
        made = f"{size} would make {name} {small[1]} x {small[0]} pixels"
        raise ValueError(f"size: {made}; it should be at least {enough}, or the picture less narrow")


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resample with an antialiased bicubic filter.

    Args:
        image: float (1, H, W, 3) in [0, 1].

    Returns:
        float32 (1, height, width, 3), clipped to [0, 1] because bicubic overshoots at edges.
    """
    resized = np.empty((1, height, width, image.shape[-1]), np.float32)
    for index in range(image.shape[-1]):  # one after the other: a large picture takes 800 MB
        channel = Image.fromarray(np.ascontiguousarray(image[0, ..., index], dtype=np.float32))
        resized[0, ..., index] = np.asarray(decoding.resample(channel, height, width))
    return resized.clip(0, 1, out=resized)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float (1, H, W, 3) in [0, 1] -> uint8 (H, W, 3), rounded and clipped; NaN becomes 0."""
    return _rounded(image, np.uint8)


def to_uint16(image: np.ndarray) -> np.ndarray:
    """float (1, H, W, 3) in [0, 1] -> uint16 (H, W, 3), likewise."""
    return _rounded(image, np.uint16)


def _rounded(image: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    pixels, white = np.empty(image.shape[1:], dtype), np.iinfo(dtype).max
    for top in range(0, len(pixels), ROWS):
        strip = image[0, top : top + ROWS]
        pixels[top : top + ROWS] = np.fmin(np.fmax(strip, 0), 1) * white + 0.5
    return pixels


def rescale(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 or uint16 (H, W, channels); returns `pixels` itself if it already has that size."""
    if pixels.shape[:2] == (height, width):
        return pixels
    white = np.float32(np.iinfo(pixels.dtype).max)
    return _rounded(resize(pixels[np.newaxis] / white, height, width), pixels.dtype.type)


def check_suffix(path: str | os.PathLike, suffixes: Collection[str] = tuple(_WRITERS)) -> None:
    """Raise `ImageError` if no format that is written has this suffix."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ImageError(f"{path.name!r} cannot be written; its name should end in {', '.join(suffixes)}.")


def check_deep(path: str | os.PathLike) -> None:
    """Raise `ImageError` unless files with this suffix can have 16 bits a channel."""
    check_suffix(path)
    if _WRITERS[Path(path).suffix.lower()]["format"] not in ("PNG", "TIFF"):
        raise ImageError(f"{Path(path).name} cannot have 16 bits a channel; name a .png or a .tiff.")


def check_writable(path: str | os.PathLike, suffixes: Collection[str] = tuple(_WRITERS)) -> None:
    """Raise `ImageError` if `path` cannot be written, which is tried; for use before a long run."""
    path = Path(path)
    check_suffix(path, suffixes)
    if not os.path.isdir(path.parent):
        raise ImageError(f"There is no folder {path.parent} for {path.name}; create it first.")
    if os.path.isdir(path):
        raise ImageError(f"{path} is a folder; give the name of a file.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ImageError(f"The folder {path.parent} is not writable; choose another one for {path.name}.")
    try:
        _create_and_remove(_beside(path) if os.path.lexists(path) else path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in a path
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be written: {reason}; choose another name or folder.") from error


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder, and those it is in, unless there is one.  Raises `ImageError`."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ImageError(f"The folder {path} cannot be made: {error.strerror or error}.") from error


def _create_and_remove(path: Path) -> None:
    path.touch(exist_ok=False)
    try:
        path.write_bytes(bytes(4096))  # a full disk may have room for an empty file
    finally:
        path.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}{path.suffix}")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` if the block succeeds, delete it if not.

    Raises:
        ImageError: the operating system refused, for instance because the disk is full.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise ImageError(f"{path} could not be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):  # as when the folder is gone
            temporary.unlink()


def save(
    pixels: np.ndarray,
    path: str | os.PathLike,
    quality: int = 95,
    texts: Mapping[str, str] | None = None,
    dpi: float | None = None,
) -> None:
    """Write an image file; if that fails, an existing file at `path` is unchanged.

    Args:
        pixels: uint8 (H, W, 3) sRGB, or (H, W, 4) with alpha; JPEG, which has none, gets them on white.  uint16 for
            a PNG or TIFF of 16 bits a channel.
        path: the suffix chooses PNG, JPEG, WebP or TIFF.
        quality: 1 to 100, for JPEG and WebP.
        texts: metadata to embed: "Software", "Description" and, in ASCII, "nst", which `read_text` returns.  A text
            longer than MAX_TEXT is dropped, so that the image itself is always written.
        dpi: the resolution to state, in dots per inch.

    Raises:
        ImageError: 16 bits in a format that has none, unknown suffix, missing folder or full disk.
    """
    check_writable(path)
    if pixels.dtype == np.uint16:
        check_deep(path)
    with atomic_write(path) as temporary:
        options = {"icc_profile": colors.SRGB_BYTES, **_WRITERS[temporary.suffix.lower()]}
        if options["format"] in ("JPEG", "WEBP"):
            options["quality"] = quality
        if texts or dpi:
            short = {key: text for key, text in (texts or {}).items() if len(text) <= MAX_TEXT}
            options |= _metadata_options(short, options["format"], dpi)
        if pixels.dtype == np.uint16 and options["format"] == "PNG":
            chunks = [chunk[:2] for chunk in options["pnginfo"].chunks] if "pnginfo" in options else []
            writing.png(temporary, pixels, colors.SRGB_BYTES, chunks, dpi)
            return
        if pixels.dtype == np.uint16:
            writing.tiff(temporary, pixels, colors.SRGB_BYTES, dict(options.get("exif", {})), dpi)
            return
        image = Image.fromarray(pixels)
        if image.mode == "RGBA" and options["format"] == "JPEG":
            canvas = Image.new("RGB", image.size, "white")
            canvas.paste(image, mask=image)
            image = canvas
        image.save(temporary, **options)


def encode_jpeg(pixels: np.ndarray, quality: int = 80) -> bytes:
    """Encode uint8 (H, W, 3) as JPEG: about 1 ms and 40 KB for a streamed frame of 512 x 512."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def read_text(source: str | os.PathLike | bytes) -> str | None:
    """The text "nst" that `save` embedded, possibly with a few stray characters after it; None if there is none.

    Searches the bytes instead of parsing the format, so a hostile file's sizes, offsets and compressed texts are
    never used.

    Args:
        source: a path or the bytes of a file.

    Returns:
        printable ASCII that starts with `{"nst": `, at most MAX_TEXT characters.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    data = source if isinstance(source, bytes) else opening.read_bytes(source, Path(source).name)
    start = data.find(_NST_TEXT) + 1
    text = re.match(rb"[ -~]*", data[start : start + MAX_TEXT]) if start else None
    return text and text[0].decode("ascii")


def _metadata_options(texts: Mapping[str, str], format: str, dpi: float | None) -> dict[str, Any]:
    """Options that make `Image.save` embed the texts and the resolution."""
    stated = {"dpi": (dpi, dpi)} if dpi else {}
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, text in texts.items():
            chunks.add_text(key, text)
        return {"pnginfo": chunks, **stated}
    exif = Image.Exif()
    if dpi and format == "WEBP":  # has no other place for it
        exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = float(dpi)
        exif[ExifTags.Base.ResolutionUnit] = 2  # an inch
    for key, text in texts.items():
        if key != "nst":
            exif[_EXIF_TAGS[key]] = text
            continue
        # UserComment belongs in the Exif IFD, which Pillow drops when it compresses a TIFF.
        directory = exif if format == "TIFF" else exif.get_ifd(ExifTags.IFD.Exif)
        directory[_EXIF_TAGS[key]] = b"ASCII\0\0\0" + text.encode("ascii")
    return {"exif": exif, **stated}
