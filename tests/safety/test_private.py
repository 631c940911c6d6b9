"""Nobody reaches another visitor's pictures, by any address of the page that they can think of."""

import uuid
from pathlib import Path

import httpx
import pytest

from nst.page.studio import Studio
from tests.effort import effort
from tests.painter import Painter, picture
from tests.serving import HANG, served

WAIT = effort(1, 5)  # seconds for streams that have nothing to say
NAME = "wedding of anna.png"


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """Of a visitor who has uploaded and painted a photo: the address of the page, the cache, the photo, the event."""
    tmp_path = tmp_path_factory.mktemp("victim")
    cache = tmp_path / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        with served(Studio(lambda _: Painter(steps=2).released())) as address:
            url = f"{address}/gradio_api/"
            sent = {"files": (NAME, Path(picture(tmp_path / NAME, (96, 72))).read_bytes())}
            (path,) = httpx.post(f"{url}upload", files=sent, params={"upload_id": "u" * 11}).json()
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            request = {"content": file, "style": file, "size": 128}
            event = httpx.post(f"{url}call/v2/paint", json=request, timeout=HANG).json()["event_id"]
            answer = httpx.get(f"{url}call/paint/{event}", timeout=HANG).text
            assert "event: complete" in answer and "anna" in answer  # the victim's own
            yield address, cache, Path(path), event


def get(address: str, path: str) -> httpx.Response | None:
    """What the page answers, the beginning of a stream; None if it says nothing.  The path is sent as it is."""
    host, port = address.removeprefix("http://").split(":")
    url = httpx.URL(scheme="http", host=host, port=int(port), raw_path=path.encode())
    try:
        with httpx.stream("GET", url, timeout=WAIT) as response:
            response.read() if "event-stream" not in response.headers.get("content-type", "") else None
            if not response.is_stream_consumed:
                response._content = next(response.iter_bytes(), b"")
            return response
    except httpx.ReadTimeout:
        return None


def assert_tells_nothing(response: httpx.Response | None, cache: Path, *allowed: int) -> None:
    if response is not None:
        assert response.status_code in allowed, response.url
        keys = [path.name for path in cache.iterdir()]
        assert len(keys) > 1
        told = [word for word in (*keys, "anna") if word in response.text and word not in str(response.url)]
        assert not told, response.url
        assert not response.content.startswith((b"\x89PNG", b"RIFF"))


def test_no_address_lists_a_folder_or_leaves_it(victim):
    address, cache, photo, _ = victim
    routes = "/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/", "/static/", "/assets/", "/svelte/"
    folders = [
        cache,
        photo.parent,
        f"{cache}/",
        f"{photo.parent}/",
        f"{photo.parent}/.",
        cache.parent,
        "",
        ".",
        "..",
        "/",
    ]
    tricks = [
        f"{photo.parent}/*",
        f"{cache}/*/{NAME}".replace(" ", "%20"),
        f"{photo.parent}/..",
        f"{photo.parent}/../",
        f"{photo.parent}/%2e%2e/",
        f"{photo.parent}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        f"{cache}/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
        f"{cache}/%00",
        f"{photo.parent}/photo.png",
        f"{cache}/{'0' * 64}/{NAME}".replace(" ", "%20"),
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/cwd/app.py",
        f"/proc/self/root{cache}",
        "app.py",
        "file:///etc/passwd",
        "%2fetc%2fpasswd",
        "~/.bashrc",
        ".gradio",
    ]
    for route in routes:
        for path in map(str, [*folders, *tricks]):
            response = get(address, f"{route}{path}")
            if response is not None and response.status_code == 200 and response.text.lstrip().startswith("<!doctype"):
                continue  # the page itself, which is checked below
            assert_tells_nothing(response, cache, 307, 400, 403, 404, 405, 422, 500)
            assert response is None or "root:" not in response.text


def test_what_the_page_tells_of_itself_names_no_visitor(victim):
    address, cache, *_ = victim
    api = (
        "info",
        "openapi.json",
        "queue/status",
        "startup-events",
        "app_id",
        "runs",
        "run-history/records",
        "mcp/schema",
    )
    other = ("", "config", "theme.css", "robots.txt", "monitoring", "monitoring/summary", "manifest.json", "healthz")
    for path in (*(f"/gradio_api/{each}" for each in api), *(f"/{each}" for each in other)):
        assert_tells_nothing(get(address, path), cache, 200, 307, 401, 403, 404, 405, 406, 500, 503)


def test_events_and_uploads_of_others_are_not_told(victim):
    address, cache, _, event = victim
    guesses = uuid.uuid4().hex, event[:-1], "", "0", event[:-1] + "g", "*", event.upper()
    for guess in guesses[: effort(2, None)]:
        for path in (
            f"/gradio_api/call/paint/{guess}",
            f"/gradio_api/call/v2/paint/{guess}",
            f"/gradio_api/queue/data?session_hash={guess}",
            f"/gradio_api/upload_progress?upload_id={guess}",
            f"/gradio_api/deep_link?session_hash={guess}",
            f"/gradio_api/heartbeat/{guess}",
            f"/gradio_api/stream/{guess}/0/1/playlist.m3u8",
            f"/gradio_api/stream/{guess}/0/1/playlist-file",
        ):
            assert_tells_nothing(get(address, path), cache, 200, 400, 403, 404, 405, 410, 422)
    # Who reads an event once takes it: the same answer is not given twice, even by its right name.
    assert_tells_nothing(get(address, f"/gradio_api/call/paint/{event}"), cache, 200, 404)


def test_only_who_has_the_same_file_shares_its_key_and_does_not_learn_its_name(victim):
    address, cache, photo, _ = victim
    url = f"{address}/gradio_api/"
    sent = {"files": ("mine.png", photo.read_bytes())}
    (mine,) = httpx.post(f"{url}upload", files=sent).json()
    assert Path(mine).parent == photo.parent  # the name of the file is still to be guessed
    file = {"path": mine, "meta": {"_type": "gradio.FileData"}}
    request = {"content": file, "style": file, "size": 128}
    event = httpx.post(f"{url}call/v2/paint", json=request, timeout=HANG).json()["event_id"]
    answer = httpx.get(f"{url}call/paint/{event}", timeout=HANG).text
    assert "event: complete" in answer and "mine" in answer and "anna" not in answer


def test_others_files_cannot_be_named_as_inputs(victim):
    address, cache, photo, _ = victim
    url = f"{address}/gradio_api/"
    for path in (
        "/etc/passwd",
        f"{photo.parent}",
        f"{photo.parent}/../../passwd",
        f"{cache}/{'0' * 64}/{NAME}",
        "app.py",
    ):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        event = httpx.post(f"{url}call/v2/paint", json={"content": file, "style": file}).json()["event_id"]
        answer = httpx.get(f"{url}call/paint/{event}", timeout=HANG).text
        assert "event: error" in answer and "root:" not in answer
