"""Optimizers of the pixels: each is a generator that yields an `Iterate` a step, for as long as it is asked."""

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple, Protocol

import tensorflow as tf

Losses = dict[str, tf.Tensor]  # "content", "style", "total_variation", "total" -> float32 scalar


class Objective(Protocol):
    """What is descended."""

    def __call__(self, image: tf.Tensor, step: tf.Tensor | None = None) -> tuple[Losses, tf.Tensor]:
        """The image's losses and the gradient of "total".

        Exact; or given a step, int32, what is quick to tell at that one.
        """
        ...


class Moments(NamedTuple):
    """What Adam remembers: running means of the gradient and of its square, and how many gradients made them."""

    first: tf.Tensor
    second: tf.Tensor
    steps: tf.Tensor

    @classmethod
    def none(cls, image: tf.Tensor) -> "Moments":
        """Before the first gradient."""
        return cls(tf.zeros_like(image), tf.zeros_like(image), tf.zeros(()))

    def resized(self, height: int, width: int) -> "Moments":
        """The same memory for the next scale's image: carried on, the first steps there need no finding of pace."""
        first, second = (tf.image.resize(moment, (height, width)) for moment in (self.first, self.second))
        return Moments(first, second, self.steps)


class Iterate(NamedTuple):
    """One step's outcome."""

    image: tf.Tensor  # float32 (1, H, W, 3) in [0, 1], after the step
    losses: Losses  # before the step
    memory: Moments | None  # to begin the next scale with


def adam(objective: Objective, image: tf.Tensor, memory: Moments | None, learning_rate: float) -> Iterator[Iterate]:
    """Adam (Kingma and Ba 2015, algorithm 1) with β = (0.9, 0.99), the image clipped to [0, 1] after each step.

    Args:
        objective: the loss and its gradient.
        image: float32 (1, H, W, 3) in [0, 1], where to start.
        memory: of the coarser scale, at the image's size, or None; Keras' Adam would not let it be resized.
        learning_rate: in units of the [0, 1] image.
    """
    memory = memory or Moments.none(image)
    rate = tf.constant(learning_rate, tf.float32)
    for step in count(int(memory.steps)):  # counted here: to read it from a GPU would be to wait for it
        losses, gradient = objective(image, tf.constant(step))
        image, memory = _adam_step(image, gradient, memory, rate)
        yield Iterate(image, losses, memory)


@tf.function(reduce_retracing=True)
def _adam_step(
    image: tf.Tensor, gradient: tf.Tensor, memory: Moments, learning_rate: tf.Tensor
) -> tuple[tf.Tensor, Moments]:
    beta1, beta2, epsilon = 0.9, 0.99, 1e-8
    steps = memory.steps + 1
    first = beta1 * memory.first + (1 - beta1) * gradient
    second = beta2 * memory.second + (1 - beta2) * tf.square(gradient)
    # The corrections of both moments as numbers, not pictures: the order that the paper's section 2 ends with.
    root = tf.sqrt(1 - tf.pow(beta2, steps))
    rate = learning_rate * root / (1 - tf.pow(beta1, steps))
    image -= rate * first / (tf.sqrt(second) + root * epsilon)
    return tf.clip_by_value(image, 0, 1), Moments(first, second, steps)


PAIRS = 10  # that L-BFGS remembers
SHRINK, GROW = 0.5, 1.25  # of its longest step, after a step up and after any other
NOISE = 0.01  # share of the loss: bfloat16 wavers by less, and near the end every other step goes up a little


class Pair(NamedTuple):
    """What L-BFGS learned from a step: how the gradient changed with the image."""

    moved: tf.Tensor  # s, the change of the image
    bent: tf.Tensor  # y, the change of the gradient
    rho: tf.Tensor  # 1 / sᵀy; 0 where nothing has been learned


def lbfgs(objective: Objective, image: tf.Tensor, memory: Moments | None, learning_rate: float) -> Iterator[Iterate]:
    """L-BFGS (Liu and Nocedal 1989) within [0, 1], at one evaluation a step.

    A line search would ask for more, and for a finer loss than bfloat16 gives.  Instead no step is longer than one of
    Adam's, and after a step that went up the next ones are shorter.  Values that the gradient pushes out of [0, 1] stay
    where they are (Bertsekas 1982), and a pair along which the loss does not curve upward is forgotten.

    Args:
        objective: the loss and its gradient.
        image: float32 (1, H, W, 3) in [0, 1], where to start.
        memory: Adam's, and of no use: curvature is learned anew at each scale, and when a run goes on.
        learning_rate: root mean square of the first step and of the longest, in units of the [0, 1] image.
    """
    rate = tf.constant(learning_rate, tf.float32)
    longest = rate
    nothing = Pair(tf.zeros_like(image), tf.zeros_like(image), tf.zeros(()))
    pairs = deque([nothing] * PAIRS, PAIRS)  # always as many, so that the step is compiled once
    losses, gradient = objective(image)
    while True:
        image, moved = _lbfgs_step(image, gradient, tuple(pairs), longest)
        yield Iterate(image, losses, None)
        before, gradient_before = losses, gradient
        losses, gradient = objective(image)
        rose = losses["total"] > (1 + NOISE) * before["total"]
        longest = tf.minimum(rate, longest * tf.where(rose, SHRINK, GROW))
        pair = _pair(moved, gradient, gradient_before)
        if pair.rho.numpy() > 0:
            pairs.append(pair)


@tf.function(reduce_retracing=True)
def _lbfgs_step(
    image: tf.Tensor, gradient: tf.Tensor, pairs: tuple[Pair, ...], longest: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The image after the step, and how far it has moved."""
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
    shrunk = tf.math.divide_no_nan(longest, tf.sqrt(tf.reduce_mean(tf.square(step))))
    after = tf.clip_by_value(image - tf.where(rho > 0, tf.minimum(shrunk, 1.0), shrunk) * step, 0, 1)
    return after, after - image


@tf.function(reduce_retracing=True)
def _pair(moved: tf.Tensor, gradient: tf.Tensor, before: tf.Tensor) -> Pair:
    bent = gradient - before
    curvature = _dot(moved, bent)
    upward = curvature > 1e-6 * tf.sqrt(_dot(moved, moved) * _dot(bent, bent))
    return Pair(moved, bent, tf.where(upward, tf.math.divide_no_nan(1.0, curvature), 0.0))


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(one * other)


OPTIMIZERS = {"adam": adam, "lbfgs": lbfgs}  # by the names of `Settings.optimizer`
