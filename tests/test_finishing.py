"""nst.finishing against published colors, and against flat and two-colored pictures whose answer is known."""

from dataclasses import fields

import numpy as np
import pytest

from nst.finishing import MAX_DETAIL, Finishing, _out_of_gamut, _to_linear, _to_oklab, _to_srgb, finish

LEVELS = np.arange(0, 256, 15, dtype=np.uint8)
CUBE = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).reshape(18, -1, 3)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
OTHER = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)
COLOR, PHOTO = Finishing(original_color=1), Finishing(photo_blend=1)
SOFT, SHARP = Finishing(sharpness=-1), Finishing(sharpness=1)
EVERYTHING = Finishing(original_color=0.5, photo_blend=0.25, sharpness=0.5)


def flat(*color: int) -> np.ndarray:
    return np.full((6, 8, 3), color, np.uint8)


def hue(lab: np.ndarray) -> np.ndarray:
    return np.arctan2(lab[2], lab[1])


# --- settings ---------------------------------------------------------------------------------------------------------


def test_every_knob_explains_itself_and_does_nothing_by_default():
    for knob in fields(Finishing):
        assert knob.metadata["help"] and knob.metadata["low"] < knob.metadata["high"]
        assert getattr(Finishing(), knob.name) == 0
    assert isinstance(Finishing(sharpness=1).sharpness, float)


@pytest.mark.parametrize("value", [2, -1.5, float("nan"), "much", None])
@pytest.mark.parametrize(("name", "low"), [("original_color", 0), ("photo_blend", 0), ("sharpness", -1)])
def test_wrong_values_get_one_sentence(name, low, value):
    with pytest.raises(ValueError) as error:
        Finishing(**{name: value})
    assert str(error.value) == f"{name}: {value!r} should be a number from {low} to 1"


# --- Oklab ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("color", "expected"),
    [  # CSS Color 4 and its implementations
        ((0, 0, 0), (0, 0, 0)),
        ((255, 255, 255), (1, 0, 0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
        ((0, 128, 0), (0.51975, -0.14030, 0.10768)),
        ((188, 188, 188), (0.79524, 0, 0)),  # by hand: linear light 0.50289, whose cube root this is
    ],
)
def test_published_colors(color, expected):
    assert _to_oklab(flat(*color))[:, 0, 0] == pytest.approx(expected, abs=2e-5)


def test_there_and_back():
    assert np.abs(_to_srgb(_to_oklab(CUBE)).astype(int) - CUBE).max() <= 1


def test_colors_the_screen_has_not_become_grayer_only():
    lightness, angle = np.meshgrid(np.linspace(0.3, 0.95, 40), np.linspace(-np.pi, np.pi, 72))
    lab = np.stack([lightness, 0.4 * np.cos(angle), 0.4 * np.sin(angle)]).astype(np.float32)
    assert _out_of_gamut(_to_linear(lab)).all()
    shown = _to_oklab(_to_srgb(lab))
    assert np.abs(shown[0] - lab[0]).max() < 0.012  # a level or two of the darkest channel
    vivid = np.hypot(shown[1], shown[2]) > 0.06
    assert vivid.mean() > 0.7
    assert np.abs(np.angle(np.exp(1j * (hue(shown) - hue(lab)))))[vivid].max() < np.radians(4)
    assert (_to_srgb(lab).min(axis=-1) < 25).mean() > 0.5  # no grayer than it must be


# --- color ------------------------------------------------------------------------------------------------------------


def test_colors_of_a_gray_photo_make_gray_of_the_same_lightness():
    gray = finish(NOISE, np.repeat(OTHER[..., :1], 3, axis=-1), COLOR)
    assert np.ptp(gray.astype(int), axis=-1).max() <= 1
    assert _to_oklab(gray)[0] == pytest.approx(_to_oklab(NOISE)[0], abs=0.01)


def test_original_color_keeps_the_lightness_and_takes_the_hue():
    finished = _to_oklab(finish(flat(60, 90, 160), flat(170, 120, 60), COLOR))
    assert finished[0] == pytest.approx(_to_oklab(flat(60, 90, 160))[0], abs=0.005)
    assert finished[1:] == pytest.approx(_to_oklab(flat(170, 120, 60))[1:], abs=0.005)


def test_half_the_original_color_is_halfway():
    finished = _to_oklab(finish(flat(60, 90, 160), flat(170, 120, 60), Finishing(original_color=0.5)))
    middle = (_to_oklab(flat(60, 90, 160)) + _to_oklab(flat(170, 120, 60))) / 2
    assert finished[1:] == pytest.approx(middle[1:], abs=0.005)


# --- blend ------------------------------------------------------------------------------------------------------------


def test_a_full_blend_is_the_photo():
    assert (finish(NOISE, OTHER, PHOTO) == OTHER).all()
    assert (finish(NOISE, OTHER, Finishing(photo_blend=1, original_color=0.3)) == OTHER).all()


def test_half_a_blend_of_black_and_white_is_the_gray_between():
    # lightness 1/2, linear light 1/8, which sRGB writes as 1.055 / 8^(1/2.4) - 0.055 = 0.3885
    assert (finish(flat(0, 0, 0), flat(255, 255, 255), Finishing(photo_blend=0.5)) == 99).all()


# --- sharpness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finishing", [SOFT, SHARP])
def test_sharpness_leaves_flat_areas_alone(finishing):
    assert (finish(flat(60, 90, 160), NOISE, finishing) == flat(60, 90, 160)).all()


def test_sharpness_works_on_the_contrast_of_an_edge_and_not_on_its_hue():
    edge = np.repeat(np.repeat([[[30, 50, 90], [170, 185, 215]]], 400, axis=1), 20, axis=0).astype(np.uint8)
    before, sharp, soft = (_to_oklab(finish(edge, edge, finishing)) for finishing in (Finishing(), SHARP, SOFT))
    step, sharper, softer = ((lab[0, 10, 400] - lab[0, 10, 399]) for lab in (before, sharp, soft))
    assert softer < step < sharper < step + 2 * MAX_DETAIL
    assert np.abs(hue(sharp) - hue(before)).max() < 0.05
    assert (sharp[:, :, :390] == before[:, :, :390]).all()  # no halo away from the edge
    assert abs(sharp[0] - before[0]).max() < MAX_DETAIL


# --- every picture ----------------------------------------------------------------------------------------------------


def test_nothing_to_do_returns_the_very_same_pixels():
    assert finish(NOISE, OTHER, Finishing()) is NOISE


def test_pictures_given_are_not_changed():
    painted, photo = NOISE.copy(), OTHER.copy()
    finish(painted, photo, EVERYTHING)
    assert (painted == NOISE).all() and (photo == OTHER).all()


@pytest.mark.parametrize("size", [(6, 9), (48, 72), (100, 7), (1, 1)])
def test_a_photo_of_another_size_is_fitted(size):
    photo = np.full((*size, 3), (170, 120, 60), np.uint8)
    assert (finish(NOISE, photo, PHOTO) == (170, 120, 60)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
@pytest.mark.parametrize("finishing", [COLOR, PHOTO, SOFT, SHARP, EVERYTHING])
def test_the_smallest_pictures(size, finishing):
    finished = finish(NOISE[:1, :1].repeat(size[0], 0).repeat(size[1], 1), OTHER, finishing)
    assert (finished.dtype, finished.shape) == (np.uint8, (*size, 3))


def test_no_color_of_the_cube_becomes_nan():
    with np.errstate(all="raise"):
        for finishing in (COLOR, SOFT, SHARP, EVERYTHING):
            finish(CUBE, CUBE[::-1, ::-1], finishing)
            lab = _to_oklab(CUBE)
            lab[1:] *= 3
            assert np.isfinite(_to_linear(lab)).all()
