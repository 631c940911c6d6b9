"""Many short runs leave nothing behind: no memory, threads, open files or entries in tables, Gradio's too."""

import gc
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gradio import routes
from gradio.utils import LRUCache

from nst.page import layout, server, sweeper
from nst.page.cache import cache_file
from nst.page.handlers import Handlers
from nst.page.studio import KEPT, Studio
from nst.page.sweeper import SESSIONS
from tests.effort import effort
from tests.painter import Painter, picture, values
from tests.serving import HANG, served

RUNS = effort(30, 300)
SETTLED = 13  # runs after which the studio keeps as many as it ever does
GROWTH = 0.05  # of the memory
MOST = 4  # what the tables of Gradio may hold in these tests
PROC = Path("/proc/self")

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="This system does not tell about open files in /proc.")


def held() -> tuple[int, int, int]:
    """Bytes of memory, threads and open files of this process."""
    gc.collect()
    pages = int((PROC / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(), len(os.listdir(PROC / "fd"))


def assert_no_growth(before: tuple[int, int, int]) -> None:
    deadline = time.monotonic() + HANG
    while True:  # connections close a moment after the last answer
        memory, threads, files = held()
        if (threads <= before[1] and files <= before[2]) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert memory < (1 + GROWTH) * before[0], f"{before[0] / 1e6:.0f} MB have become {memory / 1e6:.0f}"
    assert (threads, files) <= before[1:] and files <= before[2]


def test_runs_of_many_visitors_leave_nothing_behind(tmp_path):
    studio = Studio(lambda _: Painter(steps=3).released())
    handlers = Handlers(studio)
    before = (0, 0, 0)
    for number in range(RUNS):
        photo, painting = (cache_file(Path(picture(tmp_path / f"{name}.png", (96, 72)))) for name in "ab")
        request: Any = SimpleNamespace(session_hash=f"visitor {number}")
        *_, view = handlers.paint(request, photo, painting, *values(seed=number))
        assert view.canvas
        *_, view = handlers.go_on(request)
        handlers.steer(request, photo, painting, *values(seed=number, strength=60.0))
        if number % 3:
            handlers.on_unload(request)
        if number == SETTLED:
            before = held()
    assert_no_growth(before)
    assert len(studio._runs) <= KEPT and len(studio._tried) <= KEPT
    assert not studio._turns and len(studio._asked) == len(studio._engines) == 1


def test_requests_of_many_sessions_leave_nothing_in_the_tables_of_gradio(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeper, "SESSIONS", MOST)
    monkeypatch.setattr(server, "SESSIONS", MOST)
    monkeypatch.setattr(sweeper, "LOOK", 0.05)
    pages, build = [], layout.build
    monkeypatch.setattr(layout, "build", lambda studio: pages.append(build(studio)) or pages[-1])
    photo = Path(picture(tmp_path / "photo.png", (96, 72))).read_bytes()
    with (
        served(Studio(lambda _: Painter(steps=3).released())) as address,
        httpx.Client(base_url=f"{address}/gradio_api/", timeout=HANG) as client,
    ):
        (page,) = pages
        queue, app = page._queue, page.app
        queue.pending_messages_per_session = LRUCache(MOST)  # of 2000, which no test fills
        before = (0, 0, 0)
        for number in range(RUNS):
            sent = {"files": ("photo.png", photo)}
            (path,) = client.post("upload", params={"upload_id": f"upload {number}"}, files=sent).json()
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            request = {"content": file, "style": file, "size": 128, "seed": number}
            event = client.post("call/v2/paint", json=request).json()["event_id"]
            assert "event: complete" in client.get(f"call/paint/{event}").text
            if number == SETTLED:
                before = held()
        assert_no_growth(before)
        tables: dict[str, Any] = {
            "messages": queue.pending_messages_per_session,
            "events of sessions": queue.pending_event_ids_session,
            "states": app.state_holder.session_data,
            "times of states": app.state_holder.time_last_used,
            "uploads": routes.file_upload_statuses._statuses,
            "signals of uploads": routes.file_upload_statuses._signals,
        }
        deadline = time.monotonic() + HANG
        while any(len(table) > MOST for table in tables.values()) or queue.event_ids_to_events:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert {name: len(table) for name, table in tables.items() if len(table) > MOST} == {}
        assert not queue.event_ids_to_events and not app.iterators and not app.iterators_to_reset
        assert not any(page.temp_file_sets)
        assert page.pending_streams == {} and not any(page.pending_diff_streams.values())
    assert SESSIONS <= 1000


def test_the_state_of_a_closed_page_is_forgotten_after_an_hour(monkeypatch):
    pages, build = [], layout.build
    monkeypatch.setattr(layout, "build", lambda studio: pages.append(build(studio)) or pages[-1])
    with served(Studio(lambda _: Painter(steps=3).released())):
        (page,) = pages
        holder, now = page.app.state_holder, time.time()
        for name in ("closed", "open"):
            holder[name].is_closed = name == "closed"
        for age, left in ((sweeper.SETTLED - 60, ["closed", "open"]), (sweeper.SETTLED + 60, ["open"]), (90000, [])):
            monkeypatch.setattr(sweeper.time, "time", lambda age=age: now + age)
            sweeper.forget_sessions(page.app, page)
            assert list(holder.session_data) == left == list(holder.time_last_used)
            monkeypatch.undo()
