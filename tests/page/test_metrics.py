"""nst.page.metrics: what happened is counted, by kind and never by visitor."""

import httpx

from nst.page.metrics import OUTCOMES
from nst.page.studio import Studio
from tests.page.test_page import OTHER, VISITOR, desk
from tests.painter import Painter, values


def test_each_run_has_one_outcome(photo, painting):
    painter = Painter(steps=4).released()
    page = desk(painter)
    count = page.studio.metrics.registry.get_sample_value
    list(page.paint(VISITOR, photo, painting, *values()))
    views = page.paint(OTHER, photo, painting, *values())
    for _ in range(2):
        next(views)
    views.close()
    for kind in (("content", None), ("fails", 1)):
        painter.fails_at = kind[1]
        try:
            list(page.paint(VISITOR, photo if kind[1] else None, painting, *values()))
        except Exception as error:
            assert type(error).__name__ == "Error"
    counts = {outcome: count("nst_runs_total", {"outcome": outcome}) for outcome in OUTCOMES}
    assert counts == dict.fromkeys(OUTCOMES, 0) | {"finished": 1, "left": 1, "refused": 1, "failed": 1}
    assert (count("nst_frames_sent_total") or 0) >= 2 and (count("nst_step_seconds_count") or 0) >= 4


def test_prometheus_reads_them(address, monkeypatch):
    answer = httpx.get(f"{address(Studio(lambda _: Painter()))}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    names = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert {"nst_runs_total", "nst_refusals_total", "nst_queue_length", "nst_wait_seconds_sum"} <= names
    assert "session_hash" not in answer.text and "127.0.0.1" not in answer.text
