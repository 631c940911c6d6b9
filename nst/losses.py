"""Content, style and total-variation losses: pure functions of tensors (Gatys, Ecker and Bethge 2015, section 2).

To add a term, see docs/adding-a-loss.md.
"""

from typing import Any

import tensorflow as tf

from nst.kernels.statistics import add_offset, affine, mean, mean_product, position_count
from nst.machine import has_fast_bfloat16

EPSILON = 1e-6  # avoids division by zero, and an infinite gradient of the square root
# Relative losses divide by how much their target varies, which is almost nothing for a sheet of one color.  So divisors
# are at least these multiples of the squared mean.  Nearly all of 50 photos and paintings, at 128 and 512 px, had more:
MIN_COVARIANCE = 0.1  # ‖Σ‖ / ‖μ‖² was 0.04 to 1.6 and mostly above 0.3, by layer
MIN_ENERGY = 1.0  # mean ‖P − P̄‖² / ‖P̄‖² was 1.2 to 4.9 in block4_conv2

Statistics = tuple[tf.Tensor, ...]  # statistics of a style layer: (Gram matrix,) or (covariance, mean)


@tf.custom_gradient
def gram_matrix(features: tf.Tensor) -> Any:
    """Correlations between filter responses, averaged over positions (Gatys et al. 2015, eq. 3).

    Args:
        features: float (B, H, W, C) activations of one layer; B is static.

    Returns:
        float32 (B, C, C).  Divided by H·W, unlike the paper, so that pictures of different sizes compare.
    """

    def gradient(d_gram: tf.Tensor) -> tf.Tensor:
        return affine(features, _symmetric(d_gram, features), tf.zeros_like(d_gram[:, 0]))

    return mean_product(features), gradient


@tf.custom_gradient
def covariance(features: tf.Tensor) -> Any:
    """Covariance and mean of the filter responses over positions: the Gram matrix, separated into two parts.

    G = Σ + μμᵀ.  Activations are never negative, so μμᵀ is most of G's norm and would hide Σ, which describes the
    strokes.

    Args:
        features: float (B, H, W, C) activations of one layer; B is static.

    Returns:
        float32 covariance (B, C, C) and mean (B, C).
    """
    average = mean(features)
    # Subtract the mean before the product: in bfloat16, FᵀF/(HW) − μμᵀ would lose two of three digits.
    matrix = mean_product(add_offset(features, -average))

    def gradient(d_covariance: tf.Tensor, d_mean: tf.Tensor) -> tf.Tensor:
        # (F − μ) S + dμ/(HW) at each position.  Half the work of TensorFlow's own gradient, which does not know that
        # the covariance is symmetric.
        symmetric = _symmetric(d_covariance, features)
        return affine(features, symmetric, d_mean / position_count(features) - tf.linalg.matvec(symmetric, average))

    return (matrix, average), gradient


def style_statistics(features: tf.Tensor, kind: str, guide: tf.Tensor | None = None) -> Statistics:
    """The statistics of a layer that the style loss compares.  To blend paintings, average these tensors.

    Args:
        features: float (B, H, W, C); cast to float32 where this machine cannot multiply bfloat16 well.
        kind: "covariance" gives (covariance, mean); "gram" gives (Gram matrix,).
        guide: weights w of positions, float32 (1, H, W, 1) of mean 1: the guided Gram matrix of Gatys et al. 2016
            (arXiv:1611.07865, eq. 5 and 6) with T = √(w/HW), and the weighted covariance and mean likewise.
    """
    if not has_fast_bfloat16():
        features = tf.cast(features, tf.float32)
    if guide is None:
        return covariance(features) if kind == "covariance" else (gram_matrix(features),)
    weights = tf.cast(guide, features.dtype)
    root = tf.sqrt(weights)
    if kind == "gram":
        return (gram_matrix(features * root),)
    average = tf.reduce_mean(tf.cast(features * weights, tf.float32), axis=(1, 2))
    centered = features - tf.cast(average[:, tf.newaxis, tf.newaxis], features.dtype)
    return gram_matrix(centered * root), average


def content_loss(features: tf.Tensor, target: tf.Tensor, weights: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Weighted squared error between the activations F of a layer and the photo's, P: ½ Σ w (F−P)².

    Args:
        features, target: float (B, H, W, C).
        weights: w per position, from `content_weights`; 1 gives Gatys et al. 2015, eq. 1.

    Returns:
        float32 scalar.
    """
    difference = tf.cast(features, tf.float32) - tf.cast(target, tf.float32)
    return tf.reduce_sum(weights * tf.reduce_sum(tf.square(difference), axis=-1, keepdims=True)) / 2


def content_weights(target: tf.Tensor, normalization: str, focus: float, visible: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Weight of each position in the content loss of a layer, float32 (B, H, W, 1), or one for all, (1, 1, 1, 1).

    Args:
        target: P, the photo's activations, float (B, H, W, C).
        normalization: "relative": scale the loss to 1 for a layer that has the channel means everywhere, so that it is
            dimensionless; "paper": all weights are 1.
        focus: 0: all positions weigh the same; 1: each weighs as the energy of P − mean P around it, so that a flat
            sky is left to the painting and houses stay.
        visible: share of each position that counts, float32 (1, H, W, 1).
    """
    if normalization == "paper":
        return visible * tf.ones((1, 1, 1, 1))
    average = tf.reduce_mean(tf.cast(target, tf.float32), axis=(1, 2), keepdims=True)
    return weights_by_energy(energy(target, average), average, focus, visible)


def energy(target: tf.Tensor, average: tf.Tensor) -> tf.Tensor:
    """Squared distance of each position's activations from the average (B, 1, 1, C): float32 (B, H, W, 1)."""
    return tf.reduce_sum(tf.square(tf.cast(target, tf.float32) - average), axis=-1, keepdims=True) + EPSILON


def weights_by_energy(
    energy: tf.Tensor, average: tf.Tensor, focus: float, visible: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """`content_weights`, "relative", from the energy at each position of the whole layer."""
    smoothed = tf.nn.avg_pool2d(energy, 3, 1, "SAME")
    weights = visible * (1 - focus + focus * smoothed / tf.reduce_mean(smoothed, axis=(1, 2), keepdims=True))
    least = MIN_ENERGY * tf.reduce_sum(tf.square(average), axis=-1, keepdims=True)
    return 2 * weights / tf.maximum(tf.reduce_sum(weights * energy), tf.reduce_sum(weights * least))


def style_loss(statistics: Statistics, target: Statistics, normalization: str) -> tf.Tensor:
    """Difference between the style statistics of a layer and the painting's.

    Args:
        statistics, target: from `style_statistics`, of the same kind.
        normalization: "relative": √ Σ ‖A−Aₛ‖² / ‖Aₛ‖² over the statistics A, dimensionless.  Unlike the paper, we take
            the root: a squared error has almost no gradient once it is small, and its last tenth makes the strokes.
            ‖Σₛ‖ counts as MIN_COVARIANCE ‖μₛ‖² at least.
            "paper": ‖G−Gₛ‖² / (4C²), Gatys et al. 2015, eq. 4, with G already divided by H·W.

    Returns:
        float32 scalar.
    """
    errors = [tf.reduce_sum(tf.square(ours - theirs)) for ours, theirs in zip(statistics, target, strict=True)]
    if normalization == "paper":
        return errors[0] / (4 * tf.cast(tf.shape(target[0])[-1], tf.float32) ** 2)
    squares = [tf.reduce_sum(tf.square(theirs)) for theirs in target]
    if len(squares) == 2:  # covariance and mean
        squares[0] = tf.maximum(squares[0], tf.square(MIN_COVARIANCE * squares[1]))
    return tf.sqrt(tf.add_n([error / (square + EPSILON) for error, square in zip(errors, squares)]) + EPSILON)


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighboring pixels, vertical plus horizontal; image float32 (B, H, W, 3) in [0, 1]."""
    batch, height, width, colors = tf.unstack(tf.shape(image))
    # Slices of a 3-D tensor, not image[:, 1:]: on a CPU the gradient takes a seventh of the time.
    rows = tf.reshape(image, (batch, height, width * colors))
    down, across = (batch, height - 1, width * colors), (batch, height, (width - 1) * colors)
    return _mean_square(tf.slice(rows, (0, 1, 0), down) - tf.slice(rows, (0, 0, 0), down)) + _mean_square(
        tf.slice(rows, (0, 0, colors), across) - tf.slice(rows, (0, 0, 0), across)
    )


def temporal_loss(image: tf.Tensor, previous: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted mean squared difference from the frame before (Ruder et al. 2016, arXiv:1604.08610, eq. 7).

    Args:
        image, previous: float32 (1, H, W, 3) in [0, 1]; the frame before is warped to where things are now.
        weights: float32 (1, H, W, 1) in [0, 1]: how certain that is.
    """
    return tf.reduce_mean(weights * tf.square(image - previous))


def evened(gradient: tf.Tensor, grey: tf.Tensor) -> tf.Tensor:
    """A gradient (B, H, W, 3), the same for each color if `grey`, bool: an image of grey pictures stays grey."""
    mean = tf.broadcast_to(tf.reduce_mean(gradient, axis=-1, keepdims=True), tf.shape(gradient))
    return tf.where(grey, mean, gradient)


def _mean_square(x: tf.Tensor) -> tf.Tensor:
    # divide_no_nan: an image one pixel high has no vertical neighbors.
    return tf.math.divide_no_nan(2 * tf.nn.l2_loss(x), tf.cast(tf.size(x), tf.float32))


def _symmetric(d_matrix: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """S = (D + Dᵀ)/(HW): the gradient with respect to F is F S, where D (B, C, C) is that by FᵀF/(HW)."""
    return (d_matrix + tf.linalg.matrix_transpose(d_matrix)) / position_count(features)
