"""Faults of a run, the network and the process: nobody loses more than the latest moments of a picture."""

import contextlib
import itertools
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from nst import images, recipe, weights
from nst.deploy import doctor
from nst.features import Network, load_network
from nst.page.handlers import Handlers
from nst.page.studio import Run, Studio
from nst.progress import Progress
from nst.settings import Settings
from nst.transfer import StyleTransfer
from tests import toy
from tests.painter import Painter, values
from tests.serving import HANG, free_port, wait_until_ok

ROOT = Path(__file__).parents[2]

# --- The loss overflows -----------------------------------------------------------------------------------------------


def overflows_where_bright() -> StyleTransfer:
    """An engine whose network overflows where the picture is brighter than 0.9: large steps get there."""
    network = toy.weights()
    network.parameters["block1_conv1_kernel"][..., -1] = 0
    network.parameters["block1_conv1_kernel"][1, 1, :, -1] = 1e30
    network.parameters["block1_conv1_bias"][-1] = -3 * 2.0 * (0.9 - 0.5) * 1e30
    return StyleTransfer(Network("toy", network))


CONTENT, STYLE = 0.4 + 0.2 * toy.picture(40, 64), 0.4 + 0.2 * toy.picture(50, 45, seed=1)
HASTY = replace(toy.SETTINGS, learning_rate=1.0, averaging=0)


def test_after_an_overflow_a_run_goes_on_with_a_lower_learning_rate():
    frames = list(overflows_where_bright().stylize(CONTENT, [STYLE], HASTY))
    last = frames[-1]
    assert (last.step, last.steps, last.scale) == (10, 10, 64)
    assert 1 > last.settings.learning_rate >= 1 / 64
    assert np.log2(last.settings.learning_rate) % 1 == 0  # it was halved
    assert all(np.isfinite(list(frame.losses.values())).all() for frame in frames)


def test_a_run_resumes_identically_after_an_overflow(monkeypatch):
    monkeypatch.setattr(Progress, "steps_until_frame", 1)
    monkeypatch.setattr(Progress, "frame_is_due", True)
    transfer = overflows_where_bright()
    frames = list(transfer.stylize(CONTENT, [STYLE], HASTY, checkpoints=True))
    lowered = next(frame for frame in frames if frame.settings == frames[-1].settings)
    assert lowered.settings != HASTY and lowered is not frames[-1]
    resumed = list(transfer.stylize(CONTENT, [STYLE], lowered.settings, resume=lowered.checkpoint))
    np.testing.assert_array_equal(resumed[-1].image, frames[-1].image)


def test_tries_go_on_after_an_overflow():
    variants = [replace(HASTY, strength=strength) for strength in (40, 60)]
    *_, last = overflows_where_bright().tries(CONTENT, [STYLE], variants, 6)
    assert all(np.isfinite(list(frame.losses.values())).all() for frame in last)
    assert last[0].settings.learning_rate == last[1].settings.learning_rate < 1


def test_an_overflow_is_told_on_the_page_and_in_the_recipe(tmp_path):
    photo, painting = tmp_path / "photo.png", tmp_path / "painting.png"
    for path, picture in ((photo, CONTENT), (painting, STYLE)):
        images.save(images.to_uint8(picture), path)
    engine: Any = overflows_where_bright()
    run = Run(str(photo), [str(painting)], replace(HASTY, size=128, min_scale=64))
    made, sentence = None, ""
    for view in Handlers(Studio(lambda _: engine)).views("visitor", run):
        if isinstance(view.picture, Path):  # there until the next one
            made, sentence = recipe.read(view.picture), view.sentence
    rate = run.settings.learning_rate
    assert f"The loss overflowed, so the learning rate was lowered to {rate:g}." in sentence
    assert made and (made.settings.learning_rate, made.steered) == (rate, True)


# --- The network and the process --------------------------------------------------------------------------------------

SERVER = """
from nst.page import layout, server
from nst.page.studio import Studio
from tests.painter import Painter, values

server._warm_up = lambda studio: None
studio = Studio(lambda _: Painter(steps=400))
server.start(layout.build(studio), studio)
"""
LOST, ENDING = "The connection to the server was lost.", "This server is being restarted"


class Proxy(socketserver.ThreadingTCPServer):
    """Passes on what comes to `port`, until it is cut: then all that is open breaks off, and nobody answers."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, target: int):
        super().__init__(("127.0.0.1", 0), Proxy.Connection)
        self.target, self.port = target, self.server_address[1]
        self.is_cut, self.open = False, set[socket.socket]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.server.is_cut:
                return
            with socket.create_connection(("127.0.0.1", self.server.target)) as there:
                self.server.open |= {self.request, there}
                back = threading.Thread(target=self.copy, args=(there, self.request), daemon=True)
                back.start()
                self.copy(self.request, there)
                back.join()

        def copy(self, source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(1 << 16):
                    target.sendall(data)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.is_cut = True
        for each in list(self.open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def start(tmp_path, processes):
    """start(port) runs a page with a slow painter; what still runs is ended after the test."""

    def run(port: int) -> subprocess.Popen:
        env = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "NST_OFFLINE": "1"}
        env |= {"GRADIO_TEMP_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
        env.pop("DISPLAY", None)
        processes.append(subprocess.Popen([sys.executable, "-c", SERVER], cwd=tmp_path, env=env))
        wait_until_ok(processes[-1], port, "/healthz")
        return processes[-1]

    return run


@pytest.fixture
def tab(browser):
    """tab(port) opens the page at a port."""
    profiles = []

    def open_page(port: int, query: str = ""):
        profiles.append(browser.new_context())
        profiles[-1].set_default_timeout(1000 * 60)
        page = profiles[-1].new_page()
        page.goto(f"http://127.0.0.1:{port}/{query}")
        page.wait_for_selector("#style img")
        return page

    yield open_page
    for profile in profiles:
        profile.close()


def choose(page, photo: str) -> None:
    """Choose a photo, and a strength that is not the default."""
    page.set_input_files("#content input[type=file]", photo)
    page.wait_for_selector("#content img")
    page.fill("#strength input[type=number]", "70")
    page.evaluate("window.opened = 'once'")


def shown(page) -> str:
    return page.get_attribute("#picture img", "src")


def is_as_before(page) -> bool:
    """Whether the page was not reloaded, and what was chosen is still there."""
    kept = page.locator("#content img").count(), page.input_value("#strength input[type=number]")
    return (*kept, page.evaluate("window.opened")) == (1, "70", "once")


def paint(page) -> None:
    """Press Paint, and wait for a frame."""
    page.click("#paint")
    page.wait_for_selector("#stop", state="visible")
    page.wait_for_selector("#picture img[src^=data]")


def queue(page) -> None:
    """Press Paint, and wait for a place in the queue."""
    page.click("#paint")
    page.wait_for_selector("#leave", state="visible")


def test_when_the_network_breaks_or_a_tab_is_closed_others_are_served_and_the_page_stays(address, tab, photo):
    studio = Studio(lambda _: Painter(steps=4000))
    port = int(address(studio).rpartition(":")[2])
    proxy = Proxy(port)
    page, other = tab(proxy.port), tab(port)
    for each in (page, other):
        choose(each, photo)
    paint(page)
    queue(other)
    proxy.cut()
    page.wait_for_selector(f"#sentence:has-text('{LOST}')")
    assert shown(page).startswith("data:") and is_as_before(page)
    assert page.is_visible("#paint") and not page.is_visible("#stop")
    other.wait_for_selector("#picture img[src^=data]")
    page.click("#paint")  # too early
    page.wait_for_selector(f"#sentence:has-text('{LOST}')")
    proxy.is_cut = False
    queue(page)
    other.close()
    page.wait_for_selector("#stop", state="visible")
    page.click("#stop")
    page.wait_for_selector("#download", state="visible")
    assert is_as_before(page)


def test_the_page_outlives_its_server(start, tab, photo):
    port = free_port()
    first = start(port)
    page = tab(port)
    choose(page, photo)
    paint(page)
    page.click("#stop")
    page.click("#share")
    link = page.wait_for_selector("#address input").get_attribute("value")
    paint(page)
    first.kill()
    page.wait_for_selector(f"#sentence:has-text('{LOST}')")
    assert shown(page).startswith("data:") and is_as_before(page)

    first.wait()
    second = start(port)
    other = tab(port, "?" + link.partition("?")[2])
    assert shown(other).endswith(".png")
    paint(page)
    queue(other)
    second.send_signal(signal.SIGTERM)
    for each in (page, other):
        each.wait_for_selector(f"#sentence:has-text('{ENDING}')")
        assert each.is_visible("#paint")
    assert shown(page).endswith(".png") and page.evaluate("document.querySelector('#picture img').naturalWidth")
    assert is_as_before(page)
    assert second.wait(timeout=HANG) == 0
    page.click("#paint")
    page.wait_for_selector(f"#sentence:has-text('{LOST}')")


# --- Weights ----------------------------------------------------------------------------------------------------------

BUILT_IN = weights.COMPACT_FILE.read_bytes()
DAMAGED = {"truncated": BUILT_IN[: len(BUILT_IN) // 2], "empty": b"", "text": b"hello\n"}
KINDS = [*DAMAGED, "folder", "foreign"]


def damaged(path: Path, kind: str) -> Path:
    """Something at the path that is no weights file."""
    if kind == "folder":
        path.mkdir()
    elif kind == "foreign":
        with path.open("wb") as file:  # whatever its suffix
            np.savez(file, something=np.ones(3))
    else:
        path.write_bytes(DAMAGED[kind])
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_without_usable_weights_of_vgg19_the_compact_network_paints(monkeypatch, tmp_path, kind, suffix):
    path = damaged(tmp_path / f"mine{suffix}", kind)
    monkeypatch.setenv("NST_VGG19", str(path))
    monkeypatch.setenv("NST_NETWORK", "vgg19")
    monkeypatch.setenv("NST_OFFLINE", "1")
    network = load_network(Settings())
    assert network.name == "compact"
    assert path.name in network.reason and network.reason.endswith("using the built-in compact network instead.")
    assert "\n" not in network.reason and ("VGG" in network.reason or "damaged" in network.reason)
    with pytest.raises(weights.WeightsError, match=path.name):
        load_network(Settings(weights=str(path)))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", block1_conv1_kernel=np.full((3, 3, 3, 64), np.nan), block1_conv1_bias=np.ones(64))
    with pytest.raises(weights.WeightsError, match="block1_conv1 in mine.npz has numbers that are not finite"):
        weights.read(tmp_path / "mine.npz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_compact_network_is_told_in_a_sentence(monkeypatch, tmp_path, caplog, photo, painting, kind):
    path = damaged(tmp_path / "compact.npz", kind)
    monkeypatch.setattr(weights.compact, "__defaults__", (path,))
    monkeypatch.setenv("NST_NETWORK", "compact")
    studio = Studio()
    sentence = f"{path.name} is damaged or not a compact network; installing the program again brings its own back"
    *_, finding = doctor.check_painting(studio)
    assert finding.fatal and sentence in finding.fact
    assert sentence in caplog.text and "Traceback" not in caplog.text
    views = Handlers(studio).views("visitor", Run(photo, [painting], Settings()))
    with pytest.raises(gr.Error, match="compact.npz is damaged"):
        list(views)


# --- The clock --------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_stops_nothing(monkeypatch, photo, painting):
    clock = itertools.cycle([5000.0, 1400.0])  # an hour back, and the same hour again
    monkeypatch.setattr("time.time", lambda: next(clock))
    studio, visitor = Studio(lambda _: Painter(steps=4).released()), SimpleNamespace(session_hash="visitor")
    desk, triggers = Handlers(studio), set()
    list(desk.paint(visitor, photo, painting, *values(strength=50)))
    for strength in (60, 70, 80):
        triggers.add(desk.steer(visitor, photo, painting, *values(strength=strength)))  # a new value continues
        *_, last = desk.follow(visitor)
        assert "Painted in" in last.sentence
    assert len(triggers) == 3
