"""What the settings of the look do to a picture, by the compact network."""

from dataclasses import replace

import numpy as np
import pytest

from nst import catalogue, images
from nst.features import load_network
from nst.objective import style_targets
from nst.settings import STYLE_LAYERS, Settings
from nst.transfer import StyleTransfer

SETTINGS = Settings(network="compact", size=128, min_scale=128, steps=(60,), strength=80, composition=0)
ROWS, COLUMNS = np.mgrid[0:128, 0:128] / np.float32(128)
PHOTO = np.repeat((0.3 + 0.4 * ROWS * COLUMNS)[np.newaxis, ..., np.newaxis], 3, axis=-1)
FINE, DEEP = STYLE_LAYERS[:2], STYLE_LAYERS[2:]


@pytest.fixture(scope="module")
def transfer() -> StyleTransfer:
    return StyleTransfer(load_network(SETTINGS))


@pytest.fixture(scope="module")
def painting() -> np.ndarray:
    return images.load(catalogue.find("starry-night").path, longest_side=384)


@pytest.fixture
def paint(transfer, painting):
    def finished(**changes) -> np.ndarray:
        *_, last = transfer.stylize(PHOTO, [painting], replace(SETTINGS, **changes))
        return last.image

    return finished


def correlation_length(image: np.ndarray) -> float:
    """Pixels at which the autocorrelation of the brightness, along rows and columns, falls to a half."""
    brightness = image.mean(axis=-1)
    correlation = np.fft.ifft2(np.abs(np.fft.fft2(brightness - brightness.mean())) ** 2).real
    profile = (correlation[0] + correlation[:, 0]) / (2 * correlation[0, 0])
    after = int(np.argmax(profile < 0.5))
    return after - (0.5 - profile[after]) / (profile[after - 1] - profile[after])


def variation(image: np.ndarray) -> float:
    """Mean squared difference of neighboring pixels."""
    return float(sum((np.diff(image.astype(float), axis=axis) ** 2).mean() for axis in (0, 1)))


def test_a_broad_brush_makes_large_strokes(paint):
    fine, usual, broad = (correlation_length(paint(style_scale=scale)) for scale in (0.5, 1.0, 2.0))
    assert fine < usual / 1.1 < broad / 1.1**2


def test_smoothness_takes_the_grain_away(paint):
    rough, usual, smooth = (variation(paint(total_variation_weight=weight)) for weight in (0, 5, 50))
    assert smooth < 0.7 * usual < 0.7 * rough


def test_the_layers_that_weigh_more_come_nearer_to_the_painting(paint, transfer, painting):
    def errors(*layers: str) -> dict[str, float]:
        picture = paint(style_layers=dict.fromkeys(layers, 1.0))[np.newaxis] / np.float32(255)
        targets = (style_targets(transfer.network, [each], 128, SETTINGS) for each in (picture, painting))
        ours, theirs = ({layer: grams[0][0].numpy() for layer, grams in found.items()} for found in targets)
        return {layer: float(np.linalg.norm(ours[layer] - theirs[layer])) for layer in STYLE_LAYERS}

    fine, deep = errors(*FINE), errors(*DEEP)
    assert all(fine[layer] < 0.7 * deep[layer] for layer in FINE)
    assert all(deep[layer] < 0.7 * fine[layer] for layer in DEEP)
