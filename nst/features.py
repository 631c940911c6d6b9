"""A VGG (Simonyan and Zisserman 2015) as a function from an image to {layer: activations}; loading and choosing one."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from nst import machine, weights
from nst.kernels.borders import crop, every_other, reflect_pad, reflected_indices, subsample
from nst.kernels.convolution import average_pool, convolution, max_pool
from nst.settings import Settings
from nst.weights import CONVOLUTIONS, Weights, WeightsError, stride_of

Features = dict[str, tf.Tensor]  # layer name -> (B, h, w, C)

# Below this many parameters, kernels are compiled into the step (see `kernels.convolution`).  VGG-19's would take 1 GB.
SMALL = 4_000_000


class Network:
    """The convolutions of a VGG, frozen: `network(image, layers)` gives the activations of `layers`.

    The compact network predicts a VGG's channels from fewer of its own, in two ways.  A low-rank layer has 1×1
    convolutions before and after its 3×3 one, which has fewer channels: parameters `LAYER_reduce_kernel` and
    `LAYER_expand_kernel`.  A narrow layer is read out through a head, a 1×1 convolution with ReLU: `LAYER_head_kernel`
    and `LAYER_head_bias`.

    Attributes:
        name: "vgg19", "vgg16" or "compact".
        reason: one sentence on why this network was chosen.
        precision: dtype of the activations, "float32" or "bfloat16".
        weights_hash: `Weights.digest` of its weights.
        layers: names of the convolutions, first to deepest.
        filters: layer -> (channels of the layer, channels after its head).
    """

    def __init__(
        self, name: str, weights: Weights, *, pooling: str = "average", precision: str = "float32", reason: str = ""
    ):
        self.name, self.reason, self.precision = name, reason, precision
        self.weights_hash = weights.digest()
        self._pool = max_pool if pooling == "max" else average_pool
        self._mean, self._scale = tf.constant(weights.mean, tf.float32), weights.scale
        names = [key.removesuffix("_bias") for key in weights.parameters if key.endswith("_bias")]
        kernels = {name: weights.kernels(name) for name in names}
        if precision != "float32":  # the input has two parts, as bfloat16 has too few digits; see `_normalized`
            kernels["block1_conv1"] = [np.tile(kernel, (1, 1, 2, 1)) for kernel in kernels["block1_conv1"]]
        small = sum(value.size for value in weights.parameters.values()) < SMALL
        # Without bfloat16 hardware, TensorFlow's gradient of a bfloat16 convolution is off by 1 % instead of 0.2 %.
        inexact = precision == "bfloat16" and not machine.has_fast_bfloat16()
        self._dtype = "float32" if inexact else precision  # inside convolutions
        compute_bound = machine.is_compute_bound(self._dtype)
        self._convolutions = {
            name: [convolution(kernel, self._dtype, small, compute_bound) for kernel in kernels[name]] for name in names
        }
        biases = {name: tf.constant(weights.parameters[f"{name}_bias"], precision) for name in names}
        self._biases: dict[str, Any] = {name: bias.numpy() if small else bias for name, bias in biases.items()}
        self.layers = tuple(layer for layer in CONVOLUTIONS if layer in names)
        self.filters = weights.filters()

    def __call__(
        self,
        image: tf.Tensor,
        layers: Collection[str],
        margin: int = 0,
        subsampled: Collection[str] = (),
        phase: int | tf.Tensor = 0,
    ) -> Features:
        """Activations after the ReLU.

        Args:
            image: float32 (B, H, W, 3) RGB in [0, 1].
            layers: names from `self.layers`; computation stops after the deepest of them.
            margin: pixels of reflection padding on each side; the activations there are cropped away.
            subsampled: layers of which only every other row and column is returned.
            phase: int32, which of the four subsamplings; four consecutive phases cover every position once.

        Returns:
            (B, h, w, C) for each layer, in the network's precision; h is H / 2^(block − 1), rounded up.
        """
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        rows, columns = (reflected_indices(side, margin) for side in (height, width))
        x = tf.gather(tf.gather(image, rows, axis=1), columns, axis=2)

        def cut(x: tf.Tensor, layer: str, stride: int) -> tf.Tensor:
            size = -(-height // stride), -(-width // stride)
            if layer in subsampled:
                return subsample(x, margin // stride, size, phase)
            return crop(x, margin // stride, size)

        return self._activations(x, layers, margin, reflect_pad, cut)

    def on_tile(
        self,
        x: tf.Tensor,
        layers: Collection[str],
        margin: int,
        borders: tf.Tensor,
        windows: Mapping[str, tf.Tensor],
        subsampled: Collection[str] = (),
    ) -> Features:
        """The same activations of a part of an image; see `nst.tiles`.

        Args:
            x: float32 (B, H, W, 3), cut from the reflection-padded image; STRIDE divides its corner, H and W.
            margin: that of the padded image.
            borders: of `reflect_pad`.
            windows: what to return of each layer, int32 ((top, left), (rows, columns)) within the tile.
            subsampled: layers of which only every other row and column is returned.
        """

        def cut(x: tf.Tensor, layer: str, _: int) -> tf.Tensor:
            (top, left), (rows, columns) = (tf.unstack(part) for part in tf.unstack(windows[layer]))
            if layer in subsampled:
                return every_other(x, (top, left), (rows, columns))
            return tf.slice(x, (0, top, left, 0), (x.shape[0], rows, columns, x.shape[-1]))

        return self._activations(x, layers, margin, partial(reflect_pad, borders=borders), cut)

    def _activations(
        self, x: tf.Tensor, layers: Collection[str], margin: int, reflect: Callable, cut: Callable
    ) -> Features:
        x = self._normalized(x)
        features: Features = {}
        contaminated = 0  # rows and columns on each side that the convolutions' zero padding has reached
        for layer in self.layers:
            stride = stride_of(layer)  # of block 1 … 5
            if layer.endswith("conv1") and stride > 1:
                x, contaminated = self._pool(x), (contaminated + 1) // 2
            if margin and contaminated >= margin // stride:
                x, contaminated = reflect(x, contaminated), 0
            x = self._convolved(x, layer)
            contaminated += 1
            if layer in layers:
                features[layer] = cut(x, layer, stride)
                if f"{layer}_head" in self._convolutions:
                    features[layer] = self._convolved(features[layer], f"{layer}_head")
                if len(features) == len(layers):
                    break
        return features

    def _normalized(self, image: tf.Tensor) -> tf.Tensor:
        """Subtract the mean and scale, (B, H, W, 3); in bfloat16 three more channels hold the rounding errors."""
        x = (image - self._mean) * self._scale
        if self.precision == "float32":
            return x
        rounded = tf.cast(x, self.precision)
        rest = tf.cast(x - tf.cast(rounded, tf.float32), self.precision)
        return tf.concat([rounded, tf.stop_gradient(rest)], axis=-1)  # one part has the full gradient

    def _convolved(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Convolution with zero padding, bias and ReLU."""
        y = tf.cast(x, self._dtype)
        for convolve in self._convolutions[name]:
            y = convolve(y)
        return tf.nn.relu(tf.nn.bias_add(tf.cast(y, self.precision), self._biases[name]))


def load_network(settings: Settings) -> Network:
    """Load the network that the settings ask for; with "auto", the one that suits this machine.

    Also makes TensorFlow allocate GPU memory as needed, not all at once.

    Raises:
        WeightsError: the weights file named in the settings cannot be used.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # already initialized, or it has a memory limit
            tf.config.experimental.set_memory_growth(gpu, True)
    name, reason = choose_network(settings)
    try:
        if name == "compact":
            source = weights.compact()
        else:
            source = weights.read(settings.weights) if settings.weights else weights.imagenet()
            name = source.architecture().replace("VGG-", "vgg")
    except WeightsError as error:
        if settings.weights:
            raise
        name, source = "compact", weights.compact()
        reason = f"{error}; using the built-in compact network instead."
    return Network(name, source, pooling=settings.pooling, precision=choose_precision(settings), reason=reason)


def choose_precision(settings: Settings) -> str:
    """The precision in the settings; with "auto", the faster one on this machine."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if machine.has_fast_bfloat16() else "float32"


def choose_network(settings: Settings) -> tuple[str, str]:
    """("vgg19" or "compact", one sentence on why).

    The environment variable NST_NETWORK overrides "auto", which by itself never downloads anything.
    """
    if settings.weights:
        return "vgg19", f"Weights from {Path(settings.weights).name}."
    if settings.network != "auto":
        return settings.network, "Chosen in the settings."
    chosen, complaint = weights.preferred()
    if chosen != "auto":
        return chosen, "Set by NST_NETWORK."
    chosen, reason = _choose_by_machine()
    return chosen, f"{reason} {complaint}".strip()


def _choose_by_machine() -> tuple[str, str]:
    if not weights.find_vgg19():
        return "compact", "The built-in compact network: VGG-19's weights are not on this machine."
    if not tf.config.list_physical_devices("GPU"):
        return "compact", "The built-in compact network: without a GPU, VGG-19 takes up to three times as long."
    return "vgg19", "VGG-19: its weights and a GPU are available."
