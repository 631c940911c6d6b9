"""Painters on Ray: processes on this machine or others that paint for one page, batch or command.

NST_CLUSTER says where: `auto` starts Ray here, HOST:PORT or ray://HOST:PORT joins a cluster.  Needs no TensorFlow; Ray
is imported only if it is asked for.  `nst.remote` has the engine that paints with them.
"""

import atexit
import contextlib
import functools
import itertools
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst import machine
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.transfer import StyleTransfer

CORES_EACH = 2  # of a painter without a GPU
CONNECTING, STARTING = 30.0, 180.0  # seconds until a cluster that does not answer, or starts no painter, is given up
DEATHS = 3  # painters that a run may lose
STORE = 512 << 20  # bytes of memory that frames and checkpoints share on this machine; more goes to the disk
CHECKPOINTS = 2.0  # seconds between those that a lost run goes on from
CALLS = 16  # to a painter at once: it is told to stop while it paints
HELP = "docs/running-a-space.md explains"

log = logging.getLogger(__name__)


class PainterLostError(MemoryError):
    """A run has lost too many painters, mostly for want of memory, or none has started; one sentence."""


@dataclass(frozen=True)
class Facts:
    """What the `Network` of a painter is, without its weights."""

    name: str
    reason: str
    precision: str
    weights_hash: str
    layers: tuple[str, ...]
    filters: dict[str, tuple[int, int]]


# --- In a painter's process -------------------------------------------------------------------------------------------


class _Stopped(BaseException):
    """Ends a run within the engine."""


class _Run:
    """A run in a painter, and its `Controls`."""

    def __init__(self) -> None:
        self.frames: Iterator[Any] | None = None  # before it has begun
        self.followed: tuple[Settings, Sequence[Any]] | None = None
        self.stopped = False
        self.keeps_all = False  # whether each frame needs its checkpoint
        self.kept = -math.inf  # when the latest checkpoint was sent

    @property
    def wanted(self) -> tuple[Settings, Sequence[Any]] | None:
        """The engine reads this before each few steps."""
        if self.stopped:
            raise _Stopped
        return self.followed


class Painter:
    """The actor.  Calls come in while it paints, and one run at a time is painted."""

    def __init__(self, threads: int):
        """`threads` for TensorFlow: those of painters side by side should not be more than there are cores."""
        os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        machine.import_tensorflow()
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}
        self._runs: dict[str, _Run] = {}
        self._loading, self._painting = threading.RLock(), threading.Lock()

    def process(self) -> int:
        """Its number; known once the painter has started."""
        return os.getpid()

    def describe(self, settings: Settings) -> Facts:
        """Load the network for these settings."""
        network = self._engine(settings).network
        return Facts(**{name: getattr(network, name) for name in Facts.__dataclass_fields__})

    def begin(
        self, run: str, method: str, network: Settings, weights_hash: str, wanted: Any, arguments: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """Begin `method` of the engine for the settings `network`; returns what `proceed` does."""
        started = self._runs.setdefault(run, _Run())  # it may have been stopped already
        engine = self._engine(network)
        if engine.network.weights_hash != weights_hash:
            raise ValueError("The painters of this cluster have different weights; put the same on all machines.")
        arguments, started.followed = dict(arguments), wanted
        if method == "stylize":
            started.keeps_all = arguments["checkpoints"]
            arguments |= {"checkpoints": True, "controls": started}
        started.frames = getattr(engine, method)(**arguments)
        return self.proceed(run)

    def proceed(self, run: str) -> tuple[Any, Any]:
        """((the next frame or frames, whether a lost run should go on from here), its checkpoint); None at the end.

        The checkpoint is large, so it is a reply of its own, which is fetched only if it is needed.
        """
        with self._painting:
            current = self._runs.get(run, _Run())
            try:
                if current.frames and not current.stopped and (frame := next(current.frames, None)) is not None:
                    return self._parted(current, frame)
            except _Stopped:
                pass
            except BaseException:
                del self._runs[run]
                raise
            self._runs.pop(run, None)
            return None, None

    def _parted(self, run: _Run, frame: Any) -> tuple[Any, Any]:
        if isinstance(frame, list):  # tries
            return (frame, False), None
        now = time.monotonic()
        is_due = now - run.kept >= CHECKPOINTS or frame.step == frame.steps
        run.kept = now if is_due else run.kept
        return (replace(frame, checkpoint=None), is_due), frame.checkpoint if is_due or run.keeps_all else None

    def steer(self, run: str, settings: Settings, paintings: Sequence[Any] | None) -> None:
        """Change what a run follows; without paintings, these stay."""
        current = self._runs.get(run)
        if current and current.followed:
            current.followed = settings, current.followed[1] if paintings is None else paintings

    def stop(self, run: str) -> None:
        """End a run before its next few steps, and forget it; one that has not begun yet ends when it does."""
        current = self._runs.setdefault(run, _Run())
        current.stopped = True
        with self._painting:  # after the steps under way
            if current.frames:
                self._runs.pop(run, None)

    def _engine(self, settings: Settings) -> "StyleTransfer":
        from nst.features import load_network
        from nst.transfer import StyleTransfer

        asked = settings.of_network
        with self._loading:
            if asked not in self._engines:
                network = load_network(settings)
                same = (network.name, network.weights_hash, settings.pooling, network.precision)
                self._engines[asked] = self._engines.setdefault(same, StyleTransfer(network, self._engine))
            return self._engines[asked]


# --- In the process that shows or saves the pictures ------------------------------------------------------------------


@dataclass
class _Slot:
    """A painter, which is replaced when it is lost."""

    actor: Any = None
    started: Any = None  # reference to its `process`
    busy: bool = False


@dataclass
class Pool:
    """The painters of a cluster, which the threads of this process share."""

    size: int  # painters
    resources: Mapping[str, float]  # of each, "num_cpus" or "num_gpus"
    address: str  # of the cluster
    _slots: list[_Slot] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.RLock)  # guards the slots

    def __post_init__(self) -> None:
        self._slots += [_Slot() for _ in range(self.size)]
        for slot in self._slots:
            self._start(slot)

    def __str__(self) -> str:
        each = "1 GPU" if "num_gpus" in self.resources else f"{self.resources['num_cpus']:g} cores"
        return f"{self.size} on Ray ({self.address}), {each} each"

    def processes(self) -> list[int]:
        """Process numbers of the painters, on their machines; waits until they have started."""
        import ray

        return ray.get([slot.started for slot in self._slots])

    def describe(self, settings: Settings) -> Facts:
        """The network that the painters have for these settings."""
        import ray

        for _ in range(DEATHS):
            slot = self._started(lambda _: True)
            actor = slot.actor
            with contextlib.suppress(ConnectionAbortedError), self.replacing(slot, actor):
                return ray.get(actor.describe.remote(settings))
        raise PainterLostError(f"No painter of the cluster at {self.address} starts; its logs say why.")

    @contextlib.contextmanager
    def painter(self) -> Iterator[Any]:
        """The actor of a free painter, when there is one.

        Raises:
            ConnectionAbortedError: it was lost meanwhile, and replaced.
            PainterLostError: none has started for STARTING seconds.
        """
        slot = self._started(lambda slot: not slot.busy, take=True)
        try:
            with self.replacing(slot, slot.actor):
                yield slot.actor
        finally:
            slot.busy = False

    @contextlib.contextmanager
    def replacing(self, slot: _Slot, actor: Any) -> Iterator[None]:
        """Replace a painter that is lost; what the engine raises in it is raised here as it was there."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            yield
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except RayError as error:
            with self._lock:
                if slot.actor is actor:
                    log.warning("A painter was lost: %s", " ".join(str(error).split())[:500])
                    with contextlib.suppress(Exception):
                        ray.kill(actor)
                    self._start(slot)
            raise ConnectionAbortedError("A painter was lost.") from error

    def _start(self, slot: _Slot) -> None:
        import ray

        cores = self.resources.get("num_cpus")
        threads = max(1, int(cores)) if cores else 0  # 0: as TensorFlow chooses
        slot.actor = ray.remote(Painter).options(max_concurrency=CALLS, **self.resources).remote(threads)  # type: ignore
        slot.started = slot.actor.process.remote()

    def _started(self, suits: Any, take: bool = False) -> _Slot:
        """A slot that suits, whose painter has started; it is busy from now on with `take`."""
        import ray

        waited = 0.0
        for _ in itertools.count():
            with self._lock:
                slots = [slot for slot in self._slots if suits(slot)]
                for slot in slots:
                    if ray.wait([slot.started], timeout=0)[0]:
                        slot.busy = slot.busy or take
                        return slot
                waited = waited if any(slot.busy for slot in self._slots) else waited + 0.05
            if waited > STARTING:
                break
            time.sleep(0.05)
        raise PainterLostError(f"No painter of the cluster at {self.address} has started; {HELP}.")


def pool() -> Pool | None:
    """The painters that NST_CLUSTER asks for, started or joined at the first call; None without it.

    Call it first in the main thread: Ray's processes end with the thread that has started them.

    Raises:
        ValueError: there is no Ray, or nobody answers there; one sentence.
    """
    address = os.environ.get("NST_CLUSTER", "")
    return _joined(address) if address else None


def engine(settings: Settings, sketcher: "Callable[[Settings], StyleTransfer] | None" = None) -> "StyleTransfer":
    """The engine for these settings; with NST_CLUSTER, one that paints there.

    Args:
        sketcher: that of `StyleTransfer`.

    Raises:
        ValueError: as `pool` and `load_network` do.
    """
    painters = pool()
    machine.import_tensorflow()
    from nst.features import load_network
    from nst.transfer import StyleTransfer

    if painters:
        from nst.remote import ClusterStyleTransfer

        return ClusterStyleTransfer(painters, settings, sketcher)
    return StyleTransfer(load_network(settings), sketcher)


@functools.cache
def _joined(address: str) -> Pool:
    painters = _painters_asked()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no telemetry
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    temporary = _prepare_here() if address == "auto" else _prepare_to_join()
    try:
        import ray
    except ImportError:
        raise ValueError("NST_CLUSTER needs Ray: pip install nst[cluster].") from None
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if temporary:
            gpus, cores = len(machine.gpus()), machine.cores() or 1
            options = {"num_cpus": cores, "num_gpus": gpus, "object_store_memory": STORE, "_temp_dir": temporary}
            _initialize("local", include_dashboard=False, **options)
        else:
            _join(address)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = sum(node.get("CPU", 0) for node in nodes)
    if gpus := int(sum(node.get("GPU", 0) for node in nodes)):
        count = painters or gpus
        return Pool(count, {"num_gpus": 1 if count <= gpus else gpus / count}, address)
    if not cores:
        raise ValueError(f"NST_CLUSTER: Ray at {address} has no cores or GPUs to paint with; {HELP}.")
    count = painters or sum(int(node.get("CPU", 0) // CORES_EACH) for node in nodes) or 1
    each = CORES_EACH if not painters and cores >= CORES_EACH and address != "auto" else cores / count
    return Pool(count, {"num_cpus": math.floor(each) if each >= 1 else math.floor(100 * each) / 100}, address)


def _painters_asked() -> int:
    text = os.environ.get("NST_PAINTERS", "")
    if text and not (text.isdecimal() and 1 <= int(text) <= 1000):
        raise ValueError(f"NST_PAINTERS: {text!r} should be a number from 1 to 1000.")
    return int(text or 0)


def _prepare_here() -> str:
    """For Ray on this machine only: loopback, a password, and a folder that is deleted at the end."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on any system: nothing listens where others could connect
    if "ray" not in sys.modules and "RAY_AUTH_TOKEN_PATH" not in os.environ:  # it reads them when it is imported
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    folder = tempfile.mkdtemp(prefix="nst-ray-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after Ray's own, which is registered later
    return folder


def _prepare_to_join() -> str:
    token = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    if os.path.exists(token) or "RAY_AUTH_TOKEN" in os.environ:  # as `ray start` decides
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    return ""


def _join(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"NST_CLUSTER: {address!r} should be auto, HOST:PORT or ray://HOST:PORT; {HELP}.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"NST_CLUSTER: nobody answers at {address} ({reason}); {HELP}.") from None
    failures: list[BaseException | None] = [TimeoutError(f"no answer within {CONNECTING:g} s")]

    def join() -> None:
        try:
            _initialize(address)
            failures[:] = []
        except BaseException as error:
            failures[:] = [error]

    joining = threading.Thread(target=join, daemon=True)  # Ray itself may wait for minutes
    with machine.quiet():
        joining.start()
        joining.join(CONNECTING)
    if failures:
        reason = " ".join(str(failures[0]).split())[:200].rstrip(".")
        raise ValueError(f"NST_CLUSTER: Ray at {address} cannot be joined ({reason}); {HELP}.") from None


def _initialize(address: str, **options: Any) -> None:
    import ray
    import ray._private.worker

    # It prints the deaths of workers to standard output, which is that of our commands; we log them.
    ray._private.worker.print_worker_logs = lambda *_: None
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
