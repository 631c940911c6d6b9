"""Content, style and total-variation losses: pure functions of tensors (Gatys, Ecker and Bethge 2015, section 2).

To add a term: write it here, give it a weight in `settings.Settings` and in its `loss_weights`, and add it to the sum
in `transfer.StyleTransfer._losses_and_gradient`.
"""

from typing import Any

import tensorflow as tf

from nst.kernels.statistics import mapped, mean, mean_product, positions, shifted
from nst.machine import has_fast_bfloat16

TINY = 1e-6  # keeps a flat target from dividing by zero, and the root's slope finite

Statistics = tuple[tf.Tensor, ...]  # what is compared of a style layer: (Gram,) or (covariance, mean)


@tf.custom_gradient
def gram_matrix(features: tf.Tensor) -> Any:
    """Correlations between filter responses, averaged over positions (Gatys et al. 2015, eq. 3).

    Args:
        features: float (B, H, W, C) activations of one layer; B is known when the graph is built.

    Returns:
        float32 (B, C, C).  Divided by H·W, unlike the paper, so that pictures of different sizes compare.
    """

    def gradient(by_gram: tf.Tensor) -> tf.Tensor:
        return mapped(features, _symmetric(by_gram, features), tf.zeros_like(by_gram[:, 0]))

    return mean_product(features), gradient


@tf.custom_gradient
def covariance(features: tf.Tensor) -> Any:
    """Covariance and mean of the filter responses over positions: the Gram matrix taken apart.

    Activations are never negative, so most of a Gram matrix's norm is the product of the means; with the means apart,
    the strokes count.

    Args:
        features: float (B, H, W, C) activations of one layer; B is known when the graph is built.

    Returns:
        float32 covariance (B, C, C) and mean (B, C).
    """
    average = mean(features)
    # Centered before the product: in bfloat16, FᵀF/(HW) − μμᵀ would lose two of its three digits.
    matrix = mean_product(shifted(features, -average))

    def gradient(by_covariance: tf.Tensor, by_mean: tf.Tensor) -> tf.Tensor:
        # (F − μ) S + dμ/(HW) at each position: half of what TensorFlow would do by itself, which does not know that
        # the covariance is symmetric.
        symmetric = _symmetric(by_covariance, features)
        return mapped(features, symmetric, by_mean / positions(features) - tf.linalg.matvec(symmetric, average))

    return (matrix, average), gradient


def style_statistics(features: tf.Tensor, kind: str) -> Statistics:
    """What is compared of a style layer, `kind` "covariance" or "gram"; each tensor of it blends linearly.

    Features as `covariance` takes them, in bfloat16 too: they are cast where this machine cannot multiply it well.
    """
    if not has_fast_bfloat16():
        features = tf.cast(features, tf.float32)
    return covariance(features) if kind == "covariance" else (gram_matrix(features),)


def content_loss(features: tf.Tensor, target: tf.Tensor, weights: tf.Tensor | float = 1.0) -> tf.Tensor:
    """How far the activations F of a layer are from the photo's, P: ½ Σ w (F−P)².

    Args:
        features, target: float (B, H, W, C).
        weights: w of each position, from `content_weights`; with 1 it is Gatys et al. 2015, eq. 1.

    Returns:
        float32 scalar.
    """
    difference = tf.cast(features, tf.float32) - tf.cast(target, tf.float32)
    return tf.reduce_sum(weights * tf.reduce_sum(tf.square(difference), axis=-1, keepdims=True)) / 2


def content_weights(target: tf.Tensor, normalization: str, focus: float) -> tf.Tensor:
    """What each position counts in a content layer's loss, float32 (B, H, W, 1).

    Args:
        target: P, the photo's activations, float (B, H, W, C).
        normalization: "relative": the loss is divided by that of a layer which gives each channel's mean everywhere,
            and so is a pure number; "paper": all weights are 1.
        focus: 0: all positions count the same; 1: each counts as the energy of P − mean P around it, so that a flat
            sky is left to the painting, and houses stay.
    """
    if normalization == "paper":
        return tf.ones((*target.shape[:1], *tf.unstack(tf.shape(target)[1:3]), 1))
    target = tf.cast(target, tf.float32)
    deviation = target - tf.reduce_mean(target, axis=(1, 2), keepdims=True)
    energy = tf.reduce_sum(tf.square(deviation), axis=-1, keepdims=True) + TINY
    around = tf.nn.avg_pool2d(energy, 3, 1, "SAME")
    weights = 1 - focus + focus * around / tf.reduce_mean(around, axis=(1, 2), keepdims=True)
    return weights / (tf.reduce_sum(weights * energy) / 2)


def style_loss(statistics: Statistics, target: Statistics, normalization: str) -> tf.Tensor:
    """How far the style statistics of a layer are from the painting's.

    Args:
        statistics, target: from `style_statistics`, of the same kind.
        normalization: "relative": √ Σ ‖A−Aₛ‖² / ‖Aₛ‖² over the statistics A, a pure number.  Its root is taken, unlike
            anywhere in the paper: a squared error hardly pulls once it is small, and the last tenth makes the strokes.
            "paper": ‖G−Gₛ‖² / (4C²), Gatys et al. 2015, eq. 4, with G divided by H·W already.

    Returns:
        float32 scalar.
    """
    errors = [tf.reduce_sum(tf.square(ours - theirs)) for ours, theirs in zip(statistics, target, strict=True)]
    if normalization == "paper":
        return errors[0] / (4 * tf.cast(tf.shape(target[0])[-1], tf.float32) ** 2)
    squared = [error / (tf.reduce_sum(tf.square(theirs)) + TINY) for error, theirs in zip(errors, target)]
    return tf.sqrt(tf.add_n(squared) + TINY)


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighboring pixels, down plus across; image float32 (B, H, W, 3) in [0, 1]."""
    batch, height, width, colors = tf.unstack(tf.shape(image))
    # As rows of numbers, and not image[:, 1:]: on the CPU the gradient takes TensorFlow a seventh of the time.
    rows = tf.reshape(image, (batch, height, width * colors))
    down, across = (batch, height - 1, width * colors), (batch, height, (width - 1) * colors)
    return _mean_square(tf.slice(rows, (0, 1, 0), down) - tf.slice(rows, (0, 0, 0), down)) + _mean_square(
        tf.slice(rows, (0, 0, colors), across) - tf.slice(rows, (0, 0, 0), across)
    )


def _mean_square(x: tf.Tensor) -> tf.Tensor:
    # divide_no_nan: a picture one pixel high has no neighbors below.
    return tf.math.divide_no_nan(2 * tf.nn.l2_loss(x), tf.cast(tf.size(x), tf.float32))


def _symmetric(by_matrix: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """S = (D + Dᵀ)/(HW): what D, the gradient by FᵀF/(HW), (B, C, C), multiplies F by to give the gradient by F."""
    return (by_matrix + tf.linalg.matrix_transpose(by_matrix)) / positions(features)
