"""nst.catalogue against a web server of our own on the loopback interface; nothing here reaches the internet."""

import importlib.util
import io
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from PIL import Image

from nst import catalogue, images
from nst.catalogue import CatalogueError


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


GOOD = jpeg(1260, 1000)
PAINTINGS = ["starry-night", "pointillist-shore", "woodcut-wave"]  # ours, there without gradio and the internet


class Server(ThreadingHTTPServer):
    """Answers in the way that its `answer` says, and counts."""

    daemon_threads = True
    answer = "good"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.agents: list[str] = []
        self.release = threading.Event()

    def handle_error(self, request, client_address):
        """A client who hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.agents.append(self.headers["User-Agent"])
        answer = self.server.answer
        if answer == "silent":
            self.server.release.wait(10)
            return
        if answer == "late":
            self.server.release.wait(10)
        self.send_response(404 if answer == "missing" else 200)
        if answer not in ("endless", "trickling"):
            self.send_header("Content-Length", str(len(GOOD) if answer == "cut" else len(self.body(answer))))
        self.end_headers()
        if answer == "endless":
            while True:
                self.wfile.write(GOOD)
        if answer == "trickling":
            while not self.server.release.wait(0.02):
                self.wfile.write(b"\xff")
        self.wfile.write(self.body(answer))

    def body(self, answer: str) -> bytes:
        bodies = {"square": jpeg(1000, 1000), "upright": jpeg(1000, 1260), "page": b"<html>Log in</html>"}
        return bodies.get(answer, GOOD[: len(GOOD) // 2] if answer == "cut" else GOOD)

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The catalogue of a new process, with an empty cache and the real painting on our server."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    entry = next(entry for entry in catalogue._CATALOGUE["examples"] if entry["name"] == "starry-night")
    monkeypatch.setitem(entry["original"], "url", f"http://127.0.0.1:{server.server_port}/starry_night.jpg")
    monkeypatch.setattr(catalogue, "_downloads", {})
    monkeypatch.setattr(catalogue, "TIMEOUT", 1.0)
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NST_OFFLINE", raising=False)
    yield server
    server.release.set()
    for download, _ in catalogue._downloads.values():
        download.join(10)
        assert not download.is_alive()
    server.shutdown()
    thread.join()
    server.server_close()


def is_ours(path: Path, note: str) -> bool:
    return path.name == "starry_night.jpg" and path.parent == catalogue.FOLDER and "not at hand" in note


# --- the real painting ------------------------------------------------------------------------------------------------


def test_the_real_painting_is_fetched_once_and_kept(server, tmp_path, monkeypatch):
    path, note = catalogue.picture("starry-night")
    assert path == tmp_path / "cache" / "starry-night.jpg"
    assert path.read_bytes() == GOOD
    assert note == "The Starry Night by Vincent van Gogh, 1889: the real painting (public domain)."
    monkeypatch.setattr(catalogue, "_downloads", {})  # as the next process has it
    assert catalogue.picture("starry-night") == (path, note)
    assert len(server.agents) == 1
    assert server.agents[0].startswith("neural-style-transfer/")
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("answer", ["square", "upright", "page", "cut", "missing", "endless"])
def test_what_is_not_the_painting_is_not_taken_and_not_asked_for_again(server, answer, tmp_path):
    server.answer = answer
    assert is_ours(*catalogue.picture("starry-night"))
    next(iter(catalogue._downloads.values()))[0].join(10)
    assert is_ours(*catalogue.picture("starry-night"))
    assert len(server.agents) == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("answer", ["silent", "trickling"])
def test_nobody_waits_two_seconds(server, answer):
    server.answer = answer
    began = time.monotonic()
    for _ in range(3):
        assert is_ours(*catalogue.picture("starry-night"))
    assert time.monotonic() - began < 2
    assert len(server.agents) == 1


def test_nobody_waits_two_seconds_for_dropped_packets(server, monkeypatch):
    # A name that is looked up forever: no timeout given to a socket ends that.
    def never(*_, **__):
        server.release.wait(10)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", never)
    began = time.monotonic()
    for _ in range(3):
        assert is_ours(*catalogue.picture("starry-night"))
    assert time.monotonic() - began < 2


def test_a_refused_connection_costs_nothing(server, monkeypatch):
    monkeypatch.setattr(catalogue, "PATIENCE", 60)
    with monkeypatch.context() as patch:
        entry = next(entry for entry in catalogue._CATALOGUE["examples"] if "original" in entry)
        patch.setitem(entry["original"], "url", "http://127.0.0.1:1/")
        assert is_ours(*catalogue.picture("starry-night"))


def test_what_comes_late_is_there_the_next_time(server, monkeypatch):
    monkeypatch.setattr(catalogue, "PATIENCE", 0.05)
    monkeypatch.setattr(catalogue, "TIMEOUT", 10)
    server.answer = "late"
    assert is_ours(*catalogue.picture("starry-night"))
    server.release.set()
    next(iter(catalogue._downloads.values()))[0].join(10)
    assert "real painting (" in catalogue.picture("starry-night")[1]
    assert len(server.agents) == 1


def test_a_trickle_ends(server, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_SECONDS", 0.2)
    server.answer = "trickling"
    catalogue.picture("starry-night")
    next(iter(catalogue._downloads.values()))[0].join(10)
    assert not server.release.is_set()


def test_many_visitors_share_one_download(server):
    with ThreadPoolExecutor(8) as pool:
        pictures = set(pool.map(catalogue.picture, ["starry-night"] * 8))
    assert len(pictures) == len(server.agents) == 1


def test_offline_forbids_the_network_but_not_the_cache(server, monkeypatch):
    monkeypatch.setenv("NST_OFFLINE", "1")
    assert is_ours(*catalogue.picture("starry-night"))
    monkeypatch.setenv("NST_OFFLINE", "0")
    path, _ = catalogue.picture("starry-night")
    monkeypatch.setenv("NST_OFFLINE", "1")
    assert catalogue.picture("starry-night")[0] == path
    assert len(server.agents) == 1


def test_nothing_is_fetched_for_those_who_did_not_ask(server):
    assert is_ours(*catalogue.picture("starry-night", fetch=False))
    assert not server.agents and not catalogue._downloads
    path, _ = catalogue.picture("starry-night")
    assert catalogue.picture("starry-night", fetch=False)[0] == path != catalogue.find("starry-night").path
    assert len(server.agents) == 1


def test_a_damaged_copy_in_the_cache_is_replaced(server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "starry-night.jpg").write_bytes(GOOD[:500])
    path, note = catalogue.picture("starry-night")
    assert "the real painting (" in note
    assert path.read_bytes() == GOOD


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "file" / "cache"))
    assert is_ours(*catalogue.picture("starry-night"))


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NST_CACHE", "~/here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert catalogue._cache() == tmp_path / "here"
    monkeypatch.delenv("NST_CACHE")
    assert catalogue._cache() == tmp_path / "there" / "nst"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert catalogue._cache() == tmp_path / ".cache" / "nst"


# --- the list ---------------------------------------------------------------------------------------------------------


def test_listing_and_the_photos_need_no_network(server):
    for example in catalogue.examples():
        assert catalogue.find(example.name) == example
        assert example.path.is_file()
        if example.original is None:
            assert catalogue.picture(example.name)[0] == example.path
    assert not server.agents


def test_every_picture_is_good_and_says_whose_it_is():
    for example in catalogue.examples():
        assert images.load(example.path, longest_side=64).shape[3] == 3
        assert all((example.title, example.artist, example.license, example.source))
    assert set(PAINTINGS) <= {example.name for example in catalogue.examples()}


def test_our_painting_has_the_proportions_of_the_real_one():
    example = catalogue.find("starry-night")
    assert example.original is not None
    assert catalogue._is_painting(example.path, example.original)


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="the photos come with gradio")
def test_photos_come_from_gradio():
    assert catalogue.find("tower").path.parts[-4:] == ("gradio", "media_assets", "images", "tower.jpg")
    assert {"tower", "cheetah", "lion"} < {example.name for example in catalogue.examples()}


@pytest.mark.parametrize("gradio", [None, "empty"])
def test_without_gradio_or_its_photos_the_rest_remains(gradio, tmp_path, monkeypatch):
    spec = None
    if gradio:
        spec = ModuleSpec("gradio", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    assert [example.name for example in catalogue.examples()] == PAINTINGS
    with pytest.raises(CatalogueError, match="The example tower is a part of gradio, which is not installed"):
        catalogue.picture("tower")


def test_the_first_pair_is_the_starry_night():
    first = catalogue.PAIRS[0]
    assert (first.name, first.content, first.style) == ("starry-night", "tower", "starry-night")
    names = {entry["name"] for entry in catalogue._CATALOGUE["examples"]}
    assert {name for pair in catalogue.PAIRS for name in (pair.content, pair.style)} <= names
    assert len({pair.name for pair in catalogue.PAIRS}) == len(catalogue.PAIRS) >= 6
    assert {pair.style for pair in catalogue.PAIRS} == set(PAINTINGS)


def test_a_file_is_recognized_by_its_bytes(server, tmp_path):
    copy = tmp_path / "any name.jpg"
    copy.write_bytes(catalogue.find("woodcut-wave").path.read_bytes())
    assert catalogue.recognize(copy) == "woodcut-wave"
    copy.write_bytes(copy.read_bytes()[:-1] + b"\0")
    assert catalogue.recognize(copy) is None
    assert catalogue.recognize(tmp_path / "missing") is catalogue.recognize(tmp_path) is None
    assert not server.agents  # asking costs no download
    assert catalogue.recognize(catalogue.picture("starry-night")[0]) == "starry-night"  # the real one


def test_unknown_names():
    with pytest.raises(
        CatalogueError, match=r"'towr' is neither .* cheetah, lion, starry-night, .*; did you mean tower\?"
    ):
        catalogue.find("towr")
    with pytest.raises(CatalogueError, match=r"the examples are .*starry-night, .*wave\.$"):
        catalogue.picture("")


def test_importing_and_listing_is_light():
    heavy = ["numpy", "PIL", "gradio", "urllib.request", "http.client", "nst.images"]
    code = f"import sys, nst.catalogue as c; c.examples(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
