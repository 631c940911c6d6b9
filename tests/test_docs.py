"""README and docs: links lead somewhere, commands run, and the worked example applies."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from nst import bench, doctor, space
from nst.__main__ import _written, main
from nst.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in a language, without their indent."""
    fenced = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in fenced]


def commands(start: str) -> list[str]:
    """Every line of a shell block, of any page, that starts so, without its comment."""
    lines = (line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines())
    return list(dict.fromkeys(re.sub(r"\s+#.*", "", line) for line in lines if line.startswith(start)))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the commands are run: with the files that they name, without the internet."""
    for number, name in enumerate(("photo.jpg", "painting.jpg", "one.jpg", "two.jpg")):
        Image.effect_noise((96, 80), 40 + 20 * number).convert("RGB").save(tmp_path / name)
    weights = ROOT / "nst" / "compact_vgg19.npz"
    shutil.copy(weights, tmp_path / "vgg19.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize("command", [line for line in commands("python -m nst paint") if "laplacian" not in line])
def test_paint(folder, command):
    words = shlex.split(command)[3:]
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            main(words)
    elif "--weights" in words:  # a whole VGG-19 would take long, and the small one's file is refused
        assert main([*words, "--size=64", "--steps=1"]) == 2
    else:
        assert main([*words, "--size=64", "--steps=1"]) == 0
        assert Path(words[words.index("-o") + 1]).is_file()


@pytest.mark.parametrize("command", [line for line in commands("python -m nst") if " paint " not in line])
def test_the_other_commands(folder, command, monkeypatch):
    words = ["me/painter" if word == "OWNER/NAME" else word for word in shlex.split(command)[3:]]
    if words[0] == "recipe":
        assert main(["paint", "photo.jpg", "painting.jpg", "-o", words[1], "--size=64", "--steps=1"]) == 0
    monkeypatch.setattr(bench, "run", lambda options: 0)  # these are run by the tests of their own
    monkeypatch.setattr(doctor, "try_out", lambda studio: iter(()))
    monkeypatch.setattr(space, "_do", lambda step: None)
    monkeypatch.setattr(space, "render", lambda: [])
    assert main(words) == (2 if "--fetch" in words else 0)  # nothing is fetched here


@pytest.mark.parametrize("command", commands("python benchmarks/") + commands("python training/"))
def test_programs_are_there(command):
    assert (ROOT / shlex.split(command)[1]).is_file()


def test_the_table_of_settings_is_theirs():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{knob.name}`" for knob in fields(Settings)]
    for row, knob in zip(rows, fields(Settings)):
        default = _written(getattr(Settings(), knob.name))
        assert row[1] == (f"`{default}`" if default else "none")
        low, high, choices = (knob.metadata[key] for key in ("low", "high", "choices"))
        ranged = "" if knob.type is str else f"{low:.10g} to {high:.10g}"
        assert row[2] == (", ".join(f"`{choice}`" for choice in choices) or ranged)
        assert row[3] == knob.metadata["help"] and len(row) == 5


def test_the_worked_example_applies_and_paints(tmp_path):
    (diff,) = blocks(ROOT / "docs" / "adding-a-loss.md", "diff")
    shutil.copytree(ROOT / "nst", tmp_path / "nst", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    applied = subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, text=True, capture_output=True)
    assert applied.returncode == 0, applied.stderr
    (command,) = [line for line in commands("python -m nst paint") if "--laplacian-weight" in line]
    words = [*shlex.split(command)[1:], "--size=64", "--steps=3", "--json"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"laplacian": 0.0,' in done.stdout.splitlines()[0]  # the first picture is the photo itself
    assert '"laplacian": 0.0,' not in done.stdout.splitlines()[1]
