"""What commands that paint share: pictures by name, the engine, and signals."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.commands.output import Stop, quiet_tensorflow

if TYPE_CHECKING:
    from nst.settings import Settings
    from nst.transfer import StyleTransfer

interrupted = threading.Event()
_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    _STOPS.remove(signal.SIGHUP)  # nohup


class _Block(threading.local):
    is_running = False


_block = _Block()  # that of `uninterrupted` in a thread


def find(name: str) -> tuple[Path, str]:
    """The file that an argument names, and for an example one sentence about it; a file wins over an example."""
    path = Path(name)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path, ""
    from nst import catalogue

    return catalogue.picture(name)


def load(settings: "Settings") -> "StyleTransfer":
    """The engine for these settings; with NST_CLUSTER, one that paints there."""
    from nst import cluster

    cluster.pool()  # found or not before TensorFlow is imported
    with quiet_tensorflow():
        from nst.machine import import_tensorflow

        import_tensorflow()
        import nst.transfer  # noqa: F401
    return cluster.engine(settings)


def interrupt(*_: Any) -> None:
    """Signal handler: raises Stop, and sets `interrupted`, since an exception raised in a destructor is lost."""
    interrupted.set()
    if not _block.is_running:
        raise Stop


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let `interrupt` wait for the end of the block, so that whatever is written there is counted, too."""
    _block.is_running = True
    try:
        yield
    finally:
        _block.is_running = False
    if interrupted.is_set():
        raise Stop


def on_signals(handler: Any) -> None:
    """Handle Ctrl-C, SIGTERM and SIGHUP from now on."""
    interrupted.clear()
    for number in _STOPS:
        signal.signal(number, handler)
