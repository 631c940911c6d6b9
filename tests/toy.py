"""A two-layer network, small enough that every test can afford one; and where a genuine one is, on some machines."""

from pathlib import Path

import numpy as np

from nst.features import Network
from nst.settings import Settings
from nst.weights import Weights

GENUINE_VGG16 = Path(__file__).parents[2] / "shared" / "weights" / "teachers" / "vgg16_conv1_1_to_conv5_1.npz"
LAYERS = {"content_layers": {"block1_conv2": 1.0}, "style_layers": {"block1_conv1": 1.0, "block1_conv2": 1.0}}
SETTINGS = Settings(
    size=64,
    min_scale=32,
    steps=(6, 4),
    learning_rate=0.02,
    averaging=0.97,
    padding=4,
    frames_per_second=60,
    composition=0,  # or pictures this small would have weights far from those given
    **LAYERS,
)


def weights() -> Weights:
    random = np.random.default_rng(0)
    shapes = {"block1_conv1": (3, 3, 3, 4), "block1_conv2": (3, 3, 4, 5)}
    parameters = {}
    for layer, shape in shapes.items():
        parameters[f"{layer}_kernel"] = random.normal(0, 0.3, shape).astype(np.float32)
        parameters[f"{layer}_bias"] = np.full(shape[-1], 0.1, np.float32)
    return Weights(parameters, (0.5, 0.5, 0.5), 2.0)


def with_head() -> Weights:
    """The same, its first layer seen through a 1×1 convolution, its second of low rank."""
    toy, random = weights(), np.random.default_rng(1)
    toy.parameters["block1_conv1_head_kernel"] = random.normal(0, 0.5, (1, 1, 4, 6)).astype(np.float32)
    toy.parameters["block1_conv1_head_bias"] = np.full(6, 0.1, np.float32)
    for part, shape in {"reduce_kernel": (1, 1, 4, 3), "kernel": (3, 3, 3, 2), "expand_kernel": (1, 1, 2, 5)}.items():
        toy.parameters[f"block1_conv2_{part}"] = random.normal(0, 0.5, shape).astype(np.float32)
    return toy


def network(**options) -> Network:
    return Network("toy", weights(), **options)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """float32 (1, height, width, 3): a smooth ramp with some noise."""
    ramp = np.linspace(0, 0.8, width)[None, None, :, None] * np.ones((1, height, 1, 3))
    return (ramp + 0.2 * np.random.default_rng(seed).random((1, height, width, 3))).astype(np.float32)
