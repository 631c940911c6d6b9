"""What several test modules share."""

import os
import shutil

import pytest


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
