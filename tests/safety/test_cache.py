"""The visitors' pictures on disk: how long they stay, how many, and what happens when the disk fails."""

import contextlib
import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest

from nst import catalogue, images
from nst.page import cache, layout, server, sweeper, text, thumbnails
from nst.page.handlers import Handlers
from nst.page.inputs import show_result
from nst.page.results import View, finish
from nst.page.studio import Run, Studio
from nst.page.sweeper import FILES, GROWTH, JUMP, KEPT, OVERHEAD, SETTLED, UNFINISHED, Sweeper
from nst.page.translation import TABLES
from nst.settings import Settings
from tests.effort import effort
from tests.page.test_page import VISITOR
from tests.painter import Painter, picture, values
from tests.serving import free_port, served, wait_until_ok

Usage = namedtuple("Usage", "total used free")


class Clock:
    """Stands for the module `time`: `wall` is what the machine takes for the time of day."""

    def __init__(self):
        self.wall, self.steady = time.time(), 1000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def goes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sweeper, "time", clock)
    monkeypatch.setattr(os, "utime", lambda *given, **more: _utime(*given, **more or {"times": (clock.wall,) * 2}))
    return clock


_utime = os.utime


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def put(folder: Path, name: str, used: float, size: int = 10) -> Path:
    """A file of the cache that was used last at this time; a digit stands for a key."""
    path = folder / "/".join(part * 64 if len(part) == 1 else part for part in name.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    _utime(path, (used, used))
    return path


def test_what_nobody_has_used_for_a_day_is_deleted_and_its_folder_too(folder, clock):
    now = clock.wall
    old, new = (put(folder, f"{key}/photo.jpg", now - age) for key, age in (("a", KEPT + 1), ("b", KEPT - 9)))
    link = put(folder, "deep_links/HBCDEFGH-_1/state.json", now - KEPT - 1)
    torn, coming = put(folder, "tmpabcd1234", now - UNFINISHED - 1), put(folder, "tmpxy", now - UNFINISHED + 9)
    once = Sweeper(most=10**9)
    once.look()
    assert [path.exists() for path in (old, new, link, torn, coming)] == [False, True, False, False, True]
    assert old.parent.exists()  # a file may be about to come
    clock.goes(sweeper.EVERY + 9)
    once.look()
    assert not old.parent.exists() and not link.parent.exists() and not new.exists() and folder.exists()


def test_using_a_picture_again_keeps_it_for_another_day(folder, clock, tmp_path):
    original = picture(tmp_path / "example.png", (64, 64))
    _utime(original, (0, 0))  # examples are files of years ago
    path = cache.cache_file(Path(original))
    tiff = put(folder, "c/photo.tiff", clock.wall)
    images.save(images.to_uint8(images.load(path)), tiff)
    shown = cache.stand_in(str(tiff))
    uses = (
        lambda: cache.cached_file(Path(path).parent.name),
        lambda: cache.cache_file(Path(original)),
        lambda: cache.original(path),
        lambda: finish((path, path), 0, 0, 0),
    )
    for use in uses:
        clock.goes(KEPT - 9)
        use()
        cache.original(shown)
        Sweeper(most=10**9).look()
        assert Path(path).exists() and tiff.exists() and Path(shown).exists()


def test_only_what_is_ours_is_deleted_and_no_link_is_followed(folder, clock, tmp_path):
    long_ago, outside = clock.wall - 9 * KEPT, tmp_path / "outside"
    names = ("notes.txt", "a/deep/file.txt", "short/file.txt", "deep_links/file", "deep_links/x/other.json", ".tmp")
    theirs = [put(folder, name, long_ago) for name in names]
    theirs += [put(outside, name, long_ago) for name in ("b/photo.jpg", "tmp1", "photo.jpg")]
    (folder / ("b" * 64)).symlink_to(outside / ("b" * 64))
    (folder / "tmp1").symlink_to(outside / "tmp1")
    ours = put(folder, "d/photo.jpg", long_ago)
    link = ours.with_name("link.jpg")
    link.symlink_to(outside / "photo.jpg")
    Sweeper(most=1).look()
    assert all(path.exists() for path in theirs) and not ours.exists()
    assert link.is_symlink() and (folder / "tmp1").is_symlink()


def test_the_longest_unused_go_until_the_rest_is_small_enough(folder, clock):
    paths = [put(folder, f"{key}/photo.jpg", clock.wall - age, 1000) for key, age in zip("abcd", (40, 30, 20, 10))]
    each = 1000 + OVERHEAD
    Sweeper(lambda: [str(paths[0])], most=2 * each).look()  # the first one is of a run that is under way
    assert [path.exists() for path in paths] == [True, False, False, True]


def test_pictures_take_half_of_the_free_disk_at_most(folder, clock, monkeypatch):
    paths = [put(folder, f"{key}/photo.jpg", clock.wall - age, 1000) for key, age in zip("abcd", (40, 30, 20, 10))]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    Sweeper(most=10**9).look()
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_a_thousand_uploads_within_a_minute_cannot_fill_the_disk(folder, clock, monkeypatch):
    def taken() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    size, totals = 10**5, []
    swept = Sweeper(most=50 * size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10**9 - taken()))
    monkeypatch.setattr(sweeper, "GROWTH", 10 * size)
    for number in range(effort(200, 1000)):
        put(folder, f"{number:064x}/photo.jpg" if number % 2 else f"tmp{number}", clock.wall, size)
        clock.goes(0.01)
        swept.look()
        totals.append(taken())
    assert 20 * size < max(totals) <= 60 * size and sweeper.limit() / 10 > GROWTH


@pytest.mark.parametrize("given", ["0", "-5", "many", "nan", "9999999999"])
def test_a_bound_that_is_none_is_refused_in_a_sentence(monkeypatch, given):
    monkeypatch.setenv("NST_PICTURES_MB", given)
    with pytest.raises(SystemExit, match="NST_PICTURES_MB: '.*' should be a number from 1 to 1000000000."):
        sweeper.limit()


def test_the_bound_is_that_of_the_owner(monkeypatch):
    assert sweeper.limit() == 2 * 10**9
    monkeypatch.setenv("NST_PICTURES_MB", "50")
    assert sweeper.limit() == 50 * 10**6


def test_a_clock_set_back_keeps_no_picture_for_ever(folder, clock):
    path = put(folder, "a/photo.jpg", clock.wall)
    clock.wall -= 400 * KEPT
    swept = Sweeper(most=10**9)
    swept.look()
    assert path.stat().st_mtime == pytest.approx(clock.wall)
    clock.goes(KEPT + 9)
    swept.look()
    assert not path.exists()


def test_a_clock_set_forward_and_back_deletes_nothing_too_early(folder, clock):
    path, swept = put(folder, "a/photo.jpg", clock.wall), Sweeper(most=10**9)
    swept.look()
    for jump in (5 * KEPT, -5 * KEPT):
        clock.goes(SETTLED / 2)
        clock.wall += jump
        swept.look()
        assert path.exists()
    clock.wall += 5 * KEPT  # and now it stays
    for _ in range(3):
        clock.goes(SETTLED / 2)
        swept.look()
    assert not path.exists() and JUMP < SETTLED


def test_two_servers_on_one_folder_leave_each_other_what_is_in_use(folder, clock):
    ours, theirs = put(folder, "a/photo.jpg", clock.wall), put(folder, "b/photo.jpg", clock.wall)
    sweepers = [Sweeper(lambda path=path: [str(path)], most=10**9) for path in (ours, theirs)]
    for _ in range(30):
        clock.goes(KEPT / 2)
        for each in sweepers:
            each.look()
    assert ours.exists() and theirs.exists()


def test_a_file_that_vanishes_or_is_used_meanwhile_is_no_fault(folder, clock, monkeypatch, caplog):
    paths = [put(folder, f"{key}/photo.jpg", clock.wall - 2 * KEPT) for key in "abc"]
    walk = Sweeper._walk

    def meanwhile(self, *more):
        found = list(walk(self, *more))
        if len(more) == 2:
            shutil.rmtree(paths[0].parent)
            cache.touch(str(paths[1]))
        return found

    monkeypatch.setattr(Sweeper, "_walk", meanwhile)
    Sweeper(most=10**9).look()
    assert [path.exists() for path in paths] == [False, True, False] and not caplog.text


def test_a_disk_that_refuses_is_logged_once_and_without_names(folder, clock, monkeypatch, caplog):
    path, swept, unlink = put(folder, "a/secret.jpg", clock.wall - 2 * KEPT), Sweeper(most=10**9), Path.unlink

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(3):
        swept.look()
        clock.goes(2 * sweeper.EVERY)
    monkeypatch.setattr(os, "listdir", refuse)
    swept.look()
    assert caplog.text.count("Read-only file system") == 1 and "secret" not in caplog.text
    monkeypatch.undo()
    assert Path.unlink is unlink


def test_the_files_of_the_run_under_way_are_told_and_old_runs_forgotten(photo, painting, monkeypatch):
    studio = Studio(lambda _: Painter(steps=4))
    run = Run(photo, [painting], Settings(size=128))
    assert studio.files() == ()
    frames = studio.paint("a visitor", run)
    next(frames)
    assert studio.files() == (photo, painting)
    frames.close()
    assert studio.files() == () and studio.run("a visitor") is run
    later = time.monotonic() + KEPT
    monkeypatch.setattr(time, "monotonic", lambda: later)
    studio.files()
    assert studio.run("a visitor") is None


def test_a_page_sweeps_its_folder_and_leaves_all_when_it_ends(folder):
    old = put(folder, "a/photo.jpg", time.time() - 2 * KEPT)
    new = put(folder, "b/photo.jpg", time.time())
    with served(Studio(lambda _: Painter(steps=2).released())) as address:
        wait(lambda: not old.exists())
        files = {"files": ("photo.png", b"not even a picture")}
        (uploaded,) = httpx.post(f"{address}/gradio_api/upload", files=files).raise_for_status().json()
        assert FILES.fullmatch(Path(uploaded).relative_to(folder).as_posix())
    assert new.exists() and Path(uploaded).exists()


def wait(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals")
def test_a_link_works_after_the_server_was_killed(folder, photo, painting):
    content, style = (cache.cache_file(Path(path)) for path in (photo, painting))
    painter = Handlers(Studio(lambda _: Painter(steps=2).released()))
    *_, view = painter.paint(VISITOR, content, style, *values())
    keys = [Path(path).parent.name for path in view.canvas]
    code = (
        "import sys; from nst.page import layout, server; from nst.page.studio import Studio; studio = Studio();"
        "server.serve(layout.build(studio), studio, quiet=True, server_name='127.0.0.1', server_port=int(sys.argv[1]))"
    )
    for _ in range(effort(1, 2)):
        port = free_port()
        page = subprocess.Popen([sys.executable, "-c", code, str(port)])
        try:
            wait_until_ok(page, port, "/healthz")
            wait_until_ok(page, port, f"/gradio_api/file={view.canvas[0]}")
        finally:
            page.kill()
            page.wait()
    assert View(*show_result(keys, "Shared.")[: len(View._fields)]).canvas == view.canvas


def test_nonsense_keeps_the_page_from_starting(monkeypatch):
    monkeypatch.setenv("NST_PICTURES_MB", "lots")
    with pytest.raises(SystemExit, match="NST_PICTURES_MB: 'lots' should be a number"):
        server.start(gr.Blocks(), Studio())


# The faults of the disk.  Permissions do not stop root: a limit of the system on written files does (its error is "File
# too large" instead of "No space left"), and so does a folder whose place a file has taken.


@contextlib.contextmanager
def fault(kind: str, folder: Path) -> Iterator[None]:
    aside = folder.with_name("aside")
    if kind == "full":
        resource = pytest.importorskip("resource")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    else:
        folder.rename(aside)
        folder.write_bytes(b"no folder")  # nothing can be made below a file
        yield
        folder.unlink()
        aside.rename(folder)


FAULTS = pytest.mark.parametrize("kind", ["full", "blocked"])


@pytest.fixture
def noise(tmp_path) -> str:
    """A photo that takes 100 kB however it is written."""
    path = tmp_path / "noise.png"
    images.save(np.random.default_rng(0).integers(0, 256, (160, 240, 3), np.uint8), path)
    return str(path)


@FAULTS
def test_what_is_painted_stays_when_it_cannot_be_saved_and_goes_on_afterwards(folder, noise, painting, kind):
    content, style = (cache.cache_file(Path(path)) for path in (noise, painting))
    painter = Handlers(Studio(lambda _: Painter(steps=4).released()))
    views = painter.paint(VISITOR, content, style, *values(size=256))
    next(views)
    next(views)  # the files have been read
    with fault(kind, folder):
        *_, last = only(views)
        assert isinstance(last.picture, np.ndarray) and f"{text.NOT_SAVED} {text.COPY}" in last.sentence
        sentence, download = painter.film(VISITOR)
        assert text.NOT_SAVED in sentence and not download["visible"]
    *_, last = painter.go_on(VISITOR)
    assert isinstance(last.picture, Path) and Path(last.canvas[0]).is_file()
    assert painter.film(VISITOR)[1]["visible"]
    with fault(kind, folder):
        assert {text.NOT_SAVED, text.DELETED} & {re.sub("<.*?>", "", finish(last.canvas, 50, 0, 0)[2])}
    assert Path(finish(last.canvas, 50, 0, 0)[0]).is_file()


def only(views: Iterator[View]) -> Iterator[View]:
    """The views until the error that ends them."""
    with contextlib.suppress(gr.Error):
        yield from views


@FAULTS
def test_uploads_and_the_page_say_in_a_sentence_that_they_cannot_save(folder, noise, kind, monkeypatch, caplog):
    pages, build = [], layout.build
    monkeypatch.setattr(layout, "build", lambda studio: pages.append(build(studio)) or pages[-1])
    with served(Studio(lambda _: Painter(steps=2).released())) as address:
        fill_in = next(number for number, each in pages[0].fns.items() if each.name == "on_load")

        def upload(language: str = "en") -> httpx.Response:
            files = {"files": ("secret.png", Path(noise).read_bytes())}
            return httpx.post(f"{address}/gradio_api/upload", files=files, headers={"Accept-Language": language})

        def load() -> httpx.Response:
            request = {"fn_index": fill_in, "data": [], "session_hash": "a", "trigger_id": 0}
            return httpx.post(f"{address}/gradio_api/run/predict", json=request)

        upload().raise_for_status()
        load().raise_for_status()
        for path in folder.iterdir():
            shutil.rmtree(path)  # else nothing needs to be written
        with fault(kind, folder):
            assert [upload().status_code, upload().text] == [507, text.NOT_SAVED]
            assert upload("de").text == TABLES["de"][text.NOT_SAVED]
            assert load().json() == {"error": text.NOT_SAVED} | load().json()
        for again in (upload, load):
            again().raise_for_status()
            shutil.rmtree(folder)  # deleted under the running server: it is made again
            again().raise_for_status()
    assert "secret" not in caplog.text and caplog.text.count("A file could not be written") == 5


def test_previews_of_uploads_say_that_they_cannot_be_saved(folder, noise):
    path = cache.cache_file(Path(noise))
    tiff = Path(path).with_name("noise.tiff")
    images.save(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8), tiff)
    with fault("full", folder), pytest.raises(OSError, match="preview"):
        cache.stand_in(str(tiff))
    assert Path(cache.stand_in(str(tiff))).is_file()


def test_thumbnails_are_made_again_when_their_folder_was_deleted(noise, painting):
    addresses = [thumbnails.url(Path(path), 80) for path in (noise, painting)]
    files = [Path(address.removeprefix("gradio_api/file=")) for address in addresses]
    shutil.rmtree(files[0].parent)
    assert thumbnails.url(Path(noise), 80) == addresses[0]
    assert all(file.is_file() for file in files)  # also those that nobody has asked for again
    other = images.load(noise, 300)
    images.save(images.to_uint8(other), noise)
    with fault("full", files[0].parent), pytest.raises(OSError, match="thumbnail"):
        thumbnails.url(Path(noise), 300)
    thumbnails.url(Path(noise), 300)


@FAULTS
def test_the_catalogue_does_without_a_cache_that_cannot_be_written(folder, noise, monkeypatch, kind):
    monkeypatch.setenv("NST_CACHE", str(folder))
    folder.mkdir()
    data = Path(noise).read_bytes()
    original = catalogue.Original("Noise", "Nobody", None, "MIT", "", "http://localhost/noise.png", 1.5)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Response(data))
    with fault(kind, folder), pytest.raises(catalogue.CatalogueError, match="it cannot be saved in .*; NST_CACHE can"):
        catalogue._download(original, folder / "noise.jpg")
    shutil.rmtree(folder)
    assert catalogue._download(original, folder / "noise.jpg") == len(data)


class Response(io.BytesIO):
    """Of `urlopen`."""
