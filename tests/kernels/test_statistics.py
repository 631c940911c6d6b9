"""Products over positions, against float64."""

import numpy as np
import pytest
import tensorflow as tf

from nst import machine
from nst.kernels.statistics import add_offset, affine, mean, mean_product

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(2, 3), (32, 32), (37, 41), (64, 33)], ids=["few", "one chunk", "a rest", "chunks"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 3e-3)])
def test_means_of_products(size, dtype, tolerance):
    if dtype == "bfloat16" and not machine.has_fast_bfloat16():
        pytest.skip("This machine rounds partial sums to bfloat16.")
    features = tf.cast(RANDOM.normal(size=(2, *size, 5)), dtype)
    exact = tf.cast(features, tf.float64).numpy().reshape(2, -1, 5)
    products = np.einsum("bnc,bnd->bcd", exact, exact) / exact.shape[1]
    assert np.linalg.norm(mean_product(features) - products) < tolerance * np.linalg.norm(products)
    np.testing.assert_allclose(mean(features), exact.mean(axis=1), atol=tolerance)


def test_affine_and_add_offset():
    features, matrix, offset = RANDOM.random((2, 3, 4, 5)), RANDOM.random((2, 5, 6)), RANDOM.random((2, 6))
    single = [tf.constant(array, tf.float32) for array in (features, matrix, offset)]
    expected = np.einsum("bhwc,bcd->bhwd", features, matrix) + offset[:, None, None]
    np.testing.assert_allclose(affine(*single), expected, rtol=1e-5)
    np.testing.assert_allclose(add_offset(single[0], single[2][:, :5]), features + offset[:, None, None, :5], rtol=1e-6)
