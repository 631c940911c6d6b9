"""Colored areas: a picture in which a visitor has drawn where each painting goes and where the photo stays."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from nst import images, masks, recipe, transparency
from nst.masks import Masks
from nst.page.cache import cache_file
from nst.page.translation import tr
from nst.recipe import Recipe

PALETTE = ("#e69f00", "#0072b2", "#009e73", "#cc79a7")  # the color of each painting, by its place
PROTECT = "#ffffff"  # where the photo stays
SIDE = 512  # pixels of the longest side, to which pictures of areas are reduced
ERASER = "linear-gradient(135deg, transparent 46%, currentcolor 46% 54%, transparent 54%)"
NEAR = 0.15  # distance in RGB below which a color is one of the palette, and not a blurred border of two

_COLORS = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in (*PALETTE, PROTECT)])


def manual() -> str:
    """One sentence on such pictures, for programs."""
    colors = ", ".join(f"{color} for painting {place}" for place, color in enumerate(PALETTE, start=1))
    return (
        f"where each painting goes and where the photo stays: a PNG, stretched over the photo, transparent but for "
        f"areas in {colors}, {PROTECT} for keeping the photo. A painting without an area shares what is left"
    )


def editor() -> str:
    """HTML of the editor, which page.js brings to life: brushes, the photo, and a canvas over it."""
    brushes = [(tr("Painting {number}", number=place), color) for place, color in enumerate(PALETTE, start=1)]
    brushes += [(tr("Keep the photo"), PROTECT), (tr("Eraser"), "")]
    choices = "".join(
        f'<label><input type="radio" name="brush" value="{color}"{" checked" * (index == 0)}>'
        f'<i style="background: {color or ERASER}"></i>{words}</label>'
        for index, (words, color) in enumerate(brushes)
    )
    sentence = tr("Draw on the photo. Each painting goes only where its color is; those without areas share the rest.")
    return (
        f'<p>{sentence}</p><div class="brushes" role="radiogroup" aria-label="{tr("Brush")}">{choices}</div>'
        f'<div class="areas"><p>{tr("Choose a photo first.")}</p><img alt="{tr("Your photo")}" hidden>'
        f'<canvas role="img" aria-label="{tr("Colored areas on your photo")}"></canvas></div>'
        f'<div class="tools"><label>{tr("Width")} <input type="range" name="width" min="2" max="25" value="9"></label>'
        f'<button type="button" name="undo">{tr("Undo")}</button>'
        f'<button type="button" name="clear">{tr("Clear areas")}</button></div>'
    )


def areas_of(path: str | None, taken: Sequence[int]) -> Masks:
    """The masks in a picture of colored areas.

    Args:
        path: the picture; None for none.
        taken: the places of the paintings, from 0.  The color of any other place is ignored.

    Raises:
        ValueError: the picture cannot be read, or its colors are others.
    """
    if not path:
        return masks.EVERYWHERE
    picture = images.read(path, SIDE)
    pixels, drawn = transparency.filled(picture.pixels, picture.alpha)[0], np.ones(picture.pixels.shape[1:3], bool)
    if picture.alpha is not None:
        drawn = picture.alpha > 127
    if not drawn.any():
        return masks.EVERYWHERE
    distances = np.linalg.norm(pixels[..., np.newaxis, :] - _COLORS, axis=-1)
    nearest, exact = distances.argmin(axis=-1), drawn & (distances.min(axis=-1) < NEAR)
    if 2 * exact.sum() < drawn.sum():
        raise ValueError(f"areas: the colors of this picture should be {', '.join(PALETTE)} or {PROTECT}")
    # The smoothed border between two areas may look like a third: it belongs to the area beside it.
    at = ndimage.distance_transform_edt(~exact, return_distances=False, return_indices=True)
    nearest = nearest[tuple(at)]  # type: ignore[arg-type]
    *places, protect = (_mask(drawn & (nearest == index)) for index in range(len(_COLORS)))
    return Masks(tuple(places[place] for place in taken), protect)


def _mask(area: np.ndarray) -> np.ndarray | None:
    return masks.feathered(area.astype(np.float32)) if area.any() else None


def restored(made: Recipe) -> str | None:
    """A cached picture of the areas in a recipe, for the page to show; None without any."""
    where = recipe.where(made)
    if not where:
        return None
    layers = [(where.protect, _COLORS[-1]), *zip(where.paintings, _COLORS)]  # of two that overlap, the first is shown
    layers = [(mask, color) for mask, color in layers if mask is not None]
    shape = images.fit(*layers[0][0].shape, SIDE)
    present = np.stack([masks.fitted(mask, *shape) > 0.49 for mask, _ in layers])  # no gap where two meet
    colors = np.array([color for _, color in layers])[present.argmax(axis=0)]
    pixels = np.dstack((colors, present.any(axis=0)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "areas.png")
        images.save(np.rint(pixels * 255).astype(np.uint8), path)
        return cache_file(path)
