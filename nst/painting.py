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
from typing import TYPE_CHECKING, Any

import numpy as np

from nst import catalogue, images, memory, recipe, transparency, weights
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.features import Network
    from nst.transfer import Frame, StyleTransfer

FOLLOWING_STEPS = 60  # steps left, at least, after the strength has changed
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
        frame: the latest frame as painted, that is, opaque, None before the first.
        network: what paints, None before the first frame.
        stop: when set, the run ends at the next frame.
    """

    def __init__(self, content: AnyPath, styles: Sequence[AnyPath], settings: Settings, resumable: bool = False):
        """Files are not opened yet; `resumable` keeps a checkpoint of the latest frame, at 48 bytes a pixel."""
        self.content, self.styles, self.settings = (
            os.fspath(content),
            tuple(os.fspath(style) for style in styles),
            settings,
        )
        self.shape, self.note = (0, 0), ""
        self.notes: list[str] = []
        self.alpha: np.ndarray | None = None
        self.frame: Frame | None = None
        self.network: Network | None = None
        self.stop = threading.Event()
        self._resumable = resumable
        self._size = settings.size  # to which the photo is reduced when it is read
        self._strength = settings.strength  # asked for by `steer`
        self._steered = False
        self._used: list[recipe.Ingredient] = []

    @property
    def substituted(self) -> bool:
        """Whether the compact network paints although the settings or NST_NETWORK name VGG-19."""
        asked = weights.requested(self.settings.network)
        return self.network is not None and (asked, self.network.name) == ("vgg19", "compact")

    def check(self, settings: Settings) -> None:
        """Hook for a subclass: raises a ValueError for settings that it does not allow."""

    def check_time(self, seconds: float) -> None:
        """Hook for a subclass: raises a ValueError if a run of `seconds`, estimated, would take too long."""

    def steer(self, strength: float) -> bool:
        """Change the strength from the next frame on; returns whether it differs from the current one.

        Raises:
            ValueError: the strength is out of range.
        """
        settings = self.settings
        self._strength = replace(settings, strength=strength).strength
        return self._strength != settings.strength

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
            FloatingPointError: the loss is no longer a number; `frame` is good.
            MemoryError: no size fits, or the memory ran out; `frame` is good if there is one.
        """
        self.stop.clear()
        self.check(self.settings)
        photo, *paintings = self._read()
        engine = load(self.settings)
        self.network = engine.network
        if self.frame is None:
            shapes = photo.shape[1:3], [painting.shape[1:3] for painting in paintings]
            self.settings, self.note = memory.fit_size(engine.network, *shapes, self.settings)
            _, height, width, _ = photo.shape
            self.check_time(engine.expected_seconds(height, width, self.settings))
            if self.note:
                self._size = self.settings.size
                photo, *paintings = self._read()
        _, height, width, _ = photo.shape
        self.shape = images.fit(height, width, self.settings.size)
        self._used = [_ingredient(*pair) for pair in zip((self.content, *self.styles), (photo, *paintings))]
        while True:
            settings = replace(self.settings, strength=self._strength)
            resumed = self._resume(settings, at_least)
            with contextlib.closing(engine.stylize(photo, paintings, settings, **resumed)) as frames:
                for frame in frames:
                    self._take(frame)
                    yield frame
                    if self.stop.is_set():
                        return
                    if self._strength != self.settings.strength:
                        break
                else:
                    return
            at_least = 0

    def save(self, path: AnyPath) -> np.ndarray:
        """Write the current picture at the asked size, with its recipe and the photo's alpha (not in a JPEG).

        Returns:
            uint8 (H, W, 3), on white.

        Raises:
            ImageError: it cannot be written.
        """
        assert self.frame is not None and self.network is not None  # callers save only what has a frame
        pixels = images.rescale(self.frame.image, *self.shape)
        made = recipe.describe(self.settings, self.network, self._used, self.frame, pixels, steered=self._steered)
        images.save(transparency.cut_out(pixels, self.alpha), path, texts=made.texts)
        return self.shown(pixels)

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """A picture as painted, uint8 (H, W, 3) of any size, with white where the photo is transparent."""
        return transparency.on_white(pixels, self.alpha)

    def _take(self, frame: "Frame") -> None:
        self.frame = frame
        if frame.note:
            self.note, self.shape = frame.note, frame.image.shape[:2]
            self.settings = replace(self.settings, size=frame.scale)

    def _read(self) -> list[np.ndarray]:
        """The photo and the paintings, no larger than needed: float32 (1, H, W, 3)."""
        style_side = self.settings.style_side(self._size)
        pictures, self.notes = [], []
        for path in (self.content, *self.styles):
            name, picture = os.path.basename(path), images.read(path, style_side if pictures else self._size)
            if not picture.opacity[1]:
                raise images.ImageError(
                    f"Nothing of {name} is visible, for all of it is transparent; use another picture."
                )
            images.check_strip(*picture.stored_shape, self._size, name)
            notes = picture.notes(name)
            if pictures:
                notes += [f"What is transparent in {name} is filled with the colors around it."] * (
                    picture.alpha is not None
                )
            else:
                self.alpha, longest = picture.alpha, max(picture.stored_shape)
                enlarged = f"Your photo has {longest} pixels; the result of {self._size} is enlarged from it."
                notes += [enlarged] * (longest < self._size)
            pictures.append(transparency.filled(picture.pixels, picture.alpha))
            self.notes += [note for note in notes if note not in self.notes]
        return pictures

    def _resume(self, settings: Settings, at_least: int) -> dict[str, Any]:
        """What `stylize` needs to go on with these settings, which become the current ones."""
        more_steps, steered, resume = 0, False, None
        if self.frame:
            steered, resume = settings != self.settings, self.frame.checkpoint
            wanted = max(at_least, FOLLOWING_STEPS if steered else 0)
            more_steps = max(0, wanted - (self.frame.steps - self.frame.step))
            if steered and resume:  # the optimizer's memory is of another loss, and would cost steps
                resume = resume.without_moments()
        # Steps beyond those of the settings are recorded in them, so that the recipe stays true.
        *before, last = (steps for _, steps in settings.scales())
        recorded = replace(settings, steps=(*before, last + more_steps)) if more_steps else settings
        self.check(recorded)
        self.settings, self._steered = recorded, self._steered or steered
        return {"resume": resume, "more_steps": more_steps, "checkpoints": self._resumable}


def _ingredient(path: AnyPath, picture: np.ndarray) -> recipe.Ingredient:
    example = catalogue.recognize(path)
    return recipe.ingredient(example or path, picture, example=example is not None)
