"""One picture, from files and settings to a finished file with its recipe: what page, command line and scripts use.

    painting = Painting("photo.jpg", ["painting.jpg"], Settings(size=512))
    for frame in painting.frames(lambda settings: StyleTransfer(load_network(settings))):
        ...
    painting.save("out.png")

TensorFlow is imported only by the function passed to `frames`.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nst import catalogue, images, masks, memory, recipe, transparency, weights
from nst.controls import Controls
from nst.masks import Masks
from nst.settings import FOLLOWING_STEPS, Settings

if TYPE_CHECKING:
    from nst.features import Network
    from nst.transfer import Frame, StyleTransfer

AnyPath = str | os.PathLike[str]


class Painting:
    """A picture being made: its inputs, its latest frame, and what it takes to resume.

    `steer` and `stop` may be called from any thread, everything else from the one that paints.

    Attributes:
        settings: those of the latest frame.
        shape: (height, width) of the finished picture.
        note: one sentence on why that is smaller than asked for, or "".
        notes: one sentence about each thing in the files that is not painted, known before the first frame.
        alpha: of the photo as it was read, uint8 (h, w); None if it is opaque.
        lowered: the learning rate of the latest frame if overflows have lowered it, else 0.
        frame: the latest frame as painted, that is, opaque, None before the first.
        network: what paints, None before the first frame.
        stop: when set, the run ends at the next frame.
    """

    def __init__(
        self,
        content: AnyPath,
        styles: Sequence[AnyPath],
        settings: Settings,
        resumable: bool = False,
        *,
        where: Masks = masks.EVERYWHERE,
        start: AnyPath | None = None,
        deep: bool = False,
    ):
        """Files are not opened yet.

        Args:
            resumable: keep a checkpoint of the latest frame, at 48 bytes a pixel.
            where: which painting goes where, and what is protected.
            start: a finished picture to start from instead of the photo.
            deep: have `save` write 16 bits a channel.
        """
        self.content, self.settings, self.where = os.fspath(content), settings, where
        self.styles = tuple(os.fspath(style) for style in styles)
        self.start = start and os.fspath(start)
        self.shape, self.note = (0, 0), ""
        self.notes: list[str] = []
        self.lowered = 0.0
        self.alpha: np.ndarray | None = None
        self.frame: Frame | None = None
        self.network: Network | None = None
        self.stop = threading.Event()
        self._resumable, self._deep = resumable, deep
        self._enlarged: int | None = None  # the size that `enlarge` asked for
        self._last_steps = settings.scales()[-1][1]
        self._size = settings.size  # to which the photo is reduced when it is read
        self._wanted = settings  # as asked for by `steer`
        self._steered = False
        self._controls: Controls | None = None  # of the run under way
        self._paintings: tuple[int, list[np.ndarray]] = 0, []  # as read, and the longest side asked for
        self._used: list[recipe.Ingredient] = []
        self._started_from: recipe.Ingredient | None = None
        self._tries: list[Frame] = []

    @property
    def substituted(self) -> bool:
        """Whether the compact network paints although the settings or NST_NETWORK name VGG-19."""
        asked = weights.requested(self.settings.network)
        return self.network is not None and (asked, self.network.name) == ("vgg19", "compact")

    def check(self, settings: Settings) -> None:
        """Hook for a subclass: raises a ValueError for settings that it does not allow."""

    def check_time(self, seconds: float) -> None:
        """Hook for a subclass: raises a ValueError if a run of `seconds`, estimated, would take too long."""

    def steer(self, wanted: Settings) -> bool:
        """Change the LIVE settings: those of the run under way within its next steps, else those of the next one.

        Returns:
            Whether they differ from those of the latest frame.

        Raises:
            ValueError: the settings are not allowed here.
        """
        wanted = self.settings.following(wanted)
        self.check(wanted)
        if len(wanted.style_blend) not in (0, len(self.styles)):
            raise ValueError(f"style_blend: {wanted.style_blend} should have a number for each of {len(self.styles)}")
        self._wanted = wanted
        if controls := self._controls:
            controls.wanted = wanted, self._read_paintings(wanted)
        return wanted != self.settings

    def frames(self, load: "Callable[[Settings], StyleTransfer]", at_least: int = 0) -> "Generator[Frame, None, None]":
        """Yield the frames of a run; after a stop, those of its continuation.

        Unless stopped, the last frame has the size `shape`.  That is smaller than asked for, with a `note`, if the
        memory does not suffice.  Frames are opaque, as painted; `shown` takes away what is painted where the photo is
        transparent.

        Args:
            load: returns the engine for the settings.
            at_least: steps to do at least; if fewer are left, the last scale gets more.

        Raises:
            ValueError: a picture or a setting is not usable; one sentence for a person.
            FloatingPointError: the loss overflows, at lower learning rates, too; `frame` is good.
            MemoryError: no size fits, or the memory ran out; `frame` is good if there is one.
        """
        engine, photo, paintings = self._begin(load)
        more_steps, resume = 0, self.frame and self.frame.checkpoint
        if self.frame:
            steered = self.settings.following(self._wanted) != self.settings
            least = max(at_least, FOLLOWING_STEPS if steered else 0)
            more_steps = max(0, least - (self.frame.steps - self.frame.step))
        self.check(self.settings.with_more_steps(more_steps))
        self._controls = Controls((self._wanted, paintings))
        options = {"where": self.where, "controls": self._controls, "checkpoints": self._resumable, "deep": self._deep}
        if resume:
            options |= {"resume": resume, "more_steps": more_steps}
        elif self.start:
            options["start"] = self._read_start(photo)
        try:
            with contextlib.closing(engine.stylize(photo, paintings, self.settings, **options)) as frames:
                for frame in frames:
                    self._take(frame)
                    yield frame
                    if self.stop.is_set():
                        return
        finally:
            self._controls, self._paintings = None, (0, [])

    def tries(
        self, load: "Callable[[Settings], StyleTransfer]", variants: Sequence[Settings], steps: int
    ) -> "Generator[list[Frame], None, None]":
        """Yield the frames of small quick pictures side by side, one for each variant; `pick` goes on with one.

        Args:
            load: returns the engine for the settings.
            variants: these settings, with others in numbers that are LIVE.
            steps: of each.

        Raises: as `frames` does.
        """
        engine, photo, _ = self._begin(load)
        from nst.transfer import TRY_SIDE

        paintings = self._read_paintings(max(variants, key=lambda variant: variant.style_scale))
        variants = [replace(variant, size=self.settings.size) for variant in variants]  # as memory allows
        height, width = self.shape
        small = images.fit(height, width, min(TRY_SIDE, self.settings.size))
        shapes = [painting.shape[1:3] for painting in paintings]
        memory.check_batch(engine.network, small, shapes, variants[-1], len(variants))
        try:
            with contextlib.closing(engine.tries(photo, paintings, variants, steps, where=self.where)) as grids:
                for frames in grids:
                    self._tries = frames
                    yield frames
                    if self.stop.is_set():
                        return
        finally:
            self._paintings = 0, []

    def pick(self, index: int) -> None:
        """Have `frames` go on with one of the tries.

        Raises:
            ValueError: there is none.
        """
        if not 0 <= index < len(self._tries):
            raise ValueError(f"There is no try {index + 1}; paint the tries first.")
        self.settings = self._wanted = self._tries[index].settings
        self._steered, self._size = False, self.settings.size
        self._take(self._tries[index])

    def enlarge(self) -> None:
        """Have `frames` go on at twice the size, as far as the memory allows."""
        self._enlarged = 2 * self.settings.size

    def is_described_by(self, made: recipe.Recipe, load: "Callable[[Settings], StyleTransfer]") -> bool:
        """Whether a recipe is of this picture, finished: of the same pictures, settings and network.

        The program's version and the precision may differ.

        Raises: as `frames` does before its first frame.
        """
        self._begin(load)
        assert self.network is not None  # `_begin` loaded it
        weights_name = os.path.basename(self.settings.weights)
        return (
            made.step == made.steps
            and not made.steered
            and not made.finishing
            and made.settings == replace(self.settings, weights=weights_name, precision=made.settings.precision)
            and (made.network, made.weights_hash) == (self.network.name, self.network.weights_hash)
            and [made.content, *made.styles] == self._used
            and made.masks == recipe.describe_masks(self.where)
            and made.start == self._started_from
        )

    def _begin(
        self, load: "Callable[[Settings], StyleTransfer]"
    ) -> "tuple[StyleTransfer, np.ndarray, list[np.ndarray]]":
        """Check, read the pictures and reduce the size to what fits: the engine, the photo and the paintings."""
        self.stop.clear()
        before = self.settings, self._size, self.note, self.shape
        enlarged, self._enlarged = self._enlarged, None
        if enlarged is None:
            return self._prepare(load, self.frame is None)
        counts = (*(steps for _, steps in self.settings.scales()), self._last_steps)
        self._wanted = replace(self._wanted, size=enlarged, steps=counts)
        self.settings, self._size = replace(self.settings, size=enlarged, steps=counts), enlarged
        try:
            prepared = self._prepare(load, True)
            if self.frame and self.settings.size <= self.frame.scale:
                raise MemoryError(memory.size_note(enlarged, self.frame.scale))
        except (ValueError, MemoryError):  # the picture stays as it is
            self.settings, self._size, self.note, self.shape = before
            self._wanted = self.settings.following(self._wanted)
            raise
        return prepared

    def _prepare(
        self, load: "Callable[[Settings], StyleTransfer]", is_new: bool
    ) -> "tuple[StyleTransfer, np.ndarray, list[np.ndarray]]":
        self.check(self.settings)
        photo, paintings = self._read(), self._read_paintings(self._wanted)
        engine = load(self.settings)
        self.network = engine.network
        if is_new:
            shapes = photo.shape[1:3], [painting.shape[1:3] for painting in paintings]
            self.settings, self.note = memory.fit_size(engine.network, *shapes, self.settings)
            self._wanted = self.settings.following(self._wanted)
            _, height, width, _ = photo.shape
            self.check_time(engine.expected_seconds(height, width, self.settings))
            if self.note:
                self._size, self._paintings = self.settings.size, (0, [])
                photo, paintings = self._read(), self._read_paintings(self._wanted)
        _, height, width, _ = photo.shape
        self.shape = images.fit(height, width, self.settings.size)
        used = zip((self.content, *self.styles), (photo, *paintings))
        self._used = [_ingredient(path, picture[..., :3]) for path, picture in used]
        return engine, photo, paintings

    def save(self, path: AnyPath, dpi: float | None = None) -> np.ndarray:
        """Write the current picture at the asked size, with its recipe and the photo's alpha (not in a JPEG).

        Args:
            dpi: the resolution that the file states.

        Returns:
            uint8 (H, W, 3), on white.

        Raises:
            ImageError: it cannot be written.
        """
        assert self.frame is not None and self.network is not None  # callers save only what has a frame
        pixels = images.rescale(self.frame.image, *self.shape)
        more = {"steered": self._steered, "masks": recipe.describe_masks(self.where), "start": self._started_from}
        made = recipe.describe(self.settings, self.network, self._used, self.frame, pixels, **more)
        deep = self.frame.deep if self._deep else None
        written = pixels if deep is None else images.rescale(deep, *self.shape)
        images.save(transparency.cut_out(written, self.alpha), path, texts=made.texts, dpi=dpi)
        return self.shown(pixels)

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """A picture as painted, uint8 (H, W, 3) of any size, with white where the photo is transparent."""
        return transparency.on_white(pixels, self.alpha)

    def _take(self, frame: "Frame") -> None:
        if frame.settings.learning_rate != self.settings.learning_rate:
            self.lowered, self._steered = frame.settings.learning_rate, True
        self._steered = self._steered or frame.settings.following(self.settings) != frame.settings
        self.frame, self.settings = frame, frame.settings
        if frame.note:
            self.note, self.shape = frame.note, frame.image.shape[:2]
            self.settings = replace(self.settings, size=frame.scale)

    def _read(self) -> np.ndarray:
        """The photo, no larger than needed, with its alpha if it has one: float32 (1, H, W, 3 or 4)."""
        name, picture = os.path.basename(self.content), _visible(self.content, self._size)
        images.check_strip(*picture.stored_shape, self._size, name)
        self.alpha, longest = picture.alpha, max(picture.stored_shape)
        enlarged = f"Your photo has {longest} pixels; the result of {self._size} is enlarged from it."
        self.notes = [*picture.notes(name), *[enlarged] * (longest < self._size)]
        if any(
            mask is not None and _is_other(mask.shape, picture.pixels.shape[1:3])
            for mask in (*self.where.paintings, self.where.protect)
        ):
            self.notes.append("A mask has other proportions than the photo, and is stretched over it.")
        return _with_alpha(picture)

    def _read_paintings(self, settings: Settings) -> list[np.ndarray]:
        """The paintings likewise, large enough for these settings."""
        side = settings.style_side(self._size)
        if side > self._paintings[0]:
            pictures = []
            for path in self.styles:
                name, picture = os.path.basename(path), _visible(path, side)
                images.check_strip(*picture.stored_shape, self._size, name)
                self.notes += [note for note in picture.notes(name) if note not in self.notes]
                pictures.append(_with_alpha(picture))
            self._paintings = side, pictures
        return self._paintings[1]

    def _read_start(self, photo: np.ndarray) -> np.ndarray:
        """The picture to start from.  Raises ImageError if its proportions are not the photo's."""
        assert self.start is not None
        picture, name = _visible(self.start, self._size), os.path.basename(self.start)
        _, height, width, _ = photo.shape
        fitted = images.fit(height, width, max(picture.pixels.shape[1:3]))
        if _is_other(picture.pixels.shape[1:3], (height, width)):
            stored = picture.stored_shape
            raise images.ImageError(
                f"{name} has {stored[1]} x {stored[0]} pixels, and the photo {width} x {height}; to start from it, its "
                "proportions should be the photo's."
            )
        start = images.resize(_with_alpha(picture)[..., :3], *fitted)
        self._started_from = _ingredient(self.start, start)
        return start


def _is_other(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether two (height, width) have other proportions, by more than a rounded pixel."""
    return max(abs(side - fitted) for side, fitted in zip(ours, images.fit(theirs[0], theirs[1], max(ours)))) > 1


def _visible(path: AnyPath, side: int) -> images.Picture:
    """A picture, no larger than `side`.  Raises ImageError if nothing of it is visible."""
    picture = images.read(path, side)
    if not picture.opacity[1]:
        name = os.path.basename(path)
        raise images.ImageError(f"Nothing of {name} is visible, for all of it is transparent; use another picture.")
    return picture


def _with_alpha(picture: images.Picture) -> np.ndarray:
    """float32 (1, H, W, 3) or, if not opaque, (1, H, W, 4)."""
    pixels = transparency.filled(picture.pixels, picture.alpha)
    if picture.alpha is None:
        return pixels
    return np.concatenate((pixels, picture.alpha[np.newaxis, ..., np.newaxis] / np.float32(255)), axis=-1)


def _ingredient(path: AnyPath, picture: np.ndarray) -> recipe.Ingredient:
    example = catalogue.recognize(path)
    return recipe.ingredient(example or path, picture, example=example is not None)
