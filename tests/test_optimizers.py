"""Adam, on losses whose steps can be worked out by hand."""

from itertools import islice

import numpy as np
import pytest
import tensorflow as tf

from nst.optimizers import Moments, adam


def bowl(image, step=None):
    """(image − 0.3)², lowest at 0.3."""
    loss = tf.reduce_sum(tf.square(image - 0.3))
    return {"total": loss}, 2 * (image - 0.3)


def test_the_first_step_is_one_learning_rate_long():
    # Adam's first step is gradient / |gradient| whatever its size.
    image = tf.constant([[[[0.5, 0.1, 0.3]]]])
    iterate = next(adam(bowl, image, None, 0.02))
    np.testing.assert_allclose(iterate.image[0, 0, 0], [0.48, 0.12, 0.3], atol=1e-6)
    assert float(iterate.losses["total"]) == pytest.approx(0.04 + 0.04)  # before the step


def test_it_finds_the_bottom():
    *_, last = islice(adam(bowl, tf.fill((1, 2, 2, 3), 0.9), None, 0.02), 300)
    np.testing.assert_allclose(last.image, 0.3, atol=0.01)


def test_the_image_stays_an_image():
    def downhill(image, step=None):
        return {"total": tf.reduce_sum(image)}, tf.ones_like(image)

    *_, last = islice(adam(downhill, tf.fill((1, 2, 2, 3), 0.1), None, 0.2), 5)
    assert float(tf.reduce_min(last.image)) == 0


def test_memory_carries_on():
    image = tf.fill((1, 2, 2, 3), 0.9)
    straight = list(islice(adam(bowl, image, None, 0.02), 7))
    first = list(islice(adam(bowl, image, None, 0.02), 4))
    resumed = list(islice(adam(bowl, first[-1].image, first[-1].memory, 0.02), 3))
    np.testing.assert_array_equal(straight[-1].image, resumed[-1].image)


def test_memory_is_resized():
    memory = Moments(tf.ones((1, 2, 3, 3)), tf.ones((1, 2, 3, 3)), tf.constant(5.0)).resized(4, 6)
    assert memory.first.shape == memory.second.shape == (1, 4, 6, 3)
    assert float(memory.steps) == 5
    assert float(tf.reduce_min(memory.second)) >= 0
