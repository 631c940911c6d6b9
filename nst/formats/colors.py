"""What a file says of its colors -> sRGB: ICC profiles and what PNG and AVIF have instead, heeded as browsers do."""

import contextlib
import io
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB_BYTES = SRGB.tobytes()
SRGB_BYTES = SRGB_BYTES[:24] + bytes(12) + SRGB_BYTES[36:]  # no creation time, so equal pixels give equal files

MAX_PROFILE = 4_000_000  # bytes; those of presses have 3 MB

# What describes colors of pixels.  Others could cost minutes: 1 KB of elements (D2B0) may be applied 30,000 times each.
_TAGS = b"A2B0 A2B1 A2B2 wtpt bkpt chad kTRC rTRC gTRC bTRC rXYZ gXYZ bXYZ".split()

_D50 = np.array([0.9642, 1, 0.8249])
_D65 = 0.3127, 0.3290
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x and y of red, green and blue
_PRIMARIES = {  # by code point of ITU-T H.273; the others are taken for those of sRGB
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3, whose white is not D65; browsers take it for Display P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_SDR_WHITE = 203  # cd/m², of paper in an HDR picture (ITU-R BT.2408); what is brighter is clipped


def _srgb(signal: np.ndarray) -> np.ndarray:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: np.ndarray) -> np.ndarray:
    root = signal ** (1 / 78.84375)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return light ** (1 / 0.1593017578125) * 10_000 / _SDR_WHITE


def _hlg(signal: np.ndarray) -> np.ndarray:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return scene**1.2 * 1000 / _SDR_WHITE


_TRANSFERS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # likewise: signal -> light, both 1 for white
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    8: lambda signal: signal,
    16: _pq,
    18: _hlg,
}


def profile(info: dict[str, Any], gray: bool) -> bytes | None:
    """The ICC profile of a picture, made up where its file describes its colors otherwise; None for sRGB.

    Args:
        info: of Pillow, with "cicp", the bytes of such a chunk, if there is one.
        gray: whether the picture has one channel.
    """
    primaries, white, transfer = _BT709, _D65, None
    if code := info.get("cicp"):
        primaries, transfer = _PRIMARIES.get(code[0], _BT709), _TRANSFERS.get(code[1])
    elif own := info.get("icc_profile"):
        return own if len(own) <= MAX_PROFILE and own != SRGB_BYTES else None
    elif "srgb" not in info and 0 < (gamma := info.get("gamma", 0)) < 10:
        if abs(gamma - 1 / 2.2) > 0.02:  # that of sRGB, nearly
            transfer = lambda signal: signal ** (1 / gamma)  # noqa: E731
        if chromaticity := info.get("chromaticity"):
            white, primaries = chromaticity[:2], chromaticity[2:8]
    if transfer is None and (gray or np.allclose((*white, *primaries), (*_D65, *_BT709), atol=0.002)):
        return None
    with contextlib.suppress(ValueError, ZeroDivisionError, np.linalg.LinAlgError):
        return _made(primaries, white, transfer or _srgb, gray)
    return None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Mode L, RGB, CMYK or LAB -> sRGB by the ICC profile; without a usable one, by Pillow's formulas."""
    if icc:
        # Some profiles are broken or do not match the image's mode, such as RGB profiles in grayscale JPEGs.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, IndexError, struct.error):
            source = ImageCms.ImageCmsProfile(io.BytesIO(_tamed(icc)))
            image = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB") or image
    return image.convert("RGB")


def _tamed(icc: bytes) -> bytes:
    """A profile without the tags that are not needed and those whose tables are larger than their bytes."""
    count, kept = min(int.from_bytes(icc[128:132], "big"), 100), b""
    for position in range(132, 132 + 12 * count, 12):
        name, start, size = struct.unpack_from(">4sII", icc, position)
        if name in _TAGS and _table_bytes(icc[start : start + size]) <= size:
            kept += icc[position : position + 12]
    table = struct.pack(">I", len(kept) // 12) + kept.ljust(12 * count, b"\0")
    return icc[:128] + table + icc[132 + 12 * count :]


def _table_bytes(tag: bytes) -> int:
    """Of the color table of a tag, which LittleCMS allocates before it reads one."""
    inks, channels = tag[8:10] if tag[:4] in (b"mft1", b"mft2", b"mAB ") else (0, 0)
    if tag[:3] == b"mft":
        return tag[10] ** inks * channels * (tag[3] - b"0"[0])
    table = int.from_bytes(tag[24:28], "big")
    return math.prod(tag[table : table + inks]) * channels * tag[table + 16] if inks and table else 0


def deep_to_srgb(planes: np.ndarray, icc: bytes | None) -> np.ndarray:
    """float32 (H, W, 1 or 3) in [0, 1] -> float32 (H, W, 3).  With a profile, RGB is rounded to 8 bits first."""
    gray = planes.shape[-1] == 1
    if not icc:
        return np.repeat(planes, 3, axis=-1) if gray else planes
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    pixels = levels if gray else (planes * 255 + 0.5).astype(np.uint8)
    converted = np.asarray(to_srgb(Image.fromarray(pixels), icc)) / np.float32(255)
    if not gray:
        return converted
    curves = [np.interp(planes[..., 0], levels[0] / 255, converted[0, :, channel]) for channel in range(3)]
    return np.stack(curves, axis=-1).astype(np.float32)


def _made(primaries: tuple[float, ...], white: tuple[float, ...], transfer: Callable, gray: bool) -> bytes:
    """An ICC profile, version 2.1 (ICC.1:2001-04): for gray of the curve only."""
    light = np.clip(transfer(np.linspace(0, 1, 4096)), 0, 1)
    curve = b"curv\0\0\0\0" + struct.pack(">I", light.size) + (light * 65535 + 0.5).astype(">u2").tobytes()
    tags = {b"wtpt": _xyz(_D50)}
    if gray:
        tags[b"kTRC"] = curve
    else:
        columns = np.array([_tristimulus(*primaries[i : i + 2]) for i in (0, 2, 4)]).T
        light_of_white = _tristimulus(*white)
        columns = columns * np.linalg.solve(columns, light_of_white)  # of full red, green and blue
        scale = (_BRADFORD @ _D50) / (_BRADFORD @ light_of_white)  # from this white to that of profiles
        columns = np.linalg.inv(_BRADFORD) @ (scale[:, np.newaxis] * (_BRADFORD @ columns))
        tags |= {b"%cXYZ" % letter: _xyz(column) for letter, column in zip(b"rgb", columns.T)}
        tags |= {b"%cTRC" % letter: curve for letter in b"rgb"}
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    space = b"GRAY" if gray else b"RGB "
    head = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _tristimulus(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1, (1 - x - y) / y])


def _xyz(values: np.ndarray) -> bytes:
    if not (np.abs(values) < 8).all():
        raise ValueError("no such colors")
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(65536 * float(value)) for value in values))
