"""The studio: the engines that all visitors of a page share, the queue for them, and each visitor's painting.

Knows nothing of Gradio: a visitor is a name, a run an iterator of frames.
"""

import contextlib
import heapq
import logging
import math
import os
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from nst import catalogue, cluster, images, machine, masks, weights
from nst.images import ImageError
from nst.masks import Masks
from nst.page import limits, sharing
from nst.page.loss_plot import History
from nst.page.metrics import Metrics
from nst.page.text import ENDING
from nst.page.translation import tr
from nst.painting import Painting
from nst.settings import Settings
from nst.timelapse import Film

if TYPE_CHECKING:
    from nst.transfer import Frame, StyleTransfer

KEPT = 12  # visitors whose paintings can be resumed, each of up to 60 MB; more only while more are painted for
MORE_STEPS = 100  # added to a finished picture by Continue
DAY = 86400.0  # seconds that a painting can be resumed: as long as its files are kept
RETRY = 60  # seconds until missing weights are looked for again
QUEUE_SIZE = 16  # pictures in the queue, at most
SESSION_WAITING = 2  # of them of one visitor, at most
GRACE = 30.0  # seconds within which the job of one who joins must follow
THUMBNAIL = Settings(size=384)  # a visitor's defaults but for the size, of which a card shows THUMBNAIL_SIDE
THUMBNAIL_SIDE = 360  # pixels
IDLE = 60.0  # seconds between two looks whether the last visitor has gone
TRY_STRENGTHS, TRY_BRUSHES = (38.0, 50.0, 65.0, 80.0), (0.5, 2.0)
TRY_STEPS = 22  # within 8 s on two cores; see benchmarks/tries.py
WARM_UP = (64, 64), (384, 288)  # height, width: large pictures have a compiled step of their own
TOO_LONG = (
    "This picture would take about {minutes} minutes, and one may take {most} here; take a smaller size or fewer steps."
)
NOT_LOADED = "The network is not loaded yet."  # values of `Studio.unready`, in this order
NOT_COMPILED = "The network is loaded, and its step is being compiled."
NOT_WARM = "Loading and compiling the network failed; the log says why."

log = logging.getLogger(__name__)


class Run(Painting):
    """One visitor's painting, within the limits of the page."""

    def __init__(
        self,
        content: str | None,
        styles: Sequence[str],
        settings: Settings,
        where: Masks = masks.EVERYWHERE,
        **more: Any,
    ):
        """The arguments of `Painting`, of which pictures may be missing."""
        super().__init__(content or "", styles, settings, resumable=True, where=where, **more)
        self.film, self.history = Film(frames=120), History()
        self.id = secrets.token_hex(4)  # in the log
        self.out_of_time = False  # whether the latest turn was ended for its length
        self.served = 0.0  # seconds of the monotonic clock when it was last served

    @property
    def style(self) -> str:
        """The first painting; "" if there is none."""
        return self.styles[0] if self.styles else ""

    def pick(self, index: int) -> None:
        self.film, self.history = Film(frames=120), History()
        super().pick(index)

    def check(self, settings: Settings) -> None:
        sharing.check(settings)
        if not self.content:
            raise ImageError(tr("There is no photo yet; drop one in, or start with an example."))
        if not self.styles:
            raise ImageError(tr("There is no painting yet; drop one in, or start with an example."))

    def check_time(self, seconds: float) -> None:
        if seconds > (most := limits.current().seconds):
            raise ValueError(tr(TOO_LONG, minutes=f"{seconds / 60:.0f}", most=f"{most / 60:.0f}"))

    def _take(self, frame: "Frame") -> None:
        super()._take(frame)
        self.film.append(self.shown(frame.image))
        self.history.append(frame)


def variants(settings: Settings) -> list[Settings]:
    """The settings of the tries, the strengths of a brush size side by side."""
    return [
        replace(settings, strength=strength, style_scale=brush) for brush in TRY_BRUSHES for strength in TRY_STRENGTHS
    ]


class Studio:
    """What all visitors share.  A visitor is known by a name, such as the hash of a browser's session."""

    def __init__(self, load: "Callable[[Settings], StyleTransfer] | None" = None, painters: int = 1):
        """`load` makes the engine for some settings, and `painters` runs go on at once; tests inject them.

        Raises:
            ValueError: the cluster that NST_CLUSTER names cannot be joined.
        """
        pool = None if load else cluster.pool()
        self.painters = pool.size if pool else painters
        self._load = load or partial(_load, sketcher=self.engine)
        # `Settings.of_network` -> (engine, reason), and until when that holds
        self._asked: dict[tuple[str, ...], tuple[tuple[StyleTransfer, str], float]] = {}
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}  # by the network that was loaded
        self._loading = threading.Lock()
        self._unready = NOT_LOADED
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tried: OrderedDict[str, Run] = OrderedDict()  # the latest tries of visitors
        # (visitor, address) of each job that waits, in order; the page sets it
        self.jobs: Callable[[], Sequence[tuple[str, str]]] = tuple
        self._joined: OrderedDict[str, tuple[str, float]] = OrderedDict()  # visitor -> address, and when seen last
        self._turns: list[tuple[str, Run]] = []  # the visitors being served
        self.ending = False  # whether the server is about to end
        self._durations: deque[float] = deque(maxlen=8)  # seconds of the latest runs
        self._lock = threading.RLock()  # guards the five above; never held while painting
        self.metrics = Metrics(lambda: len(self._line()))

    def engine(self, settings: Settings) -> "StyleTransfer":
        """The engine for these settings.  Loading a network takes seconds, with a download a minute."""
        return self._engine(settings)[0]

    def reason(self, settings: Settings) -> str:
        """One sentence on why that engine has its network; takes as long as `engine`."""
        return self._engine(settings)[1]

    def _engine(self, settings: Settings) -> "tuple[StyleTransfer, str]":
        asked = settings.of_network
        if not (found := self._known(asked)):  # also outside the lock: others must not wait for a download
            with self._loading:
                if not (found := self._known(asked)):
                    engine = self._load(settings)
                    network = engine.network
                    same = (network.name, network.weights_hash, network.precision, settings.pooling)
                    # Reuse the engine if "auto" resolves to a network that is already loaded.
                    found = self._engines.setdefault(same, engine), network.reason
                    is_missing = settings.network == "vgg19" and network.name == "compact"  # it may arrive later
                    self._asked[asked] = found, time.monotonic() + RETRY if is_missing else math.inf
        return found

    def _known(self, asked: tuple[str, ...]) -> "tuple[StyleTransfer, str] | None":
        found, until = self._asked.get(asked, (None, 0.0))
        return found if time.monotonic() < until else None

    def warm(self) -> None:
        """Load and compile before the first visitor arrives, and measure how long a picture takes.

        VGG-19's weights are downloaded first if NST_NETWORK asks for them, or on a Space with a GPU.  On any other
        Space they are downloaded afterwards, for visitors who choose the finest quality.  A failure is logged; the next
        run tries again.
        """
        on_a_space = "SPACE_ID" in os.environ
        chosen, _ = weights.preferred()
        try:
            if chosen == "vgg19" or chosen == "auto" and on_a_space and machine.gpus():
                _download()
            engine = self.engine(Settings())
            self._unready = NOT_COMPILED
            self._on_each_painter(partial(_compile, engine))
            self._unready = ""
        except Exception as error:
            self._unready = NOT_WARM  # a ValueError says what to do
            log.error("Warming failed: %s", error, exc_info=not isinstance(error, ValueError))
        else:
            self._on_each_painter(partial(self._warm_tries, engine))
        if on_a_space and chosen != "compact":
            _download()

    def _on_each_painter(self, work: Callable[[], None]) -> None:
        """Do it as often at the same time as there are painters."""
        with ThreadPoolExecutor(self.painters) as threads:
            for done in [threads.submit(work) for _ in range(self.painters)]:
                done.result()

    def _warm_tries(self, engine: "StyleTransfer") -> None:
        grey = np.full((1, 96, 128, 3), 0.5, np.float32)
        try:
            for _ in engine.tries(grey, [grey], variants(Settings()), 1):
                pass
        except Exception:
            log.exception("Warming the tries failed")

    def paint_thumbnails(self) -> None:
        """Paint the thumbnails that examples lack, while no visitor is here; returns once all are there.

        A failure is logged, and tried again the next time that the page starts.
        """
        for pair in sharing.installed_pairs():
            try:
                while not pair.thumbnail and not self.paint_thumbnail(pair):
                    time.sleep(IDLE)
            except (ValueError, ArithmeticError, MemoryError, OSError) as error:
                log.warning("The example %s has no thumbnail: %s", pair.name, error)

    def paint_thumbnail(self, pair: catalogue.Pair) -> bool:
        """Paint a pair's thumbnail into the cache; returns False, without it, as soon as a visitor is here.

        Raises:
            ValueError, ArithmeticError, MemoryError, OSError: it cannot be painted or written.
        """
        photo, painting = (catalogue.picture(name, fetch=False)[0] for name in (pair.content, pair.style))
        run = Painting(photo, [painting], THUMBNAIL)
        if self._has_visitors():
            return False
        with contextlib.closing(run.frames(self.engine)) as frames:
            for _ in frames:
                if self._has_visitors():
                    return False
        assert run.frame is not None  # every run ends with one
        height, width, _ = run.frame.image.shape
        small = images.rescale(run.frame.image, *images.fit(height, width, THUMBNAIL_SIDE))
        pair.cached_thumbnail.parent.mkdir(parents=True, exist_ok=True)
        images.save(small, pair.cached_thumbnail, quality=80)
        return True

    def _has_visitors(self) -> bool:
        with self._lock:
            return bool(self._line() or self._turns)

    @property
    def unready(self) -> str:
        """One sentence on why no visitor should be sent here yet; empty once `warm` is done."""
        return self._unready

    # Nothing below may block, nor may closing an iterator: the page calls these while others are being served.

    def join(self, visitor: str, address: str = "") -> str:
        """Join the queue, unless in it or being served; returns the reason for a refusal, as `refusal` does."""
        with self._lock:
            if self.is_busy_for(visitor):
                return ""
            if not (reason := self.refusal(visitor, address)):
                self._joined[visitor] = address, time.monotonic()
            return reason

    def leave(self, visitor: str) -> None:
        """Leave the queue."""
        with self._lock:
            self._joined.pop(visitor, None)

    def refusal(self, visitor: str, address: str = "") -> str:
        """Why another picture of this visitor cannot wait: a reason of `refusal` below; "" if it can."""
        with self._lock:
            line = self._line()
            if visitor in self._joined and visitor not in dict(self.jobs()):
                return ""  # this is the one that has joined
        return refusal(line, visitor, address)

    def expected_wait(self) -> float | None:
        """Seconds until another picture would begin; None until a first run has ended."""
        with self._lock:
            return self._seconds_until(len(self._line()))

    def _line(self) -> list[tuple[str, str]]:
        """(visitor, address) of each picture that waits, in order."""
        with self._lock:
            jobs, now = list(self.jobs()), time.monotonic()
            here = {visitor for visitor, _ in jobs}
            for visitor, (address, seen) in list(self._joined.items()):
                if visitor in here:
                    self._joined[visitor] = address, now
                elif now - seen > GRACE:
                    del self._joined[visitor]
            return jobs + [(visitor, address) for visitor, (address, _) in self._joined.items() if visitor not in here]

    def _seconds_until(self, before: int) -> float | None:
        if not self._durations:
            return None
        usual = mean(self._durations)
        frames = [run.frame for _, run in self._turns]
        # Seconds until each painter is; those of a run are 0 while unknown.
        free = [frame and frame.remaining or usual for frame in frames]
        free += [0.0] * (self.painters - len(free))
        heapq.heapify(free)
        for _ in range(before):
            heapq.heappush(free, heapq.heappop(free) + usual)
        return free[0]

    def place(self, visitor: str) -> tuple[int, float | None] | None:
        """(visitors ahead, expected seconds to wait), None if not in the queue.

        The seconds are None until a first run has ended.
        """
        with self._lock:
            line = [waiting for waiting, _ in self._line()]
            if visitor not in line:
                return None
            before = line.index(visitor)
            return before, self._seconds_until(before)

    def is_busy_for(self, visitor: str) -> bool:
        """Whether this visitor is being served or in the queue."""
        with self._lock:
            return visitor in dict(self._line()) or visitor in dict(self._turns)

    def run(self, visitor: str) -> Run | None:
        """A visitor's latest run, if it is still kept."""
        return self._runs.get(visitor)

    def files(self) -> tuple[str, ...]:
        """The files of the runs that are under way; drops runs that nobody has gone on with for a day."""
        with self._lock:
            for kept in (self._runs, self._tried):
                for visitor, run in list(kept.items()):
                    if time.monotonic() - run.served > DAY and not self.is_busy_for(visitor):
                        del kept[visitor]
            return tuple(path for _, run in self._turns for path in (run.content, *run.styles))

    def tried(self, visitor: str) -> Run | None:
        """A visitor's latest tries, if they are still kept."""
        return self._tried.get(visitor)

    def stop(self, visitor: str) -> None:
        """End what is being painted for a visitor at the next frame."""
        with self._lock:
            for served, run in self._turns:
                if served == visitor:
                    run.stop.set()

    def end(self) -> None:
        """Stop the runs under way, and refuse all others, since the server is about to end."""
        with self._lock:
            self.ending = True
            for _, run in self._turns:
                run.stop.set()

    def forget(self, visitor: str) -> None:
        """Drop a visitor who has closed the page."""
        with self._lock:
            self.leave(visitor)
            for kept in (self._runs, self._tried):
                kept.pop(visitor, None)

    def paint(self, visitor: str, run: Run, at_least: int = 0) -> "Generator[Frame, None, None]":
        """Serve a visitor; yields and raises what `Run.frames` does."""
        return self._serve(visitor, run, self._runs, run.frames(self.engine, at_least))

    def tries(
        self, visitor: str, run: Run, settings: Sequence[Settings], steps: int
    ) -> "Generator[list[Frame], None, None]":
        """Serve a visitor; yields and raises what `Run.tries` does."""
        return self._serve(visitor, run, self._tried, run.tries(self.engine, settings, steps))

    def _serve(
        self, visitor: str, run: Run, kept: OrderedDict[str, Run], frames: "Generator[Any, None, None]"
    ) -> "Generator[Any, None, None]":
        if self.ending:
            raise ValueError(tr(ENDING))
        turn, began, outcome = (visitor, run), time.monotonic(), "left"
        run.out_of_time, run.served = False, began
        extra = {"run": run.id}
        what = run.settings.size, run.settings.network, len(run.styles)
        log.info("Run %s begins: size %d, network %s, paintings: %d", run.id, *what, extra=extra)
        with self._lock:
            self.leave(visitor)
            self._turns.append(turn)
            kept[visitor] = run
            kept.move_to_end(visitor)
            idle = [other for other in kept if other not in dict(self._turns)]
            for oldest in idle[: max(0, len(kept) - KEPT)]:
                del kept[oldest]
        try:
            with contextlib.closing(frames):
                for frame in self._timed(frames):
                    if time.monotonic() - began > limits.current().seconds:
                        run.out_of_time = True
                        run.stop.set()
                    yield frame
            outcome = "out of time" if run.out_of_time else "stopped" if run.stop.is_set() else "finished"
            with self._lock:
                self._durations.append(time.monotonic() - began)
        except (ValueError, FloatingPointError, MemoryError):
            outcome = "refused"
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            self.metrics.runs.labels(outcome).inc()
            what = outcome, run.frame.step if run.frame else 0, time.monotonic() - began
            log.info("Run %s ends: %s, steps: %d, seconds: %.1f", run.id, *what, extra=extra)
            with self._lock:
                self._turns.remove(turn)

    def _timed(self, frames: "Generator[Any, None, None]") -> "Generator[Any, None, None]":
        """The frames, whose seconds for a step are counted."""
        before = None
        for frame in frames:
            latest = frame[0] if isinstance(frame, list) else frame
            if before and latest.step > before.step:
                self.metrics.steps.observe((latest.elapsed - before.elapsed) / (latest.step - before.step))
            before = latest
            yield frame


def refusal(line: Sequence[tuple[str, str]], visitor: str, address: str) -> str:
    """Why nobody else can join a line of (visitor, address): "session", "address" or "queue"; "" if nothing is full.

    A visitor or an address that is unknown, "", is not counted.
    """
    visitors, addresses = zip(*line) if line else ((), ())
    if visitor and visitors.count(visitor) >= SESSION_WAITING:
        return "session"
    if address and addresses.count(address) >= limits.current().waiting:
        return "address"
    return "queue" if len(line) >= QUEUE_SIZE else ""


def _download() -> None:
    """Download VGG-19's weights, if they are not here yet."""
    if not weights.find_vgg19():
        with contextlib.suppress(weights.WeightsError):  # then the compact network paints, with a reason
            weights.imagenet(download=True)


def _compile(engine: "StyleTransfer") -> None:
    for height, width in WARM_UP:
        grey = np.full((1, height, width, 3), 0.5, np.float32)
        settings = Settings(size=height, min_scale=64, steps=(5,))
        for _ in engine.stylize(grey, [grey], settings):
            pass


def _load(settings: Settings, sketcher: "Callable[[Settings], StyleTransfer]") -> "StyleTransfer":
    engine = cluster.engine(settings, sketcher)  # imports TensorFlow, which takes 4 s: the page is up before it
    network = engine.network
    log.info("%s in %s: %s", network.name, network.precision, network.reason)
    return engine
