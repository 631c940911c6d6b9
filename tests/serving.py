"""The page in a process of its own, as those who run it start it: for the tests of what it is started from."""

import contextlib
import http.client
import socket
import subprocess

import pytest


def free_port() -> int:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_until_ok(process: subprocess.Popen, port: int, path: str) -> None:
    """Until the server says 200, or the process is over, which fails the test."""
    for _ in range(600):
        if answer(port, path) == 200:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)  # or until it is over
        assert process.poll() is None, path
    pytest.fail(f"{path} never said 200.")


def answer(port: int, path: str) -> int | None:
    """The status; None if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
