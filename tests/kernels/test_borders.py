"""Reflection padding and pooling: values by NumPy, gradients by TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from nst.kernels import borders
from nst.kernels.convolution import average_pool


@pytest.mark.parametrize(
    ("side", "margin", "whole"),
    [(1, 3, 64), (2, 5, 64), (5, 0, 48), (80, 8, 96), (94, 1, 96), (9, 8, 80), (9, 120, 416)],
)
def test_the_margin_is_the_mirror_image_in_whole_windows(side, margin, whole):
    around = margin, whole - side - margin
    expected = np.pad(np.arange(side), around, mode="reflect") if side > 1 else np.zeros(whole)
    np.testing.assert_array_equal(borders.reflected_indices(tf.constant(side), margin), expected)


@pytest.mark.parametrize(
    ("side", "outer", "expected"),
    [
        (8, 2, [3, 2, 2, 3, 4, 5, 5, 4]),
        (6, 2, [3, 2, 2, 3, 3, 2]),
        (3, 1, [1, 1, 1]),
        (3, 0, [0, 1, 2]),
    ],
)
def test_what_zeros_have_reached_is_mirrored_away(side, outer, expected):
    line = tf.range(side, dtype=tf.float32)
    down = borders.reflect_pad(tf.tile(line[tf.newaxis, :, tf.newaxis, tf.newaxis], (1, 1, side, 1)), outer)
    assert down[0, :, 0, 0].numpy().tolist() == down[0, :, -1, 0].numpy().tolist() == expected
    across = borders.reflect_pad(tf.tile(line[tf.newaxis, tf.newaxis, :, tf.newaxis], (1, side, 1, 1)), outer)
    assert across[0, 0, :, 0].numpy().tolist() == across[0, -1, :, 0].numpy().tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_of_our_own_are_those_of_tensorflow(dtype):
    def padded(x, outer):
        side, within = (outer, outer), slice(outer, -outer)
        return tf.pad(x[:, within, within], ((0, 0), side, side, (0, 0)), "SYMMETRIC")

    pairs = [
        (average_pool, lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID")),
        (lambda x: borders.reflect_pad(x, 2), lambda x: padded(x, 2)),
    ]
    random = np.random.default_rng(0)
    x = tf.constant(random.integers(-4, 5, (2, 8, 6, 3)), dtype)
    for ours, theirs in pairs:
        outcomes = []
        for function in (ours, theirs):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
                by_y = tf.constant(np.random.default_rng(1).integers(-4, 5, y.shape), dtype)
                total = tf.reduce_sum(y * by_y)
            outcomes.append((y.numpy(), tape.gradient(total, x).numpy()))
        for one, other in zip(*outcomes):
            np.testing.assert_array_equal(one, other)
