"""The wheel: built, installed where nothing else of ours is, and painting from there."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from nst import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, and this one's packages but for ours."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True, text=True)
    venv.create(folder / "venv", with_pip=False)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    (packages,) = (folder / "venv").glob("[Ll]ib/**/site-packages")
    # As a path, and not as a folder of packages: ours, which is installed there in place, is not found through it.
    (packages / "theirs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (made,) = folder.glob("nst-*.whl")
    install = [*pip, "--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(made)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return programs


def test_the_command_paints_an_example_far_from_the_checkout(installed, tmp_path):
    command = [installed / "nst", "paint", "tower", "starry-night", "-o", "out.png", "--size=64", "--steps=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"NST_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert max(picture.size) == 64
    where = [installed / "python", "-c", "import nst; print(nst.__file__)"]
    assert ROOT not in Path(subprocess.run(where, cwd=tmp_path, capture_output=True, text=True).stdout).parents


def test_the_wheel_holds_the_page(installed, tmp_path):
    code = (
        "from nst.page.layout import build; from nst.page.studio import Studio; print(len(build(Studio()).blocks) > 50)"
    )
    done = subprocess.run([installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_registry_shows_a_text_that_needs_no_checkout(installed):
    (wheel,) = installed.parent.parent.glob("nst-*.whl")
    with zipfile.ZipFile(wheel) as files:
        text = files.read(f"nst-{__version__}.dist-info/METADATA").decode().partition("\n\n")[2]
    assert text.lstrip() == (ROOT / "docs" / "package.md").read_text(encoding="utf-8")
    assert text.lstrip().startswith("# Neural style transfer\n")  # and not with the front matter of a Space
    assert set(re.findall(r"\]\((\w+)", text)) == {"https"}  # no links into the repository


def test_versions_agree():
    assert (ROOT / "CHANGELOG.md").read_text().partition("\n## ")[2].startswith(f"{__version__} ")
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_requirements_are_those_of_the_package_with_what_the_page_uses():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert set(filter(None, lines)) == {*project["dependencies"], *extras["page"], *extras["video"], *extras["heic"]}


@pytest.mark.parametrize("file", sorted((ROOT / "nst").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file):
    wing = file.relative_to(ROOT / "nst").parts[0]
    forbidden = {
        "page": {"commands"},
        "commands": set(),
        "bench": {"commands", "page"},
        "deploy": {"commands"},
        "kernels": {"*"},
        "__main__.py": set(),
    }.get(wing, {"page", "commands", "bench", "deploy"})
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nst":
            modules |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            modules |= {name.name for name in node.names if name.name.startswith("nst.")}
    if forbidden == {"*"}:
        assert not {module for module in modules if not module.startswith("nst.kernels.")}
    assert not {module for module in modules if module.split(".")[1] in forbidden}
