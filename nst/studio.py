"""The studio: the networks that all visitors of a page share, the line they wait in, and each one's picture.

Knows nothing of the page: a visitor is a name, a picture under way an iterator of frames.
"""

import contextlib
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from nst import catalogue, images, recipe, sharing
from nst.display import History
from nst.images import ImageError
from nst.settings import Settings
from nst.timelapse import Film

if TYPE_CHECKING:
    from nst.features import Network
    from nst.transfer import Frame, StyleTransfer

KEPT = 12  # visitors whose pictures can be gone on with: each takes up to 60 MB
CROWD_SIZE = 16  # visitors in line, at most
MORE_STEPS = 100  # that a finished picture gets to go on
FOLLOWING_STEPS = 60  # that a picture has left, at least, when it follows a slider
STEERABLE = ("strength", "style_scale")  # the settings that a picture under way follows

log = logging.getLogger(__name__)


class Run:
    """One visitor's picture: what it is painted from, how far it is, and all that it takes to go on."""

    def __init__(self, content: str | None, style: str | None, settings: Settings):
        """`content` and `style` are the paths of pictures at which nobody has looked yet."""
        self.content, self.style, self.settings = content, style, settings
        self.shape = (0, 0)  # height, width of the finished picture
        self.frame: Frame | None = None  # the latest
        self.film, self.history = Film(frames=120), History()
        self.stop = threading.Event()  # ends it after the step it is at
        self._steered = False
        self._used: list[recipe.Ingredient] = []
        self._network: Network | None = None

    def steer(self, settings: Mapping[str, Any]) -> bool:
        """Take over those of the STEERABLE settings that have changed, at the next frame; whether there are any.

        Raises:
            ValueError: one of them is not good.
        """
        wanted = replace(self.settings, **{name: settings[name] for name in STEERABLE})
        sharing.check(wanted)
        changed = wanted != self.settings
        self.settings, self._steered = wanted, self._steered or changed
        return changed

    def frames(self, load: "Callable[[Settings], StyleTransfer]", at_least: int = 0) -> "Iterator[Frame]":
        """Begin, or go on where it was left: the last frame has the asked size, unless it is stopped.

        Args:
            load: gives the engine for the settings.
            at_least: so many steps more than it has done; the last scale gets what it lacks.

        Raises:
            ValueError: a picture or a setting is not good; one sentence for the visitor.
        """
        sharing.check(self.settings)
        photo = _load_picture(self.content, "photo", self.settings.size)
        painting = self._load_painting()
        self.shape = images.fit(photo.shape[1], photo.shape[2], self.settings.size)
        self._used = [_ingredient(self.content, photo), _ingredient(self.style, painting)]
        engine = load(self.settings)
        self._network = engine.network
        self.stop.clear()
        while True:
            more_steps = self._lengthened(at_least)
            settings, resume = self.settings, self.frame and self.frame.checkpoint
            going_on = {"resume": resume, "more_steps": more_steps, "checkpoints": True}
            with contextlib.closing(engine.stylize(photo, [painting], settings, **going_on)) as frames:
                for frame in frames:
                    self.frame = frame
                    self.film.append(frame.image)
                    self.history.append(frame)
                    yield frame
                    if self.stop.is_set():
                        return
                    if self.settings != settings:
                        break
                else:
                    return
            at_least, painting = FOLLOWING_STEPS, self._load_painting()

    def save(self, path: Path) -> None:
        """Write the picture as it is now at the asked size, with its recipe.

        Raises:
            ImageError: it cannot be written.
        """
        assert self.frame is not None and self._network is not None  # there is a picture only after a frame
        pixels = images.rescale(self.frame.image, *self.shape)
        made = recipe.describe(self.settings, self._network, self._used, self.frame, pixels, steered=self._steered)
        images.save(pixels, path, texts=made.texts)

    def _load_painting(self) -> np.ndarray:
        return _load_picture(self.style, "painting", round(self.settings.size * self.settings.style_scale))

    def _lengthened(self, at_least: int) -> int:
        """How many steps the last scale lacks; they are counted as asked for, so that the recipe tells the truth."""
        missing = at_least - (self.frame.steps - self.frame.step) if self.frame else 0
        if missing <= 0:
            return 0
        *before, (_, last) = self.settings.scales()
        steps = (*(steps for _, steps in before), last + missing)
        self.settings = replace(self.settings, steps=steps)
        sharing.check(self.settings)
        return missing


class Studio:
    """What all visitors share; each of them is known by a name, such as that of a browser's session."""

    def __init__(self, load: "Callable[[Settings], StyleTransfer] | None" = None):
        """`load` makes the engine; a test gives one of its own."""
        self._load = load or _load
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}
        self._loading = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._line: list[str] = []
        self._painting: Run | None = None
        self._durations: deque[float] = deque(maxlen=8)

    def engine(self, settings: Settings) -> "StyleTransfer":
        """The engine for these settings; the first call for a network takes seconds, with a download a minute."""
        key = (settings.network, settings.weights, settings.pooling, settings.precision)
        if key not in self._engines:  # asked outside the lock too: a download must not keep the others waiting
            with self._loading:
                if key not in self._engines:
                    self._engines[key] = self._load(settings)
        return self._engines[key]

    def warm(self) -> None:
        """Load and compile before the first visitor comes."""
        for height, width in ((64, 64), (96, 72)):  # TensorFlow compiles for one size and, seeing another, for all
            grey = np.full((1, height, width, 3), 0.5, np.float32)
            settings = Settings(size=height, min_scale=64, steps=(1,))
            for _ in self.engine(settings).stylize(grey, [grey], settings):
                pass

    # Nothing below may block: the page calls it while others are being painted for.

    def join(self, visitor: str) -> bool:
        """Stand in line, at its end, unless the turn has come already; False if the line is too long for that."""
        if not self.is_busy_for(visitor):
            if len(self._line) >= CROWD_SIZE:
                return False
            self._line.append(visitor)
        return True

    def leave(self, visitor: str) -> None:
        """Stand in line no longer."""
        with contextlib.suppress(ValueError):
            self._line.remove(visitor)

    def place(self, visitor: str) -> tuple[int, float | None] | None:
        """How many wait before this visitor, and the seconds until the turn comes; None for one not in line.

        The seconds are None until a picture has been painted to its end.
        """
        line, painting = list(self._line), self._painting
        if visitor not in line:
            return None
        before = line.index(visitor)
        if not self._durations:
            return before, None
        typical = mean(self._durations)
        remaining = 0.0 if painting is None else painting.frame.remaining if painting.frame else typical
        return before, remaining + before * typical

    def is_busy_for(self, visitor: str) -> bool:
        """Whether this visitor's picture is being painted, or waits for its turn."""
        return visitor in self._line or (self._painting is not None and self._painting is self.run(visitor))

    def run(self, visitor: str) -> Run | None:
        """A visitor's latest picture, if it is still kept."""
        return self._runs.get(visitor)

    def forget(self, visitor: str) -> None:
        """A visitor has gone."""
        self.leave(visitor)
        self._runs.pop(visitor, None)

    def paint(self, visitor: str, run: Run, at_least: int = 0) -> "Iterator[Frame]":
        """The visitor's turn has come; what `Run.frames` gives and raises."""
        self.leave(visitor)
        self._runs[visitor] = run
        self._runs.move_to_end(visitor)
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)
        self._painting, began = run, time.monotonic()
        try:
            with contextlib.closing(run.frames(self.engine, at_least)) as frames:
                yield from frames
            self._durations.append(time.monotonic() - began)
        finally:
            self._painting = None


def _load(settings: Settings) -> "StyleTransfer":
    from nst.features import load_network  # TensorFlow takes 4 s to import: the page is up before it
    from nst.transfer import StyleTransfer

    network = load_network(settings)
    log.info("%s in %s: %s", network.name, network.precision, network.reason)
    return StyleTransfer(network)


def _load_picture(path: str | None, name: str, size: int) -> np.ndarray:
    if not path:
        raise ImageError(f"There is no {name} yet; drop one in, or start with an example.")
    return images.load(path, longest_side=size)


def _ingredient(path: str | None, picture: np.ndarray) -> recipe.Ingredient:
    example = catalogue.recognize(path or "")
    return recipe.ingredient(example or path or "", picture, example=example is not None)
