"""The formulas, against numbers worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from nst.losses import (
    content_loss,
    content_weights,
    covariance,
    gram_matrix,
    style_loss,
    style_statistics,
    total_variation,
)

# Four positions, two filters: F = [[1, 0], [1, 2], [3, 0], [3, 2]].
FEATURES = tf.constant([[[[1.0, 0.0], [1.0, 2.0]], [[3.0, 0.0], [3.0, 2.0]]]])


def test_gram_matrix():
    # FᵀF = [[1+1+9+9, 2+6], [2+6, 4+4]] = [[20, 8], [8, 8]], over 4 positions.
    np.testing.assert_allclose(gram_matrix(FEATURES), [[[5, 2], [2, 2]]])


def test_covariance_is_the_gram_matrix_without_the_means():
    matrix, mean = covariance(FEATURES)
    np.testing.assert_allclose(mean, [[2, 1]])
    np.testing.assert_allclose(matrix, [[[1, 0], [0, 1]]])  # [[5, 2], [2, 2]] − [2, 1]ᵀ[2, 1]


def test_gradient_of_the_covariance_is_what_tensorflow_would_find():
    random = np.random.default_rng(0)
    features = tf.constant(random.random((2, 3, 5, 4)), tf.float32)
    weights = tf.constant(random.random((2, 4, 4)), tf.float32), tf.constant(random.random((2, 4)), tf.float32)

    def plain(features):
        mean = tf.reduce_mean(features, axis=(1, 2))
        return gram_matrix(features - mean[:, None, None]), mean

    gradients = []
    for function in (covariance, plain):
        with tf.GradientTape() as tape:
            tape.watch(features)
            total = tf.add_n([tf.reduce_sum(w * part) for w, part in zip(weights, function(features), strict=True)])
        gradients.append(tape.gradient(total, features))
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_gradient_of_the_gram_matrix_by_hand():
    # d(w G₀₀)/dF = 2 w F₀ / 4 for the first filter.
    with tf.GradientTape() as tape:
        tape.watch(FEATURES)
        total = 6 * gram_matrix(FEATURES)[0, 0, 0]
    np.testing.assert_allclose(tape.gradient(total, FEATURES)[..., 0], 3 * FEATURES[..., 0])


def test_statistics_do_not_depend_on_the_size_of_the_picture():
    tiled = tf.tile(FEATURES, (1, 3, 5, 1))
    for kind in ("gram", "covariance"):
        for one, many in zip(style_statistics(FEATURES, kind), style_statistics(tiled, kind), strict=True):
            np.testing.assert_allclose(one, many, rtol=1e-6)


def test_content_loss():
    target = FEATURES - (1.5, 0.5)  # four positions, each off by 1.5 and 0.5
    assert float(content_loss(FEATURES, target)) == 4 * (2.25 + 0.25) / 2
    assert np.all(content_weights(target, "paper", 1.0) == np.ones((1, 2, 2, 1)))
    # About its means (0.5, 0.5): first filter 4 · 1, second 4 · 1.
    weights = content_weights(target, "relative", 0.0)
    np.testing.assert_allclose(weights, np.full((1, 2, 2, 1), 2 / 8), rtol=1e-5)
    assert float(content_loss(FEATURES, target, weights)) == pytest.approx(10 / 8, rel=1e-5)


def test_content_counts_where_the_photo_has_some():
    photo = np.zeros((1, 3, 12, 2), np.float32)
    photo[:, :, :2, 0] = 6  # its mean is 1: an energy of 25 at each of the first two columns, and 1 elsewhere
    mean = np.broadcast_to(photo.mean(axis=(1, 2), keepdims=True), photo.shape)
    uniform, focused, half = (content_weights(tf.constant(photo), "relative", focus) for focus in (0.0, 1.0, 0.5))
    for weights in (uniform, focused, half):
        assert float(content_loss(mean, photo, weights)) == pytest.approx(1, rel=1e-5)
    rows = focused[0, :, :, 0].numpy() / focused[0, 0, -1, 0].numpy()
    np.testing.assert_allclose(rows, np.tile([25, 17, 9] + [1] * 9, (3, 1)), rtol=1e-5)  # averaged over 3 × 3
    assert uniform[0, 0, 0, 0] < half[0, 0, 0, 0] < focused[0, 0, 0, 0]


def test_style_loss_of_the_paper():
    # G = [[5, 2], [2, 2]] against 0: ‖G‖² = 25 + 4 + 4 + 4 = 37; over 4 C² = 16.  With raw Gram matrices (4 · G) and
    # the paper's 1 / (4 C² (HW)²) it is the same: 37 · 16 / (16 · 16).
    statistics = style_statistics(FEATURES, "gram")
    nothing = (tf.zeros((1, 2, 2)),)
    assert float(style_loss(statistics, nothing, "paper")) == pytest.approx(37 / 16)


def test_relative_style_losses():
    doubled = style_statistics(2 * FEATURES, "gram")  # 4 G: ‖G − 4G‖ / ‖4G‖ = 3 / 4
    assert float(style_loss(style_statistics(FEATURES, "gram"), doubled, "relative")) == pytest.approx(3 / 4)
    doubled = style_statistics(2 * FEATURES, "covariance")  # (1 − 4)² / 4² of Σ and (1 − 2)² / 2² of μ
    ours = style_statistics(FEATURES, "covariance")
    assert float(style_loss(ours, doubled, "relative")) == pytest.approx((9 / 16 + 1 / 4) ** 0.5)


def test_losses_are_zero_at_the_target():
    for kind in ("gram", "covariance"):
        statistics = style_statistics(FEATURES, kind)
        assert float(style_loss(statistics, statistics, "relative")) == pytest.approx(0, abs=1e-2)
    assert float(content_loss(FEATURES, FEATURES)) == 0


def test_a_target_of_one_color_counts_by_its_mean():
    flat = tf.ones((1, 2, 2, 2))  # ‖P̄‖² is 2, at four positions
    weights = content_weights(flat, "relative", 1.0)
    np.testing.assert_allclose(weights, np.full((1, 2, 2, 1), 2 / 8), rtol=1e-5)
    # Σ is 0 and counts as 0.1 ‖μ‖² = 0.2: ‖I‖² / 0.2² + ((2 − 1)² + (1 − 1)²) / 2.
    target = style_statistics(flat, "covariance")
    loss = style_loss(style_statistics(FEATURES, "covariance"), target, "relative")
    assert float(loss) == pytest.approx((2 / 0.04 + 1 / 2) ** 0.5, rel=1e-3)
    nothing = style_statistics(tf.zeros((1, 2, 2, 2)), "covariance")
    assert np.isfinite(style_loss(style_statistics(FEATURES, "covariance"), nothing, "relative"))


def test_total_variation_of_a_checkerboard():
    board = np.indices((4, 6)).sum(axis=0) % 2  # every neighbor differs by 1, in each direction
    assert float(total_variation(tf.constant(np.stack([board] * 3, -1)[None], tf.float32))) == pytest.approx(2)


def test_total_variation_of_one_row():
    row = tf.constant([[[[0.0] * 3, [1.0] * 3, [0.0] * 3]]])
    assert float(total_variation(row)) == pytest.approx(1)


def test_covariance_in_bfloat16_keeps_its_digits():
    random = np.random.default_rng(0)
    features = tf.constant(random.random((1, 40, 50, 16)) + 3.0, tf.float32)  # means large beside the spread
    exact, rounded = (style_statistics(x, "covariance")[0] for x in (features, tf.cast(features, tf.bfloat16)))
    assert tf.norm(exact - rounded) / tf.norm(exact) < 0.02


def test_the_style_loss_in_bfloat16_is_near_float64s():
    random = np.random.default_rng(0)
    ours, theirs = (tf.constant(random.gamma(1, scale, (1, 70, 50, 16)), tf.float32) for scale in (1.0, 1.1))

    def exact(features):
        rows = tf.cast(features, tf.float64).numpy().reshape(-1, 16)
        return np.cov(rows.T, bias=True), rows.mean(axis=0)

    errors = [np.sum((a - b) ** 2) / np.sum(b**2) for a, b in zip(exact(ours), exact(theirs))]
    rounded = (style_statistics(tf.cast(features, tf.bfloat16), "covariance") for features in (ours, theirs))
    assert float(style_loss(*rounded, "relative")) == pytest.approx(sum(errors) ** 0.5, rel=0.01)
