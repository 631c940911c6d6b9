"""What commands write: sentences on standard error, results on standard output; exit codes; a quiet TensorFlow."""

import contextlib
import os
import sys
from collections.abc import Iterator

FAILED, BAD_INPUT, STOPPED = 1, 2, 130  # exit codes


class Stop(BaseException):
    """Ctrl-C or SIGTERM.  A KeyboardInterrupt that passes through an import may change the exit code."""


def tell(sentence: object, code: int = 0) -> int:
    """Write one line to standard error; returns the exit code that goes with it."""
    print("nst:", " ".join(str(sentence).split()), file=sys.stderr)
    return code


def write(line: str) -> None:
    """Write one line to standard output; a closed pipe does not stop a painting."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at exit


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """For importing TensorFlow: it writes to file descriptor 2 before it reads the level that forbids it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
