"""Reflection padding around and inside a network, with gradients that are fast on CPUs.

A VGG pads with zeros.  At the border of an image those zeros count as style and paint bands along it.  So the image is
reflect-padded, and once zero padding has contaminated the margin up to the image itself, the margin is reflected again.
"""

from typing import Any

import tensorflow as tf

STRIDE = 16  # pixels of the image for one position of block 5
# First row and column of each subsampling: 0 and 1 together cover all rows and all columns, and so do 2 and 3.
PHASES = (0, 0), (1, 1), (0, 1), (1, 0)
WHOLE = ((1, 1), (1, 1))  # borders of an image that is no tile of a larger one


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


def reflect_pad(x: tf.Tensor, contaminated: int, borders: Any = WHOLE) -> tf.Tensor:
    """Replace the outer rows and columns, contaminated by zero padding, with a reflection of the interior.

    Equals `tf.pad(interior, …, "SYMMETRIC")`, with which a step takes 1.03 to 1.16 times as long.

    Args:
        x: (B, H, W, C).
        contaminated: rows and columns on each side to replace.
        borders: ((top, bottom), (left, right)) 1 where that is the image's border, 0 where a tile ends inside of it.
    """
    (top, bottom), (left, right) = [[contaminated * side for side in _pair(sides)] for sides in _pair(borders)]
    around = (0, 0), (top, bottom), (left, right), (0, 0)

    def indices(side: tf.Tensor, before: Any, after: Any) -> tf.Tensor:
        position = tf.range(side)
        last = 2 * (side - after) - 1
        return tf.minimum(tf.maximum(position, 2 * before - 1 - position), last - position)

    @tf.custom_gradient
    def padded(x: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            dx = tf.pad(tf.raw_ops.MirrorPadGrad(input=dy, paddings=around, mode="SYMMETRIC"), around)
            return tf.ensure_shape(dx, x.shape)

        height, width = tf.unstack(tf.shape(x)[1:3])
        down, across = indices(height, top, bottom), indices(width, left, right)
        return tf.gather(tf.gather(x, down, axis=1), across, axis=2), gradient

    return padded(x)


def _pair(values: Any) -> Any:
    return tf.unstack(values) if isinstance(values, tf.Tensor) else values


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
    rows, columns = size
    down, across = tf.unstack(tf.gather(PHASES, phase))
    return every_other(x, (margin + down, margin + across), ((rows + 1) // 2, (columns + 1) // 2))


def every_other(x: tf.Tensor, corner: tuple, size: tuple) -> tf.Tensor:
    """Every other row and column from `corner` (top, left) on, `size` (rows, columns) of them; H and W are even."""
    (top, left), (rows, columns), batch, channels = corner, size, x.shape[0], x.shape[-1]
    pairs = tf.reshape(x, (batch, tf.shape(x)[1] // 2, 2, tf.shape(x)[2] // 2, 2, channels))
    start = 0, top // 2, top % 2, left // 2, left % 2, 0
    count = batch, rows, 1, columns, 1, channels
    return tf.squeeze(tf.slice(pairs, start, count), (2, 4))
