"""The objective, and the pictures that it is made of."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from nst.objective import Objective, style_targets
from nst.settings import MIN_STYLE
from nst.transfer import StyleTransfer
from tests import toy

PHOTO, PAINTING = toy.picture(40, 64), toy.picture(96, 80, seed=1)


@pytest.fixture(scope="module")
def network():
    return toy.network()


def grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)


@pytest.mark.parametrize("init", ["content", "noise", "mix"])
def test_grey_pictures_make_a_grey_one(network, init):
    settings = replace(toy.SETTINGS, init=init)
    *_, grey_one = StyleTransfer(network).stylize(grey(PHOTO), [grey(PAINTING)], settings)
    assert np.ptp(grey_one.image, axis=-1).max() <= 1
    *_, colored = StyleTransfer(network).stylize(grey(PHOTO), [PAINTING], settings)
    assert np.ptp(colored.image, axis=-1).max() > 10


def test_fine_strokes_leave_a_painting_its_statistics(network):
    seen = []

    def watched(image, *others):
        seen.append(max(image.shape[1:3]))
        return network(image, *others)

    for side, scale in ((256, 0.5), (256, 0.1), (128, 0.1), (32, 0.1), (32, 1), (128, 4)):
        style_targets(watched, [PAINTING], side, replace(toy.SETTINGS, style_scale=scale))  # type: ignore[arg-type]
    assert seen == [96, MIN_STYLE, MIN_STYLE, 32, 32, 96]  # never larger than it is


WRONG = {
    "floats up to 255": (255 * PHOTO, "numbers from"),
    "bytes": ((255 * PHOTO).astype(np.uint8), "uint8"),
    "no batch axis": (PHOTO[0], r"\(40, 64, 3\)"),
    "grey": (PHOTO[..., :1], r"\(1, 40, 64, 1\)"),
    "two pictures": (np.concatenate([PHOTO, PHOTO]), r"\(2, 40, 64, 3\)"),
    "NaN": (np.where(PHOTO > 0.5, np.nan, PHOTO), "not finite"),
    "empty": (PHOTO[:, :0], r"\(1, 0, 64, 3\)"),
    "a path": ("photo.jpg", "a str"),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
def test_arrays_that_are_no_images_are_refused_by_name(network, wrong, words):
    for name, content, styles in (("content", wrong, [PAINTING]), (r"styles\[1\]", PHOTO, [PAINTING, wrong])):
        with pytest.raises(ValueError, match=rf"^{name}: .*{words}.* should be float32 \(1, H, W, 3\)"):
            next(StyleTransfer(network).stylize(content, styles, toy.SETTINGS))


def test_at_least_one_painting(network):
    with pytest.raises(ValueError, match="^styles: at least one painting"):
        next(StyleTransfer(network).stylize(PHOTO, [], toy.SETTINGS))


def test_double_precision_is_taken(network):
    *_, last = StyleTransfer(network).stylize(np.float64(PHOTO), [PAINTING], toy.SETTINGS)
    *_, same = StyleTransfer(network).stylize(PHOTO, [PAINTING], toy.SETTINGS)
    np.testing.assert_array_equal(last.image, same.image)


def test_the_loss_is_the_weighted_sum_of_its_terms(network):
    settings = replace(toy.SETTINGS, content_weight=2, style_weight=3, total_variation_weight=5)
    losses = Objective.of(network, PHOTO, [PAINTING], settings).losses(network, tf.constant(toy.picture(40, 64, 2)))
    expected = 2 * losses["content"] + 3 * losses["style"] + 5 * losses["total_variation"]
    assert float(losses["total"]) == pytest.approx(float(expected), rel=1e-6)
