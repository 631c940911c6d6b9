"""The program that paints our style picture, and the picture it ships."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from examples.starry_night import Canvas, paint, sky

pytestmark = pytest.mark.apart

SHIPPED = Path(__file__).parent.parent / "examples" / "starry_night.jpg"


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return paint(256)


@pytest.fixture(scope="module")
def another() -> Image.Image:
    return paint(64, seed=3)


def average(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Mean red, green and blue, 0..255, of a box given in units of the picture's width."""
    box = [round(edge * picture.width) for edge in (left, top, right, bottom)]
    return np.asarray(picture.crop(tuple(box)), float).mean(axis=(0, 1))


def masses(picture: Image.Image) -> np.ndarray:
    """The picture's masses of light and dark: its luminance on 64 x 51 pixels, blurred, flattened."""
    small = picture.convert("L").resize((64, 51), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(1)), float).ravel()


def test_size_and_proportions(picture, another):
    assert (picture.mode, picture.size) == ("RGB", (256, 205))
    assert another.size == (64, 51)


def test_the_same_seed_paints_the_same_picture(another):
    assert np.array_equal(np.asarray(paint(64, seed=3)), np.asarray(another))


def test_another_seed_keeps_the_composition_but_not_the_strokes(picture, another):
    assert not np.array_equal(np.asarray(picture.resize(another.size)), np.asarray(another))
    assert np.corrcoef(masses(picture), masses(another))[0, 1] > 0.9


def test_the_sky_is_mostly_blue(picture):
    red, green, blue = np.moveaxis(np.asarray(picture.crop((0, 0, 256, 128)), float), -1, 0)
    assert ((blue > red) & (blue > green)).mean() > 0.6


def test_the_moon_is_yellow_and_bright(picture):
    red, green, blue = average(picture, 0.86, 0.09, 0.96, 0.19)
    assert min(red, green) > 140
    assert blue < 0.7 * min(red, green)


def test_the_cypress_is_dark(picture):
    assert average(picture, 0.17, 0.45, 0.24, 0.75).max() < 60


def test_there_are_lights_and_darks(picture):
    dark, light = np.percentile(np.asarray(picture.convert("L")), [1, 99])
    assert dark < 25
    assert light > 185


def test_the_sky_alone_takes_thousands_of_strokes():
    canvas = Canvas(64, seed=1889)
    sky(canvas)
    assert canvas.strokes > 5000


def test_the_shipped_picture_is_what_the_program_paints(picture):
    assert SHIPPED.stat().st_size <= 900_000
    with Image.open(SHIPPED) as shipped:
        assert shipped.size == (1280, 1024)
        assert np.corrcoef(masses(picture), masses(shipped))[0, 1] > 0.97
