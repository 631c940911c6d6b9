"""Transparency: what is painted where a picture is transparent, and how the painting gets the photo's alpha back."""

import numpy as np

from nst import images


def filled(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Replace the white behind a picture by the colors at the edge of its opaque part, so that no white is painted.

    Args:
        image: float32 (1, H, W, 3) RGB in [0, 1], composited on white, as `images.load` gives it.
        alpha: uint8 (H, W); None if all of it is opaque.

    Returns:
        float32 (1, H, W, 3) in [0, 1]; what is opaque is unchanged.
    """
    if alpha is None:
        return image
    weight = alpha[..., np.newaxis] / np.float32(255)
    return _extended((image[0] - (1 - weight)).clip(0), weight).clip(0, 1)[np.newaxis]


def _extended(colors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(H, W, 3), multiplied by their weight (H, W, 1) -> colors everywhere, smooth where there were none.

    What lacks weight is taken from the same picture at half the size, where four pixels have the weight of one that
    is opaque.
    """
    height, width, _ = colors.shape
    if height == width == 1:
        return colors / np.maximum(weight, 1e-6)
    total = _halved(weight)
    scale = np.minimum(1, total) / np.maximum(total, 1e-6)
    coarse = _extended(_halved(colors) * scale, total * scale)
    return colors + (1 - weight) * images.resize(coarse[np.newaxis], height, width)[0]


def _halved(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels."""
    height, width, channels = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    return padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels).sum(axis=(1, 3))


def cut_out(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Add alpha to a picture.

    Args:
        pixels: uint8 or uint16 (H, W, 3).
        alpha: uint8 of any size; None if all of it is opaque.

    Returns:
        (H, W, 4) of the same type; `pixels` themselves without alpha.
    """
    if alpha is None:
        return pixels
    return np.dstack((pixels, _resized(alpha, pixels) * pixels.dtype.type(np.iinfo(pixels.dtype).max // 255)))


def on_white(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The same picture, opaque on white: uint8 (H, W, 3); `pixels` themselves without alpha."""
    if alpha is None:
        return pixels
    weight = _resized(alpha, pixels) / np.float32(255)
    return (pixels * weight + 255 * (1 - weight) + 0.5).astype(np.uint8)


def _resized(alpha: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return images.rescale(alpha[..., np.newaxis], *pixels.shape[:2])
