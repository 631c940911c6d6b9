"""Pictures in and out: PIL <-> float32 (1, H, W, 3) RGB in [0, 1].

The only file that opens an image, and the one that distrusts it: whatever arrives, `load` returns an array or raises
`ImageError` with one sentence for a person.
"""

import contextlib
import io
import os
import re
import secrets
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

MAX_PIXELS = 100_000_000  # a full-frame camera makes 60 million; this many take 3 s and 1.3 GB to reduce, 2.3 GB whole
MAX_BYTES = 100_000_000
MIN_SIDE = 16  # the deepest style layer sees one position for every 16 pixels
MAX_TEXT = 30_000  # characters of an embedded text: two of them fit into a JPEG's 64 KB of EXIF
MAX_SCANS = 200  # of a JPEG: progressive ones have 10, 100 MB have room for 800 000, and each passes over all pixels

READABLE = "JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000 or AVIF"
# Nothing else is ever tried: some of Pillow's other readers start programs (EPS), crawl (QOI) or accept noise (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_WRITERS = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "subsampling": 0},  # 4:4:4: strokes are often edges of color alone
    ".jpeg": {"format": "JPEG", "subsampling": 0},
    ".webp": {"format": "WEBP"},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}

_TAGS = {  # what a text is in EXIF; in PNG it keeps its name
    "Software": ExifTags.Base.Software,
    "Description": ExifTags.Base.ImageDescription,
    "nst": ExifTags.Base.UserComment,
}
_NST_TEXT = b'\0{"nst": '  # both PNG and EXIF have a NUL before the text, and file names cannot have one

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_TIMED = _SRGB.tobytes()
_SRGB_BYTES = _TIMED[:24] + bytes(12) + _TIMED[36:]  # without its time of creation: the same picture, the same file

# Warning filters belong to the whole process, and so does the memory: pictures are decoded one at a time.
_decoding = threading.Lock()


class ImageError(ValueError):
    """A picture cannot be read or written; the message is one sentence for a person, with what would be right."""


def load(source: str | os.PathLike | bytes | BinaryIO | Image.Image, longest_side: int | None = None) -> np.ndarray:
    """Read a picture as a person sees it: upright, in sRGB, transparent parts on white, the first frame of several.

    Args:
        source: a path, the bytes of a file, a binary file (read from its start) or a PIL image.
        longest_side: larger pictures are reduced to this, in pixels; smaller ones are left alone.

    Returns:
        float32 (1, H, W, 3) RGB in [0, 1], C-contiguous and finite.

    Raises:
        ImageError: the picture is missing, foreign, damaged, too large or too small.
    """
    name = (Path(source).name or str(source)) if isinstance(source, str | os.PathLike) else "The file"
    given = source if isinstance(source, Image.Image | bytes) else _read(source, name)
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = given if isinstance(given, Image.Image) else _open(given, name)
            _check_size(image, name)
            if longest_side and image is not given:
                # Lets a JPEG be decoded at 1/2, 1/4 or 1/8; twice the asked size leaves the filtering to `_resized`.
                height, width = fit(image.height, image.width, 2 * longest_side)
                image.draft(None, (width, height))
            return _pixels(image, longest_side)
        except ImageError:
            raise
        except (MemoryError, Image.DecompressionBombError) as error:
            most = min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))  # Pillow refuses at twice its limit
            raise ImageError(f"{name} is too large; up to {most / 1e6:g} million pixels would do.") from error
        except Exception as error:  # damaged files make Pillow raise a dozen unrelated types
            raise ImageError(f"{name} is damaged or cut short; a fresh copy of it may be whole.") from error


def fit(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) in the same proportion, in pixels: the longest side is `size`, the other at least 1."""
    longest = max(height, width)
    return max(1, round(height * size / longest)), max(1, round(width * size / longest))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resample with an antialiasing bicubic filter, smaller or larger.

    Args:
        image: float (1, H, W, 3) in [0, 1].

    Returns:
        float32 (1, height, width, 3) in [0, 1]; bicubic overshoots at edges and is clipped.
    """
    planes = np.ascontiguousarray(np.moveaxis(image[0], -1, 0), dtype=np.float32)
    resized = [_resized(Image.fromarray(plane), height, width) for plane in planes]
    return np.stack([np.asarray(plane) for plane in resized], axis=-1).clip(0, 1)[np.newaxis]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float (1, H, W, 3) in [0, 1] -> uint8 (H, W, 3), rounded; what lies outside is clipped, NaN is black."""
    return (np.fmin(np.fmax(image[0], 0), 1) * 255 + 0.5).astype(np.uint8)


def rescale(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3) at another size; the very same pixels if it has that size already."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return to_uint8(resize(pixels[np.newaxis] / np.float32(255), height, width))


def check_writable(path: str | os.PathLike, suffixes: Collection[str] = tuple(_WRITERS)) -> None:
    """Raise now the `ImageError` that writing to `path` would raise at the end of a long run."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ImageError(f"{path.name!r} cannot be written; its name should end in {', '.join(suffixes)}.")
    if not os.path.isdir(path.parent):
        raise ImageError(f"There is no folder {path.parent} to write {path.name} to; make it first.")
    if os.path.isdir(path):
        raise ImageError(f"{path} is a folder; the name of a file is needed.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ImageError(f"The folder {path.parent} may not be written to; choose another for {path.name}.")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the place of `path` if the block succeeds and vanishes if it does not.

    Raises:
        ImageError: the disk is full, the folder vanished, or the like.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise ImageError(f"{path} could not be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def save(
    pixels: np.ndarray, path: str | os.PathLike, quality: int = 95, texts: Mapping[str, str] | None = None
) -> None:
    """Write a picture; a failure leaves what was at `path` as it was.

    Args:
        pixels: uint8 (H, W, 3) sRGB.
        path: the suffix chooses PNG, JPEG, WebP or TIFF.
        quality: 1 to 100, for JPEG and WebP.
        texts: to embed: "Software", "Description" and, in ASCII, "nst", which is what `read_text` reads.  Those longer
            than MAX_TEXT are left out: no picture is lost for a note about it.

    Raises:
        ImageError: an unknown suffix, a missing folder, a full disk.
    """
    check_writable(path)
    with replacing(path) as temporary:
        options = {"icc_profile": _SRGB_BYTES, **_WRITERS[temporary.suffix.lower()]}
        if options["format"] in ("JPEG", "WEBP"):
            options["quality"] = quality
        if texts:
            short = {key: text for key, text in texts.items() if len(text) <= MAX_TEXT}
            options |= _embedded(short, options["format"])
        Image.fromarray(pixels).save(temporary, **options)


def encode_jpeg(pixels: np.ndarray, quality: int = 80) -> bytes:
    """uint8 (H, W, 3) -> the bytes of a JPEG file: about 1 ms and 40 KB for a streamed frame of 512 x 512."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def read_text(source: str | os.PathLike | bytes) -> str | None:
    """The text "nst" that `save` embedded, perhaps with a few stray characters after it; None if there is none.

    It is searched for and not parsed: no size, offset or packed text that a hostile file claims is ever believed.

    Args:
        source: a path or the bytes of a file.

    Returns:
        printable ASCII that begins with `{"nst": `, at most MAX_TEXT characters.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    data = source if isinstance(source, bytes) else _read(source, Path(source).name)
    start = data.find(_NST_TEXT) + 1
    text = re.match(rb"[ -~]*", data[start : start + MAX_TEXT]) if start else None
    return text and text[0].decode("ascii")


def _embedded(texts: Mapping[str, str], format: str) -> dict[str, Any]:
    """The options with which Pillow writes the texts."""
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, text in texts.items():
            chunks.add_text(key, text)
        return {"pnginfo": chunks}
    exif = Image.Exif()
    for key, text in texts.items():
        if key != "nst":
            exif[_TAGS[key]] = text
        elif format == "TIFF":  # Pillow drops a compressed TIFF's second directory, where it belongs
            exif[_TAGS[key]] = b"ASCII\0\0\0" + text.encode("ascii")
        else:
            exif.get_ifd(ExifTags.IFD.Exif)[_TAGS[key]] = b"ASCII\0\0\0" + text.encode("ascii")
    return {"exif": exif}


def _read(source: str | os.PathLike | BinaryIO, name: str) -> bytes:
    """All bytes of a file, but never more than one beyond MAX_BYTES."""
    try:
        if not isinstance(source, str | os.PathLike):
            if source.seekable():
                source.seek(0)
            return source.read(MAX_BYTES + 1)
        if os.path.exists(source) and not os.path.isfile(source):  # reading a pipe or a device may never end
            raise ImageError(f"{name} is a folder or a device; a picture file is needed.")
        with open(source, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {name}; check its name and folder.") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a closed file, a NUL in a path
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _open(data: bytes, name: str) -> Image.Image:
    """Read the header only; Pillow decodes the pixels when they are first used."""
    if not data:
        raise ImageError(f"{name} is empty; a fresh copy of it may be whole.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is too large; a file of up to {MAX_BYTES // 10**6} MB would do.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[:64]:
        raise ImageError(f"{name} is a HEIC photo, which this program cannot read; saved or shared as JPEG it can.")
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError:
        if data.startswith(_BEGINNINGS):
            raise
        raise ImageError(f"{name} is not a picture this program can read; {READABLE} would be.") from None
    if image.format in ("JPEG", "MPO") and len(re.findall(rb"\xff\xda\0[\x08\x0a\x0c\x0e]", data)) > MAX_SCANS:
        raise ImageError(f"{name} is built to take forever; the same picture saved again as JPEG would do.")
    if image.format == "PNG":
        image.verify()  # decoding skips the checksums of the pixels, and verifying uses the image up
        image = Image.open(io.BytesIO(data), formats=("PNG",))
    return image


def _check_size(image: Image.Image, name: str) -> None:
    """Refuse by the header alone what would be too small to paint or too large to decode."""
    width, height = image.size
    tags = getattr(image, "tag_v2", {})  # a TIFF may hide one huge tile in a small picture
    tile = tags.get(TiffImagePlugin.TILEWIDTH, 0) * tags.get(TiffImagePlugin.TILELENGTH, 0)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name} is {width} x {height} pixels; at least {MIN_SIDE} on each side are needed.")
    if (pixels := max(width * height, tile)) > MAX_PIXELS:
        raise ImageError(f"{name} has {pixels / 1e6:.0f} million pixels; up to {MAX_PIXELS // 10**6} million would do.")


def _pixels(image: Image.Image, longest_side: int | None) -> np.ndarray:
    """Decode; the steps of `load` from a checked header to the array."""
    image.load()
    image = _upright(image)
    profile = image.info.get("icc_profile")
    image = _deep(image) if image.mode.startswith(("I", "F")) else _opaque(image)
    if longest_side and max(image.size) > longest_side:
        image = _resized(image, *fit(image.height, image.width, longest_side))
    if image.mode == "F":
        grey = np.asarray(image).clip(0, 1)[np.newaxis, :, :, np.newaxis]
        return np.repeat(grey, 3, axis=-1)
    # Color management comes after the reduction, where it is cheap.
    return np.divide(np.asarray(_to_srgb(image, profile)), 255, dtype=np.float32)[np.newaxis]


def _upright(image: Image.Image) -> Image.Image:
    """Turn as EXIF says.  Pillow's own `exif_transpose` refuses a whole picture for a damaged note about it."""
    turn = None
    with contextlib.suppress(Exception):
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _deep(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as mode F in [0, 1].  Modes I and F do not say what white is: their values must."""
    values = np.array(image, dtype=np.float32)
    peak = float(values.max(initial=0, where=np.isfinite(values)))
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "I":
        white = next((limit for limit in (255.0, 65535.0) if peak <= limit), peak)
    else:
        white = max(1.0, peak)
    values /= white
    np.nan_to_num(values, copy=False, nan=0, posinf=1, neginf=0)
    return Image.fromarray(values.clip(0, 1, out=values))


def _opaque(image: Image.Image) -> Image.Image:
    """Mode L, RGB, CMYK or LAB, whichever is nearest to the file (its profile is for that), composed on white."""
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else image.mode if image.mode in ("CMYK", "LAB") else "RGB")
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)
    return canvas.convert("L") if grey else canvas


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Mode L, RGB, CMYK or LAB -> RGB by the embedded profile, or by Pillow's formulas without a usable one."""
    if profile:
        # Besides broken ones there are profiles of another kind than their picture, such as RGB ones in grey JPEGs.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
    return image.convert("RGB")


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    # Bicubic: Lanczos rings at edges, and painting makes ripples of it.
    # Reducing by a whole factor first, but never nearer than threefold, is three times as fast and looks the same.
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
