"""Winograd's convolutions against ordinary ones."""

import math

import numpy as np
import pytest
import tensorflow as tf

from nst import machine
from nst.bench.contenders import random_weights
from nst.features import Network
from nst.kernels import winograd
from nst.kernels.winograd import POINTS, ROTATED, Convolution, transforms
from nst.weights import compact
from tests import toy

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("points", [POINTS, ROTATED, (0, 1, -1, math.inf), (3, math.inf, 0.5)])
def test_a_row_of_products_is_a_correlation(points):
    inputs, filters, outputs = transforms(points)
    row, kernel = RANDOM.normal(size=len(points)), RANDOM.normal(size=3)
    expected = np.correlate(row, kernel, "valid")
    np.testing.assert_allclose(outputs @ ((filters @ kernel) * (inputs @ row)), expected, rtol=1e-9, atol=1e-12)


def test_the_transforms_are_exact_in_bfloat16():
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    exact, rounded = Convolution(kernel, "float64"), Convolution(kernel, "bfloat16")
    for ours, theirs in zip((*exact._forward, *exact._backward), (*rounded._forward, *rounded._backward), strict=True):
        np.testing.assert_array_equal(tf.cast(theirs, tf.float64), ours)


# 1 × 1 is less than a tile, 8 × 4 is whole tiles, 13 × 6 leaves one and two rows over.
@pytest.mark.parametrize("size", [(1, 1), (8, 4), (13, 6)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("bfloat16", 0.05)])
def test_it_is_an_ordinary_convolution_and_so_is_its_gradient(size, dtype, tolerance):
    kernel = RANDOM.normal(size=(3, 3, 24, 16)).astype(np.float32)
    image = tf.cast(RANDOM.random((2, *size, 24)), dtype)
    by_result = tf.cast(RANDOM.normal(size=(2, *size, 16)), dtype)

    def result_and_gradient(convolution, image, by_result):
        with tf.GradientTape() as tape:
            tape.watch(image)
            result = convolution(image)
        return result, tape.gradient(result, image, by_result)

    exact = [tf.cast(each, tf.float64) for each in (image, by_result)]
    expected = result_and_gradient(lambda x: tf.nn.conv2d(x, tf.cast(kernel, tf.float64), 1, "SAME"), *exact)
    for ours, theirs in zip(result_and_gradient(Convolution(kernel, dtype), image, by_result), expected, strict=True):
        assert ours.dtype == dtype and ours.shape == theirs.shape
        assert np.linalg.norm(tf.cast(ours, tf.float64) - theirs) < tolerance * np.linalg.norm(theirs)


def test_it_compiles_once_for_every_size():
    convolution = Convolution(RANDOM.normal(size=(3, 3, 2, 3)).astype(np.float32), "float32")
    compiled = tf.function(convolution, input_signature=[tf.TensorSpec((1, None, None, 2))])
    for size in ((5, 9), (12, 7)):
        image = tf.constant(RANDOM.random((1, *size, 2)), tf.float32)
        assert compiled(image).shape == (1, *size, 3)
        np.testing.assert_allclose(compiled(image), convolution(image), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("gpus", "flags", "quick"),
    [
        (["gpu"], set(), ()),
        ([], {"avx2"}, ("float32", "bfloat16")),
        ([], {"avx512_bf16"}, ("float32", "bfloat16")),
        ([], {"avx512_bf16", "amx_bf16"}, ("float32",)),
    ],
    ids=["GPU", "AVX2", "AVX512", "AMX"],
)
def test_wide_layers_take_it_where_multiplying_takes_longest(monkeypatch, precision, gpus, flags, quick):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _gpu: {"compute_capability": (9, 0)})
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    deep = {f"block4_conv{i}" for i in (1, 2, 3)} | {"block5_conv1"}
    wide = {
        "compact": deep,
        "vgg19": deep | {"block2_conv2", "block4_conv4"} | {f"block3_conv{i}" for i in (1, 2, 3, 4)},
    }
    for name, weights in (("compact", compact()), ("vgg19", random_weights())):
        network = Network(name, weights, precision=precision)
        layers = network._convolutions.items()
        taken = {layer for layer, parts in layers if any(isinstance(part, Convolution) for part in parts)}
        assert taken == (wide[name] if precision in quick else set())


def test_vgg19_sees_the_same_by_it(monkeypatch):
    weights, image = random_weights(), tf.constant(toy.picture(40, 52))
    layers = {"block2_conv2", "block4_conv2", "block5_conv1"}
    monkeypatch.setattr(machine, "is_compute_bound", lambda _precision: True)
    ours = Network("vgg19", weights)(image, layers, margin=16)
    monkeypatch.setattr(winograd, "MIN_CHANNELS", 1000)
    theirs = Network("vgg19", weights)(image, layers, margin=16)
    for layer in layers:
        np.testing.assert_allclose(
            ours[layer], theirs[layer], rtol=1e-3, atol=1e-4 * float(tf.reduce_max(theirs[layer]))
        )
