"""Post-processing of a finished picture: restore the photo's colors, blend with the photo, sharpen.

All of it works in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020, public domain,
https://bottosson.github.io/posts/oklab/), which separates lightness from color, is perceptually uniform, and keeps the
hue when the chroma changes.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy import ndimage

from nst import images
from nst.settings import _checked, _knob

BLUR_SIGMA = 1 / 400  # of the unsharp mask's Gaussian blur, relative to the longest side
MAX_DETAIL = 0.08  # limit of the unsharp mask's change of lightness

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_LMS_TO_RGB, _LAB_TO_LMS = np.linalg.inv(_RGB_TO_LMS), np.linalg.inv(_LMS_TO_LAB)

# Lookup tables of the sRGB transfer function (IEC 61966-2-1): 8-bit sRGB -> linear, and 16-bit linear -> 8-bit sRGB,
# where even the darkest level is 19 entries wide.
_ENCODED, _LINEAR = np.arange(256) / 255, np.arange(65536) / 65535
_DECODE_TABLE = np.where(_ENCODED <= 0.04045, _ENCODED / 12.92, ((_ENCODED + 0.055) / 1.055) ** 2.4).astype(np.float32)
_ENCODE_TABLE = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
_ENCODE_TABLE = np.rint(255 * _ENCODE_TABLE).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """Post-processing settings; the defaults change nothing.  Immutable, like `Settings`.

    Raises:
        ValueError: one sentence with the field, the value it was given and the values it takes.
    """

    original_color: float = _knob(0.0, "0 keeps the painting's colors, 1 brings back the photo's", 0, 1)
    photo_blend: float = _knob(0.0, "0 shows the painting, 1 the photo, values between them a blend", 0, 1)
    sharpness: float = _knob(0.0, "-1 softens, 0 changes nothing, 1 sharpens", -1, 1)

    def __post_init__(self) -> None:
        for knob in fields(self):
            object.__setattr__(self, knob.name, _checked(knob, getattr(self, knob.name)))


def finish(painted: np.ndarray, photo: np.ndarray, finishing: Finishing) -> np.ndarray:
    """Recolor, then blend, then sharpen.

    Args:
        painted: uint8 (H, W, 3) sRGB, or (H, W, 4) with alpha, which stays as it is.
        photo: uint8 (h, w, 3) sRGB of any size; resampled to (H, W), which frequent callers should do themselves.

    Returns:
        uint8 sRGB of the same shape; `painted` itself if there is nothing to do.
    """
    if finishing == Finishing():
        return painted
    painted, opacity = painted[..., :3], painted[..., 3:]
    lab = _to_oklab(painted)
    if finishing.original_color or finishing.photo_blend:
        target = _to_oklab(images.rescale(photo, *painted.shape[:2]))
        color = 1 - (1 - finishing.original_color) * (1 - finishing.photo_blend)  # recolor first, then blend
        alpha = np.array([finishing.photo_blend, color, color], np.float32)
        lab += alpha[:, np.newaxis, np.newaxis] * (target - lab)
    if finishing.sharpness:
        lab[0] = _unsharp_mask(lab[0], finishing.sharpness)
    return np.concatenate((_to_srgb(lab), opacity), axis=-1)


def _to_oklab(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) sRGB -> float32 (3, H, W) Oklab: lightness in [0, 1], and the color axes a and b."""
    linear = np.take(_DECODE_TABLE, np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    return _matmul(_LMS_TO_LAB, np.cbrt(_matmul(_RGB_TO_LMS, linear)))


def _to_linear(lab: np.ndarray) -> np.ndarray:
    """float32 (3, ...) Oklab -> float32 (3, ...) linear RGB, in [0, 1] for colors within the sRGB gamut."""
    lms = _matmul(_LAB_TO_LMS, lab)
    return _matmul(_LMS_TO_RGB, lms * lms * lms)


def _matmul(matrix: np.ndarray, channels: np.ndarray) -> np.ndarray:
    # `@` uses threads that wait for each other: tens of milliseconds while style transfer keeps the CPU busy.
    return np.einsum("ij,j...->i...", matrix, channels)


def _to_srgb(lab: np.ndarray) -> np.ndarray:
    """float32 (3, H, W) Oklab -> uint8 (H, W, 3) sRGB; out-of-gamut colors lose chroma, not lightness or hue."""
    linear = _to_linear(lab)
    outside = _out_of_gamut(linear)
    linear[:, outside] = _to_linear(_clip_chroma(lab[:, outside]))
    levels = np.take(_ENCODE_TABLE, (linear.clip(0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16))
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))


def _out_of_gamut(linear: np.ndarray) -> np.ndarray:
    return (linear.min(axis=0) < -1e-4) | (linear.max(axis=0) > 1 + 1e-4)  # tolerance: 1/3 of the darkest 8-bit level


def _clip_chroma(lab: np.ndarray) -> np.ndarray:
    """Scale the chroma of (3, N) Oklab colors to the largest in gamut, found by bisection to 1/256."""
    scale = np.zeros_like(lab)
    scale[0] = 1
    for bit in range(1, 9):
        trial = scale + np.array([[0], [0.5**bit], [0.5**bit]], np.float32)
        scale = np.where(_out_of_gamut(_to_linear(trial * lab)), scale, trial)
    return scale * lab


def _unsharp_mask(lightness: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp mask with soft-limited detail: it sharpens or softens texture with little halo at outlines."""
    sigma = max(0.5, BLUR_SIGMA * max(lightness.shape))
    detail = lightness - ndimage.gaussian_filter(lightness, sigma, mode="nearest", truncate=3)
    detail /= 1 + np.abs(detail) / np.float32(MAX_DETAIL)
    return (lightness + np.float32(amount) * detail).clip(0, 1)
