"""The engine: a photo is repainted, coarse to fine, by descending the loss of Gatys, Ecker and Bethge (2015)."""

import math
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from nst import images, memory
from nst.canvas import Canvas, Checkpoint, start
from nst.features import Network, load_network
from nst.objective import Objective
from nst.optimizers import OPTIMIZERS, Adam, Losses
from nst.progress import Progress
from nst.settings import Settings

COMPACT_COST = 0.4  # seconds of the compact network's step by those of a VGG's, roughly: for the time left

Scale = tuple[tuple[int, int], int]  # (height, width), steps
Stepper = Callable[[Canvas, int], tuple[Canvas, Losses]]  # canvas, steps -> canvas after them, losses before the last


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


class StyleTransfer:
    """Repaints photos with one network.  Keep it: the step is compiled once and serves every later run."""

    def __init__(self, network: Network, sketcher: "Callable[[Settings], StyleTransfer] | None" = None):
        """`sketcher` gives the engine for settings that ask for the compact network, which paints a VGG's coarse
        scales; by default it is made when it is needed.
        """
        self.network = network
        xla = os.environ.get("NST_XLA", "0") not in ("", "0") or None
        # Without AutoGraph, whose translation of this project's code would keep the first frame waiting for a second.
        self._compiled_steps = tf.function(self._after_steps, reduce_retracing=True, jit_compile=xla, autograph=False)
        self._paces: dict[int, float] = {}  # of the latest run: they tell how long the next one will take
        self._load_sketcher = sketcher or (lambda settings: StyleTransfer(load_network(settings)))
        self._sketcher: StyleTransfer | None = None  # once `_painter` needs it

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
        clock = self._clock(scales, settings, resume)
        self._paces = clock.paces
        canvas = resume and Canvas.restored(resume)
        good: tuple[Canvas, Losses] | None = None  # the latest step's
        painted = 0, 0  # its size
        for (height, width), steps in scales:
            try:
                photo, side = images.resize(content, height, width), max(height, width)
                painter = self._painter(side, settings)
                objective = Objective.of(painter.network, photo, styles, settings)
                step = painter._stepper(objective, photo, settings)
                if canvas is None:
                    canvas = Canvas.started(start(photo, styles[0], settings))
                    _, losses = step(canvas, 1)
                    yield _frame(clock, canvas, losses, steps if checkpoints else None)
                fits = canvas.image.shape == photo.shape
                begun = canvas if fits else canvas.grown(photo, settings.detail)
                for canvas, losses, left in _descent(step, begun, steps, settings.tolerance, clock):
                    good, painted = (canvas, losses), (height, width)
                    if clock.frame_is_due:
                        yield _frame(clock, canvas, losses, left if checkpoints else None)
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if good is None or painted == (height, width) or max(painted) < memory.SMALLEST:
                    sentence = f"{max(height, width)} pixels are too many for this machine's memory."
                    raise MemoryError(sentence) from error
                break
        else:
            return
        clock.end()
        last = _frame(clock, *good, 0 if checkpoints else None)
        yield replace(last, note=memory.lowered(settings.size, last.scale))

    def expected_seconds(self, height: int, width: int, settings: Settings) -> float:
        """What a run takes for a photo of these proportions, by the pace of the latest run; 0 before there was one."""
        scales = [(images.fit(height, width, side), steps) for side, steps in settings.scales()]
        return self._clock(scales, settings, None).remaining

    def _clock(
        self, scales: list[tuple[tuple[int, int], int]], settings: Settings, resume: Checkpoint | None
    ) -> Progress:
        margin = 2 * settings.padding
        work = []  # as many pixels as a VGG would see in the same time
        for (height, width), steps in scales:
            is_compact = self.network.name == "compact" or self._is_sketched(max(height, width), settings)
            pixels = (height + margin) * (width + margin) * (COMPACT_COST if is_compact else 1)
            work.append((round(pixels), steps))
        paces = self._paces or self._painter(0, settings)._paces
        before = (resume.step, resume.elapsed, resume.paces) if resume else (0, 0.0, paces)
        return Progress(work, 1 / settings.frames_per_second, *before)

    def _painter(self, side: int, settings: Settings) -> "StyleTransfer":
        """Which engine paints at this scale; at all but the last, a VGG's has one with the compact network."""
        if not self._is_sketched(side, settings):
            return self
        if self._sketcher is None:
            precise = replace(settings, network="compact", weights="", precision=self.network.precision)
            self._sketcher = self._load_sketcher(precise)
        known = set(self._sketcher.network.layers)
        return self._sketcher if known.issuperset({*settings.content_layers, *settings.style_layers}) else self

    def _is_sketched(self, side: int, settings: Settings) -> bool:
        wanted = settings.sketch == "compact" and settings.normalization != "paper" and side < settings.size
        return wanted and self.network.name.startswith("vgg")

    def _stepper(self, objective: Objective, photo: np.ndarray, settings: Settings) -> Stepper:
        """What takes some steps with an image of the photo's size."""
        optimizer = OPTIMIZERS[settings.optimizer]
        fixed = objective, *(tf.constant(number) for number in (settings.learning_rate, settings.averaging))
        # Compiled for every size at once: by itself TensorFlow would do so only when it meets the second.
        canvas = Canvas.started(photo, optimizer.begin(tf.constant(photo)))
        general = tf.nest.map_structure(_of_any_size, (canvas, *fixed, tf.constant(1)))
        self._compiled_steps.get_concrete_function(*general)

        def step(canvas: Canvas, count: int) -> tuple[Canvas, Losses]:
            memory = optimizer.begin(canvas.image, canvas.memory)
            return self._compiled_steps(canvas._replace(memory=memory), *fixed, tf.constant(count))

        return step

    def _after_steps(
        self, canvas: Canvas, objective: Objective, learning_rate: tf.Tensor, averaging: tf.Tensor, count: tf.Tensor
    ) -> tuple[Canvas, Losses]:
        """The canvas after so many steps, and the losses before the last of them; without a word to Python between."""

        def step(done: tf.Tensor, canvas: Canvas, _: Losses) -> tuple[tf.Tensor, Canvas, Losses]:
            memory: Any = canvas.memory  # begun by now
            losses, gradient = objective.losses_and_gradient(self.network, canvas.image, memory.steps)
            image, memory = memory.step(canvas.image, losses, gradient, learning_rate)
            return done + 1, canvas.after(image, memory, averaging), losses

        losses = dict.fromkeys((*objective.weights, "total"), tf.zeros(()))
        start = tf.constant(0), canvas, losses
        return tf.while_loop(lambda done, *_: done < count, step, start, parallel_iterations=1)[1:]

    def _check_layers(self, settings: Settings) -> None:
        for field, layers in (("content_layers", settings.content_layers), ("style_layers", settings.style_layers)):
            if unknown := set(layers) - set(self.network.layers):
                known = f"{self.network.layers[0]} … {self.network.layers[-1]}"
                raise ValueError(f"{field}: the {self.network.name} network has no {min(unknown)}; it has {known}")


class _Stillness:
    """Tells when a picture has stopped changing."""

    WINDOW = 20  # steps

    def __init__(self, tolerance: float):
        self._tolerance = tolerance  # in 1/255
        self.unseen = self.WINDOW if tolerance else sys.maxsize  # steps until the next look at the picture
        self._earlier: tf.Tensor | None = None  # the picture at the latest look

    def after(self, steps: int, picture: tf.Tensor) -> bool:
        """Whether the picture, float in [0, 1], has changed by less than the tolerance over the last WINDOW steps."""
        self.unseen -= steps
        if self.unseen:
            return False
        self.unseen, earlier, self._earlier = self.WINDOW, self._earlier, picture
        return earlier is not None and 255 * float(tf.reduce_mean(tf.abs(picture - earlier))) < self._tolerance


def _descent(
    step: Stepper, canvas: Canvas, steps: int, tolerance: float, clock: Progress
) -> Iterator[tuple[Canvas, Losses, int]]:
    """The canvas after every few steps of a scale, the losses before the last, and how many steps are left there."""
    still = _Stillness(tolerance)
    while steps:
        count = min(clock.until_frame, still.unseen, steps)
        canvas, losses = step(canvas, count)
        total = float(losses["total"])  # waits for the device
        clock.tick(count)
        if not math.isfinite(total):
            raise FloatingPointError(f"The loss overflowed at step {clock.step}; try a lower learning rate.")
        steps -= count
        if still.after(count, canvas.average):
            clock.end_scale()
            steps = 0
        yield canvas, losses, steps


def _scales(content: np.ndarray, settings: Settings, resume: Checkpoint | None, more_steps: int) -> list[Scale]:
    """Each scale that is still to be painted."""
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


def _frame(clock: Progress, canvas: Canvas, losses: Losses, left: int | None) -> Frame:
    """The canvas as a frame at this moment; with a checkpoint if told how many steps are left at this scale."""
    clock.frame_is_shown()
    picture, checkpoint = canvas.average.numpy(), None
    if left is not None:
        checkpoint = Checkpoint(
            image=canvas.image.numpy(),
            average=picture,
            weight=float(canvas.weight),
            memory=tuple(part.numpy() for part in canvas.memory) if isinstance(canvas.memory, Adam) else (),
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
