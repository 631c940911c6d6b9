"""The bytes of a picture file -> float32 RGB; `images` is the way in.

What `opening` opened is decoded, then normalized and reduced band by band, so that only the file's own pixels are held
in full.  Every file is treated as hostile.
"""

import contextlib
import math
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from nst.formats import colors, deep, opening
from nst.formats.deep import Deep
from nst.formats.opening import ImageError, Source

MAX_PIXELS = 100_000_000  # of the result: 2.3 GB
MAX_MEMORY = 1_200_000_000  # bytes of the decoded file: 300 million pixels of a PNG, any JPEG that is read reduced
MIN_SIDE = 16  # pixels: the stride of the deepest style layer

_TRANSPOSE = {  # EXIF orientation -> the operation that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_lock = threading.Lock()  # decode one image at a time: warning filters and Pillow's limit are global, memory is shared


@dataclass(frozen=True)
class Picture:
    """A picture as it was read, and what its pixels do not tell of the file."""

    pixels: np.ndarray  # float32 (1, H, W, 3) RGB in [0, 1]
    frames: int = 1  # or pages of the file; `pixels` are the first
    opacity: tuple[float, float] = (1.0, 1.0)  # of its most transparent and its most opaque pixel
    alpha: np.ndarray | None = None  # uint8 (H, W), 255 where `pixels` are opaque; None if they are everywhere
    stored_shape: tuple[int, int] = (0, 0)  # (height, width) before it was turned upright and downscaled

    def notes(self, name: str) -> list[str]:
        """One sentence about each thing that is left out when this is painted."""
        return [f"Only the first of the {self.frames} pictures in {name} is painted."] if self.frames > 1 else []


def read(source: bytes | Image.Image, name: str, longest_side: int | None) -> Picture:
    """Decode a file or a PIL image; see `images.read`.  `name` begins the sentence of an ImageError."""
    with _lock, warnings.catch_warnings(), _pillow_without_limit():
        warnings.simplefilter("ignore")
        try:
            opened = opening.of_pillow(source) if isinstance(source, Image.Image) else opening.open_bytes(source, name)
            _check_size(opened, name, longest_side, may_draft=isinstance(source, bytes))
            return _decode(opened, longest_side)
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageError(f"{name} is too large for this machine's memory; use a smaller copy of it.") from error
        except Exception as error:  # Pillow raises a dozen unrelated types for damaged files
            if str(error).startswith("Unsupported"):
                raise ImageError(
                    f"{name} is a rare kind of picture that this program cannot read; {opening.CONVERT}."
                ) from error
            raise ImageError(f"{name} is damaged or incomplete; try a fresh copy of it.") from error


def fit(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) at the same aspect ratio, in pixels: the longest side is `size`, the other at least 1."""
    longest = max(height, width)
    return max(1, round(height * size / longest)), max(1, round(width * size / longest))


@contextlib.contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Without Pillow's limit on pixels, since ours is on memory."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


# --- Sizes ------------------------------------------------------------------------------------------------------------


def _check_size(source: Source, name: str, longest_side: int | None, may_draft: bool) -> None:
    """Raise if the size is too small to paint or too large to decode; have a JPEG decoded at 1/2, 1/4 or 1/8."""
    width, height = source.image.size
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name} is {width} x {height} pixels; at least {MIN_SIDE} on each side are needed.")
    pixels, side = max(width * height, source.largest_tile), longest_side or max(width, height)
    allowed = MAX_PIXELS if max(width, height) <= side else pixels
    if source.full_bytes:
        allowed = min(allowed, MAX_MEMORY / source.full_bytes)
    if longest_side and may_draft and isinstance(source.image, Image.Image):
        # At least twice the target, so that the rest is filtered, but for huge pictures.
        down, across = fit(height, width, longest_side if pixels > MAX_PIXELS else 2 * longest_side)
        source.image.draft(None, (across, down))
    decoded = max(math.prod(source.image.size), source.largest_tile)
    allowed = min(allowed, pixels * MAX_MEMORY / (decoded * source.bytes_per_pixel))
    if pixels > allowed:
        limit = f"up to {allowed / 1e6:.0f} million are allowed"
        raise ImageError(f"{name} has {pixels / 1e6:.0f} million pixels; {limit}.")


# --- Decoding ---------------------------------------------------------------------------------------------------------


def _decode(source: Source, longest_side: int | None) -> Picture:
    """Decode an opened image whose header has been checked."""
    image, info = source.image, source.info
    if isinstance(image, Image.Image):
        image = source.decode() if source.decode else image
        image.load()
        info = {**image.info, **info}  # Pillow reads some of it with the pixels
        if image.mode.startswith(("I", "F")):
            # PPM says what white is, I;16 is full; other integers and floats do not say.
            white = 65535.0 if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM") else None
            image = deep.of_pillow(image, white)
    width, height = image.size
    side = min(longest_side or max(width, height), max(width, height))
    target = fit(height, width, side)
    factor = max(1, max(width, height) // (3 * side))  # three times as fast as bicubic alone, no visible difference
    planes, opacity = _reduced(image, factor)
    planes = [resample(plane, *target, box=(0, 0, width / factor, height / factor)) for plane in planes]
    transpose = _TRANSPOSE.get(source.orientation or _orientation(source.image))
    planes = planes if transpose is None else [plane.transpose(transpose) for plane in planes]
    alpha = np.asarray(planes.pop()) if opacity[0] < 1 else None
    # Converting the colors after downscaling is cheaper.
    profile = colors.profile(info, gray=len(planes) == 1 and planes[0].mode in ("L", "F"))
    if planes[0].mode == "F":
        values = np.stack([np.asarray(plane) for plane in planes], axis=-1).clip(0, 1)
        pixels = np.ascontiguousarray(colors.deep_to_srgb(values, profile))
    else:
        pixels = np.divide(np.asarray(colors.to_srgb(planes[0], profile)), 255, dtype=np.float32)
    return Picture(pixels[np.newaxis], source.frames, opacity, alpha, source.shape)


def _reduced(image: Image.Image | Deep, factor: int) -> tuple[list[Image.Image], tuple[float, float]]:
    """The picture on white, each side divided by `factor`: one image of mode L, RGB, CMYK or LAB, or one or three of
    mode F; and its (least, greatest) opacity.  If that is not 1 everywhere, it is the last image, of mode L.
    """
    width, height = image.size
    rows = max(1, deep.BAND // (width * factor)) * factor
    reduced, opacities = [], []
    for index, (planes, alpha) in enumerate(_bands(image, rows)):
        opacities.append((1.0, 1.0) if alpha is None else _extrema(alpha))
        planes = planes if alpha is None else [*planes, alpha]
        planes = [plane.reduce(factor) for plane in planes] if factor > 1 else planes
        if not reduced:
            size = math.ceil(width / factor), math.ceil(height / factor)
            reduced = [Image.new(plane.mode, size) for plane in planes]
        for whole, plane in zip(reduced, planes):
            whole.paste(plane, (0, index * rows // factor))
    opacity = min(least for least, _ in opacities), max(most for _, most in opacities)
    return reduced if alpha is None or opacity[0] < 1 else reduced[:-1], opacity


def _bands(image: Image.Image | Deep, rows: int) -> Iterator[tuple[list[Image.Image], Image.Image | None]]:
    """From the top, bands of the picture on white, as the images of `_reduced`, with their opacity in mode L."""
    if isinstance(image, Deep):
        for values, opacity in image.bands(rows):
            shallow = image.model in ("CMYK", "LAB")  # which Pillow has with 8 bits only
            values = (values * 255 + 0.5).astype(np.uint8) if shallow else values
            planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(values, -1, 0)]
            alpha = None if opacity is None else Image.fromarray((opacity[..., 0] * 255 + 0.5).astype(np.uint8))
            yield [Image.merge(image.model, planes)] if shallow else planes, alpha
        return
    width, height = image.size
    # Browsers show a BMP whose alpha is 0 everywhere: old programs leave it unset.
    if image.format == "BMP" and image.mode == "RGBA" and not _extrema(image.getchannel("A"))[1]:
        image = image.convert("RGB")
    for top in range(0, height, rows):
        band, alpha = _flatten(image.crop((0, top, width, min(top + rows, height))))
        yield [band], alpha


def _flatten(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Composite on white, and the opacity in mode L.

    The result has the mode L, RGB, CMYK or LAB that the ICC profile of the file applies to.
    """
    gray = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if gray else image.mode if image.mode in ("CMYK", "LAB") else "RGB"), None
    if image.mode == "La":  # Pillow converts it to LA only
        image = image.convert("LA")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)
    return canvas.convert("L") if gray else canvas, image.getchannel("A")


def _extrema(alpha: Image.Image) -> tuple[float, float]:
    """The (least, greatest) value of an image of mode L, in [0, 1]."""
    least, most = alpha.getextrema()
    return least / 255, most / 255  # pyright: ignore[reportOperatorIssue]


def _orientation(image: Any) -> int:
    """Of EXIF.  Unlike Pillow's `exif_transpose`, this ignores damaged EXIF data."""
    with contextlib.suppress(Exception):
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    return 1


def resample(
    image: Image.Image, height: int, width: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    # Bicubic, because Lanczos rings at edges and style transfer turns the ringing into ripples.
    # `reducing_gap` box-filters down to 3 times the target first: three times as fast, no visible difference.
    return image.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
