"""Color preservation (Gatys, Bethge, Hertzmann and Shechtman 2016, arXiv:1606.05897): the photo keeps its own colors.

`Settings.color` chooses one of its two ways.  With "match", the paintings get the photo's colors before the run.  With
"luminance", only lightness is painted: the engine sees pictures without `color_amount` of their chroma, and `shown`
adds that of the photo.
"""

from collections.abc import Sequence

import numpy as np

from nst.settings import Settings

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Y of YIQ (Rec. 601), as in the paper
RIDGE = 1e-5  # added to the variance of a painting's colors: one that is grey has none in two directions


def prepare(
    photo: np.ndarray, styles: Sequence[np.ndarray], settings: Settings
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The photo and the paintings as the engine sees them.

    Args:
        photo, styles: float32 (1, H, W, 3) in [0, 1], or (1, H, W, 4) with alpha, which stays; of any size.

    Returns:
        Arrays of the same shapes.
    """
    amount = settings.color_amount
    if settings.color == "painting" or not amount:
        return photo, tuple(styles)
    if settings.color == "match":
        return photo, tuple(_with_colors(style, _matched(style, photo), amount) for style in styles)
    grey = [_with_colors(style, _matched_luminance(style, photo), amount) for style in styles]
    return _with_colors(photo, _luminance(photo), amount), tuple(grey)


def chroma_amount(settings: Settings) -> float:
    """How much of the chroma is the photo's and not painted: 0 to 1."""
    return settings.color_amount if settings.color == "luminance" else 0.0


def shown(image: np.ndarray, photo: np.ndarray, amount: float) -> np.ndarray:
    """The picture to show for an image that the engine sees; all float32 (1, H, W, 3), the photo in its own colors."""
    return np.clip(image + amount * _chroma(photo), 0, 1) if amount else image


def changed(image: np.ndarray, photo: np.ndarray, before: float, after: float) -> np.ndarray:
    """The image that the engine goes on with when the chroma amount changes: what is shown stays, if it can."""
    picture = shown(image, photo, before)
    if after == 1:
        return np.repeat(_luminance(picture), 3, axis=-1)
    return np.clip(picture - after * _chroma(photo), 0, 1)


def _luminance(picture: np.ndarray) -> np.ndarray:
    """(1, H, W, 3 or 4) -> (1, H, W, 1)."""
    return (picture[..., :3] @ LUMA)[..., np.newaxis]


def _chroma(picture: np.ndarray) -> np.ndarray:
    """What is left of the colors without their luminance, (1, H, W, 3)."""
    return picture[..., :3] - _luminance(picture)


def _with_colors(picture: np.ndarray, colors: np.ndarray, amount: float) -> np.ndarray:
    """Move a picture's colors towards others; its alpha stays."""
    mixed = picture.copy()
    mixed[..., :3] += np.float32(amount) * (colors - picture[..., :3])
    return mixed.clip(0, 1)


def _matched(style: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting with the photo's mean and covariance of colors: A (x − μₛ) + μ, A = Σ^½ Σₛ^−½ (section 4.1)."""
    mean, covariance = _moments(photo)
    style_mean, style_covariance = _moments(style)
    matrix = _power(covariance, 0.5) @ _power(style_covariance + RIDGE * np.eye(3), -0.5)
    return (style[..., :3] - style_mean) @ matrix.T.astype(np.float32) + mean


def _matched_luminance(style: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting's luminance with the photo's mean and standard deviation (section 4.2)."""
    mean, covariance = _moments(photo)
    style_mean, style_covariance = _moments(style)
    ratio = np.sqrt((LUMA @ covariance @ LUMA) / (LUMA @ style_covariance @ LUMA + RIDGE))
    return np.float32(ratio) * (_luminance(style) - style_mean @ LUMA) + mean @ LUMA


def _moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and covariance (3, 3) of the colors of what is opaque."""
    colors, weights = picture[0, ..., :3].reshape(-1, 3), None
    if picture.shape[-1] == 4:
        weights = picture[0, ..., 3].ravel() + 1e-6
    return np.average(colors, axis=0, weights=weights).astype(np.float32), np.cov(colors.T, aweights=weights)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric matrix whose eigenvalues are not negative."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values.clip(1e-12) ** exponent) @ vectors.T
