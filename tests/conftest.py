"""What several test modules share."""

import os
import shutil
from pathlib import Path

import pytest
from painter import picture


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; where there is none, the test is skipped, but fails in CI."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no Chromium to open the page with.")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A visitor's photo, 240 x 160."""
    return picture(tmp_path / "my photo.png", (240, 160))


@pytest.fixture
def painting(tmp_path: Path) -> str:
    """A visitor's painting, 200 x 200."""
    return picture(tmp_path / "Wheat Field.jpg", (200, 200))
