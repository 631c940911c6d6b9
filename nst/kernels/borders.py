"""Reflection padding around and inside a network, with gradients that are fast on CPUs.

A VGG pads with zeros.  At the border of an image those zeros count as style and paint bands along it.  So the image is
reflect-padded, and once zero padding has contaminated the margin up to the image itself, the margin is reflected again.
"""

from typing import Any

import tensorflow as tf

STRIDE = 16  # pixels of the image for one position of block 5


def reflected_indices(side: tf.Tensor, margin: int) -> tf.Tensor:
    """Indices 0 … side − 1, reflect-padded by at least `margin` on each side.

    More indices may follow at the end.  STRIDE then divides their number, so that no pooling window is cut, and the
    interior is large enough for `reflect_pad` to fill the margin from it, even where pooling rounds that up.
    """
    least = 3 * (margin + STRIDE)
    whole = -(-tf.maximum(side + 2 * margin, least) // STRIDE) * STRIDE
    position = tf.range(-margin, whole - margin)
    period = tf.maximum(2 * (side - 1), 1)
    phase = position % period
    return tf.minimum(phase, period - phase)


def reflect_pad(x: tf.Tensor, contaminated: int) -> tf.Tensor:
    """Replace the outer rows and columns, contaminated by zero padding, with a reflection of the interior.

    Equals `tf.pad(interior, …, "SYMMETRIC")`, with which a step takes 1.03 to 1.16 times as long.

    Args:
        x: (B, H, W, C).
        contaminated: rows and columns on each side to replace.
    """
    around = (0, 0), (contaminated, contaminated), (contaminated, contaminated), (0, 0)

    def indices(side: tf.Tensor) -> tf.Tensor:
        position = tf.range(side)
        last = 2 * (side - contaminated) - 1
        return tf.minimum(tf.maximum(position, 2 * contaminated - 1 - position), last - position)

    @tf.custom_gradient
    def padded(x: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            return tf.pad(tf.raw_ops.MirrorPadGrad(input=dy, paddings=around, mode="SYMMETRIC"), around)

        height, width = tf.unstack(tf.shape(x)[1:3])
        return tf.gather(tf.gather(x, indices(height), axis=1), indices(width), axis=2), gradient

    return padded(x)


def crop(x: tf.Tensor, margin: int, size: tuple) -> tf.Tensor:
    """Crop to `size` (rows, columns), `margin` from the top left: (B, H, W, C) -> (B, rows, columns, C).

    With `tf.slice`: with `x[:, top:…]`, whose gradient is slow, a step takes 1.10 to 1.21 times as long.
    """
    return tf.slice(x, (0, margin, margin, 0), (x.shape[0], *size, x.shape[-1]))


def subsample(x: tf.Tensor, margin: int, size: tuple, phase: int | tf.Tensor) -> tf.Tensor:
    """Crop and keep every other row and column, starting at one of four phases; H and W of x are even.

    The result has (rows + 1) // 2 rows at any phase; if `rows` is odd, some phases take the last one from the margin.
    A slice of a 6-D tensor: with a strided slice, a step of the compact network at 512² takes up to 1.08 times as long.
    """
    (rows, columns), batch, channels = size, x.shape[0], x.shape[-1]
    # Phases 0 and 1 together cover all rows and all columns, and so do phases 2 and 3.
    down, across = tf.unstack(tf.gather([(0, 0), (1, 1), (0, 1), (1, 0)], phase))
    top, left = margin + down, margin + across
    pairs = tf.reshape(x, (batch, tf.shape(x)[1] // 2, 2, tf.shape(x)[2] // 2, 2, channels))
    start = 0, top // 2, top % 2, left // 2, left % 2, 0
    count = batch, (rows + 1) // 2, 1, (columns + 1) // 2, 1, channels
    return tf.squeeze(tf.slice(pairs, start, count), (2, 4))
