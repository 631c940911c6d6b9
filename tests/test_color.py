"""nst.color: both ways to keep the photo's colors, and runs that change their minds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nst import color, images
from nst.controls import Controls
from nst.progress import Progress
from nst.settings import Settings
from nst.transfer import StyleTransfer
from tests import toy

WARM, COLD = np.float32([0.7, 0.5, 0.3]), np.float32([0.3, 0.45, 0.65])
SETTINGS = replace(toy.SETTINGS, steps=(12, 12))


def tinted(tint: np.ndarray, seed: int, spread: float = 0.1) -> np.ndarray:
    """A picture of colors around one, all well within [0, 1]."""
    noise = np.random.default_rng(seed).normal(0, 1, (1, 40, 48, 3)) @ np.random.default_rng(seed).random((3, 3))
    return (tint + spread * noise.clip(-2, 2)).clip(0, 1).astype(np.float32)


PHOTO, PAINTING = tinted(WARM, 1), tinted(COLD, 2, 0.05)


def moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    colors = picture[..., :3].reshape(-1, 3)
    return colors.mean(axis=0), np.cov(colors.T)


def chroma(picture: np.ndarray) -> np.ndarray:
    return picture[..., :3] - (picture[..., :3] @ color.LUMA)[..., np.newaxis]


def distance(frame: Any) -> float:
    """Of a frame's chroma from the photo's, in 1/255."""
    photo = images.resize(PHOTO, *frame.image.shape[:2])
    return 255 * float(np.abs(chroma(frame.image[np.newaxis] / 255) - chroma(photo)).mean())


@pytest.fixture(scope="module")
def transfer() -> StyleTransfer:
    return StyleTransfer(toy.network())


def test_matched_colors_have_the_photos_mean_and_covariance():
    photo, (painting,) = color.prepare(PHOTO, [PAINTING], Settings(color="match"))
    assert photo is PHOTO
    for ours, theirs in zip(moments(painting), moments(PHOTO)):
        np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_matched_luminance_has_the_photos_mean_and_spread():
    photo, (painting,) = color.prepare(PHOTO, [PAINTING], Settings(color="luminance"))
    assert images.is_grey(photo) and images.is_grey(painting)
    np.testing.assert_allclose(photo[..., 0], PHOTO @ color.LUMA, atol=1e-6)
    theirs = PHOTO @ color.LUMA
    assert (painting.mean(), painting.std()) == pytest.approx((theirs.mean(), theirs.std()), abs=0.01)


@pytest.mark.parametrize("way", ["match", "luminance"])
def test_the_amount_goes_from_none_to_all(way):
    given = Settings(color=way)
    amounts = [color.prepare(PHOTO, [PAINTING], replace(given, color_amount=amount))[1][0] for amount in (0, 0.5, 1)]
    np.testing.assert_array_equal(amounts[0], PAINTING)
    assert np.abs(amounts[1] - (amounts[0] + amounts[2]) / 2).mean() < 0.01  # but for what is clipped


@pytest.mark.parametrize("way", ["match", "luminance"])
def test_what_is_transparent_does_not_count(way):
    hidden = np.zeros((1, 40, 48, 1), np.float32)
    hidden[:, :, :24] = 1
    wild = PAINTING.copy()
    wild[:, :, 24:] = (1, 0, 1)
    pictures = [np.concatenate((painting, hidden), axis=-1) for painting in (PAINTING, wild)]
    one, other = (color.prepare(PHOTO, [picture], Settings(color=way))[1][0] for picture in pictures)
    np.testing.assert_allclose(one[:, :, :24], other[:, :, :24], atol=1e-3)
    np.testing.assert_array_equal(one[..., 3:], hidden)


def test_a_painting_of_one_color_takes_the_photos_mean():
    flat = np.full((1, 20, 20, 3), 0.2, np.float32)
    _, (matched,) = color.prepare(PHOTO, [flat], Settings(color="match"))
    np.testing.assert_allclose(moments(matched)[0], moments(PHOTO)[0], atol=0.01)


def test_the_picture_has_the_colors_that_were_asked_for(transfer):
    found = {}
    for way, amount in (("painting", 1), ("match", 1), ("luminance", 1), ("luminance", 0.5), ("match", 0)):
        settings = replace(SETTINGS, strength=100, color=way, color_amount=amount)
        *_, last = transfer.stylize(PHOTO, [PAINTING], settings)
        found[way, amount] = distance(last)
    assert found["luminance", 1] < 1  # rounding
    assert found["luminance", 1] < found["luminance", 0.5] < 0.8 * found["painting", 1]
    assert found["match", 1] < 0.8 * found["painting", 1]
    assert found["match", 0] == found["painting", 1]


def test_colors_change_during_the_run_without_a_jump_or_a_retrace(transfer, monkeypatch):
    monkeypatch.setattr(Progress, "steps_until_frame", 1)
    monkeypatch.setattr(Progress, "frame_is_due", True)
    for _ in transfer.stylize(PHOTO, [PAINTING], SETTINGS):
        pass
    traces = transfer._compiled_steps.experimental_get_tracing_count()
    controls, distances, before = Controls(), [], None
    wanted = {2: ("luminance", 1), 8: ("painting", 1), 16: ("luminance", 0.5)}
    settings = replace(SETTINGS, strength=100)
    for frame in transfer.stylize(PHOTO, [PAINTING], settings, controls=controls):
        if before is not None and before.settings.color == "luminance" and frame.settings.color == "painting":
            jump = np.abs(np.subtract(frame.image, before.image, dtype=float)).mean()
            assert jump < 15  # it starts from what was shown
        distances.append((frame.settings.color, frame.settings.color_amount, distance(frame)))
        if change := next((wanted.pop(step) for step in sorted(wanted) if frame.step >= step), None):
            way, amount = change
            controls.wanted = replace(settings, color=way, color_amount=amount), [PAINTING]
        before = frame
    assert all(chroma < 1 for way, amount, chroma in distances if (way, amount) == ("luminance", 1))
    assert {way for way, *_ in distances} == {"painting", "luminance"} and not wanted
    assert transfer._compiled_steps.experimental_get_tracing_count() == traces
