"""The engine: a photo is repainted, coarse to fine, by descending the loss of Gatys, Ecker and Bethge (2015)."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nst import images, preflight
from nst.canvas import Canvas, Checkpoint, start
from nst.clock import Clock
from nst.features import Network
from nst.losses import (
    Statistics,
    content_loss,
    content_spread,
    style_loss,
    style_statistics,
    total_variation,
)
from nst.optimizers import OPTIMIZERS, Losses, Objective
from nst.settings import Settings

# On pictures of more than MANY pixels, a step in bfloat16 looks at a quarter of the positions of the THINNED layers,
# the next step at another: that saves time, the more the lighter the network.  On smaller ones the loss would suffer.
THINNED, MANY = frozenset({"block1_conv1", "block2_conv1"}), 100_000

AHEAD = 0.05  # seconds of steps that a GPU may have in its queue


@dataclass(frozen=True)
class Frame:
    """A picture on the way, and where the run stands: plain values, no tensors."""

    step: int  # steps done; 0 is the start picture
    steps: int  # of the whole run
    scale: int  # longest side of `image`, in pixels
    image: np.ndarray  # uint8 (H, W, 3); smaller than the asked size until the last scale
    losses: dict[str, float]  # "content", "style", "total_variation": J's terms without α, β, γ; "total": J
    elapsed: float  # seconds since the run began
    remaining: float  # seconds still to go, estimated
    checkpoint: Checkpoint | None = None  # of runs that were asked for them
    note: str = ""  # a sentence for a person on why the picture is smaller than asked for


class Targets(NamedTuple):
    """What the image is compared with at one scale."""

    content: dict[str, tuple[tf.Tensor, tf.Tensor]]  # activations and their spread
    style: dict[str, Statistics]


class LossWeights(NamedTuple):
    """The layers' shares and α, β, γ, as tensors: Python numbers would be compiled in, and each new value anew."""

    content_layers: dict[str, tf.Tensor]
    style_layers: dict[str, tf.Tensor]
    content: tf.Tensor
    style: tf.Tensor
    total_variation: tf.Tensor


class StyleTransfer:
    """Repaints photos with one network.  Keep it: the step is compiled once and serves every later run."""

    def __init__(self, network: Network):
        self.network = network
        self._compiled_step = tf.function(self._losses_and_gradient, reduce_retracing=True)
        self._paces: dict[int, float] = {}  # of the latest run: they tell how long the next one will take

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        settings: Settings = Settings(),
        *,
        resume: Checkpoint | None = None,
        more_steps: int = 0,
        checkpoints: bool = False,
    ) -> Generator[Frame, None, None]:
        """Repaint `content` in the manner of `styles`.

        A stopped run goes on from the checkpoint of its last frame as if it had not been stopped, though L-BFGS forgets
        what it learned of the loss; a finished run for `more_steps`.  The strength or any other setting may have
        changed meanwhile, and so may the pictures, if the content keeps its proportions; twice the size adds a scale.
        `settings.tolerance` counts from there.

        Args:
            content: float32 (1, H, W, 3) RGB in [0, 1], of any size.
            styles: one or more of the same; their statistics are blended by `settings.style_blend`.
            settings: every knob of the run.
            resume: where to go on from.
            more_steps: steps at the last scale beyond those of the settings.
            checkpoints: whether frames carry what `resume` takes; keep the latest of them only, they are large.

        Yields:
            First the start picture, except when resuming, then at most `settings.frames_per_second` a second, last the
            finished picture, whose longest side is `settings.size`; or, with a note, that of an earlier scale, where
            the next one did not fit into the memory.

        Raises:
            ValueError: a layer that the network does not have, a blend that does not fit the styles, or a checkpoint
                that does not fit the content and the settings or leaves no steps to do.
            FloatingPointError: the loss is no longer a number; the frames so far are good.
            MemoryError: there is no earlier scale of 128 pixels at least, or the memory ran out within one; the frames
                so far are good.
        """
        self._check_layers(settings)
        scales = _scales(content, settings, resume, more_steps)
        clock = _clock(scales, settings, resume, self._paces)
        self._paces = clock.paces
        canvas = resume and Canvas.restored(resume)
        good: tuple[Canvas, Losses] | None = None  # the latest step's
        painted = 0, 0  # its size
        for (height, width), steps in scales:
            try:
                photo = images.resize(content, height, width)
                objective = self._objective(photo, self._style_targets(styles, max(height, width), settings), settings)
                if canvas is None:
                    canvas = Canvas.started(start(photo, styles[0], settings))
                    losses, _ = objective(canvas.image)
                    yield _frame(clock, canvas, losses, steps if checkpoints else None)
                fits = canvas.image.shape == photo.shape
                begun = canvas if fits else canvas.grown(photo, settings.detail)
                for canvas, losses, left in _steps(objective, begun, steps, settings, clock):
                    good, painted = (canvas, losses), (height, width)
                    if clock.frame_is_due:
                        yield _frame(clock, canvas, losses, left if checkpoints else None)
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if good is None or painted == (height, width) or max(painted) < preflight.SMALLEST:
                    sentence = f"{max(height, width)} pixels are too many for this machine's memory."
                    raise MemoryError(sentence) from error
                break
        else:
            return
        clock.end()
        last = _frame(clock, *good, 0 if checkpoints else None)
        yield replace(last, note=preflight.lowered(settings.size, last.scale))

    def expected_seconds(self, height: int, width: int, settings: Settings) -> float:
        """What a run takes for a photo of these proportions, by the pace of the latest run; 0 before there was one."""
        scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
        return _clock(scales, settings, None, self._paces).remaining

    def _objective(self, photo: np.ndarray, style: dict[str, Statistics], settings: Settings) -> Objective:
        """The losses of an image of the photo's size, and their gradient."""
        margin = settings.padding
        seen = self.network(tf.constant(photo), set(settings.content_layers), margin)
        content = {layer: (x, content_spread(x, settings.normalization)) for layer, x in seen.items()}
        targets = Targets(content, style)
        weights = _loss_weights(settings)
        kinds = settings.style_statistics, settings.normalization
        thins = self.network.precision == "bfloat16" and photo.shape[1] * photo.shape[2] > MANY

        fixed = targets, weights, *kinds, margin
        # Compiled for every size at once: by itself TensorFlow would do so only when it meets the second.
        step = tf.constant(0) if thins else None
        general = tf.nest.map_structure(_of_any_size, (tf.constant(photo), *fixed, step))
        self._compiled_step.get_concrete_function(*general)

        def objective(image: tf.Tensor, step: tf.Tensor | None = None) -> tuple[Losses, tf.Tensor]:
            return self._compiled_step(image, *fixed, step if thins else None)

        return objective

    def _style_targets(self, styles: Sequence[np.ndarray], side: int, settings: Settings) -> dict[str, Statistics]:
        """The styles' statistics at one scale, blended."""
        blend = settings.style_blend or (1.0,) * len(styles)
        if len(blend) != len(styles) or sum(blend) <= 0:
            wanted = f"one number for each style, {len(styles)} in all"
            raise ValueError(f"style_blend: {settings.style_blend} should have {wanted}")
        shares = [part / sum(blend) for part in blend]
        collected: dict[str, list[Statistics]] = {layer: [] for layer in settings.style_layers}
        for style in styles:
            longest = min(round(side * settings.style_scale), max(style.shape[1:3]))  # a style is never enlarged
            shrunk = _scaled(style, longest)
            for layer, features in self.network(tf.constant(shrunk), set(collected), settings.padding).items():
                collected[layer].append(style_statistics(features, settings.style_statistics))
        return {
            layer: tuple(tf.add_n([share * part for share, part in zip(shares, parts)]) for parts in zip(*statistics))
            for layer, statistics in collected.items()
        }

    def _losses_and_gradient(
        self,
        image: tf.Tensor,
        targets: Targets,
        weights: LossWeights,
        statistics: str,
        normalization: str,
        margin: int,
        step: tf.Tensor | None,
    ) -> tuple[Losses, tf.Tensor]:
        """J = α J_content + β J_style + γ J_tv with its terms, and dJ/d image, float32 (1, H, W, 3).

        Gatys et al. 2015, eq. 7, with a third term; J_style is the layers' weighted sum, eq. 5.

        Exact where no step is given, else what a quarter of the positions of THINNED layers tells at that step.
        """
        thinned, phase = frozenset[str](), 0
        if step is not None:
            thinned, phase = THINNED - set(targets.content), tf.math.floormod(step, 4)
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self.network(image, {*targets.content, *targets.style}, margin, thinned, phase)
            content = sum(
                weights.content_layers[layer] * content_loss(features[layer], *target)
                for layer, target in targets.content.items()
            )
            style = sum(
                weights.style_layers[layer]
                * style_loss(style_statistics(features[layer], statistics), target, normalization)
                for layer, target in targets.style.items()
            )
            variation = total_variation(image)
            total = weights.content * content + weights.style * style + weights.total_variation * variation
        losses: Any = {"content": content, "style": style, "total_variation": variation, "total": total}
        gradient: Any = tape.gradient(total, image)
        return losses, gradient

    def _check_layers(self, settings: Settings) -> None:
        for field, layers in (("content_layers", settings.content_layers), ("style_layers", settings.style_layers)):
            if unknown := set(layers) - set(self.network.layers):
                known = f"{self.network.layers[0]} … {self.network.layers[-1]}"
                raise ValueError(f"{field}: the {self.network.name} network has no {min(unknown)}; it has {known}")


class _Stillness:
    """Tells when a picture has stopped changing."""

    WINDOW = 20  # steps

    def __init__(self, tolerance: float):
        self._tolerance, self._step = tolerance, 0  # in 1/255
        self._earlier: tf.Tensor | None = None  # the picture at the latest look at it

    def after(self, picture: tf.Tensor) -> bool:
        """Whether the picture, float in [0, 1], has changed by less than the tolerance over the last WINDOW steps."""
        self._step += 1
        if not self._tolerance or self._step % self.WINDOW:
            return False
        earlier, self._earlier = self._earlier, picture
        return earlier is not None and 255 * float(tf.reduce_mean(tf.abs(picture - earlier))) < self._tolerance


def _steps(
    objective: Objective, canvas: Canvas, steps: int, settings: Settings, clock: Clock
) -> Iterator[tuple[Canvas, Losses, int]]:
    """The canvas after each step of a scale, the losses before it, and how many steps are left at this scale."""
    optimizer = OPTIMIZERS[settings.optimizer]
    iterates = optimizer(objective, canvas.image, canvas.memory, settings.learning_rate)
    still, unread = _Stillness(settings.tolerance), 0
    for left, iterate in zip(reversed(range(steps)), iterates):
        clock.tick()
        canvas = canvas.after(iterate, settings.averaging)
        unread += 1
        if still.after(canvas.average):
            clock.end_scale()
            left = 0
        # Reading a number waits for the device.  After each step a GPU would have nothing to do meanwhile; too seldom,
        # and steps pile up in its queue and pictures come late.
        if not left or clock.frame_is_due or not clock.pace or unread * clock.pace >= AHEAD:
            if not np.isfinite(iterate.losses["total"].numpy()):
                raise FloatingPointError(f"The loss overflowed at step {clock.step}; try a lower learning rate.")
            unread = 0
        yield canvas, iterate.losses, left
        if not left:
            break


def _scales(
    content: np.ndarray, settings: Settings, resume: Checkpoint | None, more_steps: int
) -> list[tuple[tuple[int, int], int]]:
    """((height, width), steps) of each scale that is still to be painted."""
    _, height, width, _ = content.shape
    scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
    if resume is not None:
        height, width = resume.image.shape[1:3]
        sizes = [size for size, _ in scales]
        if (height, width) not in sizes:
            wanted = " or ".join(f"{width} x {height}" for height, width in sizes)
            raise ValueError(f"resume: a picture of {width} x {height} pixels should have {wanted}")
        scales = [((height, width), resume.left), *scales[sizes.index((height, width)) + 1 :]]
    if more_steps < 0:
        raise ValueError(f"more_steps: {more_steps} should be at least 0")
    size, steps = scales[-1]
    scales[-1] = size, steps + more_steps
    if not sum(steps for _, steps in scales):
        raise ValueError(f"more_steps: {more_steps} should be above 0, the picture being finished")
    return [(size, steps) for size, steps in scales if steps]


def _clock(
    scales: list[tuple[tuple[int, int], int]], settings: Settings, resume: Checkpoint | None, paces: dict[int, float]
) -> Clock:
    margin = 2 * settings.padding
    work = [((height + margin) * (width + margin), steps) for (height, width), steps in scales]
    before = (resume.step, resume.elapsed, resume.paces) if resume else (0, 0.0, paces)
    return Clock(work, 1 / settings.frames_per_second, *before)


def _frame(clock: Clock, canvas: Canvas, losses: Losses, left: int | None) -> Frame:
    """The canvas as a frame at this moment; with a checkpoint if told how many steps are left at this scale."""
    clock.frame_is_shown()
    picture, checkpoint = canvas.average.numpy(), None
    if left is not None:
        checkpoint = Checkpoint(
            image=canvas.image.numpy(),
            average=picture,
            weight=canvas.weight,
            memory=tuple(part.numpy() for part in canvas.memory or ()),
            step=clock.step,
            left=left,
            elapsed=clock.elapsed,
            paces=dict(clock.paces),
        )
    return Frame(
        step=clock.step,
        steps=clock.steps,
        scale=max(picture.shape[1:3]),
        image=images.to_uint8(picture),
        losses={name: float(loss) for name, loss in losses.items()},
        elapsed=clock.elapsed,
        remaining=clock.remaining,
        checkpoint=checkpoint,
    )


def _of_any_size(argument: Any) -> Any:
    """What tells the compiler a tensor's type, without the height and the width of a picture."""
    if not isinstance(argument, tf.Tensor):
        return argument
    shape = argument.shape.as_list()
    return tf.TensorSpec([shape[0], None, None, shape[3]] if len(shape) == 4 else shape, argument.dtype)


def _scaled(image: np.ndarray, side: int) -> np.ndarray:
    """The image with its longest side `side` pixels."""
    _, height, width, _ = image.shape
    return images.resize(image, *images.fit(height, width, side))


def _loss_weights(settings: Settings) -> LossWeights:
    weights = (tf.constant(weight, tf.float32) for weight in settings.loss_weights)
    return LossWeights(_shares(settings.content_layers), _shares(settings.style_layers), *weights)


def _shares(layers: dict[str, float]) -> dict[str, tf.Tensor]:
    """Layer weights scaled to sum to 1."""
    return {layer: tf.constant(weight / sum(layers.values()), tf.float32) for layer, weight in layers.items()}
