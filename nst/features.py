"""A VGG (Simonyan and Zisserman 2015) as a function from image to {layer: activations}; which network, how precise."""

import contextlib
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from nst import machine, weights
from nst.kernels import winograd
from nst.settings import Settings
from nst.weights import CONVOLUTIONS, Weights, WeightsError

Features = dict[str, tf.Tensor]  # layer name -> (B, h, w, C)
STRIDE = 16  # pixels of the picture for one position of block 5
NARROW = 8  # pixels of margin that are enough for the convolutions of blocks 1 and 2

# A network of fewer parameters is compiled into the step, wide layers apart: on a CPU, oneDNN then puts its kernels in
# order once and not at every step, which took a tenth of the time at 128 pixels.  VGG-19's, copied often, take 1 GB.
SMALL = 4_000_000


class Network:
    """The convolutions of a VGG, frozen: `network(image, layers)` gives the activations of the layers asked for.

    Parameters `LAYER_reduce_kernel` and `LAYER_expand_kernel` are 1×1 convolutions before and after a layer's 3×3 one,
    which has fewer channels between them: a low-rank layer.  `LAYER_head_kernel` and `LAYER_head_bias` are a 1×1
    convolution through which a layer is seen.  The compact network has both, to predict a VGG's channels.

    Attributes:
        name: "vgg19", "vgg16" or "compact".
        reason: a sentence for a person on why it is this network.
        precision: dtype of the activations, "float32" or "bfloat16".
        weights_hash: `Weights.digest` of what it was made of.
        layers: names of the convolutions, first to deepest.
        filters: for each of them, the number of its channels, and of those through which it is seen.
    """

    def __init__(
        self, name: str, weights: Weights, *, pooling: str = "average", precision: str = "float32", reason: str = ""
    ):
        self.name, self.reason, self.precision = name, reason, precision
        self.weights_hash = weights.digest()
        self._pool = _max_pooled if pooling == "max" else _average_pooled
        self._mean, self._scale = tf.constant(weights.mean, tf.float32), weights.scale
        names = [key.removesuffix("_bias") for key in weights.parameters if key.endswith("_bias")]
        kernels = {name: weights.kernels(name) for name in names}
        if precision != "float32":  # the picture comes in two parts, for it has more digits than bfloat16
            kernels["block1_conv1"] = [np.tile(kernel, (1, 1, 2, 1)) for kernel in kernels["block1_conv1"]]
        small = sum(value.size for value in weights.parameters.values()) < SMALL
        # Without bfloat16 in hardware, TensorFlow's gradient of a convolution would be off by 1 % instead of 0.2 %.
        inexact = precision == "bfloat16" and not machine.has_fast_bfloat16()
        self._arithmetic = "float32" if inexact else precision
        tiled = _multiplying_takes_longest(self._arithmetic)
        self._convolutions = {
            name: [_convolution(kernel, self._arithmetic, small, tiled) for kernel in kernels[name]] for name in names
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
        thinned: Collection[str] = (),
        phase: int | tf.Tensor = 0,
    ) -> Features:
        """Activations after the ReLU.

        Args:
            image: float32 (B, H, W, 3) RGB in [0, 1].
            layers: names among `self.layers`; nothing after the deepest of them is computed.
            margin: the picture is continued by its mirror image this many pixels on each side (`margins`) and the
                activations there are cut away again: zeros outside the picture would count as style and paint bands
                along its border.
            thinned: those of the layers that give every other row and column only.
            phase: which of the four ways to take every other; int32, and four in a row take every position once.

        Returns:
            for each layer (B, h, w, C) in the network's precision; h is H / 2^(block − 1), rounded up.
        """
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        around, margin = margins(margin)
        x = self._normalized(_placed(image, _mirrored(height, around, margin), _mirrored(width, around, margin)))
        features: Features = {}
        spoiled = 0  # rows and columns on each side that the convolutions' zeros, which are the VGG's, have reached
        for layer in self.layers:
            stride = 2 ** (int(layer[5]) - 1)  # of block 1 … 5
            if layer.endswith("conv1") and stride > 1:
                x, spoiled = self._pool(x), (spoiled + 1) // 2
            if layer == "block3_conv1" and around < margin:
                x, spoiled, around = _renewed(x, spoiled, (margin - around) // stride), 0, margin
            elif around and spoiled >= around // stride:
                x, spoiled = _renewed(x, spoiled), 0
            x = self._convolved(x, layer)
            spoiled += 1
            if layer in layers:
                size = -(-height // stride), -(-width // stride)
                features[layer] = self._seen(x, layer, around // stride, size, phase if layer in thinned else None)
                if len(features) == len(layers):
                    break
        return features

    def _normalized(self, image: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 3) -> what the first kernel takes; in bfloat16 three more channels hold what it rounds away."""
        x = (image - self._mean) * self._scale
        if self.precision == "float32":
            return x
        rounded = tf.cast(x, self.precision)
        rest = tf.cast(x - tf.cast(rounded, tf.float32), self.precision)
        return tf.concat([rounded, tf.stop_gradient(rest)], axis=-1)  # the gradient of one is the gradient

    def _seen(self, x: tf.Tensor, layer: str, margin: int, size: tuple, phase: int | tf.Tensor | None) -> tf.Tensor:
        """A layer without its margin, (rows, columns) of `size`, through its head if it has one."""
        x = _cut(x, margin, size) if phase is None else _a_quarter(x, margin, size, phase)
        return self._convolved(x, f"{layer}_head") if f"{layer}_head" in self._convolutions else x

    def _convolved(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """With zeros around, as a VGG does, and with bias and ReLU."""
        y = tf.cast(x, self._arithmetic)
        for convolution in self._convolutions[name]:
            y = convolution(y)
        return tf.nn.relu(tf.nn.bias_add(tf.cast(y, self.precision), self._biases[name]))


def load_network(settings: Settings) -> Network:
    """The network that the settings ask for; where they leave it open, the one that suits this machine.

    From now on TensorFlow takes of a GPU's memory what it needs, and not all of it at once.

    Raises:
        WeightsError: the weights file named in the settings cannot be used.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # it runs already, or its owner has set a limit
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
        reason = f"{error}; the compact network in the package paints instead."
    return Network(name, source, pooling=settings.pooling, precision=choose_precision(settings), reason=reason)


def choose_precision(settings: Settings) -> str:
    """The settings' precision; where they leave it open, the quicker one on this machine."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if machine.has_fast_bfloat16() else "float32"


def choose_network(settings: Settings) -> tuple[str, str]:
    """("vgg19" or "compact", a sentence on why).

    What `auto` comes to can be said by NST_NETWORK; else it never causes a download.
    """
    if settings.weights:
        return "vgg19", f"With the weights in {Path(settings.weights).name}."
    if settings.network != "auto":
        return settings.network, "As asked for."
    if (chosen := os.environ.get("NST_NETWORK")) in ("compact", "vgg19"):
        return chosen, "As NST_NETWORK says."
    if not weights.at_hand():
        return "compact", "The compact network in the package: VGG-19's weights are not on this machine."
    if not tf.config.list_physical_devices("GPU"):
        return "compact", "The compact network in the package: without a GPU, VGG-19 takes up to three times as long."
    return "vgg19", "VGG-19: its weights and a GPU are at hand."


def margins(margin: int) -> tuple[int, int]:
    """Pixels of margin in blocks 1 and 2, where each costs the most, and from block 3 on.

    They differ by a multiple of eight, so that the wider one, too, is whole windows of pooling.
    """
    return min(margin, NARROW + margin % 8), margin


def _mirrored(side: tf.Tensor, margin: int, widest: int) -> tf.Tensor:
    """Indices 0 … side − 1, continued by their mirror image at least `margin` places on each side.

    After the last there may be some more places: STRIDE divides their number, so that no pooling meets half a window,
    and within a margin, even if pooling rounds it up or it becomes the widest, there is as much again for `_renewed`.
    """
    least = max(3 * (margin + STRIDE), widest + 2 * STRIDE)
    whole = -(-tf.maximum(side + 2 * margin, least) // STRIDE) * STRIDE
    position = tf.range(-margin, whole - margin)
    period = tf.maximum(2 * (side - 1), 1)
    phase = position % period
    return tf.minimum(phase, period - phase)


def _placed(x: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, rows, columns, C), taken from these places."""
    batch, height, width, channels = x.shape[0], *tf.unstack(tf.shape(x)[1:3]), x.shape[-1]
    pictures = tf.range(batch)[:, tf.newaxis, tf.newaxis] * height
    # From a list of positions and not along two axes: on the CPU that takes TensorFlow a fraction of the time.
    places = (pictures + rows[:, tf.newaxis]) * width + columns
    return tf.gather(tf.reshape(x, (-1, channels)), places)


def _cut(x: tf.Tensor, margin: int, size: tuple) -> tf.Tensor:
    """Without the margin: (rows, columns) of `size`."""
    # Not x[:, top:…]: on the CPU the gradient of that takes TensorFlow ten times as long.
    return tf.slice(x, (0, margin, margin, 0), (x.shape[0], *size, x.shape[-1]))


def _a_quarter(x: tf.Tensor, margin: int, size: tuple, phase: int | tf.Tensor) -> tf.Tensor:
    """Every other row and column of those without the margin; the height and width of x are even.

    All quarters are of one size: of an odd number of rows, every second quarter has one of the margin at its end.
    """
    (rows, columns), batch, channels = size, x.shape[0], x.shape[-1]
    # The first two phases and the last two between them see all rows and all columns.
    down, across = tf.unstack(tf.gather([(0, 0), (1, 1), (0, 1), (1, 0)], phase))
    top, left = margin + down, margin + across
    # In this shape a slice does what a strided one takes ten times as long for, with its gradient.
    pairs = tf.reshape(x, (batch, tf.shape(x)[1] // 2, 2, tf.shape(x)[2] // 2, 2, channels))
    start = 0, top // 2, top % 2, left // 2, left % 2, 0
    count = batch, (rows + 1) // 2, 1, (columns + 1) // 2, 1, channels
    return tf.squeeze(tf.slice(pairs, start, count), (2, 4))


def _convolution(kernel: np.ndarray, precision: str, small: bool, tiled: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """What takes (B, H, W, in) to (B, H, W, out) by an odd (h, w, in, out), zeros around, the quickest way here."""
    if tiled and kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= winograd.WIDE:
        return winograd.Convolution(kernel, precision)
    constant = tf.constant(kernel, precision)
    if small:
        return partial(_by_constant, kernel=constant.numpy())
    return lambda x: tf.nn.conv2d(x, constant, 1, "SAME")


def _multiplying_takes_longest(precision: str) -> bool:
    """Whether a convolution waits for its multiplications: not so on a GPU, nor with AMX, which has bfloat16 only."""
    if tf.config.list_physical_devices("GPU"):
        return False
    return precision == "float32" or "amx_bf16" not in machine.cpu_flags()


def _by_constant(x: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """A convolution, both ways by kernels that are part of the program."""

    @tf.custom_gradient
    def convolved(x: tf.Tensor) -> Any:
        def gradient(by_y: tf.Tensor) -> tf.Tensor:
            turned = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
            return tf.nn.conv2d(by_y, tf.constant(turned), 1, "SAME")

        return tf.nn.conv2d(x, tf.constant(kernel), 1, "SAME"), gradient

    return convolved(x)


def _max_pooled(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H/2, W/2, C)."""
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")


@tf.custom_gradient
def _average_pooled(x: tf.Tensor) -> Any:
    """(B, H, W, C) -> (B, H/2, W/2, C); H and W are even."""

    def gradient(by_y: tf.Tensor) -> tf.Tensor:
        # TensorFlow's own takes the CPU twice as long.
        batch, height, width, channels = by_y.shape[0], *tf.unstack(tf.shape(by_y)[1:3]), by_y.shape[-1]
        quarters = tf.reshape(by_y / 4, (batch, height, 1, width, 1, channels))
        return tf.reshape(tf.tile(quarters, (1, 1, 2, 1, 2, 1)), (batch, 2 * height, 2 * width, channels))

    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID"), gradient


def _renewed(x: tf.Tensor, spoiled: int, more: int = 0) -> tf.Tensor:
    """(B, H, W, C) with its outermost `spoiled` rows and columns replaced by the mirror image of those within.

    And with so many more on each side, (B, H + 2 more, W + 2 more, C).
    """

    def places(side: tf.Tensor) -> tf.Tensor:
        place = tf.range(-more, side + more)
        return tf.minimum(tf.maximum(place, 2 * spoiled - 1 - place), 2 * (side - spoiled) - 1 - place)

    @tf.custom_gradient
    def renewed(x: tf.Tensor) -> Any:
        def gradient(by_y: tf.Tensor) -> tf.Tensor:
            mirrored, cut = (((0, 0), (side, side), (side, side), (0, 0)) for side in (spoiled + more, spoiled))
            return tf.pad(tf.raw_ops.MirrorPadGrad(input=by_y, paddings=mirrored, mode="SYMMETRIC"), cut)

        height, width = tf.unstack(tf.shape(x)[1:3])
        # Not tf.pad(…, "SYMMETRIC"): on the CPU that takes TensorFlow several times as long.
        return _placed(x, places(height), places(width)), gradient

    return renewed(x)
