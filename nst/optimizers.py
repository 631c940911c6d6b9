"""Optimizers of the pixels: each is a generator that yields an `Iterate` a step, for as long as it is asked."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import tensorflow as tf

Losses = dict[str, tf.Tensor]  # "content", "style", "total_variation", "total" -> float32 scalar


class Objective(Protocol):
    """What is descended."""

    def __call__(self, image: tf.Tensor, step: tf.Tensor | None = None) -> tuple[Losses, tf.Tensor]:
        """The image's losses and the gradient of "total"; exact, or given a step what is quick to tell at that one."""
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
    memory: Moments  # to begin the next scale with


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
    while True:
        losses, gradient = objective(image, memory.steps)
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
    direction = first / (1 - tf.pow(beta1, steps)) / (tf.sqrt(second / (1 - tf.pow(beta2, steps))) + epsilon)
    return tf.clip_by_value(image - learning_rate * direction, 0, 1), Moments(first, second, steps)
