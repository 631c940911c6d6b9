"""The wheel: built, installed where nothing else of ours is, and painting from there."""

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from PIL import Image

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


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (ROOT / "CHANGELOG.md").read_text().partition("\n## ")[2].startswith(f"{version} ")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
