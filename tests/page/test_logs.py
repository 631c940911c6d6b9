"""nst.page.logs: the log as plain lines or JSON, with the run that a line is about and nothing of its visitor."""

import json
import logging

import pytest

from nst.page import logs
from nst.page.results import log_failure
from tests.page.test_page import VISITOR, desk
from tests.painter import Painter, values


def test_a_run_is_told_when_it_begins_and_ends(photo, painting, caplog):
    caplog.set_level(logging.INFO)
    page = desk(Painter(steps=2).released())
    list(page.paint(VISITOR, photo, painting, *values()))
    run = page.studio.run(VISITOR.session_hash)
    assert run
    begins, ends = (record for record in caplog.records if getattr(record, "run", "") == run.id)
    assert begins.getMessage() == f"Run {run.id} begins: size 128, network auto, paintings: 1"
    assert ends.getMessage().startswith(f"Run {run.id} ends: finished, steps: 2, seconds: ")
    assert "photo" not in caplog.text and "Wheat" not in caplog.text


def test_a_line_of_json(caplog):
    try:
        raise OSError("a fault in secret.png\nand more")
    except OSError:
        log_failure("Painting failed", "/x/secret.png", run="1a2b")
        logging.getLogger("nst").exception("Two\nlines")
    first, second = (json.loads(line) for line in map(logs.Json().format, caplog.records))
    assert first["run"] == "1a2b" and first["level"] == "ERROR" and first["message"].startswith("Run 1a2b: Painting")
    assert "secret" not in str(first) and first["logger"] == "nst.page.results" and first["time"].endswith("+00:00")
    assert second["message"] == "Two\nlines" and "Traceback" in second["trace"] and "run" not in second


def test_what_the_log_cannot_be_is_told_in_a_sentence(monkeypatch):
    for value, is_json in (("json", True), ("text", False), ("", False)):
        monkeypatch.setenv("NST_LOG", value)
        assert logs.is_json() is is_json
    monkeypatch.setenv("NST_LOG", "xml")
    with pytest.raises(SystemExit, match="NST_LOG: 'xml' should be json or text."):
        logs.begin()
