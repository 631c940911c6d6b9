"""What the page promises of a visitor's pictures: where they are, for how long, and who hears of them."""

import logging
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nst.page import text
from nst.page.studio import Studio
from nst.page.sweeper import FILES, KEPT, Sweeper
from tests.painter import Painter, picture
from tests.serving import HANG, served


def test_pictures_stay_on_this_server_for_a_day(browser, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    cache = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    photo, painting = picture(tmp_path / "secret.tiff", (240, 160)), picture(tmp_path / "hidden.png", (200, 200))
    asked = []
    with served(Studio(lambda _: Painter(steps=2).released())) as address:
        tab = browser.new_page()
        tab.set_default_timeout(1000 * HANG)
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        tab.wait_for_selector("#style img")
        assert tab.inner_text("#privacy") == text.PRIVACY
        tab.set_input_files("#content input[type=file]", photo)
        tab.wait_for_function("document.querySelector('#content img')?.naturalWidth === 240")  # our preview
        tab.set_input_files("#style input[type=file]", painting)
        tab.wait_for_selector("#style img[src*=hidden]")
        tab.click("#paint")
        tab.wait_for_selector("#sentence:has-text('Painted in')")
        painted = tab.get_attribute("#picture img", "src")
        tab.click("#touches > button")
        tab.fill("#sharpness input[type=number]", "50")
        tab.press("#sharpness input[type=number]", "Tab")
        tab.wait_for_function("src => document.querySelector('#picture img').src !== src", arg=painted)
        tab.click("#film > button")
        tab.wait_for_selector("#film-download:visible")
        tab.close()

        before = files(cache)
        names = sorted(path.name for path in before)
        assert {"secret.tiff", "hidden.png", "secret_hidden.png"} < set(names) and len(names) > 5
        assert all(FILES.fullmatch(path.relative_to(cache).as_posix()) for path in before)
        for age, left in ((KEPT - 600, before), (KEPT + 600, [])):
            for path in before:
                os.utime(path, (time.time() - age,) * 2)
            Sweeper().sweep()
            assert files(cache) == left
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts <= {"127.0.0.1", "localhost"} and len(asked) > 10
    assert "secret" not in caplog.text and "hidden" not in caplog.text


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("box", ["content", "style"])
def test_a_note_about_a_file_goes_with_it(browser, tmp_path, box):
    torn, good = tmp_path / "torn.png", picture(tmp_path / "good.png", (64, 64))
    torn.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    refused = tmp_path / "paper.pdf"
    refused.write_bytes(b"%PDF-1.7")
    with served(Studio(lambda _: Painter(steps=2).released())) as address:
        tab = browser.new_page()
        tab.set_default_timeout(1000 * HANG)
        tab.goto(address)
        tab.wait_for_selector("#style img")
        choose = f"#{box} input[type=file]"
        note = "#note:has-text('torn.png is damaged')"
        tab.set_input_files(choose, torn)
        tab.wait_for_selector(note)
        tab.set_input_files(choose, refused)
        tab.wait_for_selector(".toast-body:has-text('paper.pdf')")
        tab.set_input_files(choose, good)  # Gradio's message and our note go
        tab.wait_for_selector(note, state="detached")
        tab.wait_for_selector(".toast-body", state="detached")
        tab.set_input_files(choose, torn)
        tab.wait_for_selector(note)
        tab.click(f"#{box} button[aria-label='Remove Image']")
        tab.wait_for_selector(note, state="detached")
        tab.close()
