"""nst.catalogue against a web server of our own on the loopback interface; nothing here reaches the internet."""

import importlib.util
import io
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from PIL import Image

from nst import catalogue, images
from nst.catalogue import CatalogueError, Original
from nst.commands import main
from nst.page import sharing
from tests.serving import HANG


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
        self.pauses: list[tuple[int, float]] = []  # requests before it, seconds
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
    monkeypatch.setattr(catalogue, "MAX_WAIT", HANG)
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NST_OFFLINE", raising=False)
    yield server
    server.release.set()
    for download, _ in catalogue._downloads.values():
        download.join(HANG)
        assert not download.is_alive()
    server.shutdown()
    thread.join()
    server.server_close()


def is_ours(path: Path, note: str) -> bool:
    return path.name == "starry_night.jpg" and path.parent == catalogue.FOLDER and "the real painting" not in note


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
    next(iter(catalogue._downloads.values()))[0].join(HANG)
    assert is_ours(*catalogue.picture("starry-night"))
    assert len(server.agents) == 1
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """For how long, at the most, threads have been waited for, in seconds; MAX_WAIT is 1 second."""
    waited, join = [], threading.Thread.join

    def recorded(thread: threading.Thread, timeout: float = HANG) -> None:
        waited.append(timeout)
        join(thread, timeout)

    monkeypatch.setattr(catalogue, "MAX_WAIT", 1.0)
    monkeypatch.setattr(threading.Thread, "join", recorded)
    return waited


@pytest.mark.parametrize("answer", ["silent", "trickling"])
def test_everybody_together_waits_a_second(server, waits, answer):
    server.answer = answer
    for _ in range(3):
        assert is_ours(*catalogue.picture("starry-night"))
    assert len(waits) == 3 and 0 < sum(waits) <= 1
    assert len(server.agents) == 1


def test_dropped_packets_keep_nobody_waiting_for_more(server, waits, monkeypatch):
    # A name that is looked up forever: no timeout given to a socket ends that.
    def never(*_, **__):
        server.release.wait(10)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", never)
    for _ in range(3):
        assert is_ours(*catalogue.picture("starry-night"))
    assert len(waits) == 3 and 0 < sum(waits) <= 1


def test_a_refused_connection_costs_nothing(server, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_WAIT", 60)
    with monkeypatch.context() as patch:
        entry = next(entry for entry in catalogue._CATALOGUE["examples"] if "original" in entry)
        patch.setitem(entry["original"], "url", "http://127.0.0.1:1/")
        assert is_ours(*catalogue.picture("starry-night"))


def test_what_comes_late_is_there_the_next_time(server, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_WAIT", 0.05)
    monkeypatch.setattr(catalogue, "TIMEOUT", 10)
    server.answer = "late"
    assert is_ours(*catalogue.picture("starry-night"))
    server.release.set()
    next(iter(catalogue._downloads.values()))[0].join(HANG)
    assert "real painting (" in catalogue.picture("starry-night")[1]
    assert len(server.agents) == 1


def test_a_trickle_ends(server, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_SECONDS", 0.2)
    server.answer = "trickling"
    catalogue.picture("starry-night")
    next(iter(catalogue._downloads.values()))[0].join(HANG)
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
    assert catalogue._cache_folder() == tmp_path / "here"
    monkeypatch.delenv("NST_CACHE")
    assert catalogue._cache_folder() == tmp_path / "there" / "nst"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert catalogue._cache_folder() == tmp_path / ".cache" / "nst"


# --- paintings that are fetched by name -------------------------------------------------------------------------------


@pytest.fixture
def fetching(server, monkeypatch):
    """The server has The Scream, too, in the proportions of the other; there is nothing else to fetch."""
    entries = [entry for entry in catalogue._CATALOGUE["examples"] if "file" in entry or entry["name"] == "scream"]
    monkeypatch.setitem(catalogue._CATALOGUE, "examples", entries)
    monkeypatch.setitem(entries[-1]["original"], "url", f"http://127.0.0.1:{server.server_port}/scream.jpg?width=1280")
    monkeypatch.setitem(entries[-1]["original"], "aspect_ratio", 1.26)
    return server


def test_what_is_fetched_is_an_example_from_then_on(fetching, tmp_path):
    assert catalogue.missing() == ("scream",)
    with pytest.raises(CatalogueError, match=r"scream is not here yet; download it: `python -m nst examples --fetch`"):
        catalogue.picture("scream")
    assert "scream" not in {example.name for example in catalogue.examples()}
    assert not fetching.agents  # nobody has asked for it
    for word in ("has been fetched (public domain, https://commons.wikimedia.org/", "is already here."):
        told = list(catalogue.fetch())
        assert [here for here, _ in told] == [True, True]
        assert told[1][1].startswith(f"scream: The Scream by Edvard Munch {word}")
    assert len(fetching.agents) == 2
    assert catalogue.missing() == ()
    assert catalogue.find("scream") in catalogue.examples()
    path, note = catalogue.picture("scream")
    assert path == tmp_path / "cache" / "scream.jpg"
    assert note == "The Scream, Edvard Munch (public domain)."
    (tmp_path / "cache" / "starry-night.jpg").unlink()  # on this server it is the same file
    assert catalogue.recognize(path) == "scream"


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="the photos come with gradio")
def test_pairs_appear_with_their_paintings(fetching):
    before = sharing.installed_pairs()
    assert "scream" not in {pair.style for pair in before}
    assert all(here for here, _ in catalogue.fetch())
    assert {pair.style for pair in sharing.installed_pairs()} - {pair.style for pair in before} == {"scream"}


@pytest.mark.parametrize(
    "answer, reason",
    [
        ("missing", "127.0.0.1:.* answered 404 Not Found"),
        ("page", "the server sent something else; perhaps your network wants you to log in first"),
        ("square", "the server sent something else"),
        ("cut", "the server sent something else"),
        ("endless", "it is larger than 10 MB"),
        ("trickling", "it takes longer than 0.2 seconds"),
        ("silent", "the connection to 127.0.0.1:.* failed "),
    ],
)
def test_why_a_painting_could_not_be_fetched(fetching, monkeypatch, answer, reason):
    monkeypatch.setattr(catalogue, "MAX_SECONDS", 0.2 if answer == "trickling" else 60)
    monkeypatch.setattr(catalogue, "TIMEOUT", 0.2 if answer == "silent" else 10)
    fetching.answer = answer
    told = list(catalogue.fetch())
    assert [here for here, _ in told] == [False, False]
    assert re.match(f"scream: The Scream by Edvard Munch could not be fetched: {reason}", told[1][1])
    assert catalogue.missing() == ("scream",)


def test_a_cache_that_cannot_keep_a_painting(fetching, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "file" / "cache"))
    assert "it cannot be saved in" in next(catalogue.fetch())[1]


def test_the_command_that_fetches(fetching, monkeypatch, capsys):
    monkeypatch.setenv("NST_OFFLINE", "1")
    assert main(["examples", "--fetch"]) == 2
    assert capsys.readouterr().out.count("could not be fetched: NST_OFFLINE forbids downloads.\n") == 2
    assert not fetching.agents
    assert main(["examples"]) == 0
    assert capsys.readouterr().out.endswith("with `python -m nst examples --fetch`: scream.\n")
    monkeypatch.delenv("NST_OFFLINE")
    assert main(["examples", "--fetch"]) == 0
    assert capsys.readouterr().out.count("has been fetched") == 2
    monkeypatch.setenv("NST_OFFLINE", "1")
    assert main(["examples", "--fetch"]) == 0
    assert capsys.readouterr().out.count("is already here") == 2
    assert main(["examples"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("scream ")


def test_what_was_fetched_before_ctrl_c_stays(fetching, monkeypatch, capsys):
    download = catalogue._download

    def interrupted(original, path):
        if original.title == "The Scream":
            raise KeyboardInterrupt
        download(original, path)

    monkeypatch.setattr(catalogue, "_download", interrupted)
    assert main(["examples", "--fetch"]) == 130
    assert capsys.readouterr().err == "nst: Stopped; what has been fetched stays.\n"
    assert "real painting (" in catalogue.picture("starry-night")[1]


# --- everything at once, for a page that starts -----------------------------------------------------------------------


@pytest.fixture
def completing(server, monkeypatch):
    """The server has all pictures, in the proportions of The Starry Night; `pauses` lists those between requests."""
    entries = [entry for entry in catalogue._CATALOGUE["examples"] if "original" in entry]
    address = f"http://127.0.0.1:{server.server_port}"
    entries = [entry | {"original": entry["original"] | {"url": address, "aspect_ratio": 1.26}} for entry in entries]
    monkeypatch.setitem(catalogue._CATALOGUE, "examples", entries)
    monkeypatch.setattr(catalogue.time, "sleep", lambda seconds: server.pauses.append((len(server.agents), seconds)))
    return server


def test_a_page_gets_all_pictures_one_after_the_other(completing, caplog, tmp_path):
    caplog.set_level("INFO")
    count = len(catalogue._CATALOGUE["examples"])
    catalogue.complete()
    assert count >= 25 and len(completing.agents) == len(os.listdir(tmp_path / "cache")) == count
    assert completing.pauses == [(number, catalogue.PAUSE) for number in range(1, count)]
    assert caplog.messages == [f"{count} paintings and photos have been fetched from Wikimedia Commons"]
    assert catalogue.missing() == ()
    catalogue.complete()
    assert len(completing.agents) == count and len(caplog.messages) == 1


def test_a_page_gets_only_what_is_missing(completing, tmp_path):
    catalogue.complete()
    (tmp_path / "cache" / "kiss.jpg").unlink()
    completing.agents.clear()
    completing.pauses.clear()
    catalogue.complete()
    assert len(completing.agents) == 1 and not completing.pauses
    assert catalogue.missing() == ()


def test_a_page_without_internet_gives_up_with_one_line(completing, caplog, tmp_path):
    caplog.set_level("INFO")
    completing.answer = "missing"
    catalogue.complete()
    assert len(completing.agents) == 2 and not (tmp_path / "cache").exists()
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "The page does without more examples from Wikimedia Commons"
    ]


def test_one_failure_is_passed_over(completing, monkeypatch):
    download, names = catalogue._download, []

    def every_other_fails(original, path):
        names.append(path.stem)
        if len(names) % 2:
            raise CatalogueError("it was not its day")
        return download(original, path)

    monkeypatch.setattr(catalogue, "_download", every_other_fails)
    monkeypatch.setattr(catalogue, "MAX_TOTAL", 10**9)
    catalogue.complete()
    assert len(names) == len(catalogue._CATALOGUE["examples"])
    assert len(completing.agents) == len(names) // 2


def test_a_page_downloads_so_many_bytes_at_most(completing, monkeypatch):
    monkeypatch.setattr(catalogue, "MAX_TOTAL", catalogue.MAX_BYTES + 2 * len(GOOD))
    catalogue.complete()
    assert len(completing.agents) == 3  # a fourth could exceed it


def test_a_page_that_must_stay_offline_asks_for_nothing(completing, monkeypatch):
    monkeypatch.setenv("NST_OFFLINE", "1")
    catalogue.complete()
    assert not completing.agents and not completing.pauses


# --- what the catalogue says ------------------------------------------------------------------------------------------


def test_every_original_says_where_it_is_and_how_wide():
    originals = [Original(**entry["original"]) for entry in catalogue._CATALOGUE["examples"] if "original" in entry]
    for original in originals:
        assert original.title and original.artist
        name = original.source.removeprefix("https://commons.wikimedia.org/wiki/File:")
        assert original.url == f"https://commons.wikimedia.org/wiki/Special:FilePath/{name}?width=1280"
        assert re.fullmatch(r"[!-~]+\.jpg", name) and not re.search(r"[?#&]", name)  # as urllib takes it
        assert 0.5 < original.aspect_ratio < 2
        assert original.license == "public domain"
    assert len({original.url for original in originals}) == len({o.title for o in originals}) == len(originals)


def test_paintings_are_old_enough_for_the_public_domain():
    entries = [entry for entry in catalogue._CATALOGUE["examples"] if "original" in entry]
    paintings = [entry["original"] for entry in entries if entry.get("role") != "photo"]
    assert len(paintings) >= 24 and all(original["year"] < 1929 for original in paintings)
    assert len(entries) - len(paintings) == 3  # photos


def test_every_entry_is_complete_and_has_a_name_of_its_own():
    entries = catalogue._CATALOGUE["examples"]
    for entry in entries:
        needed = {"title", "artist", "year", "license", "source", "file"} if "file" in entry else {"original"}
        assert needed <= entry.keys() <= needed | {"name", "role", "package", "original"}
        assert re.fullmatch("[a-z-]+", entry["name"]) and entry.get("role", "photo") == "photo"
    assert len({entry["name"] for entry in entries}) == len(entries)


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
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    assert [example.name for example in catalogue.examples()] == PAINTINGS
    with pytest.raises(CatalogueError, match="The example tower comes with gradio, which is not installed"):
        catalogue.picture("tower")


def test_the_first_pair_is_the_starry_night():
    first = catalogue.PAIRS[0]
    assert (first.name, first.content, first.style) == ("starry-night", "tower", "starry-night")
    names = {entry["name"] for entry in catalogue._CATALOGUE["examples"]}
    assert {name for pair in catalogue.PAIRS for name in (pair.content, pair.style)} <= names
    for each in ("name", "title"):
        assert len({getattr(pair, each) for pair in catalogue.PAIRS}) == len(catalogue.PAIRS)
    assert len({(pair.content, pair.style) for pair in catalogue.PAIRS}) == len(catalogue.PAIRS)


def test_pairs_consist_of_a_photo_and_a_painting():
    roles = {entry["name"]: entry.get("role", "painting") for entry in catalogue._CATALOGUE["examples"]}
    assert {(roles[pair.content], roles[pair.style]) for pair in catalogue.PAIRS} == {("photo", "painting")}
    assert {pair.content for pair in catalogue.PAIRS} == {name for name, role in roles.items() if role == "photo"}


def test_every_pair_of_ours_has_a_thumbnail(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_CACHE", str(tmp_path))
    with_file = {entry["name"] for entry in catalogue._CATALOGUE["examples"] if "file" in entry}
    ours = [pair for pair in catalogue.PAIRS if {pair.content, pair.style} <= with_file]
    assert len(ours) >= 6
    assert {path.stem for path in (catalogue.FOLDER / "painted").iterdir()} == {pair.name for pair in ours}
    for pair in catalogue.PAIRS:
        assert (pair.thumbnail is not None) == (pair in ours)
    for path in (pair.thumbnail for pair in ours):
        assert path is not None and path.stat().st_size <= 35_000
        with Image.open(path) as picture:
            assert (picture.format, max(picture.size)) == ("JPEG", 360)


def test_a_thumbnail_is_found_in_the_cache_too(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_CACHE", str(tmp_path))
    pairs = {pair.name: pair for pair in catalogue.PAIRS}
    assert pairs["klimt-tower"].thumbnail is None
    (tmp_path / "painted").mkdir()
    for name in ("klimt-tower", "starry-night"):
        pairs[name].cached_thumbnail.write_bytes(GOOD)
    assert pairs["klimt-tower"].thumbnail == tmp_path / "painted" / "klimt-tower.jpg"
    starry_night = pairs["starry-night"].thumbnail
    assert starry_night is not None and starry_night.parent == catalogue.FOLDER / "painted"  # ours comes first


def test_credits_are_short():
    pairs = {pair.name: pair for pair in catalogue.PAIRS}
    assert pairs["starry-night"].credit == "after Vincent van Gogh · MIT"
    assert pairs["scream-tower"].credit == "Edvard Munch · public domain"  # whether it is here or not
    assert max(len(pair.credit) for pair in catalogue.PAIRS) <= 40


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
    with pytest.raises(CatalogueError, match=r"the examples are .*starry-night, .*castle\.$"):
        catalogue.picture("")


def test_importing_and_listing_is_light():
    heavy = ["numpy", "PIL", "gradio", "urllib.request", "http.client", "nst.images"]
    code = f"import sys, nst.catalogue as c; c.examples(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
