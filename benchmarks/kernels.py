"""What each kernel in nst/kernels is worth: time per step with it, by the time with TensorFlow's plain line instead.

    python benchmarks/kernels.py [SIZE] [NETWORK ...]

Steps of all variants take turns in one process; the ratio of medians is printed, above 1 where the kernel is faster.
"""

import contextlib
import statistics as stats
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import tensorflow as tf

from nst import Settings, features, losses, machine, objective
from nst.bench import contenders
from nst.features import Network
from nst.kernels import winograd
from nst.objective import Objective

TURNS = 15


def plain_reflect_pad(x: tf.Tensor, contaminated: int) -> tf.Tensor:
    inner, side = slice(contaminated, -contaminated or None), (contaminated, contaminated)
    return tf.pad(x[:, inner, inner], ((0, 0), side, side, (0, 0)), "SYMMETRIC")


def plain_crop(x: tf.Tensor, margin: int, size: tuple) -> tf.Tensor:
    return x[:, margin : margin + size[0], margin : margin + size[1]]


def plain_subsample(x: tf.Tensor, margin: int, size: tuple, phase: Any) -> tf.Tensor:
    down, across = tf.unstack(tf.gather([(0, 0), (1, 1), (0, 1), (1, 0)], phase))
    return x[:, margin + down : margin + size[0] + down : 2, margin + across : margin + size[1] + across : 2]


def plain_gram_matrix(x: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(x, (x.shape[0], -1, x.shape[-1]))
    return tf.cast(tf.matmul(rows, rows, transpose_a=True), tf.float32) / tf.cast(tf.shape(rows)[1], tf.float32)


def plain_average_pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID")


PLAIN: dict[str, Callable[[], Any]] = {  # what is put in the place of what
    "borders.reflect_pad": lambda: patch.object(features, "reflect_pad", plain_reflect_pad),
    "borders.crop": lambda: patch.object(features, "crop", plain_crop),
    "borders.subsample": lambda: patch.object(features, "subsample", plain_subsample),
    "subsampled layers": lambda: patch.object(objective, "SUBSAMPLE_ABOVE", sys.maxsize),
    "convolution with constant kernels": lambda: patch.object(features, "SMALL", 0),
    "convolution.average_pool": lambda: patch.object(features, "average_pool", plain_average_pool),
    "winograd": lambda: patch.object(winograd, "MIN_CHANNELS", sys.maxsize),
    "statistics (chunks, gradient)": lambda: patch.object(losses, "gram_matrix", plain_gram_matrix),
}


def stepper(name: str, precision: str, size: int, context: Any) -> Callable[[], float]:
    """One step with its gradient, compiled within the context."""
    with context:
        network = Network(name, contenders.find_weights(name)[0], precision=precision)
        random = np.random.default_rng(0)
        photo, painting, image = (random.random((1, size, size, 3), np.float32) for _ in range(3))
        target = Objective.of(network, photo, [painting], Settings(size=size))

        @tf.function(autograph=False)
        def step(image: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
            return target.losses_and_gradient(network, image, phase)[1]

        image, phase = tf.constant(image), tf.constant(0)
        step(image, phase)

    def take() -> float:
        began = time.perf_counter()
        step(image, phase).numpy()
        return time.perf_counter() - began

    return take


def rows(name: str, precision: str, size: int) -> Iterator[tuple[str, float]]:
    steppers = {"as it is": stepper(name, precision, size, contextlib.nullcontext())}
    for kernel, plain in PLAIN.items():
        steppers[kernel] = stepper(name, precision, size, plain())
    seconds: dict[str, list[float]] = {kernel: [] for kernel in steppers}
    for _ in range(TURNS):
        for kernel, take in steppers.items():
            seconds[kernel].append(take())
    ours = stats.median(seconds.pop("as it is"))
    print(f"\n{name}, {precision}, {size} x {size}: {ours:.3f} s a step\n")
    for kernel, times in seconds.items():
        yield kernel, stats.median(times) / ours


def main(arguments: list[str]) -> None:
    size = int(arguments[0]) if arguments else 512
    print(machine.describe(("tensorflow", "keras")))
    for name in arguments[1:] or ["compact"]:
        for precision in ("bfloat16", "float32") if machine.has_fast_bfloat16() else ("float32",):
            for kernel, ratio in rows(name, precision, size):
                print(f"| {kernel:36} | {ratio:5.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
