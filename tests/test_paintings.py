"""The programs that paint our own style pictures besides the Starry Night, and the pictures they ship."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from examples import pointillist_shore, woodcut_wave

pytestmark = pytest.mark.apart

PROGRAMS = {"pointillist_shore": pointillist_shore.paint, "woodcut_wave": woodcut_wave.paint}
SIZES = {"pointillist_shore": (900, 720), "woodcut_wave": (960, 662)}
WIDTH = 240


def shipped(name: str) -> Path:
    return Path(__file__).parent.parent / "examples" / f"{name}.jpg"


@pytest.fixture(scope="module", params=PROGRAMS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def picture(name) -> Image.Image:
    return PROGRAMS[name](WIDTH)


@pytest.fixture(scope="module")
def shore() -> np.ndarray:
    return np.asarray(Image.open(shipped("pointillist_shore")), float)


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return np.asarray(Image.open(shipped("woodcut_wave")), float)


def average(picture: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Mean red, green and blue, 0..255, of a box given in units of the picture's width."""
    left, top, right, bottom = (round(edge * picture.shape[1]) for edge in (left, top, right, bottom))
    return picture[top:bottom, left:right].mean(axis=(0, 1))


def masses(picture: Image.Image) -> np.ndarray:
    """The picture's masses of color on 60 x 45 pixels, blurred, flattened."""
    small = picture.resize((60, 45), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(1)), float).ravel()


# --- both -------------------------------------------------------------------------------------------------------------


def test_the_same_arguments_paint_the_same_picture(name, picture):
    height = round(WIDTH * SIZES[name][1] / SIZES[name][0])
    assert (picture.mode, picture.size) == ("RGB", (WIDTH, height))
    assert np.array_equal(np.asarray(PROGRAMS[name](WIDTH)), np.asarray(picture))


def test_another_seed_keeps_the_composition(name, picture):
    another = PROGRAMS[name](WIDTH, seed=3)
    assert not np.array_equal(np.asarray(another), np.asarray(picture))
    assert np.corrcoef(masses(picture), masses(another))[0, 1] > 0.9


def test_the_shipped_picture_is_what_the_program_paints(name, picture):
    assert shipped(name).stat().st_size <= 350_000
    with Image.open(shipped(name)) as image:
        assert image.size == SIZES[name]
        assert np.corrcoef(masses(picture), masses(image))[0, 1] > 0.97
        assert np.abs(masses(picture) - masses(image)).mean() < 8


# --- the shore in dots ------------------------------------------------------------------------------------------------


def test_the_shore_is_where_it_should_be(shore):
    red, green, blue = average(shore, 0.42, 0.55, 0.85, 0.6)  # the sea
    assert blue > green > red
    red, green, blue = average(shore, 0.25, 0.26, 0.6, 0.35)  # the sky around the sun
    assert red > green > blue > 120
    assert average(shore, 0.0, 0.72, 0.08, 0.8).max() < 110  # the knoll, in shade


def test_what_looks_like_one_color_is_dots_of_many(shore):
    # In patches of the sea that are four dots wide: on most, ten of sixteen sectors of the color circle.
    patch, hues = round(0.04 * shore.shape[1]), []
    for left in range(300, 600, patch):
        box = Image.fromarray(shore[480 : 480 + patch, left : left + patch].astype(np.uint8))
        hue, saturation, _ = np.moveaxis(np.asarray(box.convert("HSV")), -1, 0)
        hues.append(np.count_nonzero(np.bincount(hue[saturation > 60] // 16, minlength=16) > 0.005 * hue.size))
    assert np.median(hues) >= 10


def test_the_mixture_is_the_motif():
    motif = pointillist_shore.Motif()
    for passage in pointillist_shore.PASSAGES:
        passage(motif)
    wanted = Image.fromarray((255 * motif.color.clip(0, 1)).astype(np.uint8))
    assert np.corrcoef(masses(wanted), masses(pointillist_shore.paint(WIDTH)))[0, 1] > 0.97


# --- the wave in wood -------------------------------------------------------------------------------------------------


def test_the_wave_is_where_it_should_be(wave):
    red, green, blue = average(wave, 0.13, 0.26, 0.2, 0.32)  # the sun
    assert red > 1.6 * max(green, blue)
    assert average(wave, 0.42, 0.1, 0.45, 0.3).min() > 120  # foam
    red, green, blue = average(wave, 0.7, 0.35, 0.95, 0.45)  # the swell
    assert blue > 1.4 * red


def test_few_inks_on_paper(wave):
    # Nearly everything is paper, one of the inks, or what lies between two of them: a contour, a fading sky.
    sheet = wave[::3, ::3].reshape(-1, 1, 3)
    codes = {woodcut_wave.CREAM, *(ink for _, ink, _ in woodcut_wave.PRINTING)}
    inks = 255 * np.array([woodcut_wave.color(code) * woodcut_wave.color(woodcut_wave.CREAM) for code in codes])
    nearest = np.linalg.norm(sheet - inks, axis=-1).min(axis=1)
    assert (nearest < 45).mean() > 0.85


def test_the_great_wave_takes_every_block_but_the_sun():
    design = woodcut_wave.Design(WIDTH, seed=1)
    woodcut_wave.great_wave(design)
    blocks = set(np.unique(np.asarray(design.image)).tolist())
    assert blocks == {getattr(woodcut_wave, block) for block in ("PAPER", "SKY", "PALE", "MIDDLE", "DEEP", "KEY")}
