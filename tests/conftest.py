"""What several test modules share."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from nst import machine, memory
from nst.page.studio import Studio
from tests.painter import picture
from tests.serving import HANG, Stage, served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_CHROMIUM = "There is no Chromium to open the page with (apt install chromium)."
WORKER_MEMORY = 3 << 30  # bytes that the tests of a file take, with the processes and the browser they start
LONG = (
    "test_app",
    "test_transfer",
    "test_commands",
    "test_notebooks",
    "test_bench",
    "test_docs",
    "test_tiles",
    "test_cluster",
)  # run first

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

# Whoever runs the tests may ignore these (nohup, a shell's background job), and so would every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Each worker has a cache of its own: tests count the files in it.
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="nst-tests-")
atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)

if "PYTEST_XDIST_WORKER" in os.environ:  # there are more workers than cores
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def pytest_report_header() -> str:
    return f"Chromium: {CHROMIUM or NO_CHROMIUM}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, for tests that wait for a page; fewer where memory is short."""
    free = memory.available() or WORKER_MEMORY
    return max(1, min((machine.cores() or 1) + 1, free // WORKER_MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)  # else one worker ends long after the others


@pytest.fixture(autouse=True)
def signals():
    """As they were before the test: a command that has painted leaves them ignored, and so would what we start."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def processes():
    """For processes that a test starts: they are ended after it."""
    started: list[subprocess.Popen] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window; where there is none, the test is skipped, but fails in CI."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_CHROMIUM)
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture(scope="session")
def stage():
    """The stage of a page that is served for all tests that visit it."""
    stage = Stage()
    with served(stage) as stage.address:
        yield stage


@pytest.fixture
def address(stage):
    """address(studio) is where the page of that studio is."""

    def take(studio: Studio) -> str:
        stage.studio, studio.jobs = studio, stage.jobs
        return stage.address

    yield take
    stage.clear()


@pytest.fixture(scope="module")
def profiles():
    """Profiles that a visitor has left, by their options: with what is cached there the page opens in half the time."""
    return defaultdict(list)


@pytest.fixture
def visit(browser, address, profiles):
    """visit(studio) opens the page as a new visitor sees it; the console must stay free of errors."""
    used, complaints = [], []

    def open_page(studio: Studio, query: str = "", **options):
        url = f"{address(studio)}/{query}"
        options = {"viewport": {"width": 1280, "height": 860}} | options
        free = profiles[repr(options)]
        profile = free.pop() if free else browser.new_context(**options)
        profile.set_default_timeout(1000 * HANG)
        used.append((free, profile))
        tab = profile.new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url) if abroad(request.url) else None)
        tab.on("console", lambda line: complaints.append(line.text) if "Security Policy" in line.text else None)
        tab.goto(url)
        tab.wait_for_selector("#reason:not(:has-text('being loaded'))", state="attached")
        tab.wait_for_selector("#style img")
        return tab

    yield open_page
    for free, profile in used:
        for tab in profile.pages:
            tab.evaluate("() => [localStorage, sessionStorage].forEach(storage => storage.clear())")
            tab.close()
        free.append(profile)
    assert complaints == []


def abroad(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A visitor's photo, 240 x 160."""
    return picture(tmp_path / "my photo.png", (240, 160))


@pytest.fixture
def painting(tmp_path: Path) -> str:
    """A visitor's painting, 200 x 200."""
    return picture(tmp_path / "Wheat Field.jpg", (200, 200))
