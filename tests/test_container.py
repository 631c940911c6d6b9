"""Dockerfile and .dockerignore, as far as they can be tried without building an image."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.serving import HANG, free_port, wait_until_ok

ROOT = Path(__file__).parent.parent
TARGETS = ("cpu", "gpu")
OURS = "requirements.txt"


class Step(NamedTuple):
    """An instruction of the Dockerfile: `RUN`, and what is run."""

    word: str
    rest: str


def stages() -> dict[str, list[Step]]:
    """The Dockerfile's stages by name, each a list of steps that begins with its FROM."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, list[Step]] = {}
    for line in filter(str.strip, text.replace("\\\n", "").splitlines()):
        step = Step(*line.split(maxsplit=1))
        if step.word == "FROM":
            steps = found[step.rest.split(" AS ")[1]] = []
        steps.append(step)
    return found


def history(target: str) -> list[Step]:
    """All steps that lead to an image, those of the stages it is made from first."""
    base, *steps = stages()[target]
    before = base.rest.split(" AS ")[0]
    return (history(before) if before in stages() else [base]) + steps


def last(target: str, word: str) -> str:
    return [step.rest for step in history(target) if step.word == word][-1]


def environment(target: str) -> dict[str, str]:
    given = (shlex.split(step.rest) for step in history(target) if step.word == "ENV")
    return dict(pair.split("=", 1) for pairs in given for pair in pairs)


def copies(stage: str) -> list[tuple[list[str], str]]:
    """(sources, destination) of what a stage copies from the checkout."""
    words = [step.rest.split() for step in stages()[stage] if step.word == "COPY"]
    return [(sources, into) for *sources, into in words if not sources[0].startswith("--from=")]


def goes_in(path: Path) -> bool:
    """Whether .dockerignore lets a file through: the last line that fits it, or a folder above it, decides."""
    names, through = path.relative_to(ROOT).parts, True
    above = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            pattern = re.escape(line.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, each) for each in above):
                through = line.startswith("!")
    return through


def files(source: str) -> list[Path]:
    """What COPY finds there."""
    path = ROOT / source
    return [each for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file() and goes_in(each)]


# --- What is in an image ----------------------------------------------------------------------------------------------


def test_there_is_an_image_for_cpus_and_one_for_gpus_and_the_former_is_the_default():
    assert set(TARGETS) <= set(stages()) and list(stages())[-1] == "cpu"


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_taken_from_another_stage_is_there(target):
    taken = [step.rest.split()[0] for step in history(target) if step.word == "COPY"]
    assert taken == [f"--from={target}-packages", "--from=app"]
    assert {name.removeprefix("--from=") for name in taken} <= set(stages())


@pytest.mark.parametrize("target", TARGETS)
def test_the_page_is_run_by_a_known_user_without_rights(target):
    user, _, group = last(target, "USER").partition(":")
    assert int(user) == int(group) > 0  # a number, which Kubernetes can tell from root
    assert any(step.word == "RUN" and f"useradd --uid {user} " in step.rest for step in history(target))


def test_what_is_copied_is_there_and_nothing_else_goes_in():
    wanted = {source.rstrip("/") for stage in stages() for sources, _ in copies(stage) for source in sources}
    assert [source for source in wanted if not files(source)] == []
    assert {path.name for path in ROOT.iterdir() if goes_in(path)} == wanted
    inside = [path for source in wanted for path in files(source)]
    assert {path.suffix for path in inside} <= {
        "",
        *[".py", ".npz", ".typed", ".css", ".js", ".jpg", ".png", ".json", ".txt"],
    }
    assert not goes_in(ROOT / "nst" / "__pycache__" / "studio.cpython-311.pyc")


@pytest.mark.parametrize("target, tensorflow", [("cpu", "tensorflow(-cpu)?"), ("gpu", r"tensorflow\[and-cuda\]")])
def test_each_image_gets_our_packages_and_a_tensorflow_of_its_own(tmp_path, target, tensorflow):
    shutil.copy(ROOT / OURS, tmp_path)
    write, install, _ = (step.rest for step in stages()[f"{target}-packages"] if step.word == "RUN")
    subprocess.run(["sh", "-c", write], cwd=tmp_path, check=True)
    lines = [(folder / name).read_text().splitlines() for folder, name in ((ROOT, OURS), (tmp_path, "wanted.txt"))]
    changed = [pair for pair in zip(*lines, strict=True) if pair[0].startswith("tensorflow") or pair[0] != pair[1]]
    ((before, after),) = changed
    assert re.fullmatch(tensorflow + before.removeprefix("tensorflow"), after)
    assert install.endswith("--only-binary :all: --requirement wanted.txt")


# --- The health check -------------------------------------------------------------------------------------------------


def health(port: int) -> int:
    """The exit code of the health check, asked of that port."""
    _, python, *arguments = json.loads("[0, " + last("cpu", "HEALTHCHECK").partition("CMD [")[2])
    assert python == "python"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")  # Docker hands on the host's
    asked = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **proxies, "GRADIO_SERVER_PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    return asked.returncode


@contextlib.contextmanager
def server(status: int) -> Iterator[tuple[int, list[str]]]:
    """The port of a server that always answers so, and the paths it has been asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format, *arguments):
            pass

    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_port, asked
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize("status, code", [(200, 0), (503, 1)])
def test_the_health_check_goes_by_the_status(status, code):
    with server(status) as (port, asked):
        assert health(port) == code
    assert asked == ["/healthz"]


def test_the_health_check_fails_where_nobody_listens():
    assert health(free_port()) == 1


# --- Running it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path):
    """The folder /app, read-only."""
    folder = tmp_path / "app"
    for source, into in ((source, into) for sources, into in copies("app") for source in sources):
        for path in files(source):
            copy = folder / into / (path.name if source == path.name else path.relative_to(ROOT / source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    before = [folder, *folder.rglob("*")]
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    after = [folder, *folder.rglob("*")]
    for path in after:
        path.chmod(0o755)
    assert set(after) == set(before)  # whom modes do not stop has not written there, either


@pytest.fixture
def start(app, tmp_path, processes):
    """start(port) runs the page as the image does; the process is ended after the test."""

    def run(port: int) -> subprocess.Popen:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "GRADIO", "TF_"))}
        ours = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
        ours |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "BROWSER": "true"}  # opens none
        ours |= {"NST_OFFLINE": "1"}
        (tmp_path / "home").mkdir()
        python, *arguments = json.loads(last("cpu", "CMD"))
        assert python == "python"
        env = kept | environment("cpu") | ours
        processes.append(subprocess.Popen([sys.executable, *arguments], cwd=app, env=env))
        return processes[-1]

    return run


def test_what_is_copied_suffices_and_the_stop_signal_stops_it(start):
    port = free_port()
    process = start(port)
    for path in ("/healthz", "/readyz"):
        wait_until_ok(process, port, path)
    assert health(port) == 0
    process.send_signal(signal.Signals[last("cpu", "STOPSIGNAL")])
    assert process.wait(timeout=HANG) == 0
