"""The bytes of a picture file -> float32 RGB; `images` is the way in.

Pillow decodes the file, or `tiff` where Pillow has no mode for it.  What is decoded is normalized and reduced band by
band, so that only the file's own pixels are ever held in full.  Every file is treated as hostile.
"""

import contextlib
import io
import math
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from nst import colors, deep
from nst.deep import Deep
from nst.tiff import Tiff

MAX_PIXELS = 100_000_000  # of the result: 2.3 GB
MAX_MEMORY = 1_200_000_000  # bytes of the decoded file: 300 million pixels of a PNG, any JPEG that is read reduced
MAX_BYTES = 100_000_000  # of the file
MIN_SIDE = 16  # pixels: the stride of the deepest style layer
MAX_SCANS = 200  # in a JPEG; progressive files have 10, 100 MB have room for 800,000, and each updates all pixels
MAX_MARKERS = 10_000  # before the picture of a JPEG

READABLE = "JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000 or AVIF"
# Pillow's other readers are off: some start programs (EPS), are very slow (QOI) or accept random bytes (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"\0\0\0\x0cjP  ", *_TIFF)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM", b"FOVb")
_RAW = "is a camera raw file or begins with a small preview of the photo; export the photo as JPEG"
_CONVERT = "save it as an ordinary JPEG or PNG"
_LOSSLESS = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}  # JPEG frames, with the hierarchical and JPEG-LS

_PNG_PICTURE, _PNG_NOTES = b"IHDR PLTE IDAT IEND acTL fcTL fdAT".split(), b"tRNS gAMA cHRM sRGB eXIf".split()

# Bytes a pixel: of Pillow's modes, with NumPy's copy of the deep ones; and what decoders hold beside the result.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 6, "I;16B": 6, "I": 12, "F": 12}
_DECODER_BYTES = {"WEBP": 8, "AVIF": 8, "JPEG2000": 8, "TIFF": 4}

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


class ImageError(ValueError):
    """An image cannot be read or written; the message is one sentence for the user that says what to do instead."""


@dataclass(frozen=True)
class Picture:
    """A picture as it was read, and what its pixels do not tell of the file."""

    pixels: np.ndarray  # float32 (1, H, W, 3) RGB in [0, 1]
    frames: int = 1  # or pages of the file; `pixels` are the first
    opacity: tuple[float, float] = (1.0, 1.0)  # of its most transparent and its most opaque pixel
    stored_shape: tuple[int, int] = (0, 0)  # (height, width) before it was turned upright and downscaled

    def notes(self, name: str) -> list[str]:
        """One sentence about each thing that is left out when this is painted."""
        notes = []
        if self.frames > 1:
            notes.append(f"Only the first of the {self.frames} pictures in {name} is painted.")
        if self.opacity[0] < 1:
            notes.append(f"What is transparent in {name} is painted as white.")
        return notes


@dataclass
class _Source:
    """An opened file, its pixels not decoded yet."""

    image: Image.Image | Deep
    info: Any = field(default_factory=dict)
    frames: int = 1
    orientation: int = 0  # of EXIF; 0: Pillow knows it
    bytes_per_pixel: float = 0  # held once decoded
    full_bytes: float = 0  # held while decoding, however far the result is reduced
    largest_tile: int = 0  # pixels

    def __post_init__(self):
        width, height = self.image.size
        self.shape = height, width  # before `draft` reduces it


def read(source: bytes | Image.Image, name: str, longest_side: int | None) -> Picture:
    """Decode a file or a PIL image; see `images.read`.  `name` begins the sentence of an ImageError."""
    with _lock, warnings.catch_warnings(), _pillow_without_limit():
        warnings.simplefilter("ignore")
        try:
            opened = _of_pillow(source) if isinstance(source, Image.Image) else _open(source, name)
            _check_size(opened, name, longest_side, may_draft=isinstance(source, bytes))
            return _decode(opened, longest_side)
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageError(f"{name} is too large for this machine's memory; use a smaller copy of it.") from error
        except Exception as error:  # Pillow raises a dozen unrelated types for damaged files
            if str(error).startswith("Unsupported"):
                raise ImageError(
                    f"{name} is a rare kind of picture that this program cannot read; {_CONVERT}."
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


def read_bytes(source: str | os.PathLike | BinaryIO, name: str) -> bytes:
    """The bytes of a file, at most MAX_BYTES + 1."""
    try:
        if not isinstance(source, str | os.PathLike):
            if source.seekable():
                source.seek(0)
            return source.read(MAX_BYTES + 1)
        if os.path.exists(source) and not os.path.isfile(source):  # reading a pipe or a device may never end
            raise ImageError(f"{name} is a folder or a device; choose a picture file.")
        with open(source, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {name}; check its name and folder.") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a closed file, a NUL in a path
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


# --- Opening ----------------------------------------------------------------------------------------------------------


def _open(data: bytes, name: str) -> _Source:
    """Read the headers and refuse by name what cannot be read."""
    if not data:
        raise ImageError(f"{name} is empty; try a fresh copy of it.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is too large; use a file of up to {MAX_BYTES // 10**6} MB.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[:64]:
        raise ImageError(f"{name} is a HEIC photo, which this program cannot read; save or share it as JPEG.")
    if data.startswith(_RAW_SIGNATURES) or data[4:12] == b"ftypcrx ":
        raise ImageError(f"{name} {_RAW}.")
    if data.startswith(_TIFF):
        return _open_tiff(data, name)
    if data.startswith(b"\x89PNG"):
        return _open_png(data, name)
    if data.startswith(b"\xff\xd8\xff"):
        return _open_jpeg(data, name)
    try:
        source = _of_pillow(_pillow(data))
    except Image.UnidentifiedImageError:
        if data.startswith(_SIGNATURES):  # a supported format, but damaged
            raise
        raise ImageError(f"{name} is not a picture this program can read; use {READABLE}.") from None
    at = data.find(b"colrnclx", 0, 65536) if source.image.format == "AVIF" else -1  # pyright: ignore
    if at >= 0 and not source.info.get("icc_profile"):
        source.info["cicp"] = struct.unpack_from(">HH", data, at + 8)
    with contextlib.suppress(Exception):  # later frames may be damaged
        source.frames = getattr(_pillow(data), "n_frames", 1)  # another one, since counting moves to the last
    return source


def _pillow(data: bytes) -> Image.Image:
    """Read the header; Pillow decodes the pixels on first use."""
    return Image.open(io.BytesIO(data), formats=_FORMATS)


def _of_pillow(image: Image.Image) -> _Source:
    held = _MODE_BYTES.get(image.mode, 4) + _DECODER_BYTES.get(image.format or "", 0)
    return _Source(image, image.info, bytes_per_pixel=held)


def _open_tiff(data: bytes, name: str) -> _Source:
    tiff = Tiff(data)
    if tiff.is_raw:
        raise ImageError(f"{name} {_RAW}.")
    if tiff.for_pillow:
        source = _of_pillow(_pillow(data))
    elif picture := tiff.open():
        info = {"icc_profile": tiff.icc_profile}
        # libtiff's strip, Pillow's image and NumPy's copy of it.
        source = _Source(picture, info, orientation=tiff.orientation, bytes_per_pixel=3 * tiff.bytes_per_pixel)
    else:
        kind = f"a TIFF of an unusual kind ({tiff.layout})"
        raise ImageError(f"{name} is {kind}; save it as a TIFF or PNG of 8 or 16 bits in RGB.")
    source.frames, source.largest_tile = tiff.pages, tiff.tile[0] * tiff.tile[1]
    return source


def _open_png(data: bytes, name: str) -> _Source:
    """Check the checksums, drop texts and profiles, which may unpack to anything, and read what Pillow does not."""
    kept, chunks, position, kind = bytearray(data[:8]), {}, 8, b""
    view = memoryview(data)
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError("a chunk is cut off, or its checksum is wrong")
        if kind in _PNG_PICTURE or (kind in _PNG_NOTES and kind not in chunks):
            kept += view[position:end]
        if kind in (*_PNG_NOTES, b"iCCP", b"cICP"):
            chunks.setdefault(kind, data[position + 8 : end - 4])
        if kind == b"CgBI":
            raise ImageError(f"{name} is a PNG as iPhone apps contain them; save it as an ordinary PNG.")
        position = end
    source = _of_pillow(_pillow(bytes(kept)))
    source.frames = getattr(source.image, "n_frames", 1)
    if profile := chunks.get(b"iCCP"):
        with contextlib.suppress(zlib.error, ValueError):
            packed = profile[profile.index(b"\0") + 2 :]
            source.info["icc_profile"] = zlib.decompressobj().decompress(packed, MAX_BYTES)
    if len(code := chunks.get(b"cICP", b"")) == 4 and code[1] != 2:  # 2: unspecified
        source.info["cicp"] = code
    depth, color = data[24], data[25]
    clear = source.info.get("transparency")
    if color == 0 and depth in (2, 4) and isinstance(clear, int):  # Pillow widens the pixels, not this value
        source.info["transparency"] = clear * 255 // (2**depth - 1)
    elif color == 2 and depth == 16 and clear:
        source.image, source.bytes_per_pixel = _clear_deep(bytes(kept), clear), 16
    return source


def _open_jpeg(data: bytes, name: str) -> _Source:
    marker, bits, channels = _jpeg_frame(data) or (0xC0, 8, 3)
    kind = "" if channels in (1, 3, 4) else f"a JPEG of {channels} channels"
    kind = kind if bits == 8 else f"a JPEG of {bits} bits a channel"
    kind = "a lossless or hierarchical JPEG" if marker in _LOSSLESS else kind
    if kind:
        raise ImageError(f"{name} is {kind}, which this program cannot read; {_CONVERT}.")
    image: Any = _pillow(data)
    if len(re.findall(rb"\xff\xda\0[\x08\x0a\x0c\x0e]", data)) > MAX_SCANS:
        raise ImageError(f"{name} has more than {MAX_SCANS} JPEG scans; save it again as a JPEG.")
    source = _of_pillow(image)
    first_scan = data.rfind(b"\xff\xda", 0, image.fp.tell())
    if image.info.get("progressive") or data[first_scan + 4] != image.layers:
        # libjpeg holds all coefficients, of 2 bytes, until the last scan.
        factors = [(across, down) for _, across, down, _ in image.layer]
        largest = max(across for across, _ in factors) * max(down for _, down in factors)
        source.full_bytes = 2 * sum(across * down for across, down in factors) / largest
    return source


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """(marker, bits a channel, channels) of the frame's header, if it is where it should be."""
    position, frame = 2, None
    for _ in range(MAX_MARKERS):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xDA:  # the first scan
            return frame
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            frame = marker, data[position + 4], data[position + 9]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in (0, 1) or 0xD0 <= marker <= 0xD9:  # markers alone
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ValueError("too much lies before the picture")


def _clear_deep(png: bytes, clear: tuple[int, int, int]) -> Image.Image:
    """A PNG of 16-bit RGB with one transparent color, as RGBA; Pillow compares only the high bytes, with all of it."""
    high, low = _pillow(png), _pillow(png)
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # pyright: ignore[reportAttributeAccessIssue]
    equal = [np.asarray(part) == np.array(clear) // scale % 256 for part, scale in ((high, 256), (low, 1))]
    opaque = ~(equal[0] & equal[1]).all(axis=-1)
    high.info.pop("transparency")
    high.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return high


# --- Sizes ------------------------------------------------------------------------------------------------------------


def _check_size(source: _Source, name: str, longest_side: int | None, may_draft: bool) -> None:
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


def _decode(source: _Source, longest_side: int | None) -> Picture:
    """Decode an opened image whose header has been checked."""
    image, info = source.image, source.info
    if isinstance(image, Image.Image):
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
    # Converting the colors after downscaling is cheaper.
    profile = colors.profile(info, gray=len(planes) == 1 and planes[0].mode in ("L", "F"))
    if planes[0].mode == "F":
        values = np.stack([np.asarray(plane) for plane in planes], axis=-1).clip(0, 1)
        pixels = np.ascontiguousarray(colors.deep_to_srgb(values, profile))
    else:
        pixels = np.divide(np.asarray(colors.to_srgb(planes[0], profile)), 255, dtype=np.float32)
    return Picture(pixels[np.newaxis], source.frames, opacity, source.shape)


def _reduced(image: Image.Image | Deep, factor: int) -> tuple[list[Image.Image], tuple[float, float]]:
    """The picture on white, each side divided by `factor`: one image of mode L, RGB, CMYK or LAB, or one or three of
    mode F; and its (least, greatest) opacity.
    """
    width, height = image.size
    rows = max(1, deep.BAND // (width * factor)) * factor
    reduced, opacities = [], []
    for index, (planes, opacity) in enumerate(_bands(image, rows)):
        planes = [plane.reduce(factor) for plane in planes] if factor > 1 else planes
        if not reduced:
            size = math.ceil(width / factor), math.ceil(height / factor)
            reduced = [Image.new(plane.mode, size) for plane in planes]
        for whole, plane in zip(reduced, planes):
            whole.paste(plane, (0, index * rows // factor))
        opacities.append(opacity)
    return reduced, (min(least for least, _ in opacities), max(most for _, most in opacities))


def _bands(image: Image.Image | Deep, rows: int) -> Iterator[tuple[list[Image.Image], tuple[float, float]]]:
    """From the top, bands of the picture on white, as the images of `_reduced`, with their opacity."""
    if isinstance(image, Deep):
        for values, opacity in image.bands(rows):
            shallow = image.model in ("CMYK", "LAB")  # which Pillow has with 8 bits only
            values = (values * 255 + 0.5).astype(np.uint8) if shallow else values
            planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(values, -1, 0)]
            yield [Image.merge(image.model, planes)] if shallow else planes, opacity
        return
    width, height = image.size
    # Browsers show a BMP whose alpha is 0 everywhere: old programs leave it unset.
    if image.format == "BMP" and image.mode == "RGBA" and not _opacity(image)[1]:
        image = image.convert("RGB")
    for top in range(0, height, rows):
        band, opacity = _flatten(image.crop((0, top, width, min(top + rows, height))))
        yield [band], opacity


def _flatten(image: Image.Image) -> tuple[Image.Image, tuple[float, float]]:
    """Composite on white; the result has the mode L, RGB, CMYK or LAB that the file's ICC profile applies to."""
    gray = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if gray else image.mode if image.mode in ("CMYK", "LAB") else "RGB"), (1.0, 1.0)
    if image.mode == "La":  # Pillow converts it to LA only
        image = image.convert("LA")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)
    return canvas.convert("L") if gray else canvas, _opacity(image)


def _opacity(image: Image.Image) -> tuple[float, float]:
    """The (least, greatest) opacity of an RGBA image."""
    least, most = image.getchannel("A").getextrema()
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
