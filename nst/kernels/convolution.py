"""Convolutions with fixed kernels and pooling, as fast as TensorFlow and oneDNN can do them both ways."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from nst.kernels import winograd

Convolution = Callable[[tf.Tensor], tf.Tensor]  # (B, H, W, in) -> (B, H, W, out), zero padding


def convolution(kernel: np.ndarray, dtype: str, constant: bool, compute_bound: bool) -> Convolution:
    """`tf.nn.conv2d(x, kernel, 1, "SAME")` for an odd (h, w, in, out) kernel, in the way that is fastest.

    Args:
        constant: compile the kernel into the program.  oneDNN then reorders it once and not at every step, a tenth of
            the time at 128 pixels; a large network would be copied often.
        compute_bound: whether arithmetic, not memory traffic, limits a convolution: then wide 3×3 ones go by Winograd.
    """
    if compute_bound and kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= winograd.WIDE:
        return winograd.Convolution(kernel, dtype)
    tensor = tf.constant(kernel, dtype)
    if constant:
        return partial(_by_constant, kernel=tensor.numpy())
    return lambda x: tf.nn.conv2d(x, tensor, 1, "SAME")


def _by_constant(x: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """The gradient by x is a convolution with the kernel turned by 180°: it too gets a kernel that is a constant."""

    @tf.custom_gradient
    def convolved(x: tf.Tensor) -> Any:
        def gradient(by_y: tf.Tensor) -> tf.Tensor:
            turned = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
            return tf.nn.conv2d(by_y, tf.constant(turned), 1, "SAME")

        return tf.nn.conv2d(x, tf.constant(kernel), 1, "SAME"), gradient

    return convolved(x)


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H/2, W/2, C)."""
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")


@tf.custom_gradient
def average_pool(x: tf.Tensor) -> Any:
    """(B, H, W, C) -> (B, H/2, W/2, C); H and W are even.  TensorFlow's own gradient takes twice as long on a CPU."""

    def gradient(by_y: tf.Tensor) -> tf.Tensor:
        batch, height, width, channels = by_y.shape[0], *tf.unstack(tf.shape(by_y)[1:3]), by_y.shape[-1]
        quarters = tf.reshape(by_y / 4, (batch, height, 1, width, 1, channels))
        return tf.reshape(tf.tile(quarters, (1, 1, 2, 1, 2, 1)), (batch, 2 * height, 2 * width, channels))

    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID"), gradient
