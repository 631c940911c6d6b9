"""3×3 convolutions by Winograd's minimal filtering: a quarter of the multiplications (Lavin and Gray 2016).

Tiles of TILE × TILE results are made of SIDE × SIDE values each.  As polynomials, values and kernel are multiplied by
way of what they are at some points, and of all multiplications only the channels' products there are left.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Where the polynomials are evaluated.  Of points whose powers bfloat16 holds exactly, these round the least: in it a
# result is off by 1.6 %, as noise, where an ordinary convolution's is by 0.2 %.
POINTS = 0, 1, -1, 0.5, -2, math.inf
TURNED = math.inf, 1, -1, 2, -0.5, 0  # 1 / POINTS: a kernel turned by 180° has its values there, times powers of two
SIDE, TILE = len(POINTS), len(POINTS) - 2

WIDE = 128  # channels, in and out: with fewer, the transforms take as long as they save


class Convolution:
    """What `tf.nn.conv2d(x, kernel, 1, "SAME")` is for a (3, 3, in, out) `kernel`, with its gradient by x."""

    def __init__(self, kernel: np.ndarray, dtype: str):
        inputs, filters, outputs = transforms(POINTS)
        turned_inputs, turned_filters, turned_outputs = transforms(TURNED)
        # A turned kernel's values there in those of the kernel here: one tensor serves both ways.
        shares = np.sum(turned_filters[:, ::-1] * filters, axis=1) / np.sum(filters**2, axis=1)

        def down_and_across(rows: np.ndarray) -> tf.Tensor:
            return tf.constant(np.kron(rows, rows), dtype)

        self._forward = down_and_across(inputs), down_and_across(outputs)
        self._backward = down_and_across(turned_inputs * shares[:, np.newaxis]), down_and_across(turned_outputs)
        values = np.kron(filters, filters).astype(np.float32) @ kernel.reshape(9, -1)
        self._kernel = tf.constant(values.reshape(SIDE**2, *kernel.shape[2:]), dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """(B, H, W, in) -> (B, H, W, out), with zeros around."""

        @tf.custom_gradient
        def convolved(x: tf.Tensor) -> Any:
            def gradient(by_y: tf.Tensor) -> tf.Tensor:
                return self._convolved(by_y, *self._backward, turned=True)

            return self._convolved(x, *self._forward, turned=False), gradient

        return convolved(x)

    def _convolved(self, x: tf.Tensor, inputs: tf.Tensor, outputs: tf.Tensor, turned: bool) -> tf.Tensor:
        batch, height, width, channels = x.shape[0], *tf.unstack(tf.shape(x)[1:3]), x.shape[-1]
        down, across = -(-height // TILE), -(-width // TILE)
        values = tf.matmul(inputs, tf.reshape(_tiles(x, down, across), (SIDE**2, -1)))
        products = tf.matmul(tf.reshape(values, (SIDE**2, -1, channels)), self._kernel, transpose_b=turned)
        filters = products.shape[-1]
        results = tf.matmul(outputs, tf.reshape(products, (SIDE**2, -1)))
        apart = tf.reshape(results, (TILE, TILE, batch, down, across, filters))
        whole = tf.reshape(tf.transpose(apart, (2, 3, 0, 4, 1, 5)), (batch, TILE * down, TILE * across, filters))
        return whole[:, :height, :width]


def transforms(points: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bᵀ, G and Aᵀ for n points, infinity among them: Aᵀ (G g ⊙ Bᵀ d) is what the kernel g makes of the row d.

    Lavin and Gray 2016, eq. 5, and in two dimensions eq. 8; as polynomials, Toom and Cook.

    Returns:
        float64 (n, n), (n, 3) and (n − 2, n).
    """
    finite = [point for point in points if point != math.inf]

    def others(point: float) -> np.ndarray:
        return np.array([other for other in finite if other != point])

    def powers(count: int) -> np.ndarray:
        infinity = np.eye(count)[-1]
        return np.array([infinity if point == math.inf else point ** np.arange(count) for point in points])

    zeros = [np.poly(others(point))[::-1] for point in points]  # polynomials that are zero at all other points
    inputs = np.array([np.pad(zero, (0, len(points) - len(zero))) for zero in zeros])
    scale = [1 if point == math.inf else np.prod(point - others(point)) for point in points]
    return inputs, powers(3) / np.array(scale)[:, np.newaxis], powers(len(points) - 2).T


def _tiles(x: tf.Tensor, down: tf.Tensor, across: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) with zeros around -> (SIDE, SIDE, B, down, across, C), tiles that overlap by two."""
    batch, height, width, channels = x.shape[0], *tf.unstack(tf.shape(x)[1:3]), x.shape[-1]
    rows, columns = TILE * down + 2, TILE * across + 2
    padded = tf.pad(x, ((0, 0), (1, rows - height - 1), (1, columns - width - 1), (0, 0)))
    within = tf.range(SIDE)[:, tf.newaxis]
    row, column = within + TILE * tf.range(down), within + TILE * tf.range(across)
    pictures = rows * tf.range(batch)[:, tf.newaxis, tf.newaxis]
    places = (pictures + row[:, tf.newaxis, tf.newaxis, :, tf.newaxis]) * columns + column[:, tf.newaxis, tf.newaxis]
    return tf.gather(tf.reshape(padded, (-1, channels)), places)
