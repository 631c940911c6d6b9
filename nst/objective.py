"""The objective at one scale: the total loss of an image, given the photo and the paintings."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nst import images, masks
from nst.features import Features, Network
from nst.flow import Previous
from nst.kernels.borders import subsample
from nst.losses import (
    Statistics,
    content_loss,
    content_weights,
    evened,
    style_loss,
    style_statistics,
    temporal_loss,
    total_variation,
)
from nst.masks import Masks
from nst.optimizers import Losses
from nst.settings import Settings
from nst.tiles import Tiles, needed
from nst.weights import stride_of

# On images of more than SUBSAMPLE_ABOVE pixels, each step of Adam uses a quarter of the positions of the SUBSAMPLED
# layers, and the next step another quarter.  That saves time, most with a light network, but harms smaller images.
SUBSAMPLED, SUBSAMPLE_ABOVE = frozenset({"block1_conv1", "block2_conv1"}), 100_000


class Region(NamedTuple):
    """A part of the image, with the style that it gets (Gatys et al. 2016, arXiv:1611.07865, section 4)."""

    style: dict[str, Statistics]  # layer -> its paintings' statistics, blended
    guides: dict[str, tf.Tensor]  # layer -> weights of positions, float32 (1, h, w, 1), mean 1; {}: all are the same
    weight: tf.Tensor  # of its style loss


class Objective(NamedTuple):
    """Targets and weights of the total loss J.  Weights are tensors: Python numbers would cause retracing."""

    content: dict[str, tuple[tf.Tensor, tf.Tensor]]  # layer -> the photo's activations, weights of positions
    regions: tuple[Region, ...]  # one, unless there are masks
    content_shares: dict[str, tf.Tensor]  # layer -> weight; they sum to 1
    style_shares: dict[str, tf.Tensor]
    weights: dict[str, tf.Tensor]  # α, β, γ by loss name
    statistics: str  # "covariance" or "gram"
    normalization: str  # "relative" or "paper"
    margin: int  # pixels of reflection padding around the image
    subsamples: bool  # whether a step uses a quarter of the SUBSAMPLED layers
    grey: tf.Tensor  # bool: the gradient is the same for each color, so that an image of grey pictures stays grey
    protected: tuple[tf.Tensor, tf.Tensor] | None  # the photo, and how much of it stays: float32 (1, H, W, 3), (…, 1)
    previous: tuple[tf.Tensor, tf.Tensor] | None = None  # `Previous`, as the engine sees it

    @classmethod
    def of(
        cls,
        network: Network,
        photo: np.ndarray,
        styles: Sequence[np.ndarray],
        settings: Settings,
        where: Masks = masks.EVERYWHERE,
        tiles: Tiles | None = None,
    ) -> "Objective":
        """The objective for images of the photo's size.

        Args:
            photo: float32 (1, H, W, 3) in [0, 1]; what is transparent in (1, H, W, 4) counts neither as content nor as
                style.
            styles: the paintings, float32 (1, H, W, 3 or 4) in [0, 1], of any size.
            where: which painting goes where.
            tiles: what looks at pictures larger than `Settings.tile`.  The objective of such a photo is only for
                `Tiles`: the content targets are arrays, a list of tiles and the weights of positions.

        Raises:
            ValueError: the blend or the masks do not fit the number of styles, or leave nothing to paint.
        """
        colors, opacity = photo[..., :3], photo[0, ..., 3] if photo.shape[-1] == 4 else None
        shape = photo.shape[1:3]
        settings = settings.at_scale(max(shape))
        # L-BFGS compares gradients, so they need the same positions; with "paper" each number must be exact.
        subsamples = settings.optimizer == "adam" and settings.normalization != "paper"
        subsamples = subsamples and shape[0] * shape[1] > SUBSAMPLE_ABOVE
        blend = _blend(settings, len(styles))
        divided = masks.regions(where, blend, opacity, shape)
        collected = style_targets(network, styles, max(shape), settings, tiles)
        visible = {layer: _reduced(opacity, layer) for layer in settings.content_layers if opacity is not None}
        if tiles and needed(shape, settings):
            content = tiles.content_targets(colors, settings, visible)
        else:
            content = {}
            for layer, found in network(tf.constant(colors), set(settings.content_layers), settings.padding).items():
                seen = tf.constant(visible.get(layer, 1.0), tf.float32)
                content[layer] = found, content_weights(found, settings.normalization, settings.focus, seen)
        return cls(
            content=content,
            regions=tuple(
                Region(
                    style=blended(collected, region.shares),
                    guides={
                        layer: _guide(region.guide, layer, even=subsamples and layer in SUBSAMPLED)
                        for layer in collected
                        if region.guide is not None
                    },
                    weight=tf.constant(region.weight, tf.float32),
                )
                for region in divided
            ),
            content_shares=_shares(settings.content_layers),
            style_shares=_shares(settings.style_layers),
            weights=_loss_weights(settings),
            statistics=settings.style_statistics,
            normalization=settings.normalization,
            margin=settings.padding,
            subsamples=subsamples,
            grey=tf.constant(all(map(images.is_grey, (photo, *styles))) and settings.normalization != "paper"),
            protected=None
            if (stays := masks.protected(where, len(styles), shape)) is None
            else (tf.constant(colors), tf.constant(stays[np.newaxis, ..., np.newaxis])),
        )

    def weighted(self, settings: Settings, side: int) -> "Objective":
        """The same with the loss weights of these settings, for an image whose longest side is `side` pixels."""
        return self._replace(weights=_loss_weights(settings.at_scale(side)))

    def following(self, previous: Previous, weight: float) -> "Objective":
        """The same with a temporal loss of this weight."""
        weights = self.weights | {"temporal": tf.constant(weight, tf.float32)}
        return self._replace(weights=weights, previous=tuple(map(tf.constant, previous)))

    def losses(self, network: Network, image: tf.Tensor, step: tf.Tensor | int = 0) -> Losses:
        """J = α J_content + β J_style + γ J_tv and its terms (Gatys et al. 2015, eq. 7, with a third term).

        J_style is the weighted sum over layers, eq. 5.  With `subsamples`, it is an estimate that depends on the step.

        Args:
            image: float32 (1, H, W, 3) in [0, 1].
            step: int32; selects the positions of the SUBSAMPLED layers.
        """
        return self._losses(self._features(network, image, step), image, step)

    def _features(self, network: Network, image: tf.Tensor, step: tf.Tensor | int) -> Features:
        layers = {*self.content, *self.style_shares}
        return network(image, layers, self.margin, self._subsampled, tf.math.floormod(step, 4))

    @property
    def _subsampled(self) -> frozenset[str]:
        return SUBSAMPLED - set(self.content) if self.subsamples else frozenset[str]()

    def _losses(self, features: Features, image: tf.Tensor, step: tf.Tensor | int) -> Losses:
        content = sum(
            self.content_shares[layer] * content_loss(features[layer], *target)
            for layer, target in self.content.items()
        )
        style = sum(
            region.weight * share * self._style_loss(region, layer, features[layer], step)
            for region in self.regions
            for layer, share in self.style_shares.items()
        )
        losses: Any = {"content": content, "style": style, "total_variation": total_variation(image)}
        if self.previous is not None:
            losses["temporal"] = temporal_loss(image, *self.previous)
        return losses | {"total": tf.add_n([self.weights[name] * loss for name, loss in losses.items()])}

    def _style_loss(self, region: Region, layer: str, features: tf.Tensor, step: tf.Tensor | int) -> tf.Tensor:
        guide = region.guides.get(layer)
        if guide is not None and layer in self._subsampled:
            guide = subsample(guide, 0, tuple(tf.unstack(tf.shape(guide)[1:3])), tf.math.floormod(step, 4))
        statistics = style_statistics(features, self.statistics, guide)
        return style_loss(statistics, region.style[layer], self.normalization)

    def losses_and_gradient(
        self, network: Network, image: tf.Tensor, step: tf.Tensor | int = 0
    ) -> tuple[Losses, tf.Tensor]:
        """`losses`, and the gradient of J with respect to the image, of its shape."""
        losses, gradient = losses_and_gradient([self], network, image, step)
        return {name: loss[0] for name, loss in losses.items()}, gradient

    def shown(self, image: tf.Tensor) -> tf.Tensor:
        """The image with the photo where that is protected, float32 (1, H, W, 3); the losses are those of this."""
        return masks.with_protected(image, self.protected or ())


def losses_and_gradient(
    objectives: Sequence[Objective], network: Network, image: tf.Tensor, step: tf.Tensor | int = 0
) -> tuple[Losses, tf.Tensor]:
    """The losses of a batch of images with an objective each, and the gradient of each total loss J.

    Args:
        objectives: those of one photo, which differ only in numbers.
        image: float32 (B, H, W, 3) in [0, 1].
        step: as in `Objective.losses`.

    Returns:
        Losses of shape (B,), and the gradient, of the images' shape.
    """
    with tf.GradientTape() as tape:
        tape.watch(image)
        picture = objectives[0].shown(image)
        features = objectives[0]._features(network, picture, step)
        each: list[Losses] = []
        for index, objective in enumerate(objectives):
            own = {layer: _item(batch, index) for layer, batch in features.items()}
            each.append(objective._losses(own, _item(picture, index), step))
        losses = {name: tf.stack([losses[name] for losses in each]) for name in each[0]}
    gradient: Any = tape.gradient(losses["total"], image)
    return losses, evened(gradient, objectives[0].grey)


def _item(batch: tf.Tensor, index: int) -> tf.Tensor:
    """One image of a batch, as a batch of one."""
    return batch if batch.shape[0] == 1 else batch[index : index + 1]


def style_targets(
    network: Network, styles: Sequence[np.ndarray], side: int, settings: Settings, tiles: Tiles | None = None
) -> dict[str, list[Statistics]]:
    """The statistics of each painting at one scale, by layer.

    Args:
        styles: float32 (1, H, W, 3 or 4) in [0, 1], of any size; downscaled to `Settings.style_side`, never upscaled.
        side: longest side of the image, in pixels.
        tiles: as for `Objective.of`.
    """
    collected: dict[str, list[Statistics]] = {layer: [] for layer in settings.style_layers}
    for style in styles:
        _, height, width, _ = style.shape
        longest = min(settings.style_side(side), max(height, width))
        reduced = images.resize(style, *images.fit(height, width, longest))
        opacity = reduced[0, ..., 3] if style.shape[-1] == 4 else None
        guides = {layer: _guide(opacity, layer) for layer in collected if opacity is not None}
        if tiles and needed(reduced.shape[1:3], settings):
            whole = {layer: guide.numpy() for layer, guide in guides.items()}
            found = tiles.style_targets(reduced[..., :3], tuple(collected), settings, whole)
        else:
            features = network(tf.constant(reduced[..., :3]), set(collected), settings.padding)
            found = {
                layer: style_statistics(activations, settings.style_statistics, guides.get(layer))
                for layer, activations in features.items()
            }
        for layer, statistics in found.items():
            collected[layer].append(statistics)
    return collected


def blended(collected: dict[str, list[Statistics]], shares: Iterable[float]) -> dict[str, Statistics]:
    """The mean of the paintings' statistics, weighted by their shares."""
    shares = tuple(shares)
    relative = [share / sum(shares) for share in shares]
    return {
        layer: tuple(tf.add_n([share * part for share, part in zip(relative, parts)]) for parts in zip(*statistics))
        for layer, statistics in collected.items()
    }


def _blend(settings: Settings, count: int) -> tuple[float, ...]:
    """The weight of each painting.  Raises ValueError if `style_blend` does not fit their number."""
    blend = settings.style_blend or (1.0,) * count
    if len(blend) != count or sum(blend) <= 0:
        wanted = f"one number for each style, {count} in all"
        raise ValueError(f"style_blend: {settings.style_blend} should have {wanted}")
    return blend


def _reduced(guide: np.ndarray, layer: str) -> np.ndarray:
    """A guide (H, W) at the resolution of a layer, float32 (1, h, w, 1)."""
    stride = stride_of(layer)
    height, width = (-(-side // stride) for side in guide.shape)
    return masks.fitted(guide, height, width)[np.newaxis, ..., np.newaxis]


def _guide(guide: np.ndarray, layer: str, even: bool = False) -> tf.Tensor:
    """Weights of a layer's positions; `even` repeats the last row or column if their number is odd."""
    reduced = _reduced(guide, layer)
    if even:
        _, rows, columns, _ = reduced.shape
        reduced = np.pad(reduced, ((0, 0), (0, rows % 2), (0, columns % 2), (0, 0)), "edge")
    return tf.constant(reduced / max(float(reduced.mean()), masks.SMALLEST / 10))


def _loss_weights(settings: Settings) -> dict[str, tf.Tensor]:
    return {name: tf.constant(weight, tf.float32) for name, weight in settings.loss_weights.items()}


def _shares(layers: dict[str, float]) -> dict[str, tf.Tensor]:
    """Layer weights scaled to sum to 1."""
    return {layer: tf.constant(weight / sum(layers.values()), tf.float32) for layer, weight in layers.items()}
