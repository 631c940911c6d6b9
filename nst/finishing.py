"""Finishing: the photo's colors, a blend with the photo, sharpness — on a finished picture, without repainting it.

Everything happens in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020, public domain,
https://bottosson.github.io/posts/oklab/): there, lightness is one number apart from color, halfway looks halfway, and
less chroma is the same hue.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy import ndimage

from nst import images
from nst.settings import _checked, _knob

RADIUS = 1 / 400  # of the longest side: standard deviation of the blur that tells detail from form
CEILING = 0.08  # of lightness: no detail, however strong, is changed by more than this

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)

# sRGB (IEC 61966-2-1) as two tables: 256 levels to linear light, and 65536 of linear light, where even the darkest
# level is 19 entries wide, to the nearest level.
_VALUES, _LIGHTS = np.arange(256) / 255, np.arange(65536) / 65535
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_ENCODED = np.where(_LIGHTS <= 0.0031308, 12.92 * _LIGHTS, 1.055 * _LIGHTS ** (1 / 2.4) - 0.055)
_ENCODED = np.rint(255 * _ENCODED).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """What to do to a finished picture; the defaults do nothing.  Immutable, like `Settings`.

    Raises:
        ValueError: one sentence with the field, the value it was given and the values it takes.
    """

    original_color: float = _knob(0.0, "0 keeps the painting's colors, 1 brings back the photo's", 0, 1)
    photo_blend: float = _knob(0.0, "0 shows the painting, 1 the photo, between them a mixture", 0, 1)
    sharpness: float = _knob(0.0, "-1 is soft, 0 as painted, 1 sharp", -1, 1)

    def __post_init__(self) -> None:
        for knob in fields(self):
            object.__setattr__(self, knob.name, _checked(knob, getattr(self, knob.name)))


def finish(painted: np.ndarray, photo: np.ndarray, finishing: Finishing) -> np.ndarray:
    """Recolor, then blend, then sharpen.

    Args:
        painted: uint8 (H, W, 3) sRGB.
        photo: uint8 (h, w, 3) sRGB of any size; it is resampled to (H, W), so a caller who asks often brings that size.

    Returns:
        uint8 (H, W, 3) sRGB; `painted` itself where there is nothing to do.
    """
    if finishing == Finishing():
        return painted
    lab = _oklab(painted)
    if finishing.original_color or finishing.photo_blend:
        target = _oklab(images.rescale(photo, *painted.shape[:2]))
        color = 1 - (1 - finishing.original_color) * (1 - finishing.photo_blend)  # one after the other
        share = np.array([finishing.photo_blend, color, color], np.float32)
        lab += share[:, np.newaxis, np.newaxis] * (target - lab)
    if finishing.sharpness:
        lab[0] = _sharpened(lab[0], finishing.sharpness)
    return _pixels(lab)


def _oklab(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) sRGB -> float32 (3, H, W): lightness in [0, 1], and the two axes of color."""
    linear = np.take(_LINEAR, np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    return _mixed(_TO_LAB, np.cbrt(_mixed(_TO_LMS, linear)))


def _linear(lab: np.ndarray) -> np.ndarray:
    """float32 (3, ...) Oklab -> float32 (3, ...) linear light, within [0, 1] only if the screen has the color."""
    lms = _mixed(_FROM_LAB, lab)
    return _mixed(_FROM_LMS, lms * lms * lms)


def _mixed(matrix: np.ndarray, planes: np.ndarray) -> np.ndarray:
    # Not `@`: its threads wait for one another, tens of milliseconds when a painting keeps the processor busy.
    return np.einsum("ij,j...->i...", matrix, planes)


def _pixels(lab: np.ndarray) -> np.ndarray:
    """float32 (3, H, W) Oklab -> uint8 (H, W, 3); colors beyond the screen turn grayer, but keep lightness and hue."""
    linear = _linear(lab)
    outside = _is_outside(linear)
    linear[:, outside] = _linear(_desaturated(lab[:, outside]))
    levels = np.take(_ENCODED, (linear.clip(0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16))
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))


def _is_outside(linear: np.ndarray) -> np.ndarray:
    return (linear.min(axis=0) < -1e-4) | (linear.max(axis=0) > 1 + 1e-4)  # a third of the darkest level


def _desaturated(lab: np.ndarray) -> np.ndarray:
    """(3, N) with no more chroma than the screen has at that lightness and hue, found by bisection to 1/256."""
    share = np.zeros_like(lab)
    share[0] = 1
    for bit in range(1, 9):
        trial = share + np.array([[0], [0.5**bit], [0.5**bit]], np.float32)
        share = np.where(_is_outside(_linear(trial * lab)), share, trial)
    return share * lab


def _sharpened(lightness: np.ndarray, amount: float) -> np.ndarray:
    """An unsharp mask whose detail bends toward a ceiling: texture comes out, or goes; outlines get little halo."""
    sigma = max(0.5, RADIUS * max(lightness.shape))
    detail = lightness - ndimage.gaussian_filter(lightness, sigma, mode="nearest", truncate=3)
    detail /= 1 + np.abs(detail) / np.float32(CEILING)
    return (lightness + np.float32(amount) * detail).clip(0, 1)
