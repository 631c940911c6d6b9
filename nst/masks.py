"""Masks: which part of the photo gets which painting, and which part stays (Gatys et al. 2016, arXiv:1611.07865)."""

import base64
import io
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from nst import images
from nst.images import ImageError

FEATHER = 1 / 100  # of the longest side: standard deviation of the blur of a mask's outline
SIDE = 128  # pixels to which masks are reduced: their outlines are soft anyway, and a recipe can hold them
SMALLEST = 1e-3  # share of the image below which a region is not painted


class Masks(NamedTuple):
    """float32 (h, w) arrays in [0, 1], of any size; they are stretched over the photo."""

    paintings: tuple[np.ndarray | None, ...] = ()  # for each painting, where it goes; None: where no other mask is
    protect: np.ndarray | None = None  # where the photo stays as it is

    def __bool__(self) -> bool:
        return self.protect is not None or any(mask is not None for mask in self.paintings)


EVERYWHERE = Masks()


class Region(NamedTuple):
    """A part of the image, and the paintings that it gets."""

    guide: np.ndarray | None  # float32 (H, W) in [0, 1]: how much each pixel belongs to it; None: all of them, wholly
    shares: tuple[float, ...]  # of each painting, not negative
    weight: float  # of the region's style loss: its area, relative to the image


def read(path: str | os.PathLike) -> np.ndarray:
    """A mask from a picture file, white where it applies; transparent means black.  Its outline is feathered.

    Returns:
        float32 (h, w) in [0, 1], of SIDE pixels at most.

    Raises:
        ImageError: the file cannot be read.
    """
    picture = images.read(path)
    mask = picture.pixels[0].mean(axis=-1)
    if picture.alpha is not None:  # a picture is composited on white
        mask -= 1 - picture.alpha / np.float32(255)
    return feathered(mask)


def feathered(mask: np.ndarray) -> np.ndarray:
    """A mask, float (h, w) in [0, 1], with a soft outline, reduced to SIDE pixels and to steps of 1/255.

    One of SIDE pixels or less, as in a recipe, stays as it is: stretched over a photo, its outline is soft anyway.
    """
    small, (height, width) = np.asarray(mask, np.float32), mask.shape
    if max(mask.shape) > SIDE:
        blurred = ndimage.gaussian_filter(small, FEATHER * max(mask.shape), mode="nearest").clip(0, 1)
        small = fitted(blurred, *images.fit(height, width, SIDE))
    return np.rint(small * 255).astype(np.float32) / 255


def encode(mask: np.ndarray) -> str:
    """A feathered mask as a PNG file in base64."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(mask * 255).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def decode(text: str) -> np.ndarray:
    """The mask of `encode`; raises a ValueError for what is none."""
    mask = images.load(base64.b64decode(text, validate=True), SIDE)[0, ..., 0]
    return np.rint(mask * 255).astype(np.float32) / 255


def check(masks: Masks, count: int) -> None:
    """Raise a ValueError unless the masks fit `count` paintings."""
    if len(masks.paintings) > count:
        raise ValueError(f"masks: {len(masks.paintings)} masks should be {count} at most, one for each painting")
    for mask in (*masks.paintings, masks.protect):
        if mask is not None and (mask.ndim != 2 or not mask.size or not 0 <= mask.min() <= mask.max() <= 1):
            raise ValueError(f"masks: an array of shape {mask.shape} should be (h, w) with numbers from 0 to 1")


def fitted(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask stretched to (height, width)."""
    return images.resize(mask[np.newaxis, ..., np.newaxis], height, width)[0, ..., 0]


def with_protected(image: Any, protected: Sequence[Any]) -> Any:
    """An image (B, H, W, 3) with the photo where that is protected.

    Args:
        protected: the photo, (1, H, W, 3), and how much of it stays, (1, H, W, 1); () if nothing does.
    """
    if not protected:
        return image
    photo, stays = protected
    return image + stays * (photo - image)


def protected(masks: Masks, count: int, shape: tuple[int, int]) -> np.ndarray | None:
    """How much of the photo stays at each pixel of an image: where it is protected, and where no painting may go.

    Returns:
        float32 (H, W) in [0, 1]; None if nothing stays.
    """
    stays = np.zeros(shape, np.float32) if masks.protect is None else fitted(masks.protect, *shape)
    limits = [mask for mask in masks.paintings if mask is not None]
    if len(limits) == count:  # all of them are kept out of somewhere
        stays = np.maximum(stays, 1 - np.minimum(1, sum(fitted(mask, *shape) for mask in limits)))
    return stays if masks else None


def regions(masks: Masks, blend: Sequence[float], opacity: np.ndarray | None, shape: tuple[int, int]) -> list[Region]:
    """Divide an image into regions: one for each painting with a mask, and the rest for all others together.

    Where masks overlap, the paintings share.  What is protected or transparent is in no region.

    Args:
        blend: weight of each painting, in all.
        opacity: the photo's alpha, float (H, W) in [0, 1]; None if all of it is opaque.
        shape: (H, W) of the image.

    Raises:
        ImageError: no region is left.
    """
    if not masks and opacity is None:
        return [Region(None, tuple(blend), 1.0)]
    free = np.ones(shape, np.float32) if opacity is None else opacity
    if (stays := protected(masks, len(blend), shape)) is not None:
        free = free * (1 - stays)
    limited = {index: fitted(mask, *shape) for index, mask in enumerate(masks.paintings) if mask is not None}
    covered = sum(limited.values(), np.zeros(shape, np.float32))
    parts = [(mask / np.maximum(1, covered), [index]) for index, mask in limited.items()]
    if others := [index for index in range(len(blend)) if index not in limited]:
        parts.append((1 - np.minimum(1, covered), others))
    found = []
    for part, members in parts:
        guide = free * part
        shares = tuple(share if index in members else 0.0 for index, share in enumerate(blend))
        weight = float(guide.mean()) * max(shares) / max(blend)
        if weight > SMALLEST:
            found.append(Region(guide, shares, weight))
    if not found:
        raise ImageError("The masks leave nothing to paint; leave some of the photo free.")
    return found
