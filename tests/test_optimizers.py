"""Adam and L-BFGS, on losses whose steps can be worked out by hand."""

import threading
from itertools import islice

import numpy as np
import pytest
import tensorflow as tf

from nst.optimizers import OPTIMIZERS, Moments, adam, lbfgs


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


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_it_finds_the_bottom(optimizer):
    *_, last = islice(optimizer(bowl, tf.fill((1, 2, 2, 3), 0.9), None, 0.02), 300)
    np.testing.assert_allclose(last.image, 0.3, atol=0.01)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_the_image_stays_an_image(optimizer):
    def downhill(image, step=None):
        return {"total": tf.reduce_sum(image)}, tf.ones_like(image)

    *_, last = islice(optimizer(downhill, tf.fill((1, 2, 2, 3), 0.1), None, 0.2), 5)
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


# --- L-BFGS -----------------------------------------------------------------------------------------------------------

STEEPNESS = tf.constant(np.geomspace(1, 1000, 12).reshape(1, 2, 2, 3), tf.float32)


def valley(image, step=None):
    """½ Σ a (image − 0.3)² with a from 1 to 1000: lowest at 0.3, and no one rate suits all its directions."""
    return {"total": tf.reduce_sum(STEEPNESS * tf.square(image - 0.3)) / 2}, STEEPNESS * (image - 0.3)


def losses(optimizer, objective, image, steps, rate=0.02):
    return [float(iterate.losses["total"]) for iterate in islice(optimizer(objective, image, None, rate), steps)]


def test_first_steps_of_lbfgs():
    # In a bowl the gradient points away from the bottom and a first pair tells how far it is, so after the first step,
    # which is one learning rate long, and steps cut to that length, one step ends it.
    iterates = list(islice(lbfgs(bowl, tf.fill((1, 2, 2, 3), 0.35), None, 0.02), 3))
    values = [float(iterate.image[0, 0, 0, 0]) for iterate in iterates]
    assert values == pytest.approx([0.33, 0.31, 0.3], abs=1e-6)
    assert float(iterates[0].losses["total"]) == pytest.approx(12 * 0.05**2)  # before the step


def test_lbfgs_crosses_a_valley_in_which_adam_is_slow():
    start = tf.fill((1, 2, 2, 3), 0.9)
    assert losses(lbfgs, valley, start, 120)[-1] < 1e-6 < 1e-3 < losses(adam, valley, start, 120)[-1]


def test_lbfgs_shortens_its_steps_after_one_that_went_up():
    # Down a cone, whose slope is the same all the way, a step of one learning rate ends across it.
    def cone(image):
        distance = tf.sqrt(tf.reduce_sum(tf.square(image - 0.3)) + 1e-12)
        return {"total": distance}, (image - 0.3) / distance

    fallen = losses(lbfgs, cone, tf.fill((1, 2, 2, 3), 0.31), 60, rate=0.1)
    assert fallen[1] > fallen[0] and max(fallen[-10:]) < 0.1 * fallen[0]


def test_lbfgs_goes_along_the_bounds():
    # ½ (x − y)² + ½ (x + y + z)² − 3 z: without bounds x = y = −1.5; within them x = y = 0 and z = 1.
    def tilted(image):
        x, y, z = tf.unstack(image, axis=-1)
        total = tf.square(x - y) / 2 + tf.square(x + y + z) / 2 - 3 * z
        by = tf.stack([x - y + x + y + z, y - x + x + y + z, x + y + z - 3], axis=-1)
        return {"total": tf.reduce_sum(total)}, by

    *_, last = islice(lbfgs(tilted, tf.fill((1, 2, 2, 3), 0.5), None, 0.1), 60)
    np.testing.assert_allclose(last.image, np.broadcast_to([0, 0, 1], (1, 2, 2, 3)), atol=1e-3)


def test_lbfgs_looks_once_a_step_and_only_when_asked():
    seen = []
    steps = lbfgs(lambda image: seen.append(image) or bowl(image), tf.fill((1, 2, 2, 3), 0.9), None, 0.02)
    assert not seen
    for count in range(1, 5):
        next(steps)
        assert len(seen) == count


def test_lbfgs_forgets_what_does_not_curve_upward():
    def hill(image):
        return {"total": -tf.reduce_sum(tf.square(image - 0.3))}, -2 * (image - 0.3)

    fallen = losses(lbfgs, hill, tf.fill((1, 2, 2, 3), 0.5), 40)
    assert fallen == sorted(fallen, reverse=True) and fallen[-1] == pytest.approx(-12 * 0.7**2)  # at the bound, 1


def test_lbfgs_stays_at_the_bottom():
    *_, last = islice(lbfgs(bowl, tf.fill((1, 2, 2, 3), 0.3), None, 0.02), 3)
    np.testing.assert_array_equal(last.image, np.float32(0.3))


def test_lbfgs_leaves_nothing_behind_when_it_is_closed():
    threads = threading.active_count()
    steps = lbfgs(bowl, tf.fill((1, 2, 2, 3), 0.9), None, 0.02)
    next(steps)
    steps.close()
    assert threading.active_count() == threads
    with pytest.raises(StopIteration):
        next(steps)


def test_lbfgs_lets_errors_through():
    def broken(image):
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        next(lbfgs(broken, tf.fill((1, 2, 2, 3), 0.9), None, 0.02))
