"""Many clients at once: each gets its own picture or a clear refusal, and the page stays quick for all others.

With NST_LOAD=compact the network paints instead of a toy; `make soak` takes 50 clients.
"""

import base64
import contextlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import numpy as np
import pytest
from PIL import Image

from nst.page import text
from nst.page.results import View
from tests.effort import SOAK, effort
from tests.page.test_programs import Caller
from tests.painter import values
from tests.serving import HANG, free_port, wait_until_ok

CLIENTS, VISITS = effort(12, 50), effort(1, 3)
REFUSALS = [re.escape(sentence).replace(r"\{time\}", ".*") for sentence in (text.QUEUE_FULL, text.QUEUE_FULL_FOR)]
PAGE = """
import os, sys
from nst.page import layout, logs, server
from nst.page import studio as studios
from tests.painter import Painter
from tests.serving import compact
logs.begin()
studios.QUEUE_SIZE = {queue}
toy = Painter(steps=4)
studio = studios.Studio(compact(steps=(8,), size=128) if os.environ.get("NST_LOAD") == "compact" else lambda _: toy)
studio._unready = ""
server.serve(layout.build(studio), studio, server_name="127.0.0.1", server_port={port}, quiet=True)
"""


@pytest.fixture
def served(tmp_path):
    """(address, log) of a page in a process of its own."""
    port, log = free_port(), tmp_path / "log.txt"
    environment = os.environ | {"NST_WAITING_PER_ADDRESS": "100", "NST_LOG": "json"}
    code = PAGE.format(port=port, queue=effort(6, 16))
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=file, stdout=subprocess.DEVNULL, env=environment
        )
        try:
            wait_until_ok(process, port, "/healthz")
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait(HANG)


class Client(Caller):
    """A visitor whose pictures are of one color."""

    def __init__(self, address: str, number: int, folder: Path):
        self.number = number
        self.color = np.array([number * 5 % 256, 255 - number * 5 % 256, number * 37 % 256])
        path = folder / f"private-{number}.png"
        Image.new("RGB", (160, 120), tuple(self.color.tolist())).save(path)
        self.address, self.path = address, str(path)
        super().__init__(address, self.path, self.path)

    def visit(self) -> str:
        """Paint once: "picture" or "refusal"."""
        told = [self._by_api, self._by_gradio_client, self._as_browser][self.number % 3]()
        if isinstance(told, str):
            assert any(re.fullmatch(sentence, told) for sentence in REFUSALS), told
            return "refusal"
        for picture in told:
            mean = np.asarray(picture.convert("RGB"), float).mean((0, 1))
            assert np.abs(mean - self.color).max() < (40 if os.environ.get("NST_LOAD") else 6), (mean, self.color)
        assert len(told) > 1 and told[-1].format == "PNG", (self.number % 3, len(told))
        return "picture"

    def _by_api(self) -> list[Image.Image] | str:
        *frames, (name, last) = self.events(self.post().json()["event_id"])
        if name == "error":
            return last["error"]  # type: ignore[index, call-overload]
        sent: list[Any] = [data for name, data in [*frames, (name, last)] if name != "heartbeat"]
        return self._pictures([value for value, *_ in sent])

    def _by_gradio_client(self) -> list[Image.Image] | str:
        options: Any = {"verbose": False, "analytics_enabled": False, "httpx_kwargs": {"timeout": HANG}}
        client = gradio_client.Client(self.address, download_files=False, **options)
        with contextlib.closing(client):
            file = gradio_client.handle_file(self.path)
            job = client.submit(file, file, size=128, api_name="/paint")
            try:
                job.result(HANG)
            except gradio_client.exceptions.AppError as error:
                return str(error)
            return self._pictures([value for value, *_ in job.outputs()])

    def _as_browser(self) -> list[Image.Image] | str:
        page = httpx.get(f"{self.address}/config", timeout=HANG).json()
        events = {each["api_name"]: each for each in page["dependencies"]}
        inputs, outputs = events["paint"]["inputs"], len(View._fields)
        paints = [
            each["id"] for each in events.values() if each["inputs"] == inputs and len(each["outputs"]) == outputs
        ]
        session, quick = f"browser{self.number}-{time.monotonic_ns()}", {"timeout": HANG}
        joining = {"data": [], "fn_index": events["join"]["id"], "session_hash": session}
        joined = httpx.post(self.url + "run/predict", json=joining, **quick)
        if joined.status_code != 200:
            return joined.json()["error"]
        data = [*self.pictures.values(), *values(), None, None, None, None]
        painting = {"data": data, "fn_index": paints[0], "session_hash": session}
        assert httpx.post(self.url + "queue/join", json=painting, **quick).status_code == 200
        shown: Any = None
        pictures = []
        with httpx.stream("GET", self.url + f"queue/data?session_hash={session}", **quick) as response:
            for line in response.iter_lines():
                told = json.loads(line.removeprefix("data: ")) if line else {}
                if told.get("msg") == "process_completed":
                    assert told["success"], told
                    break
                if told.get("msg") == "process_generating":
                    shown = _applied(shown, told["output"]["data"][0])
                    pictures += self._pictures([shown])
        return pictures

    def _pictures(self, values: list[Any]) -> list[Image.Image]:
        """Those among the values of an output that are no update of its looks."""
        return [self._picture(value) for value in values if isinstance(value, dict) and value.get("url")]

    def _picture(self, value: dict[str, Any]) -> Image.Image:
        url = value["url"]
        if url.startswith("data:"):
            return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        return Image.open(io.BytesIO(httpx.get(url, timeout=HANG).content))


def _applied(before: Any, change: Any) -> Any:
    """What an output is after a message, which has a list of differences from the second on."""
    if not (isinstance(change, list) and change and isinstance(change[0], list)):
        return before if change == [] else change
    after = dict(before) if isinstance(before, dict) else before
    for action, path, value in change:
        if not path:
            after = value
        elif action == "delete":
            after.pop(path[0], None)
        elif len(path) == 1:
            after[path[0]] = value
    return after


def test_each_of_many_gets_a_picture_or_a_refusal(served, tmp_path):
    address, log = served
    took: dict[str, list[float]] = {path: [] for path in ("/", "/healthz", "/theme.css", "/metrics")}
    done = threading.Event()

    def look() -> None:
        with httpx.Client(timeout=HANG) as visitor:
            while not done.is_set():
                for path, times in took.items():
                    began = time.monotonic()
                    assert visitor.get(address + path).status_code == 200
                    times.append(time.monotonic() - began)
                done.wait(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    clients = [Client(address, number, tmp_path) for number in range(CLIENTS)]
    try:
        with ThreadPoolExecutor(CLIENTS) as crowd:
            visits = crowd.map(lambda client: [client.visit() for _ in range(VISITS)], clients, timeout=2 * HANG)
            outcomes = [outcome for visit in visits for outcome in visit]
    finally:
        done.set()
        looking.join()
    counts = {name: outcomes.count(name) for name in ("picture", "refusal")}
    medians = {path: statistics.median(times) for path, times in took.items()}
    print(f"\n{CLIENTS} clients, {VISITS} visits each: {counts}")
    for path, times in took.items():
        print(f"{path}: median {1000 * medians[path]:.0f} ms, longest {1000 * max(times):.0f} ms of {len(times)}")
    assert len(outcomes) == CLIENTS * VISITS and counts["picture"] and counts["refusal"]
    numbers = httpx.get(f"{address}/metrics", timeout=HANG).text
    assert f'nst_runs_total{{outcome="finished"}} {counts["picture"]}.0' in numbers
    assert f'nst_refusals_total{{reason="queue"}} {counts["refusal"]}.0' in numbers
    assert "nst_queue_length 0.0" in numbers and "process_resident_memory_bytes" in numbers
    if SOAK:
        assert max(medians.values()) < 0.1
    lines = [line for line in log.read_text().splitlines() if line.startswith("{") or "NST_LOAD" not in os.environ]
    assert len([line for line in lines if json.loads(line).get("run")]) == 2 * counts["picture"]
    assert not re.search(r"private|127\.0\.0\.1|browser\d|base64", log.read_text())
