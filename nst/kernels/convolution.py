"""Convolutions with fixed kernels, and pooling; fast with TensorFlow and oneDNN, forward and backward."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from nst.kernels import winograd

Convolution = Callable[[tf.Tensor], tf.Tensor]  # (B, H, W, in) -> (B, H, W, out), zero padding


def convolution(kernel: np.ndarray, dtype: str, constant: bool, compute_bound: bool) -> Convolution:
    """The fastest implementation of `tf.nn.conv2d(x, kernel, 1, "SAME")`; kernel (h, w, in, out) of odd h and w.

    Args:
        constant: compile the kernel into the graph.  oneDNN then reorders it once instead of at every step (0.93
            of the time at 128²), but a large network's kernels would be copied often.
        compute_bound: whether arithmetic, not memory traffic, limits convolutions; wide 3×3 ones then use Winograd.
    """
    if compute_bound and kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= winograd.MIN_CHANNELS:
        return winograd.Convolution(kernel, dtype)
    tensor = tf.constant(kernel, dtype)
    if constant:
        return partial(_constant_convolution, kernel=tensor.numpy())
    return lambda x: tf.nn.conv2d(x, tensor, 1, "SAME")


def _constant_convolution(x: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """The gradient is a convolution with the kernel rotated by 180°, which is a constant of the graph, too."""

    @tf.custom_gradient
    def convolved(x: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            rotated = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
            return tf.nn.conv2d(dy, tf.constant(rotated), 1, "SAME")

        return tf.nn.conv2d(x, tf.constant(kernel), 1, "SAME"), gradient

    return convolved(x)


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H/2, W/2, C)."""
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")


@tf.custom_gradient
def average_pool(x: tf.Tensor) -> Any:
    """(B, H, W, C) -> (B, H/2, W/2, C); H and W are even.

    With TensorFlow's own gradient, a step of the compact network at 512² takes up to 1.05 times as long.
    """

    def gradient(dy: tf.Tensor) -> tf.Tensor:
        batch, height, width, channels = dy.shape[0], *tf.unstack(tf.shape(dy)[1:3]), dy.shape[-1]
        quarters = tf.reshape(dy / 4, (batch, height, 1, width, 1, channels))
        return tf.reshape(tf.tile(quarters, (1, 1, 2, 1, 2, 1)), (batch, 2 * height, 2 * width, channels))

    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID"), gradient
