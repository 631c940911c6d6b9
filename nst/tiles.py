"""Losses and gradient of an image too large for one pass through the network: tile by tile, exactly.

A first pass over the tiles adds up each style layer's statistics.  The style loss depends on the image only through
them, so its gradient with respect to the activations at a position is affine in these: a second pass propagates that
back through each tile, with the gradient of the content loss and of the total variation.

Each tile sees enough of its surroundings, so that both are those of the untiled image to rounding.  The image, its
average and the optimizer's moments are NumPy arrays, changed in place: at 8192 x 8192 pixels each takes 805 MB.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from nst.canvas import Canvas
from nst.kernels.borders import PHASES, STRIDE, reflected_indices
from nst.kernels.statistics import affine
from nst.losses import (
    Statistics,
    content_loss,
    energy,
    evened,
    style_loss,
    style_statistics,
    weights_by_energy,
)
from nst.machine import has_fast_bfloat16
from nst.masks import with_protected
from nst.optimizers import OPTIMIZERS, Adam, Losses
from nst.settings import Settings
from nst.weights import stride_of

if TYPE_CHECKING:
    from nst.features import Network
    from nst.objective import Objective

STRIP = 1 << 20  # pixels that the optimizer changes at once

Maps = Mapping[str, np.ndarray]  # layer -> weights of positions, float32 (1, h, w, 1); {}: all are the same
# canvas, steps, learning rate -> canvas, losses before the last step
StepFunction = Callable[[Canvas, int, float], tuple[Canvas, Losses]]


class Span(NamedTuple):
    """One axis of a tile.  Positions count from the start of the reflection-padded image."""

    start: int  # of the tile
    first: int  # of its own part, which the tiles divide among them; the rest is surroundings
    last: int  # the position after its own part
    borders: tuple[int, int]  # 1 where the tile begins or ends with the padded image
    pixels: slice  # of the image, that it is made from
    indices: np.ndarray  # int32: of these pixels, in order, for each position

    def own(self, margin: int, length: int) -> tuple[int, int]:
        """The pixels of the image that are the tile's own: first, and after the last."""
        return max(self.first - margin, 0), min(self.last - margin, length)

    def window(self, stride: int, margin: int, length: int, phase: int | None) -> tuple[int, range]:
        """The own part of a layer: where it begins within the tile, and its positions within the layer.

        Args:
            stride: pixels of the image for one position.
            phase: 0 or 1: only every other position counts, from this one on.
        """
        step, offset = (1, 0) if phase is None else (2, phase)
        corner, count = margin // stride + offset, math.ceil(length / (stride * step))
        begin, end = (min(max(-((corner - at // stride) // step), 0), count) for at in (self.first, self.last))
        return corner + step * begin - self.start // stride, range(offset + step * begin, offset + step * end, step)


class Patch(NamedTuple):
    """What the compiled passes are told about a tile."""

    rows: tf.Tensor  # `Span.indices`
    columns: tf.Tensor
    borders: tf.Tensor  # of `reflect_pad`
    windows: dict[str, tf.Tensor]  # of `Network.on_tile`
    own: tf.Tensor  # int32 (2, 3): for rows and columns the first own pixel, their number, and 1 if another follows


class Plan(NamedTuple):
    """How an image is divided, and what is looked at."""

    tiles: list[tuple[Span, Span]]
    shape: tuple[int, int]
    margin: int
    layers: tuple[str, ...]
    subsampled: tuple[str, ...] = ()
    phases: tuple[int, int] = (0, 0)

    def phase(self, layer: str, axis: int) -> int | None:
        return self.phases[axis] if layer in self.subsampled else None

    def windows(self, tile: tuple[Span, Span], layer: str) -> list[tuple[int, range]]:
        """`Span.window` for rows and columns."""
        return [
            span.window(stride_of(layer), self.margin, length, self.phase(layer, axis))
            for axis, (span, length) in enumerate(zip(tile, self.shape))
        ]

    def count(self, layer: str) -> int:
        """Positions of a layer that count, in all tiles."""
        step = 2 if layer in self.subsampled else 1
        rows, columns = (math.ceil(length / (stride_of(layer) * step)) for length in self.shape)
        return rows * columns

    def cut(self, maps: Maps, tile: tuple[Span, Span]) -> dict[str, np.ndarray]:
        """A tile's own part of maps of layers."""
        parts = {}
        for layer, whole in maps.items():
            (_, rows), (_, columns) = self.windows(tile, layer)
            parts[layer] = whole[:, rows.start : rows.stop : rows.step, columns.start : columns.stop : columns.step]
        return parts

    def patch(self, tile: tuple[Span, Span]) -> Patch:
        windows = {}
        for layer in self.layers:
            (top, rows), (left, columns) = self.windows(tile, layer)
            windows[layer] = np.array(((top, left), (len(rows), len(columns))), np.int32)
        owns = [span.own(self.margin, length) for span, length in zip(tile, self.shape)]
        own = [
            (first - span.pixels.start, last - first, int(last < length))
            for span, (first, last), length in zip(tile, owns, self.shape)
        ]
        borders = [span.borders for span in tile]
        parts = tile[0].indices, tile[1].indices, np.array(borders, np.int32), windows, np.array(own, np.int32)
        return Patch(*parts)  # type: ignore[arg-type]  # made tensors by `_call`


def reach(known: Sequence[str], layers: Sequence[str]) -> int:
    """How far a position of the deepest of `layers` sees, in pixels, rounded up to whole positions of block 5."""
    deepest = max(map(known.index, layers))
    return -(-sum(map(stride_of, known[: deepest + 1])) // STRIDE) * STRIDE


def divide(length: int, margin: int, tile: int, reach: int) -> list[Span]:
    """Divide an axis of `length` pixels into tiles of about `tile` pixels, or more if they must be."""
    indices = reflected_indices(tf.constant(length), margin).numpy()
    units = len(indices) // STRIDE
    # A tile at the border contains what its reflections repeat, and the next one does not see the border.
    least = -(-(margin + STRIDE + max(margin + STRIDE, reach)) // STRIDE)
    count = max(1, min(-(-len(indices) // tile), units // least))
    limits = [STRIDE * (index * units // count) for index in range(count + 1)]
    spans = []
    for first, last in zip(limits, limits[1:]):
        start, end = max(first - reach, 0), min(last + reach, len(indices))
        seen = indices[start:end]
        pixels = slice(int(seen.min()), int(seen.max()) + 1)
        borders = int(start == 0), int(end == len(indices))
        spans.append(Span(start, first, last, borders, pixels, (seen - pixels.start).astype(np.int32)))
    return spans


def needed(shape: Sequence[int], settings: Settings) -> bool:
    """Whether an image of (height, width) is larger than a tile."""
    return 0 < settings.tile < max(shape)


class Tiles:
    """The passes over tiles, compiled once for all images of a network."""

    def __init__(self, network: "Network"):
        self._network = network
        options: Any = {"reduce_retracing": True, "autograph": False}
        self._look = tf.function(self._tile_features, **options)
        self._sum = tf.function(self._tile_statistics, **options)
        self._propagate = tf.function(self._tile_gradient, **options)
        self._change = tf.function(self._strip, **options)

    def plan(
        self,
        shape: tuple[int, int],
        settings: Settings,
        layers: Sequence[str],
        subsampled: Collection[str] = (),
        step: int = 0,
    ) -> Plan:
        sees = reach(self._network.layers, layers)
        rows, columns = (divide(length, settings.padding, settings.tile, sees) for length in shape)
        tiles = [(down, across) for down in rows for across in columns]
        return Plan(tiles, shape, settings.padding, tuple(layers), tuple(sorted(subsampled)), PHASES[step % 4])

    # --- Targets ------------------------------------------------------------------------------------------------------

    def style_targets(
        self, painting: np.ndarray, layers: Sequence[str], settings: Settings, guides: Maps
    ) -> dict[str, Statistics]:
        """The statistics of a painting, float32 (1, H, W, 3)."""
        plan = self.plan(painting.shape[1:3], settings, layers)
        (found,) = self._statistics(plan, painting, None, [guides], settings.style_statistics)
        return {layer: statistics for layer, (statistics, _) in found.items()}

    def content_targets(self, photo: np.ndarray, settings: Settings, visible: Maps) -> dict[str, Any]:
        """For each content layer the photo's activations, tile by tile, and the weights of all positions."""
        layers = tuple({*settings.content_layers, *settings.style_layers})
        plan = self.plan(photo.shape[1:3], settings, layers)._replace(layers=tuple(settings.content_layers))
        activations: dict[str, list[np.ndarray]] = {layer: [] for layer in plan.layers}
        for tile in plan.tiles:
            arguments = _piece(photo, tile), plan.patch(tile), plan.layers, plan.margin
            for layer, part in _call(self._look, *arguments).items():
                activations[layer].append(part.numpy())
        return {
            layer: (parts, _content_weights(plan, layer, parts, settings, visible.get(layer)))
            for layer, parts in activations.items()
        }

    # --- The two passes -----------------------------------------------------------------------------------------------

    def losses_and_gradient(
        self, objective: "Objective", settings: Settings, image: np.ndarray, step: int = 0
    ) -> tuple[Losses, np.ndarray]:
        """As `nst.objective.losses_and_gradient`, for one image: losses of shape (1,), and the gradient as an array."""
        shape = image.shape[1:3]
        layers = tuple(sorted({*objective.content, *objective.style_shares}))
        whole = self.plan(shape, settings, layers, objective._subsampled, step)
        guides = [{layer: np.asarray(guide) for layer, guide in region.guides.items()} for region in objective.regions]
        protected = objective.protected and tuple(map(np.asarray, objective.protected))
        styled = whole._replace(layers=tuple(objective.style_shares))
        found = self._statistics(styled, image, protected, guides, objective.statistics)
        style, forms = _style(objective, styled, found)
        maps: Any = {layer: weights for layer, (_, weights) in objective.content.items()}
        height, width = shape
        counts = (height - 1) * width * 3, height * (width - 1) * 3  # of differences
        scales = tuple(tf.constant(1 / max(1, differences)) for differences in counts)
        gradient = np.zeros_like(image)
        content = variation = 0.0
        for index, tile in enumerate(whole.tiles):
            known = {
                layer: (parts[index], cut)
                for (layer, (parts, _)), cut in zip(objective.content.items(), whole.cut(maps, tile).values())
            }
            (own_content, own_variation), part = _call(
                self._propagate,
                _piece(image, tile),
                tuple(_piece(whole, tile) for whole in protected or ()),
                whole.patch(tile),
                [whole.cut(guide, tile) for guide in guides],
                forms,
                known,
                dict(objective.content_shares),
                dict(objective.weights),
                objective.grey,
                scales,
                whole.margin,
                whole.subsampled,
            )
            rows, columns = (span.pixels for span in tile)
            gradient[:, rows, columns] += part.numpy()
            content, variation = content + float(own_content), variation + float(own_variation)
        terms: Any = {"content": content, "style": style, "total_variation": variation}
        total = sum(float(objective.weights[name]) * loss for name, loss in terms.items())
        return {name: tf.constant([loss], tf.float32) for name, loss in (terms | {"total": total}).items()}, gradient

    def _statistics(
        self, plan: Plan, image: np.ndarray, protected: Any, guides: Sequence[Maps], kind: str
    ) -> list[dict[str, tuple[Statistics, float]]]:
        """For each guide the statistics of all tiles together, by layer, with the guide's mean."""
        sums: list[dict[str, Any]] = [{layer: (0.0, 0.0, 0.0) for layer in plan.layers} for _ in guides]
        for tile in plan.tiles:
            cuts = [plan.cut(guide, tile) for guide in guides]
            stays = tuple(_piece(whole, tile) for whole in protected or ())
            options = plan.layers, plan.margin, plan.subsampled, kind
            found = _call(self._sum, _piece(image, tile), stays, plan.patch(tile), cuts, *options)
            for own, own_cuts, own_sums in zip(found, cuts, sums):
                for layer, parts in own.items():
                    (_, rows), (_, columns) = plan.windows(tile, layer)
                    cut = own_cuts.get(layer)
                    counted = len(rows) * len(columns) if cut is None else float(cut.sum(dtype=np.float64))
                    own_sums[layer] = _added(own_sums[layer], counted / plan.count(layer), parts)
        return [{layer: _finished(values, kind) for layer, values in own_sums.items()} for own_sums in sums]

    # --- What is compiled ---------------------------------------------------------------------------------------------

    def _tile_features(self, image: tf.Tensor, patch: Patch, layers: tuple[str, ...], margin: int) -> Any:
        return self._network.on_tile(_padded(image, patch), layers, margin, patch.borders, patch.windows)

    def _tile_statistics(
        self,
        image: tf.Tensor,
        protected: tuple[tf.Tensor, ...],
        patch: Patch,
        guides: list[dict[str, tf.Tensor]],
        layers: tuple[str, ...],
        margin: int,
        subsampled: tuple[str, ...],
        kind: str,
    ) -> list[dict[str, Statistics]]:
        """The statistics of a tile for each guide; that is scaled to a mean of 1."""
        picture = _padded(with_protected(image, protected), patch)
        features = self._network.on_tile(picture, layers, margin, patch.borders, patch.windows, subsampled)
        found = []
        for guide in guides:
            relative = {layer: tf.math.divide_no_nan(own, tf.reduce_mean(own)) for layer, own in guide.items()}
            found.append({layer: style_statistics(features[layer], kind, relative.get(layer)) for layer in layers})
        return found

    def _tile_gradient(
        self,
        image: tf.Tensor,
        protected: tuple[tf.Tensor, ...],
        patch: Patch,
        guides: list[dict[str, tf.Tensor]],
        forms: list[dict[str, tuple[tf.Tensor, tf.Tensor]]],
        content: dict[str, tuple[tf.Tensor, tf.Tensor]],
        shares: dict[str, tf.Tensor],
        weights: dict[str, tf.Tensor],
        grey: tf.Tensor,
        scales: tuple[tf.Tensor, tf.Tensor],
        margin: int,
        subsampled: tuple[str, ...],
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        """A tile's share of the content loss and of the total variation, and of the gradient of J."""
        layers = {*content, *forms[0]}
        with tf.GradientTape() as tape:
            tape.watch(image)
            picture = with_protected(image, protected)
            padded = _padded(picture, patch)
            features = self._network.on_tile(padded, layers, margin, patch.borders, patch.windows, subsampled)
            deviation = tf.add_n([shares[layer] * content_loss(features[layer], *content[layer]) for layer in content])
            variation = _total_variation(picture, patch.own, scales)
            local = weights["content"] * deviation + weights["total_variation"] * variation
        by_features: dict[str, Any] = {}
        for guide, own_forms in zip(guides, forms, strict=True):
            for layer, form in own_forms.items():
                activations = features[layer]
                if not has_fast_bfloat16():
                    activations = tf.cast(activations, tf.float32)
                d_features = affine(activations, *form)
                if layer in guide:
                    d_features *= tf.cast(guide[layer], d_features.dtype)
                by_features[layer] = d_features + by_features[layer] if layer in by_features else d_features
        targets = [local, *(features[layer] for layer in by_features)]
        given = [tf.ones(()), *(tf.cast(part, self._network.precision) for part in by_features.values())]
        gradient: Any = tape.gradient(targets, image, output_gradients=given)
        return (deviation, variation), evened(gradient, grey)

    # --- The step -----------------------------------------------------------------------------------------------------

    def step_function(self, objective: "Objective", settings: Settings) -> StepFunction:
        """`count` steps of the optimizer.  A canvas that it has returned before is changed in place."""
        optimizer = OPTIMIZERS[settings.optimizer]
        averaging = tf.constant(settings.averaging)

        def step(canvas: Any, count: int, learning_rate: float) -> tuple[Canvas, Losses]:
            losses: Losses = {}
            rate = tf.constant(learning_rate)
            if canvas.state is None or not isinstance(canvas.image, np.ndarray):
                state = optimizer.initial(canvas.image, canvas.state)
                canvas = canvas._replace(image=np.array(canvas.image), average=np.array(canvas.average), state=state)
                if isinstance(state, Adam):
                    moments = np.array(state.first), np.array(state.second)
                    canvas = canvas._replace(state=state._replace(first=moments[0], second=moments[1]))
            for _ in range(count):
                image: Any = canvas.image
                state: Any = canvas.state
                losses, gradient = self.losses_and_gradient(objective, settings, image, int(state.steps))
                if isinstance(state, Adam):
                    canvas = self._changed(canvas, gradient, rate, averaging)
                else:
                    parts = tf.constant(image), losses["total"][0], tf.constant(gradient), rate
                    canvas = canvas.updated(*state.step(*parts), averaging)
                    canvas = canvas._replace(image=np.array(canvas.image), average=np.array(canvas.average))
            return canvas, losses

        return step

    def _changed(self, canvas: Any, gradient: np.ndarray, rate: tf.Tensor, averaging: tf.Tensor) -> Canvas:
        """The canvas after a step of Adam, whose update of a pixel needs no other pixel."""
        after = canvas
        for strip in _strips(gradient.shape):
            state = Adam(canvas.state.first[:, strip], canvas.state.second[:, strip], canvas.state.steps)
            before = Canvas(canvas.image[:, strip], canvas.average[:, strip], canvas.weight, state)
            after = _call(self._change, before, gradient[:, strip], rate, averaging)
            for whole, part in (
                (canvas.image, after.image),
                (canvas.average, after.average),
                (canvas.state.first, after.state.first),
                (canvas.state.second, after.state.second),
            ):
                whole[:, strip] = part.numpy()
        return canvas._replace(weight=after.weight, state=canvas.state._replace(steps=after.state.steps))

    def _strip(self, canvas: Canvas, gradient: tf.Tensor, rate: tf.Tensor, averaging: tf.Tensor) -> Canvas:
        state: Any = canvas.state
        image, after = state.step(canvas.image, tf.zeros(()), gradient, rate)
        return canvas.updated(image, after, averaging)


def _content_weights(
    plan: Plan, layer: str, parts: Sequence[np.ndarray], settings: Settings, visible: np.ndarray | None
) -> np.ndarray:
    """`losses.content_weights` of a layer whose activations are in parts."""
    rows, columns = (-(-length // stride_of(layer)) for length in plan.shape)
    shown = np.ones((1, 1, 1, 1), np.float32) if visible is None else visible
    if settings.normalization == "paper":
        return np.broadcast_to(shown, (1, rows, columns, 1))
    sums = [tf.reduce_sum(tf.cast(part, tf.float32), axis=(1, 2), keepdims=True).numpy() for part in parts]
    average = tf.constant(np.sum(sums, axis=0, dtype=np.float64) / (rows * columns), tf.float32)
    whole = np.empty((1, rows, columns, 1), np.float32)
    for tile, part in zip(plan.tiles, parts, strict=True):
        plan.cut({layer: whole}, tile)[layer][:] = energy(tf.constant(part), average)
    weights = weights_by_energy(tf.constant(whole), average, settings.focus, tf.constant(shown))
    return weights.numpy()


def _added(sums: tuple, share: float, parts: Statistics) -> tuple:
    """Sums with one more tile, in float64: of the guide, of the activations, and of their products."""
    before, total, products = sums
    matrix, *average = (part.numpy().astype(np.float64) for part in parts)
    if average:
        matrix += average[0][:, :, np.newaxis] * average[0][:, np.newaxis]
        total = total + share * average[0]
    return before + share, total, products + share * matrix


def _finished(sums: tuple, kind: str) -> tuple[Statistics, float]:
    share, average, products = sums
    if kind == "gram":
        return (tf.constant(products, tf.float32),), share
    # The mean of w (F − a)(F − a)ᵀ, where a is the mean of w F and `share` that of w, which is 1 but for rounding and
    # subsampling.
    matrix = products - (2 - share) * average[:, :, np.newaxis] * average[:, np.newaxis]
    return (tf.constant(matrix, tf.float32), tf.constant(average, tf.float32)), share


def _style(
    objective: "Objective", plan: Plan, found: list[dict[str, tuple[Statistics, float]]]
) -> tuple[float, list[dict[str, tuple[tf.Tensor, tf.Tensor]]]]:
    """The style loss, and for each region and layer (A, b): βJ_style's gradient is w (F A + b) at each position."""
    loss, forms = 0.0, []
    for region, by_layer in zip(objective.regions, found, strict=True):
        own: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        for layer, share in objective.style_shares.items():
            statistics, mean = by_layer[layer]
            with tf.GradientTape() as tape:
                tape.watch(statistics)
                term = region.weight * share * style_loss(statistics, region.style[layer], objective.normalization)
            loss += float(term)
            scale = objective.weights["style"] / plan.count(layer)
            gradients: Any = tape.gradient(term, statistics)
            d_matrix, *d_average = (scale * part for part in gradients)
            matrix = d_matrix + tf.linalg.matrix_transpose(d_matrix)
            # (F − a) A, the gradient by the covariance, plus that by the mean a, on which the covariance depends
            # unless the guide's mean is 1.
            offset = -(2 - mean) * tf.linalg.matvec(matrix, statistics[1]) + d_average[0] if d_average else None
            own[layer] = matrix, tf.zeros_like(matrix[:, 0]) if offset is None else offset
        forms.append(own)
    return loss, forms


def _total_variation(picture: tf.Tensor, own: tf.Tensor, scales: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """The share of a tile's own pixels in `losses.total_variation`; `scales` are 1 / the number of differences."""
    (top, rows, below), (left, columns, beside) = (tf.unstack(axis) for axis in tf.unstack(own))

    def cut(down: Any, across: Any, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        return tf.slice(picture, (0, top + down, left + across, 0), (picture.shape[0], height, width, 3))

    height, width = rows - 1 + below, columns - 1 + beside
    vertical = tf.nn.l2_loss(cut(1, 0, height, columns) - cut(0, 0, height, columns))
    horizontal = tf.nn.l2_loss(cut(0, 1, rows, width) - cut(0, 0, rows, width))
    return 2 * (scales[0] * vertical + scales[1] * horizontal)


def _padded(image: tf.Tensor, patch: Patch) -> tf.Tensor:
    return tf.gather(tf.gather(image, patch.rows, axis=1), patch.columns, axis=2)


def _piece(whole: np.ndarray, tile: tuple[Span, Span]) -> np.ndarray:
    """The pixels that a tile is made from."""
    rows, columns = (span.pixels for span in tile)
    return whole[:, rows, columns]


def _strips(shape: Sequence[int]) -> Iterator[slice]:
    """The rows of an image, some at a time."""
    rows = max(1, STRIP // shape[2])
    return (slice(top, top + rows) for top in range(0, shape[1], rows))


def _call(function: Any, *arguments: Any) -> Any:
    """Call a tf.function with arrays as tensors; it is traced for all sizes at once."""
    tensors = tf.nest.map_structure(lambda part: tf.constant(part) if isinstance(part, np.ndarray) else part, arguments)
    function.get_concrete_function(*tf.nest.map_structure(any_size, tensors))
    return function(*tensors)


def any_size(argument: Any) -> Any:
    """The TensorSpec of a tensor, of any length if it has one axis, and with any height and width if it has four."""
    if not isinstance(argument, tf.Tensor):
        return argument
    shape = argument.shape.as_list()
    if len(shape) == 4:
        shape[1:3] = None, None
    return tf.TensorSpec([None] if len(shape) == 1 else shape, argument.dtype)
