"""What commands write: sentences on standard error, results on standard output; exit codes; a quiet TensorFlow."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

FAILED, BAD_INPUT, STOPPED = 1, 2, 130  # exit codes


class Stop(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP.  A KeyboardInterrupt that passes through an import may change the exit code."""


def tell(sentence: object, code: int = 0) -> int:
    """Write one line to standard error; returns the exit code that goes with it."""
    _print(f"nst: {' '.join(str(sentence).split())}", sys.stderr)
    return code


def write(line: str) -> None:
    """Write one line to standard output."""
    _print(line, sys.stdout)


def _print(line: str, stream: TextIO) -> None:
    """A closed pipe or terminal does not stop a painting."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python complains again at exit


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """For importing TensorFlow: it writes to file descriptor 2 before it reads the level that forbids it."""
    from nst import machine

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with machine.quiet():
        yield
