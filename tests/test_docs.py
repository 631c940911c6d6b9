"""README and docs: links lead somewhere, every command and every example is run, and the worked example applies.

What cannot be run here (it serves for ever, installs, needs Docker or a login) is checked as far as it goes.
"""

import argparse
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst import Frame, timelapse
from nst.bench import run
from nst.commands import flags, main
from nst.deploy import doctor, space
from nst.page.studio import Studio
from nst.settings import Settings
from tests.painter import Painter
from tests.test_container import environment, last, stages

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "training/README.md",
]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
PROGRAMS = ("python ", ".venv/bin/python ", "nst ", "make ", "pip ", "hf ", "apt ", "docker ", "curl ")
SERVED = "http://127.0.0.1:7860"
SMALLER = {  # what the examples in Python would take long for
    "size=512": "size=64, min_scale=32, steps=(20, 10), frames_per_second=60",
    "step >= 100": "step >= 1",
    "more_steps=100": "more_steps=2",
}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in a language, without their indent."""
    fenced = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in fenced]


def in_running_text(page: Path) -> list[str]:
    """The commands between backquotes."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    inline = (" ".join(text.split()) for text in re.findall(r"`([^`]+)`", prose))
    return [text for text in inline if text.startswith(PROGRAMS) and "…" not in text]


SHELL = [block for page in PAGES for block in blocks(page, "sh")]
SCRIPTS = [block for block in SHELL if "$(" in block]  # make sense as a whole only
LINES = [line for block in SHELL if block not in SCRIPTS for line in block.replace("\\\n", "").splitlines()]
LINES += [line for page in PAGES for line in in_running_text(page)]
COMMANDS = [part for line in LINES for part in re.sub(r"(^|\s+)#.*", "", line).split(" && ")]
COMMANDS = list(dict.fromkeys(filter(None, COMMANDS)))
COVERED: list[str] = []  # how the commands begin that a test takes


def each_command(*starts: str):
    """Run a test with every command that begins so."""
    COVERED.extend(starts)
    return pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith(starts)])


# --- The pages --------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_block_is_in_a_language_that_no_test_looks_at(page):
    fences = re.findall(r"^ *```(.*)$", text_of(page), re.MULTILINE)
    assert set(fences[::2]) <= {"sh", "python", "diff"} and set(fences[1::2]) <= {""}


def test_every_command_is_taken_by_a_test():
    assert [line for line in COMMANDS if not line.startswith(tuple(COVERED))] == []
    assert [start for start in COVERED if not any(line.startswith(start) for line in COMMANDS)] == []


def test_variables_are_read():
    named = {name for page in PAGES for name in re.findall(r"NST_[A-Z0-9_]+", text_of(page))}
    source = "".join(map(text_of, (ROOT / "nst").rglob("*.py")))
    assert named and [name for name in named if not re.search(rf'(environ.get|number)\("{name}"', source)] == []


# --- What is run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the commands are run: with the files that they name, without the internet."""
    for number, name in enumerate(("photo.jpg", "painting.jpg", "one.jpg", "two.jpg")):
        Image.effect_noise((96, 80), 40 + 20 * number).convert("RGB").save(tmp_path / name)
    for name, left in (("here.png", 0), ("face.png", 64)):  # masks
        mask = Image.new("L", (96, 80))
        mask.paste(255, (left, 0, left + 32, 80))
        mask.save(tmp_path / name)
    weights = ROOT / "nst" / "compact.npz"
    shutil.copy(weights, tmp_path / "vgg19.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_OFFLINE", "1")
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def one_engine():
    """The commands share an engine for each network that they ask for: every new one is compiled for seconds."""
    from nst import features, transfer

    networks, load_network = {}, features.load_network

    def load(settings: Settings) -> features.Network:
        if settings.of_network not in networks:
            networks[settings.of_network] = load_network(settings)
        return networks[settings.of_network]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "load_network", load)
        patch.setattr(transfer, "StyleTransfer", functools.cache(transfer.StyleTransfer))
        yield


@pytest.fixture
def served(address):
    """The address of a page with an engine that paints at once."""
    engine: Any = Painter(steps=2).released()
    studio = Studio(lambda _: engine)
    studio.warm()
    return address(studio)


def size_of(path: Path) -> tuple[str | None, int]:
    with Image.open(path) as picture:
        return picture.format, max(picture.size)


@each_command("python -m nst paint")
def test_paint(folder, command):
    words = shlex.split(command)[3:]
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            main(words)
    elif "--laplacian-weight" in words:  # not before the worked example is applied, which is tested below
        with pytest.raises(SystemExit, match="2"):
            main(words)
    elif "--weights" in words:  # a whole VGG-19 would take long, and the small one's file is refused
        assert main([*words, "--size=64", "--steps=1"]) == 2
    else:
        tiny = ["--size=64", "--steps=1"]
        if "--print" in words:  # gives the size
            words[words.index("--print") + 1], tiny[0] = "1x1cm", "--min-scale=64"
        if "--start" in words:
            assert main(["paint", "tower", "starry-night", "-o", "out.png", "--size=64", "--steps=1"]) == 0
        assert main([*words, *tiny]) == 0
        assert Path(words[words.index("-o") + 1]).is_file()


@each_command("python -m nst batch", "python -m nst video")
def test_many_pictures(folder, command):
    words = shlex.split(command)[3:]
    if words[0] == "video":
        pytest.importorskip("cv2")
        timelapse.write([np.full((48, 64, 3), 60 * index, np.uint8) for index in range(3)], "in.mp4", seconds=0.3)
    more = ["--frame-steps=1"] if words[0] == "video" else []
    assert main([*words, "--size=64", "--steps=1", *more]) == 0
    assert Path(words[words.index("-o") + 1]).exists()


@each_command(*(f"python -m nst {name}" for name in ("recipe", "examples", "doctor", "space", "bench")))
def test_the_other_commands(folder, command, monkeypatch):
    words = ["me/painter" if word == "OWNER/NAME" else word for word in shlex.split(command)[3:]]
    if words[0] == "recipe":
        assert main(["paint", "photo.jpg", "painting.jpg", "-o", words[1], "--size=64", "--steps=1"]) == 0
    monkeypatch.setattr(run, "run", lambda options: 0)  # these are run by the tests of their own
    monkeypatch.setattr(doctor, "check_painting", lambda studio: iter(()))
    monkeypatch.setattr(space, "_execute", lambda step: None)
    monkeypatch.setattr(space, "render", lambda: [])
    assert main(words) == (2 if "--fetch" in words else 0)  # nothing is fetched here


@pytest.mark.parametrize("page", [name for page, name in zip(PAGES, NAMES) if blocks(page, "python")])
def test_python(folder, served, page):
    names: dict = {}
    for text in blocks(ROOT / page, "python"):  # each goes on where the one before ended
        for long, short in SMALLER.items():
            text = text.replace(long, short)
        exec(text.replace(f'"{SERVED}"', f'"{served}", analytics_enabled=False, verbose=False'), names)
    assert size_of(folder / "out.png") == ("PNG", 64)
    if page == "docs/api.md":
        names["client"].close()
        assert size_of(folder / "more.png") == ("PNG", 64)
        assert names["frame"].step == names["frame"].steps == sum(names["frame"].settings.steps)
        assert names["frame"].settings.strength == 70  # as steered
        documented = " ".join(row[0] for row in table("docs/api.md", "in `result`"))
        assert re.findall("`(.*?)`", documented) == list(names["result"])
        assert size_of(names["picture"]) == size_of(names["job"].result()[0]) == ("PNG", 384)
        assert size_of(next(folder.glob("frame-*.jpg")))[0] == "JPEG"


@pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl.")
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(folder, served, script):
    done = subprocess.run(["bash", "-euc", script.replace(SERVED, served)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "event: complete" in (folder / "events.txt").read_text()
    assert size_of(folder / "out.png") == ("PNG", 384)


@pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl.")
@each_command("curl ")
def test_curl(served, command):
    told = subprocess.run(shlex.split(command.replace(SERVED, served)), capture_output=True, text=True).stdout
    assert list(json.loads(told).values()) == [True]


@each_command("python -c ")
def test_a_line_of_python(command):
    exec(shlex.split(command)[2])


# --- What is checked as far as it goes --------------------------------------------------------------------------------


@each_command(
    "python app.py",
    "python benchmarks/",
    "python training/",
    ".venv/bin/python tests/",
    "python -m examples.",
    "python -m tests.safety.",
)
def test_programs_are_there_with_their_flags(command):
    _, *words = shlex.split(command)
    path = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    program = text_of(ROOT / path)
    assert [word for word in words[1:] if word.startswith("--") and f'"{word}"' not in program] == []


@each_command(".venv/bin/python -m pytest")
def test_one_test_can_be_chosen(command):
    *_, path, _, expression = shlex.split(command)
    assert re.search(rf"def test_\w*{expression}", text_of(ROOT / path))


@pytest.mark.skipif(shutil.which("make") is None, reason="There is no make.")
@each_command("make ")
def test_make(command):
    dry = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    done = {"make run": "python app.py", "make test": '-m "not apart"', "make test-apart": "-m apart"}
    done |= {
        "make test-lowest": "--resolution lowest-direct",
        "make audit": "pip-audit",
        "make sbom": "cyclonedx-py",
        "make soak": "NST_SOAK=1",
    }
    assert done[command] in dry.stdout


@each_command("pip install ")
def test_pip(command):
    extras = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    before, *_, what = shlex.split(command)[1:]
    if "-r" in command:
        assert (ROOT / what).is_file()
    else:
        place, *chosen = re.findall(r"[\w.-]+", what)
        assert set(chosen) <= set(extras) if place == "." else place == "jupyterlab"


@each_command("NST_CLUSTER=", "ray start")
def test_a_cluster(command):
    pytest.importorskip("ray")
    *variables, program, what = command.split(maxsplit=command.count("NST_") + 1)
    if program == "ray":
        told = subprocess.run(
            [Path(sys.executable).with_name("ray"), "start", "--help"], capture_output=True, text=True
        )
        assert [flag for flag in re.findall(r"--[a-z-]+", what) if flag not in told.stdout] == []
    else:
        assert (program, what) == ("python", "app.py")
        assert [name for name in variables if name.partition("=")[0] not in ("NST_CLUSTER", "NST_PAINTERS")] == []


@each_command("docker ")
def test_docker(command):
    parser = argparse.ArgumentParser()
    for flag in ("--target", "--gpus", "--tmpfs", "-t", "-p", "-v", "-e"):
        parser.add_argument(flag)
    for flag in ("--rm", "--read-only"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("what")
    _, verb, *words = shlex.split(command)
    given = parser.parse_args(words)
    if verb == "build":
        assert given.what == "." and (given.target or "cpu") in stages()
        return
    target = "gpu" if given.gpus else "cpu"
    assert verb == "run" and given.p.split(":")[1] == last(target, "EXPOSE")
    assert given.v.split(":")[1] == environment(target)["HOME"]
    built = f"docker build -t {given.what} {'--target gpu ' if given.gpus else ''}."
    assert built in COMMANDS


@each_command("hf auth login")
def test_the_hubs_command(command):
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    words = [sys.executable, "-m", "huggingface_hub.cli.hf", *command.split()[1:], "--help"]
    asked = subprocess.run(words, env=os.environ | quiet, capture_output=True, text=True)
    assert asked.returncode == 0 and "auth login" in asked.stdout


@each_command("apt install ")
def test_the_browser_is_the_one_that_the_tests_look_for(command):
    assert f'"{command.split()[-1]}"' in text_of(ROOT / "tests" / "conftest.py")


# --- What is told -----------------------------------------------------------------------------------------------------


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of a table, given by the first cells of its heading."""
    below = text_of(ROOT / page).partition(f"\n| {heading} |")[2]
    lines = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split(" | ")] for line in lines]


def test_the_table_of_settings_is_theirs():
    rows = table("docs/settings.md", "setting")
    assert [row[0] for row in rows] == [f"`{knob.name}`" for knob in fields(Settings)]
    for row, knob in zip(rows, fields(Settings)):
        default = flags.format_value(getattr(Settings(), knob.name))
        assert row[1] == (f"`{default}`" if default else "none")
        low, high, choices = (knob.metadata[key] for key in ("low", "high", "choices"))
        ranged = "" if knob.type is str else f"{low:.10g} to {high:.10g}"
        assert row[2] == (", ".join(f"`{choice}`" for choice in choices) or ranged)
        assert row[3] == knob.metadata["help"] and len(row) == 5
    shorter = [[name, default, words, good] for name, default, _, words, good in rows]
    first = table("README.md", "setting")
    assert first and [row for row in first if row not in shorter] == []


def test_the_table_of_frames_is_theirs():
    assert [row[0] for row in table("docs/api.md", "field")] == [f"`{field.name}`" for field in fields(Frame)]


def test_the_worked_example_applies_and_paints(tmp_path):
    (diff,) = blocks(ROOT / "docs" / "adding-a-loss.md", "diff")
    shutil.copytree(ROOT / "nst", tmp_path / "nst", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    applied = subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, text=True, capture_output=True)
    assert applied.returncode == 0, applied.stderr
    (command,) = [line for line in COMMANDS if "--laplacian-weight" in line]
    words = [*shlex.split(command)[1:], "--size=64", "--steps=3", "--json"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"laplacian": 0.0,' in done.stdout.splitlines()[0]  # the first picture is the photo itself
    assert '"laplacian": 0.0,' not in done.stdout.splitlines()[1]
