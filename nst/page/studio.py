"""The studio: the networks that all visitors of a page share, the line they wait in, and each one's picture.

Knows nothing of the page: a visitor is a name, a picture under way an iterator of frames.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from nst import catalogue, images, machine, memory, recipe, weights
from nst.images import ImageError
from nst.page import limits, sharing
from nst.page.loss_plot import History
from nst.settings import Settings
from nst.timelapse import Film

if TYPE_CHECKING:
    from nst.features import Network
    from nst.transfer import Frame, StyleTransfer

KEPT = 12  # visitors whose pictures can be gone on with: each takes up to 60 MB
MORE_STEPS = 100  # that a finished picture gets to go on
FOLLOWING_STEPS = 60  # that a picture has left, at least, when it follows a pulled strength
RETRY = 60  # seconds until weights that were missing are looked for again
CROWD_SIZE = 16  # visitors in line, at most
WARMING = (64, 64), (384, 288)  # height, width: large pictures have a step of their own
NOT_LOADED = "The network is not loaded yet."  # what `Studio.unready` says, one after the other
NOT_COMPILED = "The network is loaded, and its step is being compiled."
NOT_WARMED = "Loading and compiling the network failed; the log says why."

log = logging.getLogger(__name__)


class Run:
    """One visitor's picture: what it is painted from, how far it is, and all that it takes to go on.

    `steer` and `stop` are for any thread, the rest is for the one that paints.
    """

    def __init__(self, content: str | None, style: str | None, settings: Settings):
        """`content` and `style` are the paths of pictures at which nobody has looked yet."""
        self.content, self.style, self.settings = content, style, settings
        self.shape = (0, 0)  # height, width of the finished picture
        self.note = ""  # a sentence on why it is smaller than asked for
        self._longest = settings.size  # pixels that the photo is reduced to
        self.frame: Frame | None = None  # the latest
        self.film, self.history = Film(frames=120), History()
        self.stop = threading.Event()  # ends it at the next frame
        self._strength = settings.strength  # asked for by `steer`; `settings` are those that `frame` was painted with
        self._steered = False
        self._used: list[recipe.Ingredient] = []
        self._network: Network | None = None

    def steer(self, strength: float) -> bool:
        """Take over this strength at the next frame; whether it is another than now.

        Raises:
            ValueError: it is no strength.
        """
        now = self.settings
        self._strength = replace(now, strength=strength).strength
        return self._strength != now.strength

    def frames(self, load: "Callable[[Settings], StyleTransfer]", at_least: int = 0) -> "Generator[Frame, None, None]":
        """Begin, or go on where it was left: the last frame has the asked size, unless it is stopped.

        A size that does not fit into the memory is lowered, with a `note`.

        Args:
            load: gives the engine for the settings.
            at_least: so many steps more than it has done; the last scale gets what it lacks.

        Raises:
            ValueError: a picture or a setting is not good; one sentence for the visitor.
            MemoryError: likewise, no size fits, or the memory ran out.
        """
        self.stop.clear()
        sharing.check(self.settings)
        photo, painting = self._pictures()
        engine = load(self.settings)
        self._network = engine.network
        if self.frame is None:
            shapes = photo.shape[1:3], [painting.shape[1:3]]
            self.settings, self.note = memory.fit_size(engine.network, *shapes, self.settings)
            self._check_time(engine, photo)
            if self.note:
                self._longest = self.settings.size
                photo, painting = self._pictures()
        self.shape = images.fit(photo.shape[1], photo.shape[2], self.settings.size)
        self._used = [_ingredient(self.content, photo), _ingredient(self.style, painting)]
        while True:
            settings = replace(self.settings, strength=self._strength)
            going_on = self._begin(settings, at_least)
            with contextlib.closing(engine.stylize(photo, [painting], settings, **going_on)) as frames:
                for frame in frames:
                    self.frame = frame
                    if frame.note:
                        self.note, self.shape = frame.note, frame.image.shape[:2]
                        self.settings = replace(self.settings, size=frame.scale)
                    self.film.append(frame.image)
                    self.history.append(frame)
                    yield frame
                    if self.stop.is_set():
                        return
                    if self._strength != self.settings.strength:
                        break
                else:
                    return
            at_least = 0

    def save(self, path: Path) -> None:
        """Write the picture as it is now at the asked size, with its recipe.

        Raises:
            ImageError: it cannot be written.
        """
        assert self.frame is not None and self._network is not None  # there is a picture only after a frame
        pixels = images.rescale(self.frame.image, *self.shape)
        made = recipe.describe(self.settings, self._network, self._used, self.frame, pixels, steered=self._steered)
        images.save(pixels, path, texts=made.texts)

    def _check_time(self, engine: "StyleTransfer", photo: np.ndarray) -> None:
        _, height, width, _ = photo.shape
        seconds, most = engine.expected_seconds(height, width, self.settings), limits.here().seconds
        if seconds > most:
            wanted = f"may take {most / 60:.0f} here; take a smaller size or fewer steps"
            raise ValueError(f"This picture would take about {seconds / 60:.0f} minutes, and one {wanted}.")

    def _pictures(self) -> tuple[np.ndarray, np.ndarray]:
        painting_side = round(self._longest * self.settings.style_scale)
        return _load_picture(self.content, "photo", self._longest), _load_picture(self.style, "painting", painting_side)

    def _begin(self, settings: Settings, at_least: int) -> dict[str, Any]:
        """What `stylize` needs to go on with these settings; steps beyond theirs are counted as asked for."""
        more_steps, steered, resume = 0, False, None
        if self.frame:
            steered, resume = settings != self.settings, self.frame.checkpoint
            wanted = max(at_least, FOLLOWING_STEPS if steered else 0)
            more_steps = max(0, wanted - (self.frame.steps - self.frame.step))
            if steered and resume:  # the optimizer's state belongs to another loss, and would cost steps
                resume = resume.without_moments()
        *before, last = (steps for _, steps in settings.scales())
        # The recipe is to tell the truth, also of the picture there is, if this one is refused.
        lengthened = replace(settings, steps=(*before, last + more_steps)) if more_steps else settings
        sharing.check(lengthened)
        self.settings, self._steered = lengthened, self._steered or steered
        return {"resume": resume, "more_steps": more_steps, "checkpoints": True}


class Studio:
    """What all visitors share; each of them is known by a name, such as that of a browser's session."""

    def __init__(self, load: "Callable[[Settings], StyleTransfer] | None" = None):
        """`load` makes the engine; a test gives one of its own."""
        self._load = load or partial(_load, sketcher=self.engine)
        # By what the settings ask for: an engine, why it has the network it has, and until when that holds.
        self._asked: dict[tuple[str, ...], tuple[tuple[StyleTransfer, str], float]] = {}
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}  # by what that came to
        self._loading = threading.Lock()
        self._unready = NOT_LOADED
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._line: list[str] = []
        self._turn: tuple[str, Run] | None = None  # who is painted for
        self._durations: deque[float] = deque(maxlen=8)  # of turns, in seconds
        self._lock = threading.RLock()  # of the four above; held for a moment only

    def engine(self, settings: Settings) -> "StyleTransfer":
        """The engine for these settings; the first call for a network takes seconds, with a download a minute."""
        return self._engine(settings)[0]

    def reason(self, settings: Settings) -> str:
        """A sentence on why that engine has the network it has; takes as long as `engine`."""
        return self._engine(settings)[1]

    def _engine(self, settings: Settings) -> "tuple[StyleTransfer, str]":
        asked = (settings.network, settings.weights, settings.pooling, settings.precision)
        if not (found := self._known(asked)):  # looked up outside the lock too: others must not wait for a download
            with self._loading:
                if not (found := self._known(asked)):
                    engine = self._load(settings)
                    network = engine.network
                    same = (network.name, network.weights_hash, network.precision, settings.pooling)
                    # What "auto" comes to may be there by its name: it is not compiled once more.
                    found = self._engines.setdefault(same, engine), network.reason
                    is_missing = (settings.network, network.name) == ("vgg19", "compact")  # weights that may come yet
                    self._asked[asked] = found, time.monotonic() + RETRY if is_missing else math.inf
        return found

    def _known(self, asked: tuple[str, ...]) -> "tuple[StyleTransfer, str] | None":
        found, until = self._asked.get(asked, (None, 0.0))
        return found if time.monotonic() < until else None

    def warm(self) -> None:
        """Load and compile before the first visitor comes, and find out how long a picture takes.

        VGG-19's weights are downloaded before that if NST_NETWORK asks for them, and on a Space with a GPU if it says
        nothing: a visitor is not to wait for that.  Where they are still missing on a Space, they are downloaded
        afterwards, for those who want the finest picture.  A failure is logged, and each run tries again.
        """
        on_a_space = "SPACE_ID" in os.environ
        usual = "vgg19" if on_a_space and machine.gpus() else "compact"
        chosen = os.environ.get("NST_NETWORK", "auto").replace("auto", usual)
        try:
            if chosen == "vgg19":
                _download()
            engine = self.engine(Settings())
            self._unready = NOT_COMPILED
            for height, width in WARMING:
                grey = np.full((1, height, width, 3), 0.5, np.float32)
                settings = Settings(size=height, min_scale=64, steps=(5,))
                for _ in engine.stylize(grey, [grey], settings):
                    pass
            self._unready = ""
        except Exception:
            self._unready = NOT_WARMED
            log.exception("Warming failed")
        if on_a_space and os.environ.get("NST_NETWORK") != "compact":
            _download()

    @property
    def unready(self) -> str:
        """A sentence on why visitors should not be sent here yet; empty once `warm` has come to its end."""
        return self._unready

    # Nothing below may block, nor may closing the iterator: the page does it while others are being painted for.

    def join(self, visitor: str) -> bool:
        """Stand in line, at its end, unless the turn has come already; False if the line is too long for that."""
        with self._lock:
            if self.is_busy_for(visitor):
                return True
            if len(self._line) < CROWD_SIZE:
                self._line.append(visitor)
            return visitor in self._line

    def leave(self, visitor: str) -> None:
        """Stand in line no longer."""
        with self._lock, contextlib.suppress(ValueError):
            self._line.remove(visitor)

    def place(self, visitor: str) -> tuple[int, float | None] | None:
        """How many wait before this visitor, and the seconds until the turn comes; None for one not in line.

        The seconds are None until a turn has come to its end.
        """
        with self._lock:
            if visitor not in self._line:
                return None
            before, turn = self._line.index(visitor), self._turn
            usual = mean(self._durations) if self._durations else None
        if usual is None:
            return before, None
        frame = turn and turn[1].frame
        remaining = (frame and frame.remaining or usual) if turn else 0  # a frame's is 0 as long as nobody knows
        return before, remaining + before * usual

    def is_busy_for(self, visitor: str) -> bool:
        """Whether this visitor's picture is being painted, or waits for its turn."""
        with self._lock:
            return visitor in self._line or (self._turn is not None and self._turn[0] == visitor)

    def run(self, visitor: str) -> Run | None:
        """A visitor's latest picture, if it is still kept."""
        return self._runs.get(visitor)

    def forget(self, visitor: str) -> None:
        """A visitor has gone."""
        with self._lock:
            self.leave(visitor)
            self._runs.pop(visitor, None)

    def paint(self, visitor: str, run: Run, at_least: int = 0) -> "Generator[Frame, None, None]":
        """The visitor's turn has come; what `Run.frames` gives and raises."""
        turn, began = (visitor, run), time.monotonic()
        with self._lock:
            self.leave(visitor)
            self._turn = turn
            self._runs[visitor] = run
            self._runs.move_to_end(visitor)
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        try:
            with contextlib.closing(run.frames(self.engine, at_least)) as frames:
                yield from frames
            with self._lock:
                self._durations.append(time.monotonic() - began)
        finally:
            with self._lock:
                if self._turn is turn:  # one that was left may be closed only when the next one has begun
                    self._turn = None


def _download() -> None:
    """VGG-19's weights, if they are not here yet."""
    if not weights.at_hand():
        with contextlib.suppress(weights.WeightsError):  # the compact network paints then, and says why
            weights.imagenet(download=True)


def _load(settings: Settings, sketcher: "Callable[[Settings], StyleTransfer]") -> "StyleTransfer":
    from nst.features import load_network  # TensorFlow takes 4 s to import: the page is up before it
    from nst.transfer import StyleTransfer

    network = load_network(settings)
    log.info("%s in %s: %s", network.name, network.precision, network.reason)
    return StyleTransfer(network, sketcher)


def _load_picture(path: str | None, name: str, size: int) -> np.ndarray:
    if not path:
        raise ImageError(f"There is no {name} yet; drop one in, or start with an example.")
    return images.load(path, longest_side=size)


def _ingredient(path: str | None, picture: np.ndarray) -> recipe.Ingredient:
    example = catalogue.recognize(path or "")
    return recipe.ingredient(example or path or "", picture, example=example is not None)
