"""Optimizers of the pixels.  Each is a NamedTuple of its state, whose `step` gives the next image and state."""

from typing import NamedTuple

import tensorflow as tf

Losses = dict[str, tf.Tensor]  # "content", "style", "total_variation", "total" -> float32 scalar, or (B,) for a batch


class Adam(NamedTuple):
    """Adam (Kingma and Ba 2015, algorithm 1) with β = (0.9, 0.99); the image is clipped to [0, 1] after each step."""

    first: tf.Tensor  # moving average of the gradient, of the image's shape
    second: tf.Tensor  # moving average of the squared gradient, likewise
    steps: tf.Tensor  # int32: number of gradients in the averages

    @classmethod
    def initial(cls, image: tf.Tensor, state: "State | None" = None) -> "Adam":
        """The state before the first step at this size.  Keras' Adam cannot resize its moments.

        Args:
            image: float32 (1, H, W, 3) in [0, 1], where to start.
            state: that of the previous scale or run.  Its moments are resized, which spares a new warm-up.
        """
        if not isinstance(state, cls):
            return cls(tf.zeros_like(image), tf.zeros_like(image), tf.constant(0))
        if state.first.shape == image.shape:
            return state
        first, second = (tf.image.resize(moment, image.shape[1:3]) for moment in state[:2])
        return cls(first, second, state.steps)

    def step(
        self, image: tf.Tensor, total: tf.Tensor, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, "Adam"]:
        """The image and the state after one step.

        Args:
            image: float32 (1, H, W, 3) in [0, 1].
            total: the total loss of the image, float32 scalar.
            gradient: its gradient.
            learning_rate: float32 scalar, in units of the [0, 1] image.
        """
        beta1, beta2, epsilon = 0.9, 0.99, 1e-8
        steps = tf.cast(self.steps + 1, tf.float32)
        first = beta1 * self.first + (1 - beta1) * gradient
        second = beta2 * self.second + (1 - beta2) * tf.square(gradient)
        # Bias correction of scalars instead of whole moments, as at the end of the paper's section 2.
        root = tf.sqrt(1 - tf.pow(beta2, steps))
        rate = learning_rate * root / (1 - tf.pow(beta1, steps))
        image -= rate * first / (tf.sqrt(second) + root * epsilon)
        return tf.clip_by_value(image, 0, 1), Adam(first, second, self.steps + 1)


HISTORY = 10  # pairs that L-BFGS keeps
SHRINK, GROW = 0.5, 1.25  # factors of its maximum step, after a step that increased the loss and after any other
TOLERATED_RISE = 0.01  # of the loss, relative: bfloat16 noise is less, and near the end every other step rises a little


class Pair(NamedTuple):
    """One entry of L-BFGS' history: how the gradient changed with the image."""

    s: tf.Tensor  # change of the image
    y: tf.Tensor  # change of the gradient
    rho: tf.Tensor  # 1 / sᵀy; 0 for an empty entry


class LBFGS(NamedTuple):
    """L-BFGS (Liu and Nocedal 1989) within [0, 1], with one evaluation per step.

    A line search would need more evaluations, and a more precise loss than bfloat16 gives.  Instead, the root
    mean square of a step never exceeds the learning rate, and the limit shrinks after a step that increased the loss.
    Values that the gradient pushes out of [0, 1] stay fixed (Bertsekas 1982).  Pairs of negative curvature are dropped.
    """

    pairs: tuple[Pair, ...]  # HISTORY of them, the latest last
    image: tf.Tensor  # before the latest step
    gradient: tf.Tensor  # at that image
    total: tf.Tensor  # total loss of that image
    reach: tf.Tensor  # maximum step, in learning rates
    steps: tf.Tensor  # int32: number of steps so far

    @classmethod
    def initial(cls, image: tf.Tensor, state: "State | None" = None) -> "LBFGS":
        """The state before the first step at this size; empty at a new size, since curvature does not transfer.

        Args: as for `Adam.initial`.
        """
        if isinstance(state, cls) and state.image.shape == image.shape:
            return state
        zeros = tf.zeros_like(image)
        pairs = (Pair(zeros, zeros, tf.zeros(())),) * HISTORY
        return cls(pairs, image, zeros, tf.constant(float("inf")), tf.ones(()), tf.constant(0))

    def step(
        self, image: tf.Tensor, total: tf.Tensor, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, "LBFGS"]:
        """As `Adam.step`; learning_rate is the root mean square of the first step and the maximum of the others."""
        pair = _pair(image - self.image, gradient - self.gradient)
        pairs = tf.cond(pair.rho > 0, lambda: (*self.pairs[1:], pair), lambda: self.pairs)
        rose = total > (1 + TOLERATED_RISE) * self.total
        reach = tf.minimum(self.reach * tf.where(rose, SHRINK, GROW), 1)

        # The two-loop recursion, over the pixels that are free to move.
        fixed = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        step, coefficients = tf.where(fixed, 0.0, gradient), []
        for s, y, rho in reversed(pairs):
            coefficients.append(rho * _dot(s, step))
            step -= coefficients[-1] * y
        _, y, rho = pairs[-1]
        step *= tf.where(rho > 0, tf.math.divide_no_nan(1.0, rho * _dot(y, y)), 1.0)
        for (s, y, rho), coefficient in zip(pairs, reversed(coefficients)):
            step += (coefficient - rho * _dot(y, step)) * s
        step = tf.where(fixed, 0.0, step)
        scale = tf.math.divide_no_nan(reach * learning_rate, tf.sqrt(tf.reduce_mean(tf.square(step))))
        after = tf.clip_by_value(image - tf.where(rho > 0, tf.minimum(scale, 1.0), scale) * step, 0, 1)
        return after, LBFGS(pairs, image, gradient, total, reach, self.steps + 1)


def _pair(s: tf.Tensor, y: tf.Tensor) -> Pair:
    curvature = _dot(s, y)
    positive = curvature > 1e-6 * tf.sqrt(_dot(s, s) * _dot(y, y))
    return Pair(s, y, tf.where(positive, tf.math.divide_no_nan(1.0, curvature), 0.0))


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(one * other)


State = Adam | LBFGS
OPTIMIZERS = {"adam": Adam, "lbfgs": LBFGS}  # by the names of `Settings.optimizer`
