"""The engine: repaints a photo, coarse to fine, by minimizing the loss of Gatys, Ecker and Bethge (2015)."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nst import color, images, masks, memory
from nst.canvas import Canvas, Checkpoint, start_image
from nst.controls import Controls
from nst.features import Network, load_network
from nst.flow import Previous
from nst.masks import Masks
from nst.objective import Objective, losses_and_gradient
from nst.optimizers import OPTIMIZERS, Adam, Losses
from nst.progress import Progress
from nst.settings import FOLLOWING_STEPS, Settings
from nst.tiles import StepFunction, Tiles, any_size, needed
from nst.weights import CONVOLUTIONS, requested

TRY_SIDE = 128  # pixels of the longest side of a try
LEAST_RATE: float = Settings.__dataclass_fields__["learning_rate"].metadata["low"]
HALVINGS = 6  # of the learning rate, in a row, before an overflow ends the run
COMPACT_COST = 0.4  # rough step time of the compact network relative to a VGG's, to estimate the time left

Scale = tuple[tuple[int, int], int]  # (height, width), steps


@dataclass(frozen=True)
class Frame:
    """An intermediate or the final picture, and the progress of the run: plain values, no tensors."""

    step: int  # steps done; 0 is the start image
    steps: int  # of the whole run
    scale: int  # longest side of `image`, in pixels
    image: np.ndarray  # uint8 (H, W, 3); smaller than `Settings.size` until the last scale
    losses: dict[str, float]  # "content", "style", "total_variation": J's terms without α, β, γ; "total": J
    elapsed: float  # seconds since the run began
    remaining: float  # estimated seconds left; 0 while unknown
    settings: Settings  # those of the latest step
    checkpoint: Checkpoint | None = None  # with `stylize(…, checkpoints=True)`
    deep: np.ndarray | None = None  # uint16 (H, W, 3): `image` with 16 bits a channel, with `stylize(…, deep=True)`
    note: str = ""  # one sentence if the picture is smaller than `Settings.size`


class StyleTransfer:
    """Repaints photos with one network.  Reuse it: the step is compiled only once, for all runs and sizes."""

    def __init__(self, network: Network, sketcher: "Callable[[Settings], StyleTransfer] | None" = None):
        """`sketcher` returns an engine with the compact network, which paints a VGG's coarse scales; by default, a new
        one is made when needed.
        """
        self.network = network
        xla = os.environ.get("NST_XLA", "0") not in ("", "0") or None
        # Without AutoGraph, whose conversion of this project's code would delay the first frame by a second.
        self._compiled_steps = tf.function(self._run_steps, reduce_retracing=True, jit_compile=xla, autograph=False)
        self._tiles = Tiles(network)
        self._step_times: dict[int, float] = {}  # of the latest run, to estimate the time of the next one
        self._load_sketcher = sketcher or (lambda settings: StyleTransfer(load_network(settings)))
        self._sketcher: StyleTransfer | None = None  # made by `_engine_for`

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        settings: Settings = Settings(),
        *,
        where: Masks = masks.EVERYWHERE,
        controls: Controls | None = None,
        start: np.ndarray | None = None,
        previous: Previous | None = None,
        resume: Checkpoint | None = None,
        more_steps: int = 0,
        checkpoints: bool = False,
        deep: bool = False,
    ) -> Generator[Frame, None, None]:
        """Repaint `content` in the style of `styles`.

        A stopped run resumes from the checkpoint of its last frame with identical results, though L-BFGS loses its
        history; a finished run takes `more_steps`.  Any setting may differ from the first run, and so may the pictures,
        if the content keeps its proportions; a larger size adds scales.  The `tolerance` test starts anew.

        Args:
            content: float32 (1, H, W, 3) RGB in [0, 1], of any size; what is transparent in (1, H, W, 4) is no content
                and gets no style.
            styles: one or more pictures like it; their statistics are blended by `settings.style_blend`.
            settings: all settings of the run.
            where: which painting goes where, and what is protected.
            controls: changes of the run while it is under way.  After a change, FOLLOWING_STEPS are left at least.
            start: a finished picture to start from, like `content`: only the scales above its size are painted, or the
                last one if there is none.
            previous: the frame of a film before this one, of the finished picture's size, to start from instead; adds
                the temporal loss.
            resume: checkpoint to resume from, instead.
            more_steps: additional steps at the last scale.
            checkpoints: whether frames carry checkpoints, for `resume`; keep only the latest, they are large.
            deep: whether frames carry their picture with 16 bits a channel, too.

        Yields:
            First the start image, unless there is `start` or `resume`; then at most `settings.frames_per_second`
            frames per second; last the finished picture, whose longest side is `settings.size`.  If the memory does not
            suffice for a scale, the last frame is that of the scale before, with a note.  If the loss overflows, the
            run goes on from a few steps before, with half of the `learning_rate` in `Frame.settings`.

        Raises:
            ValueError: a size at which the picture has a side below `images.MIN_SIDE`, a layer that the network does
                not have, a blend or masks that do not fit the styles, or a checkpoint that does not fit the content and
                the settings or leaves no steps to do.
            FloatingPointError: the loss overflows, also after HALVINGS of `learning_rate`; the frames so far are good.
            MemoryError: the memory ran out, and no finished scale of at least 128 pixels can take the place of the
                result; the frames so far are good.
        """
        self._check(content, styles, settings, where)
        if previous is not None:
            images.check_array(previous.image, "previous")
            start = previous.image if resume is None else None
        scales = _scales(content, settings, start, resume, more_steps)
        if previous is not None and (found := previous.image.shape[1:3]) != scales[-1][0]:
            raise ValueError(f"previous: a frame of {found} should have the finished picture's size, {scales[-1][0]}")
        progress = self._progress(scales, settings, resume)
        self._step_times = progress.step_times
        settings = settings.with_more_steps(more_steps)
        canvas, chroma_amount = resume and Canvas.restored(resume), resume.chroma_amount if resume else 0.0
        if start is not None:
            images.check_array(start, "start")
            canvas = Canvas.initial(_reduced(start[..., :3], settings.size))
        latest: tuple[_Scene, Canvas, Losses, Settings] | None = None  # after the latest step
        for size, _ in scales:
            try:
                scene = self._scene(content, styles, (settings,), where, size, previous)
                if canvas is None:
                    canvas, chroma_amount = scene.start(settings), scene.chroma_amount
                    _, losses = scene.step(canvas, 1, settings.learning_rate)
                    left = progress.steps_left if checkpoints else None
                    yield _frame(progress, scene, canvas, losses, settings, left, deep=deep)
                canvas = good = scene.fitted(canvas, chroma_amount, settings.detail)
                progress.begin_scale()
                convergence = _Convergence(settings.tolerance)
                while True:
                    wanted, paintings = (controls and controls.wanted) or (settings, styles)
                    if settings.following(wanted) != settings:
                        more = max(0, FOLLOWING_STEPS - progress.steps + progress.step)
                        progress.extend(more)
                        settings, styles = settings.following(wanted).with_more_steps(more), paintings
                        self._check_layers(settings)
                        scene = self._scene(content, styles, (settings,), where, size, previous)
                        # The optimizer's moments are of another loss, and would cost steps.
                        canvas = good = scene.fitted(canvas._replace(state=None), chroma_amount, settings.detail)
                    chroma_amount = scene.chroma_amount
                    if not progress.steps_left:
                        break
                    count = min(progress.steps_until_frame, convergence.steps_until_check, progress.steps_left)
                    rate = settings.learning_rate
                    canvas, good, losses, rate = scene.advance(canvas, good, count, rate, progress.step)
                    if rate != settings.learning_rate:
                        settings = replace(settings, learning_rate=rate)
                    progress.advance(count)
                    if convergence.reached(count, canvas.average):
                        progress.end_scale()
                    latest = scene, canvas, losses, settings
                    if progress.frame_is_due:
                        yield _frame(progress, *latest, progress.steps_left if checkpoints else None, deep=deep)
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if latest is None or not memory.SMALLEST <= max(latest[0].photo.shape[1:3]) < max(size):
                    sentence = f"{max(size)} pixels are too many for this machine's memory."
                    raise MemoryError(sentence) from error
                break
        else:
            return
        progress.end()
        last = _frame(progress, *latest, 0 if checkpoints else None, deep=deep)
        yield replace(last, note=memory.size_note(settings.size, last.scale))

    def tries(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        variants: Sequence[Settings],
        steps: int,
        *,
        where: Masks = masks.EVERYWHERE,
    ) -> Generator[list[Frame], None, None]:
        """Paint a batch of variants side by side, TRY_SIDE pixels large, all in one compiled step.

        Args:
            content, styles, where: as for `stylize`.
            variants: settings that differ only in numbers that are LIVE, but for the colors.
            steps: of each; going on, a coarsest scale of TRY_SIDE has as many fewer.

        Yields:
            A frame for each variant, at most `frames_per_second` times a second, with a checkpoint from which `stylize`
            goes on.

        Raises:
            ValueError: as for `stylize`.
        """
        first = variants[0]
        self._check(content, styles, first, where)
        _, height, width, _ = content.shape
        size = images.fit(height, width, min(TRY_SIDE, first.size))
        scales = dict(_scales(content, first))
        later = sum(count for scale, count in scales.items() if max(scale) > max(size))
        usual = max(steps, scales.get(size, 0))
        scene = self._scene(content, styles, variants, where, size)
        canvas, rate = scene.start(first), first.learning_rate
        good = canvas
        progress = Progress([(size[0] * size[1] * len(variants), steps)], 1 / first.frames_per_second)
        while progress.step < steps:
            count = min(progress.steps_until_frame, steps - progress.step)
            canvas, good, losses, rate = scene.advance(canvas, good, count, rate, progress.step)
            progress.advance(count)
            if progress.frame_is_due:
                frames = [
                    _frame(progress, scene, canvas, losses, settings, usual - progress.step, index)
                    for index, settings in enumerate(replace(variant, learning_rate=rate) for variant in variants)
                ]
                yield [replace(frame, steps=usual + later) for frame in frames]

    def expected_seconds(self, height: int, width: int, settings: Settings) -> float:
        """Estimated seconds of a run for a photo of these proportions, from the latest run; 0 before the first."""
        scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
        return self._progress(scales, settings, None).remaining

    def _progress(self, scales: list[Scale], settings: Settings, resume: Checkpoint | None) -> Progress:
        margin = 2 * settings.padding
        work = []  # for each scale the pixels a VGG would process in the same time, and steps
        for (height, width), steps in scales:
            is_compact = self.network.name == "compact" or self._is_sketched(max(height, width), settings)
            pixels = (height + margin) * (width + margin) * (COMPACT_COST if is_compact else 1)
            work.append((round(pixels), steps))
        step_times = self._step_times or self._engine_for(0, settings)._step_times
        earlier = (resume.step, resume.elapsed, resume.step_times) if resume else (0, 0.0, step_times)
        return Progress(work, 1 / settings.frames_per_second, *earlier)

    def _engine_for(self, side: int, settings: Settings) -> "StyleTransfer":
        """The engine for a scale: this one, or one with the compact network at a VGG's scales before the last."""
        if not self._is_sketched(side, settings):
            return self
        if self._sketcher is None:
            compact = replace(settings, network="compact", weights="", precision=self.network.precision)
            self._sketcher = self._load_sketcher(compact)
        layers = set(self._sketcher.network.layers)
        return self._sketcher if layers.issuperset({*settings.content_layers, *settings.style_layers}) else self

    def _is_sketched(self, side: int, settings: Settings) -> bool:
        wanted = settings.sketch == "compact" and settings.normalization != "paper" and side < settings.size
        return wanted and self.network.name.startswith("vgg")

    def _scene(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        variants: Sequence[Settings],
        where: Masks,
        size: tuple[int, int],
        previous: Previous | None = None,
    ) -> "_Scene":
        """Prepare a scale for a batch of variants of the settings, often of one."""
        first = variants[0]
        photo = images.resize(content, *size)
        seen, styles = color.prepare(photo, styles, first)
        engine = self._engine_for(max(size), first)
        # Tries are small; and the frames of films, whose loss has another term, are no prints.
        tiles = engine._tiles if len(variants) == 1 and previous is None else None
        made: list[Objective] = []
        for variant in variants:
            twins = [replace(earlier, strength=variant.strength) == variant for earlier in variants[: len(made)]]
            if any(twins):  # spares half of the time of a batch's preparation
                made.append(made[twins.index(True)].weighted(variant, max(size)))
            else:
                made.append(Objective.of(engine.network, seen, styles, variant, where, tiles))
        if previous is not None:  # in the colors that the engine sees
            image = color.changed(previous.image, photo[..., :3], 0, color.chroma_amount(first))
            previous = previous._replace(image=image)
            made = [objective.following(previous, first.temporal_weight) for objective in made]
        objectives = tuple(made)
        if tiles and needed(size, first):
            step = tiles.step_function(objectives[0], first)
        else:
            step = engine._compile_step(objectives, seen[..., :3], first)
        return _Scene(photo[..., :3], seen[..., :3], styles[0][..., :3], objectives, step, color.chroma_amount(first))

    def _compile_step(self, objectives: tuple[Objective, ...], photo: np.ndarray, settings: Settings) -> StepFunction:
        """Compile `_run_steps`; return it with the objectives, one for each image, and the averaging bound."""
        optimizer, averaging = OPTIMIZERS[settings.optimizer], tf.constant(settings.averaging)
        # Trace for all sizes at once; by itself TensorFlow would generalize only at the second size.
        image = np.repeat(photo, len(objectives), axis=0)
        canvas = Canvas.initial(image, optimizer.initial(tf.constant(image)))
        arguments = canvas, objectives, averaging, averaging, tf.constant(1)
        signature = tf.nest.map_structure(any_size, arguments)
        self._compiled_steps.get_concrete_function(*signature)

        def step(canvas: Canvas, count: int, learning_rate: float) -> tuple[Canvas, Losses]:
            canvas = canvas._replace(state=optimizer.initial(canvas.image, canvas.state))
            return self._compiled_steps(canvas, objectives, tf.constant(learning_rate), averaging, tf.constant(count))

        return step

    def _run_steps(
        self,
        canvas: Canvas,
        objectives: tuple[Objective, ...],
        learning_rate: tf.Tensor,
        averaging: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[Canvas, Losses]:
        """Run `count` optimizer steps in one compiled loop; return the canvas and the losses before the last step."""

        def step(done: tf.Tensor, canvas: Canvas, _: Losses) -> tuple[tf.Tensor, Canvas, Losses]:
            state: Any = canvas.state
            losses, gradient = losses_and_gradient(objectives, self.network, canvas.image, state.steps)
            image, state = state.step(canvas.image, tf.reduce_sum(losses["total"]), gradient, learning_rate)
            return done + 1, canvas.updated(image, state, averaging), losses

        losses = dict.fromkeys((*objectives[0].weights, "total"), tf.zeros(len(objectives)))
        variables = tf.constant(0), canvas, losses
        return tf.while_loop(lambda done, *_: done < count, step, variables, parallel_iterations=1)[1:]

    def _check(self, content: np.ndarray, styles: Sequence[np.ndarray], settings: Settings, where: Masks) -> None:
        """Raise a ValueError, with one sentence, for what `stylize` does not take."""
        images.check_array(content, "content")
        if not styles:
            raise ValueError("styles: at least one painting is needed")
        for index, style in enumerate(styles):
            images.check_array(style, f"styles[{index}]")
        images.check_strip(content.shape[1], content.shape[2], settings.size, "content")
        masks.check(where, len(styles))
        self._check_layers(settings)

    def _check_layers(self, settings: Settings) -> None:
        for field, layers in (("content_layers", settings.content_layers), ("style_layers", settings.style_layers)):
            if unknown := set(layers) - set(self.network.layers):
                known = f"{self.network.layers[0]} … {self.network.layers[-1]}"
                sentence = f"{field}: the {self.network.name} network has no {min(unknown)}; it has {known}"
                raise ValueError(sentence + self._remedy(min(unknown), settings))

    def _remedy(self, layer: str, settings: Settings) -> str:
        """How to get a layer that the network lacks; "" if there is no way."""
        if layer not in CONVOLUTIONS:
            return ""
        if self.network.name.startswith("vgg"):
            return f"; for {layer} use a file with all of VGG-19, or no file: Keras' VGG-19 has it"
        if self.network.name != "compact":
            return ""
        if requested(settings.network) == "vgg19":
            return f". {self.network.reason}"  # VGG-19 was asked for and is missing
        return f'; for {layer} use --network vgg19 ("Finest" on the page), which downloads 80 MB if VGG-19 is missing'


class _Convergence:
    """Detects convergence: a mean absolute change below `tolerance` over WINDOW steps."""

    WINDOW = 20  # steps

    def __init__(self, tolerance: float):
        self._tolerance = tolerance  # in 1/255
        self.steps_until_check = self.WINDOW if tolerance else sys.maxsize
        self._previous: Any = None  # the image at the previous check

    def reached(self, steps: int, image: tf.Tensor) -> bool:
        """Whether the image, float in [0, 1], has converged `steps` steps after the previous call."""
        self.steps_until_check -= steps
        if self.steps_until_check:
            return False
        previous, self._previous = self._previous, np.array(image) if isinstance(image, np.ndarray) else image
        self.steps_until_check = self.WINDOW
        return previous is not None and 255 * float(tf.reduce_mean(tf.abs(image - previous))) < self._tolerance


class _Scene(NamedTuple):
    """A scale, prepared for the settings in force.  A batch of variants shares it."""

    photo: np.ndarray  # float32 (1, H, W, 3) in [0, 1]
    seen: np.ndarray  # the same, as the engine sees it
    style: np.ndarray  # the first painting, as the engine sees it
    objectives: tuple[Objective, ...]  # of each image of the batch
    step: StepFunction
    chroma_amount: float

    def start(self, settings: Settings) -> Canvas:
        """The start of a run."""
        image = start_image(self.seen, self.style, settings, bool(self.objectives[0].grey))
        return Canvas.initial(np.repeat(image, len(self.objectives), axis=0))

    def advance(
        self, canvas: Canvas, good: Canvas, count: int, rate: float, step: int
    ) -> tuple[Canvas, Canvas, Losses, float]:
        """Run `count` steps after `step`; if the loss overflows, go back to a good canvas and halve the learning rate.

        Args:
            good: an earlier canvas of this scene: the loss of the latest one may have overflowed already.

        Returns:
            The canvas, a good one for the next call, the losses before the last step, and the learning rate.

        Raises:
            FloatingPointError: HALVINGS did not help.
        """
        for _ in range(1 + HALVINGS):
            after, losses = self.step(canvas, count, rate)
            if np.isfinite([*losses["total"].numpy(), tf.reduce_sum(after.average)]).all():  # waits for the device
                return after, canvas, losses, rate
            if isinstance(after.image, np.ndarray):  # tiles change it in place
                break
            # The optimizer's moments may have overflowed, too.
            canvas, rate = good._replace(state=None), max(rate / 2, LEAST_RATE)
        raise FloatingPointError(f"The loss overflowed at step {step + count}; try a lower learning rate.")

    def fitted(self, canvas: Canvas, chroma_amount: float, detail: float) -> Canvas:
        """A canvas that was made with another amount of chroma or at a smaller scale, as one of this scene."""
        shape: Any = canvas.average.shape  # of a tensor, or an array
        height, width = shape[1:3]
        if chroma_amount != self.chroma_amount:
            photo = images.resize(self.photo, height, width)
            image, average = (
                tf.constant(color.changed(np.asarray(part), photo, chroma_amount, self.chroma_amount))
                for part in (canvas.image, canvas.average)
            )
            canvas = canvas._replace(image=image, average=average)
        return canvas if (height, width) == self.seen.shape[1:3] else canvas.upscaled(self.seen, detail)

    def picture(self, canvas: Canvas, index: int) -> np.ndarray:
        """An image of the batch as it is shown, float32 (1, H, W, 3) in [0, 1]."""
        image = np.asarray(self.objectives[index].shown(canvas.average[index : index + 1]))
        return color.shown(image, self.photo, self.chroma_amount)


def _scales(
    content: np.ndarray,
    settings: Settings,
    start: np.ndarray | None = None,
    resume: Checkpoint | None = None,
    more_steps: int = 0,
) -> list[Scale]:
    """The scales left to paint, with their steps."""
    _, height, width, _ = content.shape
    scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
    if start is not None:
        scales = [scale for scale in scales if max(scale[0]) > max(start.shape[1:3])] or scales[-1:]
    if resume is not None:
        height, width = resume.image.shape[1:3]
        (rows, columns), _ = scales[-1]
        fitted = images.fit(content.shape[1], content.shape[2], max(height, width))
        if max(height, width) > max(rows, columns) or abs(np.subtract(fitted, (height, width))).max() > 1:
            wanted = f"{columns} x {rows} at most, and the content's proportions"
            raise ValueError(f"resume: a picture of {width} x {height} pixels should have {wanted}")
        larger = [scale for scale in scales if max(scale[0]) > max(height, width)]
        scales = [((height, width), resume.steps_left), *larger]
    if more_steps < 0:
        raise ValueError(f"more_steps: {more_steps} should be at least 0")
    size, steps = scales[-1]
    scales[-1] = size, steps + more_steps
    if not sum(steps for _, steps in scales):
        raise ValueError(f"more_steps: {more_steps} should be above 0, since the picture is finished")
    return [(size, steps) for size, steps in scales if steps]


def _reduced(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture whose longest side is `side` pixels at most."""
    _, height, width, _ = picture.shape
    return images.resize(picture, *images.fit(height, width, min(side, max(height, width))))


def _frame(
    progress: Progress,
    scene: _Scene,
    canvas: Canvas,
    losses: Losses,
    settings: Settings,
    steps_left: int | None,
    index: int = 0,
    deep: bool = False,
) -> Frame:
    """An image of the canvas as a frame; with a checkpoint if `steps_left` at this scale is given."""
    progress.schedule_frame()
    picture, checkpoint = scene.picture(canvas, index), None
    if steps_left is not None:
        own = slice(index, index + 1)
        state = canvas.state
        moments = ()
        if isinstance(state, Adam):
            moments = (np.array(state.first[own]), np.array(state.second[own]), state.steps.numpy())
        checkpoint = Checkpoint(
            image=np.array(canvas.image[own]),
            average=np.array(canvas.average[own]),
            weight=float(canvas.weight),
            state=moments,
            step=progress.step,
            steps_left=steps_left,
            elapsed=progress.elapsed,
            step_times=dict(progress.step_times),
            chroma_amount=scene.chroma_amount,
        )
    return Frame(
        step=progress.step,
        steps=progress.steps,
        scale=max(picture.shape[1:3]),
        image=images.to_uint8(picture),
        losses={name: float(loss[index]) for name, loss in losses.items()},
        elapsed=progress.elapsed,
        remaining=progress.remaining,
        settings=settings,
        checkpoint=checkpoint,
        deep=images.to_uint16(picture) if deep else None,
    )
