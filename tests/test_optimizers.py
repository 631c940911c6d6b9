"""Adam and L-BFGS, on losses whose steps can be worked out by hand."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from nst.optimizers import LBFGS, OPTIMIZERS, Adam


class Iterate(NamedTuple):
    image: tf.Tensor  # after the step
    losses: dict[str, tf.Tensor]  # before it
    state: Any


def descent(optimizer, objective, image, rate=0.02, state=None) -> Iterator[Iterate]:
    """Step by step, for as long as it is asked."""
    state = optimizer.initial(image, state)
    while True:
        losses, gradient = objective(image)
        image, state = state.step(image, losses["total"], gradient, tf.constant(rate))
        yield Iterate(image, losses, state)


def bowl(image):
    """(image − 0.3)², lowest at 0.3."""
    loss = tf.reduce_sum(tf.square(image - 0.3))
    return {"total": loss}, 2 * (image - 0.3)


def test_the_first_step_is_one_learning_rate_long():
    # Adam's first step is gradient / |gradient| whatever its size.
    iterate = next(descent(Adam, bowl, tf.constant([[[[0.5, 0.1, 0.3]]]])))
    np.testing.assert_allclose(iterate.image[0, 0, 0], [0.48, 0.12, 0.3], atol=1e-6)
    assert float(iterate.losses["total"]) == pytest.approx(0.04 + 0.04)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_it_finds_the_bottom(optimizer):
    *_, last = islice(descent(optimizer, bowl, tf.fill((1, 2, 2, 3), 0.9)), 300)
    np.testing.assert_allclose(last.image, 0.3, atol=0.01)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_the_image_stays_an_image(optimizer):
    def downhill(image):
        return {"total": tf.reduce_sum(image)}, tf.ones_like(image)

    *_, last = islice(descent(optimizer, downhill, tf.fill((1, 2, 2, 3), 0.1), 0.2), 5)
    assert float(tf.reduce_min(last.image)) == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_a_run_resumes_from_its_state(optimizer):
    straight = list(islice(descent(optimizer, valley, tf.fill((1, 2, 2, 3), 0.9)), 7))
    before, after = straight[3:5]
    resumed = next(descent(optimizer, valley, before.image, state=before.state))
    np.testing.assert_array_equal(resumed.image, after.image)


def test_adams_moments_are_resized():
    small, large = tf.ones((1, 2, 3, 3)), tf.zeros((1, 4, 6, 3))
    state = Adam.initial(large, Adam(small, small, tf.constant(5)))
    assert state.first.shape == state.second.shape == large.shape
    assert int(state.steps) == 5
    assert float(tf.reduce_min(state.second)) >= 0


@pytest.mark.parametrize("one", OPTIMIZERS.values())
@pytest.mark.parametrize("other", OPTIMIZERS.values())
def test_the_state_of_another_optimizer_is_not_used(one, other):
    image = tf.fill((1, 2, 2, 3), 0.9)
    state = next(descent(other, bowl, image)).state if one is not other else None
    assert int(one.initial(image, state).steps) == 0


# --- L-BFGS -----------------------------------------------------------------------------------------------------------

STEEPNESS = tf.constant(np.geomspace(1, 1000, 12).reshape(1, 2, 2, 3), tf.float32)


def valley(image):
    """½ Σ a (image − 0.3)² with a from 1 to 1000: lowest at 0.3, and no one rate suits all its directions."""
    return {"total": tf.reduce_sum(STEEPNESS * tf.square(image - 0.3)) / 2}, STEEPNESS * (image - 0.3)


def losses(optimizer, objective, image, steps, rate=0.02):
    return [float(iterate.losses["total"]) for iterate in islice(descent(optimizer, objective, image, rate), steps)]


def test_first_steps_of_lbfgs():
    # In a bowl the gradient points away from the bottom and a first pair tells how far it is, so after the first step,
    # which is one learning rate long, and steps cut to that length, one step ends it.
    iterates = list(islice(descent(LBFGS, bowl, tf.fill((1, 2, 2, 3), 0.35)), 3))
    values = [float(iterate.image[0, 0, 0, 0]) for iterate in iterates]
    assert values == pytest.approx([0.33, 0.31, 0.3], abs=1e-6)
    assert float(iterates[0].losses["total"]) == pytest.approx(12 * 0.05**2)  # before the step


def test_lbfgs_crosses_a_valley_in_which_adam_is_slow():
    start = tf.fill((1, 2, 2, 3), 0.9)
    assert losses(LBFGS, valley, start, 120)[-1] < 1e-6 < 1e-3 < losses(Adam, valley, start, 120)[-1]


def test_lbfgs_shortens_its_steps_after_one_that_went_up():
    # Down a cone, whose slope is the same all the way, a step of one learning rate ends across it.
    def cone(image):
        distance = tf.sqrt(tf.reduce_sum(tf.square(image - 0.3)) + 1e-12)
        return {"total": distance}, (image - 0.3) / distance

    fallen = losses(LBFGS, cone, tf.fill((1, 2, 2, 3), 0.31), 60, rate=0.1)
    assert fallen[1] > fallen[0] and max(fallen[-10:]) < 0.1 * fallen[0]


def test_lbfgs_goes_along_the_bounds():
    # ½ (x − y)² + ½ (x + y + z)² − 3 z: without bounds x = y = −1.5; within them x = y = 0 and z = 1.
    def tilted(image):
        x, y, z = tf.unstack(image, axis=-1)
        total = tf.square(x - y) / 2 + tf.square(x + y + z) / 2 - 3 * z
        by = tf.stack([x - y + x + y + z, y - x + x + y + z, x + y + z - 3], axis=-1)
        return {"total": tf.reduce_sum(total)}, by

    *_, last = islice(descent(LBFGS, tilted, tf.fill((1, 2, 2, 3), 0.5), 0.1), 60)
    np.testing.assert_allclose(last.image, np.broadcast_to([0, 0, 1], (1, 2, 2, 3)), atol=1e-3)


def test_lbfgs_forgets_what_does_not_curve_upward():
    def hill(image):
        return {"total": -tf.reduce_sum(tf.square(image - 0.3))}, -2 * (image - 0.3)

    fallen = losses(LBFGS, hill, tf.fill((1, 2, 2, 3), 0.5), 40)
    assert fallen == sorted(fallen, reverse=True) and fallen[-1] == pytest.approx(-12 * 0.7**2)  # at the bound, 1


def test_lbfgs_stays_at_the_bottom():
    *_, last = islice(descent(LBFGS, bowl, tf.fill((1, 2, 2, 3), 0.3)), 3)
    np.testing.assert_array_equal(last.image, np.float32(0.3))


def test_lbfgs_begins_anew_at_another_size():
    small = next(descent(LBFGS, bowl, tf.fill((1, 2, 2, 3), 0.9))).state
    assert int(LBFGS.initial(tf.fill((1, 4, 4, 3), 0.9), small).steps) == 0
