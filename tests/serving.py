"""The page on a server: in this process, with a studio that tests exchange, or in its own, as owners start it."""

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from nst.page import studio as studio_module
from nst.page.studio import Studio
from nst.settings import Settings

HANG = 300  # seconds without an answer that are taken for a hang, also on a machine that is busy with other work


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def compact(**changes: Any) -> Callable[[Settings], Any]:
    """A `load` for a studio: the compact network, with changes to the settings of each run that begins."""

    def load(_: Settings) -> Any:
        engine: Any = studio_module._load(Settings(network="compact"), load)
        stylize = engine.stylize

        def changed(content: Any, styles: Any, settings: Settings, **more: Any) -> Any:
            return stylize(content, styles, settings if more.get("resume") else replace(settings, **changes), **more)

        engine.stylize = changed
        return engine

    return load


class Stage:
    """Stands for the studio of a page that is built once; the test's own studio answers."""

    def __init__(self) -> None:
        self.studio, self.address = Studio(), ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.studio, name)

    def clear(self) -> None:
        """Wait until nobody's picture is painted any longer: the visitors of the test have gone."""
        deadline = time.monotonic() + HANG
        while self.studio._turns and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not self.studio._turns, "a run goes on although its visitor has left"


@contextlib.contextmanager
def served(studio: Any, **options: Any) -> Iterator[str]:
    """The address, without a slash at its end, of the page of a studio, in this process."""
    from nst.page import layout, server  # and Gradio with them, which takes seconds

    page = layout.build(studio)
    server.serve(page, studio, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)
    try:
        yield str(page.local_url).rstrip("/")
    finally:
        page.close(verbose=False)


def free_port() -> int:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_until_ok(process: subprocess.Popen, port: int, path: str) -> None:
    """Until the server says 200, or the process is over, which fails the test."""
    deadline = time.monotonic() + HANG
    while time.monotonic() < deadline:
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
