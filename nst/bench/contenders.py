"""What `bench` measures, each in a process of its own to tell its memory: `python -m nst.bench.contenders SPEC`.

A contender writes one line of JSON when it is ready, one for each turn it is given (a line on standard input), and one
with its peak memory when its input ends.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from nst import weights as sources
from nst.machine import peak_memory
from nst.settings import Settings
from nst.weights import CONVOLUTIONS, PARTS, Weights, layers_up_to

TURN = 0.6  # seconds of steps at least: the first one of a turn finds the caches full of others' data


def step_flops(
    shapes: Mapping[str, tuple[int, ...]],
    content_layers: Collection[str],
    style_layers: Collection[str],
    height: int,
    width: int,
    margins: tuple[int, int] = (0, 0),
) -> int:
    """Floating-point operations of one step's products: forward, and the gradient to the image, which costs the same.

    A multiply-add counts as two.  Counted are the convolutions and the C×C products of the statistics; whatever else a
    program does (padding, pooling, a second pass) is its own affair and does not count.

    Args:
        shapes: of the kernels, "block1_conv1_kernel" -> (3, 3, in, out), of heads and low-rank layers as well.
        content_layers, style_layers: what the losses look at.
        height, width: of the image, in pixels.
        margins: pixels by which it is mirrored outward for blocks 1 and 2 and from block 3 on; heads and statistics do
            without.
    """
    wanted = {*content_layers, *style_layers}
    forward = 0
    for layer in layers_up_to(shapes, wanted):
        stride = 2 ** (int(layer[5]) - 1)
        margin = margins[stride >= 4]
        rows, columns = -(-(height + 2 * margin) // stride), -(-(width + 2 * margin) // stride)
        kernels = [shapes[name] for part in PARTS if (name := f"{layer}_{part}") in shapes]
        forward += 2 * rows * columns * sum(map(math.prod, kernels))
        if layer not in wanted:
            continue
        positions = -(-height // stride) * -(-width // stride)
        head = shapes.get(f"{layer}_head_kernel", ())
        forward += 2 * positions * math.prod(head) if head else 0
        forward += 2 * positions * (head or kernels[-1])[-1] ** 2 if layer in style_layers else 0
    return 2 * forward


def random_weights() -> Weights:
    """Of VGG-19's shape, down to the deepest layer of the default losses; a step takes as long as with real ones."""
    random, channels, parameters = np.random.default_rng(0), 3, {}
    for layer, filters in CONVOLUTIONS.items():
        kernel = random.standard_normal((3, 3, channels, filters), np.float32)
        scale = math.sqrt(2 / (9 * channels))  # keeps activations of one size
        parameters[f"{layer}_kernel"] = kernel * np.float32(scale)
        parameters[f"{layer}_bias"] = np.zeros(filters, np.float32)
        channels = filters
        if layer == "block5_conv1":
            break
    return Weights(parameters, (0.485, 0.456, 0.406), 4.0)


def find_weights(network: str) -> tuple[Weights, str]:
    """A network's weights, without a download, and what they are."""
    if network == "compact":
        return sources.compact(), "in the package"
    if sources.find_vgg19():
        return sources.imagenet(), "ImageNet"
    return random_weights(), "random"


def pictures(size: int, count: int) -> list[np.ndarray]:
    """Squares of noise, float32 (1, size, size, 3) in [0, 1]: a step takes as long as with real ones."""
    return list(np.random.default_rng(1).random((count, 1, size, size, 3), np.float32))


class Ours:
    """Steps of `StyleTransfer` with the default settings, at one scale, as a run takes them."""

    def __init__(self, network: str, precision: str, size: int):
        from nst.features import Network, margins
        from nst.transfer import StyleTransfer

        weights, kind = find_weights(network)
        settings = Settings(size=size, min_scale=size, steps=(10000,))
        transfer = StyleTransfer(Network(network, weights, precision=precision))
        content, style = pictures(size, 2)
        self._frames, self._steps = transfer.stylize(content, [style], settings), 0
        shapes = {name: array.shape for name, array in weights.parameters.items()}
        layers = settings.content_layers, settings.style_layers
        self.facts = {"weights": kind, "flops": step_flops(shapes, *layers, size, size, margins(settings.padding))}

    def turn(self) -> float:
        """Seconds a step."""
        began, before = time.perf_counter(), self._steps
        while time.perf_counter() - began < TURN or self._steps == before:
            self._steps = next(self._frames).step
        return (time.perf_counter() - began) / (self._steps - before)


class Plain:
    """Steps of the tutorials' program, in Keras or PyTorch."""

    def __init__(self, network: str, precision: str, size: int, framework: str):
        weights, kind = find_weights(network)
        settings = Settings()
        content, style = pictures(size, 2)
        shares = dict.fromkeys(settings.style_layers, 1 / len(settings.style_layers))
        loss_weights = 1e-6, 1.0, 1.0
        if framework == "keras":
            from nst.bench.plain import KerasPlain

            plain = KerasPlain(weights, content, style, settings.content_layers, shares, loss_weights)
            self._step: Callable[[], Any] = lambda: float(plain.step()["total"])
        else:
            from nst.bench.plain_torch import stepper

            self._step = stepper(weights, content, style, settings.content_layers, shares, loss_weights, precision)
        self.facts = {"weights": kind}

    def turn(self) -> float:
        """Seconds a step."""
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < TURN or not steps:
            self._step()
            steps += 1
        return (time.perf_counter() - began) / steps


class Peak:
    """The most that this machine's products reach in one precision: of a few matrices, and of a large convolution."""

    def __init__(self, precision: str):
        import tensorflow as tf

        from nst.machine import has_fast_bfloat16

        if precision == "auto":
            precision = "bfloat16" if has_fast_bfloat16() else "float32"
        self._precision = precision
        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
        self.facts = {"gpu": ", ".join(names), "precision": precision}

    def turn(self) -> float:
        """Floating-point operations a second."""
        best = 0.0
        for side in (2048, 4096, 8192):
            rate, seconds = self._rate((side, side), (side, side), 2 * side**3)
            best = max(best, rate)
            if seconds > 0.05:
                break
        return max(best, self._rate((4, 128, 128, 256), (3, 3, 256, 256), 2 * 4 * 128 * 128 * 9 * 256**2)[0])

    def _rate(self, left: tuple[int, ...], right: tuple[int, ...], flops: int) -> tuple[float, float]:
        """The best of several, in operations a second, and its seconds."""
        import tensorflow as tf

        a, b = (tf.cast(tf.random.normal(shape), self._precision) for shape in (left, right))
        product = tf.matmul if len(left) == 2 else lambda a, b: tf.nn.conv2d(a, b, 1, "SAME")
        # One number is read, or a GPU would still be at it.
        compiled = tf.function(lambda: tf.reshape(product(a, b), (-1,))[0])
        float(compiled())
        began, seconds, times = time.perf_counter(), math.inf, 0
        while times < 3 or time.perf_counter() - began < TURN:
            start = time.perf_counter()
            float(compiled())
            seconds, times = min(seconds, time.perf_counter() - start), times + 1
        return flops / seconds, seconds


def contender(kind: str, precision: str, network: str = "", size: int = 0) -> Any:
    """`kind` is "ours", "keras", "torch" or "peak"."""
    if kind == "peak":
        return Peak(precision)
    return Ours(network, precision, size) if kind == "ours" else Plain(network, precision, size, kind)


def memory() -> int | None:
    """Peak bytes: of the GPU if TensorFlow uses one, else of this process."""
    tf = sys.modules.get("tensorflow")
    if tf and tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_memory()


def main(spec: str) -> None:
    """Serve turns until the input ends."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print do not disturb

    def tell(**facts: Any) -> None:
        told.write(json.dumps(facts) + "\n")

    try:
        chosen = contender(**json.loads(spec))
        tell(**chosen.facts)
        for _ in sys.stdin:
            tell(turn=chosen.turn())
        tell(memory=memory())
    except Exception as error:  # whatever went wrong is the parent's to tell
        tell(error=f"{type(error).__name__}: {error}"[:200])
    told.close()


if __name__ == "__main__":
    main(sys.argv[1])
