"""The engine: repaints a photo, coarse to fine, by minimizing the loss of Gatys, Ecker and Bethge (2015)."""

import math
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from nst import images, memory
from nst.canvas import Canvas, Checkpoint, start_image
from nst.features import Network, load_network
from nst.objective import Objective
from nst.optimizers import OPTIMIZERS, Adam, Losses
from nst.progress import Progress
from nst.settings import Settings
from nst.weights import CONVOLUTIONS, requested

COMPACT_COST = 0.4  # rough step time of the compact network relative to a VGG's, to estimate the time left

Scale = tuple[tuple[int, int], int]  # (height, width), steps
StepFunction = Callable[[Canvas, int], tuple[Canvas, Losses]]  # canvas, steps -> canvas, losses before the last step


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
    checkpoint: Checkpoint | None = None  # with `stylize(…, checkpoints=True)`
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
        self._step_times: dict[int, float] = {}  # of the latest run, to estimate the time of the next one
        self._load_sketcher = sketcher or (lambda settings: StyleTransfer(load_network(settings)))
        self._sketcher: StyleTransfer | None = None  # made by `_engine_for`

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
        """Repaint `content` in the style of `styles`.

        A stopped run resumes from the checkpoint of its last frame with identical results, though L-BFGS loses its
        history; a finished run takes `more_steps`.  Any setting may differ from the first run, and so may the pictures,
        if the content keeps its proportions; twice the size adds a scale.  The `tolerance` test starts anew.

        Args:
            content: float32 (1, H, W, 3) RGB in [0, 1], of any size.
            styles: one or more pictures like it; their statistics are blended by `settings.style_blend`.
            settings: all settings of the run.
            resume: checkpoint to resume from.
            more_steps: additional steps at the last scale.
            checkpoints: whether frames carry checkpoints, for `resume`; keep only the latest, they are large.

        Yields:
            First the start image, unless resuming; then at most `settings.frames_per_second` frames per second; last
            the finished picture, whose longest side is `settings.size`.  If the memory does not suffice for a scale,
            the last frame is that of the scale before, with a note.

        Raises:
            ValueError: a size at which the picture has a side below `images.MIN_SIDE`, a layer that the network does
                not have, a blend that does not fit the styles, or a checkpoint that does not fit the content and the
                settings or leaves no steps to do.
            FloatingPointError: the loss is no longer finite; the frames so far are good.
            MemoryError: the memory ran out, and no finished scale of at least 128 pixels can take the place of the
                result; the frames so far are good.
        """
        images.check_array(content, "content")
        if not styles:
            raise ValueError("styles: at least one painting is needed")
        for index, style in enumerate(styles):
            images.check_array(style, f"styles[{index}]")
        images.check_strip(content.shape[1], content.shape[2], settings.size, "content")
        self._check_layers(settings)
        scales = _scales(content, settings, resume, more_steps)
        progress = self._progress(scales, settings, resume)
        self._step_times = progress.step_times
        canvas = resume and Canvas.restored(resume)
        latest: tuple[Canvas, Losses] | None = None  # after the latest step
        latest_size = 0, 0
        for (height, width), steps in scales:
            try:
                photo = images.resize(content, height, width)
                engine = self._engine_for(max(height, width), settings)
                objective = Objective.of(engine.network, photo, styles, settings)
                step = engine._compile_step(objective, photo, settings)
                if canvas is None:
                    canvas = Canvas.initial(start_image(photo, styles[0], settings, objective.grey))
                    _, losses = step(canvas, 1)
                    yield _frame(progress, canvas, losses, steps if checkpoints else None)
                fits = canvas.image.shape == photo.shape
                initial = canvas if fits else canvas.upscaled(photo, settings.detail)
                for canvas, losses, left in _optimize(step, initial, steps, settings.tolerance, progress):
                    latest, latest_size = (canvas, losses), (height, width)
                    if progress.frame_is_due:
                        yield _frame(progress, canvas, losses, left if checkpoints else None)
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if latest is None or latest_size == (height, width) or max(latest_size) < memory.SMALLEST:
                    sentence = f"{max(height, width)} pixels are too many for this machine's memory."
                    raise MemoryError(sentence) from error
                break
        else:
            return
        progress.end()
        last = _frame(progress, *latest, 0 if checkpoints else None)
        yield replace(last, note=memory.size_note(settings.size, last.scale))

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

    def _compile_step(self, objective: Objective, photo: np.ndarray, settings: Settings) -> StepFunction:
        """Compile `_run_steps`; return it with the objective and the settings bound."""
        optimizer = OPTIMIZERS[settings.optimizer]
        constants = objective, *(tf.constant(number) for number in (settings.learning_rate, settings.averaging))
        # Trace for all sizes at once; by itself TensorFlow would generalize only at the second size.
        canvas = Canvas.initial(photo, optimizer.initial(tf.constant(photo)))
        signature = tf.nest.map_structure(_any_size_spec, (canvas, *constants, tf.constant(1)))
        self._compiled_steps.get_concrete_function(*signature)

        def step(canvas: Canvas, count: int) -> tuple[Canvas, Losses]:
            state = optimizer.initial(canvas.image, canvas.state)
            return self._compiled_steps(canvas._replace(state=state), *constants, tf.constant(count))

        return step

    def _run_steps(
        self, canvas: Canvas, objective: Objective, learning_rate: tf.Tensor, averaging: tf.Tensor, count: tf.Tensor
    ) -> tuple[Canvas, Losses]:
        """Run `count` optimizer steps in one compiled loop; return the canvas and the losses before the last step."""

        def step(done: tf.Tensor, canvas: Canvas, _: Losses) -> tuple[tf.Tensor, Canvas, Losses]:
            state: Any = canvas.state
            losses, gradient = objective.losses_and_gradient(self.network, canvas.image, state.steps)
            image, state = state.step(canvas.image, losses, gradient, learning_rate)
            return done + 1, canvas.updated(image, state, averaging), losses

        losses = dict.fromkeys((*objective.weights, "total"), tf.zeros(()))
        variables = tf.constant(0), canvas, losses
        return tf.while_loop(lambda done, *_: done < count, step, variables, parallel_iterations=1)[1:]

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
        self._previous: tf.Tensor | None = None  # the image at the previous check

    def reached(self, steps: int, image: tf.Tensor) -> bool:
        """Whether the image, float in [0, 1], has converged `steps` steps after the previous call."""
        self.steps_until_check -= steps
        if self.steps_until_check:
            return False
        self.steps_until_check, previous, self._previous = self.WINDOW, self._previous, image
        return previous is not None and 255 * float(tf.reduce_mean(tf.abs(image - previous))) < self._tolerance


def _optimize(
    step: StepFunction, canvas: Canvas, steps: int, tolerance: float, progress: Progress
) -> Iterator[tuple[Canvas, Losses, int]]:
    """Run a scale; yield every few steps the canvas, the losses before its last step, and the steps left."""
    convergence = _Convergence(tolerance)
    while steps:
        count = min(progress.steps_until_frame, convergence.steps_until_check, steps)
        canvas, losses = step(canvas, count)
        total = float(losses["total"])  # waits for the device
        progress.advance(count)
        if not math.isfinite(total):
            raise FloatingPointError(f"The loss overflowed at step {progress.step}; try a lower learning rate.")
        steps -= count
        if convergence.reached(count, canvas.average):
            progress.end_scale()
            steps = 0
        yield canvas, losses, steps


def _scales(content: np.ndarray, settings: Settings, resume: Checkpoint | None, more_steps: int) -> list[Scale]:
    """The scales left to paint, with their steps."""
    _, height, width, _ = content.shape
    scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
    if resume is not None:
        height, width = resume.image.shape[1:3]
        sizes = [size for size, _ in scales]
        if (height, width) not in sizes:
            wanted = " or ".join(f"{width} x {height}" for height, width in sizes)
            raise ValueError(f"resume: a picture of {width} x {height} pixels should have {wanted}")
        scales = [((height, width), resume.steps_left), *scales[sizes.index((height, width)) + 1 :]]
    if more_steps < 0:
        raise ValueError(f"more_steps: {more_steps} should be at least 0")
    size, steps = scales[-1]
    scales[-1] = size, steps + more_steps
    if not sum(steps for _, steps in scales):
        raise ValueError(f"more_steps: {more_steps} should be above 0, since the picture is finished")
    return [(size, steps) for size, steps in scales if steps]


def _frame(progress: Progress, canvas: Canvas, losses: Losses, steps_left: int | None) -> Frame:
    """The current canvas as a frame; with a checkpoint if `steps_left` at this scale is given."""
    progress.schedule_frame()
    picture, checkpoint = canvas.average.numpy(), None
    if steps_left is not None:
        checkpoint = Checkpoint(
            image=canvas.image.numpy(),
            average=picture,
            weight=float(canvas.weight),
            state=tuple(part.numpy() for part in canvas.state) if isinstance(canvas.state, Adam) else (),
            step=progress.step,
            steps_left=steps_left,
            elapsed=progress.elapsed,
            step_times=dict(progress.step_times),
        )
    return Frame(
        step=progress.step,
        steps=progress.steps,
        scale=max(picture.shape[1:3]),
        image=images.to_uint8(picture),
        losses={name: float(loss) for name, loss in losses.items()},
        elapsed=progress.elapsed,
        remaining=progress.remaining,
        checkpoint=checkpoint,
    )


def _any_size_spec(argument: Any) -> Any:
    """The TensorSpec of a tensor, with any height and width if it has four axes; other values as they are."""
    if not isinstance(argument, tf.Tensor):
        return argument
    shape = argument.shape.as_list()
    return tf.TensorSpec([shape[0], None, None, shape[3]] if len(shape) == 4 else shape, argument.dtype)
