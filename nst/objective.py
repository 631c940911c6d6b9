"""The objective at one scale: the total loss of an image, given the photo and the paintings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nst import images
from nst.features import Network
from nst.losses import (
    Statistics,
    content_loss,
    content_weights,
    style_loss,
    style_statistics,
    total_variation,
)
from nst.optimizers import Losses
from nst.settings import Settings

# On images of more than SUBSAMPLE_ABOVE pixels, each step of Adam uses a quarter of the positions of the SUBSAMPLED
# layers, and the next step another quarter.  That saves time, most with a light network, but harms smaller images.
SUBSAMPLED, SUBSAMPLE_ABOVE = frozenset({"block1_conv1", "block2_conv1"}), 100_000


class Objective(NamedTuple):
    """Targets and weights of the total loss J.  Weights are tensors: Python numbers would cause retracing."""

    content: dict[str, tuple[tf.Tensor, tf.Tensor]]  # layer -> the photo's activations, weights of positions
    style: dict[str, Statistics]  # layer -> the paintings' statistics, blended
    content_shares: dict[str, tf.Tensor]  # layer -> weight; they sum to 1
    style_shares: dict[str, tf.Tensor]
    weights: dict[str, tf.Tensor]  # α, β, γ by loss name
    statistics: str  # "covariance" or "gram"
    normalization: str  # "relative" or "paper"
    margin: int  # pixels of reflection padding around the image
    subsamples: bool  # whether a step uses a quarter of the SUBSAMPLED layers
    grey: bool  # whether the gradient is the same for each color, so that an image of grey pictures stays grey

    @classmethod
    def of(cls, network: Network, photo: np.ndarray, styles: Sequence[np.ndarray], settings: Settings) -> "Objective":
        """The objective for images of the photo's size.

        Args:
            photo: float32 (1, H, W, 3) in [0, 1].
            styles: the paintings, float32 (1, H, W, 3) in [0, 1], of any size.

        Raises:
            ValueError: the blend does not fit the number of styles.
        """
        side = max(photo.shape[1:3])
        settings = settings.at_scale(side)
        features = network(tf.constant(photo), set(settings.content_layers), settings.padding)
        # L-BFGS compares gradients, so they need the same positions; with "paper" each number must be exact.
        may_subsample = settings.optimizer == "adam" and settings.normalization != "paper"
        return cls(
            content={
                layer: (activations, content_weights(activations, settings.normalization, settings.focus))
                for layer, activations in features.items()
            },
            style=style_targets(network, styles, side, settings),
            content_shares=_shares(settings.content_layers),
            style_shares=_shares(settings.style_layers),
            weights={name: tf.constant(weight, tf.float32) for name, weight in settings.loss_weights.items()},
            statistics=settings.style_statistics,
            normalization=settings.normalization,
            margin=settings.padding,
            subsamples=may_subsample and photo.shape[1] * photo.shape[2] > SUBSAMPLE_ABOVE,
            grey=all(map(images.is_grey, (photo, *styles))) and settings.normalization != "paper",
        )

    def losses(self, network: Network, image: tf.Tensor, step: tf.Tensor | int = 0) -> Losses:
        """J = α J_content + β J_style + γ J_tv and its terms (Gatys et al. 2015, eq. 7, with a third term).

        J_style is the weighted sum over layers, eq. 5.  With `subsamples`, it is an estimate that depends on the step.

        Args:
            image: float32 (1, H, W, 3) in [0, 1].
            step: int32; selects the positions of the SUBSAMPLED layers.
        """
        subsampled = SUBSAMPLED - set(self.content) if self.subsamples else frozenset[str]()
        phase = tf.math.floormod(step, 4)
        features = network(image, {*self.content, *self.style}, self.margin, subsampled, phase)
        content = sum(
            self.content_shares[layer] * content_loss(features[layer], *target)
            for layer, target in self.content.items()
        )
        style = sum(
            self.style_shares[layer]
            * style_loss(style_statistics(features[layer], self.statistics), target, self.normalization)
            for layer, target in self.style.items()
        )
        losses: Any = {"content": content, "style": style, "total_variation": total_variation(image)}
        return losses | {"total": tf.add_n([self.weights[name] * loss for name, loss in losses.items()])}

    def losses_and_gradient(
        self, network: Network, image: tf.Tensor, step: tf.Tensor | int = 0
    ) -> tuple[Losses, tf.Tensor]:
        """`losses`, and the gradient of J with respect to the image, of its shape."""
        with tf.GradientTape() as tape:
            tape.watch(image)
            losses = self.losses(network, image, step)
        gradient: Any = tape.gradient(losses["total"], image)
        if self.grey:
            gradient = tf.broadcast_to(tf.reduce_mean(gradient, axis=-1, keepdims=True), tf.shape(gradient))
        return losses, gradient


def style_targets(
    network: Network, styles: Sequence[np.ndarray], side: int, settings: Settings
) -> dict[str, Statistics]:
    """The paintings' statistics at one scale, blended by `settings.style_blend`.

    Args:
        styles: float32 (1, H, W, 3) in [0, 1], of any size; downscaled to `Settings.style_side`, never upscaled.
        side: longest side of the image, in pixels.

    Raises:
        ValueError: the blend does not fit the number of styles.
    """
    blend = settings.style_blend or (1.0,) * len(styles)
    if len(blend) != len(styles) or sum(blend) <= 0:
        wanted = f"one number for each style, {len(styles)} in all"
        raise ValueError(f"style_blend: {settings.style_blend} should have {wanted}")
    collected: dict[str, list[Statistics]] = {layer: [] for layer in settings.style_layers}
    for style in styles:
        _, height, width, _ = style.shape
        longest = min(settings.style_side(side), max(height, width))
        reduced = images.resize(style, *images.fit(height, width, longest))
        for layer, features in network(tf.constant(reduced), set(collected), settings.padding).items():
            collected[layer].append(style_statistics(features, settings.style_statistics))
    shares = [part / sum(blend) for part in blend]
    return {
        layer: tuple(tf.add_n([share * part for share, part in zip(shares, parts)]) for parts in zip(*statistics))
        for layer, statistics in collected.items()
    }


def _shares(layers: dict[str, float]) -> dict[str, tf.Tensor]:
    """Layer weights scaled to sum to 1."""
    return {layer: tf.constant(weight / sum(layers.values()), tf.float32) for layer, weight in layers.items()}
