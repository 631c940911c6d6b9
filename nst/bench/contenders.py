"""The programs that `bench` measures, each in its own process to measure its memory.

`python -m nst.bench.contenders SPEC` writes a line of JSON when it is ready.  It then takes a turn for each line on
standard input and writes the result; when the input ends, it writes its peak memory.
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
from nst.weights import CONVOLUTIONS, PARTS, Weights, layers_up_to, stride_of

TURN_SECONDS = 0.6  # at least: the first step of a turn finds other contenders' data in the caches


def step_flops(
    shapes: Mapping[str, tuple[int, ...]],
    content_layers: Collection[str],
    style_layers: Collection[str],
    height: int,
    width: int,
    margin: int = 0,
) -> int:
    """Floating-point operations per step: forward, and the gradient to the image, which costs the same.

    Counts the convolutions and the C×C products of the style statistics, a multiply-add as two.  Anything else that a
    program does, such as padding or pooling, does not count.

    Args:
        shapes: of the kernels, "block1_conv1_kernel" -> (3, 3, in, out), including heads and low-rank layers.
        content_layers, style_layers: the layers that the losses use.
        height, width: of the image, in pixels.
        margin: pixels of reflection around the image; heads and statistics exclude them.
    """
    wanted = {*content_layers, *style_layers}
    forward = 0
    for layer in layers_up_to(shapes, wanted):
        stride = stride_of(layer)
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
    """VGG-19's shape, down to the deepest layer of the default losses; a step takes as long as with real weights."""
    random, channels, parameters = np.random.default_rng(0), 3, {}
    for layer, filters in CONVOLUTIONS.items():
        kernel = random.standard_normal((3, 3, channels, filters), np.float32)
        scale = math.sqrt(2 / (9 * channels))  # keeps the variance of the activations constant
        parameters[f"{layer}_kernel"] = kernel * np.float32(scale)
        parameters[f"{layer}_bias"] = np.zeros(filters, np.float32)
        channels = filters
        if layer == "block5_conv1":
            break
    return Weights(parameters, (0.485, 0.456, 0.406), 4.0)


def find_weights(network: str) -> tuple[Weights, str]:
    """A network's weights, without a download, and their origin: "in the package", "ImageNet" or "random"."""
    if network == "compact":
        return sources.compact(), "in the package"
    if sources.find_vgg19():
        return sources.imagenet(), "ImageNet"
    return random_weights(), "random"


def noise_images(size: int, count: int) -> list[np.ndarray]:
    """Noise, float32 (1, size, size, 3) in [0, 1]; a step takes as long as with real pictures."""
    return list(np.random.default_rng(1).random((count, 1, size, size, 3), np.float32))


class Ours:
    """Steps of `StyleTransfer` with the default settings, at one scale."""

    def __init__(self, network: str, precision: str, size: int):
        from nst.features import Network
        from nst.transfer import StyleTransfer

        weights, kind = find_weights(network)
        settings = Settings(size=size, min_scale=size, steps=(10000,))
        transfer = StyleTransfer(Network(network, weights, precision=precision))
        content, style = noise_images(size, 2)
        self._frames, self._steps = transfer.stylize(content, [style], settings), 0
        shapes = {name: array.shape for name, array in weights.parameters.items()}
        layers = settings.content_layers, settings.style_layers
        self.info = {"weights": kind, "flops": step_flops(shapes, *layers, size, size, settings.padding)}

    def turn(self) -> float:
        """Seconds per step."""
        began, before = time.perf_counter(), self._steps
        while time.perf_counter() - began < TURN_SECONDS or self._steps == before:
            self._steps = next(self._frames).step
        return (time.perf_counter() - began) / (self._steps - before)


class Plain:
    """Steps of the tutorials' program, in Keras or PyTorch."""

    def __init__(self, network: str, precision: str, size: int, framework: str):
        weights, kind = find_weights(network)
        settings = Settings()
        content, style = noise_images(size, 2)
        style_layers = dict.fromkeys(settings.style_layers, 1 / len(settings.style_layers))
        loss_weights = 1e-6, 1.0, 1.0
        if framework == "keras":
            from nst.bench.plain import KerasPlain

            plain = KerasPlain(weights, content, style, settings.content_layers, style_layers, loss_weights)
            self._step: Callable[[], Any] = lambda: float(plain.step()["total"])
        else:
            from nst.bench.plain_torch import make_step

            self._step = make_step(
                weights, content, style, settings.content_layers, style_layers, loss_weights, precision
            )
        self.info = {"weights": kind}

    def turn(self) -> float:
        """Seconds per step."""
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < TURN_SECONDS or not steps:
            self._step()
            steps += 1
        return (time.perf_counter() - began) / steps


class Peak:
    """This machine's peak throughput in one precision: the best of several matrix products and a large convolution."""

    def __init__(self, precision: str):
        import tensorflow as tf

        from nst.machine import has_fast_bfloat16

        if precision == "auto":
            precision = "bfloat16" if has_fast_bfloat16() else "float32"
        self._precision = precision
        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
        self.info = {"gpu": ", ".join(names), "precision": precision}

    def turn(self) -> float:
        """Floating-point operations per second."""
        best = 0.0
        for side in (2048, 4096, 8192):
            rate, seconds = self._throughput((side, side), (side, side), 2 * side**3)
            best = max(best, rate)
            if seconds > 0.05:
                break
        return max(best, self._throughput((4, 128, 128, 256), (3, 3, 256, 256), 2 * 4 * 128 * 128 * 9 * 256**2)[0])

    def _throughput(self, left: tuple[int, ...], right: tuple[int, ...], flops: int) -> tuple[float, float]:
        """Operations per second of the fastest of several runs, and its seconds."""
        import tensorflow as tf

        a, b = (tf.cast(tf.random.normal(shape), self._precision) for shape in (left, right))
        product = tf.matmul if len(left) == 2 else lambda a, b: tf.nn.conv2d(a, b, 1, "SAME")
        # Reads one number back, to wait for the GPU.
        compiled = tf.function(lambda: tf.reshape(product(a, b), (-1,))[0])
        float(compiled())
        began, seconds, times = time.perf_counter(), math.inf, 0
        while times < 3 or time.perf_counter() - began < TURN_SECONDS:
            start = time.perf_counter()
            float(compiled())
            seconds, times = min(seconds, time.perf_counter() - start), times + 1
        return flops / seconds, seconds


def contender(kind: str, precision: str, network: str = "", size: int = 0) -> Any:
    """`kind` is "ours", "keras", "torch" or "peak"."""
    if kind == "peak":
        return Peak(precision)
    return Ours(network, precision, size) if kind == "ours" else Plain(network, precision, size, kind)


def peak_memory_bytes() -> int | None:
    """Peak memory in bytes: of the GPU if TensorFlow uses one, else of this process."""
    tf = sys.modules.get("tensorflow")
    if tf and tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_memory()


def main(spec: str) -> None:
    """Take turns until the input ends."""
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error

    def send(**message: Any) -> None:
        output.write(json.dumps(message) + "\n")

    try:
        chosen = contender(**json.loads(spec))
        send(**chosen.info)
        for _ in sys.stdin:
            send(turn=chosen.turn())
        send(memory=peak_memory_bytes())
    except Exception as error:  # the parent process reports it
        send(error=f"{type(error).__name__}: {error}"[:200])
    output.close()


if __name__ == "__main__":
    main(sys.argv[1])
