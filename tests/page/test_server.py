"""nst.page.server: what keeps the page from starting is told in a sentence."""

from types import SimpleNamespace
from typing import Any

import pytest

from nst import catalogue
from nst.deploy import doctor
from nst.page import server


def test_an_address_that_cannot_be_had_is_told_in_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Cannot find empty port in range: 7860-7860.")

    nothing: Any = None
    monkeypatch.setattr(server, "serve", refuse)
    monkeypatch.setattr(server, "_warm_up", lambda _: None)
    with pytest.raises(SystemExit, match="GRADIO_SERVER_PORT say: Cannot find empty port"):
        server.start(nothing, nothing)


@pytest.mark.parametrize("reason", ["", "Loading failed."])
def test_the_examples_are_completed_once_the_network_is_warm(monkeypatch, reason):
    done: list[str] = []
    studio: Any = SimpleNamespace(unready=reason, paint_thumbnails=lambda: done.append("thumbnails"))
    for name in ("check_machine", "check_painting"):
        monkeypatch.setattr(doctor, name, lambda *_, name=name: done.append(name) or [])
    monkeypatch.setattr(catalogue, "complete", lambda: done.append("pictures"))
    server._warm_up(studio)
    assert done == ["check_machine", "check_painting", "pictures", *([] if reason else ["thumbnails"])]
