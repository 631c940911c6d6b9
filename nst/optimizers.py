"""Optimizers of the pixels: each is what it remembers, with a `step` that gives the next image and memory."""

from typing import NamedTuple

import tensorflow as tf

Losses = dict[str, tf.Tensor]  # "content", "style", "total_variation", "total" -> float32 scalar


class Adam(NamedTuple):
    """Adam (Kingma and Ba 2015, algorithm 1) with β = (0.9, 0.99), the image clipped to [0, 1] after each step."""

    first: tf.Tensor  # running mean of the gradient, of the image's shape
    second: tf.Tensor  # and of its square
    steps: tf.Tensor  # int32: how many gradients made them

    @classmethod
    def begin(cls, image: tf.Tensor, memory: "Memory | None" = None) -> "Adam":
        """What it remembers before its first step at this size, of another one perhaps; Keras' Adam can't be resized.

        Args:
            image: float32 (1, H, W, 3) in [0, 1], where to start.
            memory: of the steps before, or None.  Carried on, the first steps here need no finding of pace.
        """
        if not isinstance(memory, cls):
            return cls(tf.zeros_like(image), tf.zeros_like(image), tf.constant(0))
        if memory.first.shape == image.shape:
            return memory
        first, second = (tf.image.resize(moment, image.shape[1:3]) for moment in memory[:2])
        return cls(first, second, memory.steps)

    def step(
        self, image: tf.Tensor, losses: Losses, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, "Adam"]:
        """The image after the step, and what to remember.

        Args:
            image: float32 (1, H, W, 3) in [0, 1].
            losses: the image's.
            gradient: of its total loss.
            learning_rate: float32 scalar, in units of the [0, 1] image.
        """
        beta1, beta2, epsilon = 0.9, 0.99, 1e-8
        steps = tf.cast(self.steps + 1, tf.float32)
        first = beta1 * self.first + (1 - beta1) * gradient
        second = beta2 * self.second + (1 - beta2) * tf.square(gradient)
        # The corrections of both moments as numbers, not pictures: the order that the paper's section 2 ends with.
        root = tf.sqrt(1 - tf.pow(beta2, steps))
        rate = learning_rate * root / (1 - tf.pow(beta1, steps))
        image -= rate * first / (tf.sqrt(second) + root * epsilon)
        return tf.clip_by_value(image, 0, 1), Adam(first, second, self.steps + 1)


PAIRS = 10  # that L-BFGS remembers
SHRINK, GROW = 0.5, 1.25  # of its longest step, after a step up and after any other
NOISE = 0.01  # share of the loss: bfloat16 wavers by less, and near the end every other step goes up a little


class Pair(NamedTuple):
    """What L-BFGS learned from a step: how the gradient changed with the image."""

    moved: tf.Tensor  # s, the change of the image
    bent: tf.Tensor  # y, the change of the gradient
    rho: tf.Tensor  # 1 / sᵀy; 0 where nothing has been learned


class LBFGS(NamedTuple):
    """L-BFGS (Liu and Nocedal 1989) within [0, 1], at one evaluation a step.

    A line search would ask for more, and for a finer loss than bfloat16 gives.  Instead no step is longer than one of
    Adam's, and after a step that went up the next ones are shorter.  Values that the gradient pushes out of [0, 1] stay
    where they are (Bertsekas 1982), and a pair along which the loss does not curve upward is forgotten.
    """

    pairs: tuple[Pair, ...]  # PAIRS of them, the latest last
    image: tf.Tensor  # before the latest step
    gradient: tf.Tensor  # there
    total: tf.Tensor  # the loss there
    reach: tf.Tensor  # of the longest step, in learning rates
    steps: tf.Tensor  # int32: how many were taken

    @classmethod
    def begin(cls, image: tf.Tensor, memory: "Memory | None" = None) -> "LBFGS":
        """What it remembers before its first step at this size: nothing of another one, for curvature does not scale.

        Args: as `Adam.begin`'s.
        """
        if isinstance(memory, cls) and memory.image.shape == image.shape:
            return memory
        zeros = tf.zeros_like(image)
        pairs = (Pair(zeros, zeros, tf.zeros(())),) * PAIRS
        return cls(pairs, image, zeros, tf.constant(float("inf")), tf.ones(()), tf.constant(0))

    def step(
        self, image: tf.Tensor, losses: Losses, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, "LBFGS"]:
        """As `Adam.step`; learning_rate is the root mean square of the first step and of the longest."""
        pair = _pair(image - self.image, gradient - self.gradient)
        pairs = tf.cond(pair.rho > 0, lambda: (*self.pairs[1:], pair), lambda: self.pairs)
        rose = losses["total"] > (1 + NOISE) * self.total
        reach = tf.minimum(self.reach * tf.where(rose, SHRINK, GROW), 1)

        held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        step, shares = tf.where(held, 0.0, gradient), []
        for moved, bent, rho in reversed(pairs):
            shares.append(rho * _dot(moved, step))
            step -= shares[-1] * bent
        _, bent, rho = pairs[-1]
        step *= tf.where(rho > 0, tf.math.divide_no_nan(1.0, rho * _dot(bent, bent)), 1.0)
        for (moved, bent, rho), share in zip(pairs, reversed(shares)):
            step += (share - rho * _dot(bent, step)) * moved
        step = tf.where(held, 0.0, step)
        shrunk = tf.math.divide_no_nan(reach * learning_rate, tf.sqrt(tf.reduce_mean(tf.square(step))))
        after = tf.clip_by_value(image - tf.where(rho > 0, tf.minimum(shrunk, 1.0), shrunk) * step, 0, 1)
        return after, LBFGS(pairs, image, gradient, losses["total"], reach, self.steps + 1)


def _pair(moved: tf.Tensor, bent: tf.Tensor) -> Pair:
    curvature = _dot(moved, bent)
    upward = curvature > 1e-6 * tf.sqrt(_dot(moved, moved) * _dot(bent, bent))
    return Pair(moved, bent, tf.where(upward, tf.math.divide_no_nan(1.0, curvature), 0.0))


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(one * other)


Memory = Adam | LBFGS
OPTIMIZERS = {"adam": Adam, "lbfgs": LBFGS}  # by the names of `Settings.optimizer`
