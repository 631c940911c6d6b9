"""nst.page.server: what keeps the page from starting is told in a sentence."""

from typing import Any

import pytest

from nst.page import server


def test_an_address_that_cannot_be_had_is_told_in_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Cannot find empty port in range: 7860-7860.")

    nothing: Any = None
    monkeypatch.setattr(server, "serve", refuse)
    monkeypatch.setattr(server, "_warm_up", lambda _: None)
    with pytest.raises(SystemExit, match="GRADIO_SERVER_PORT say: Cannot find empty port"):
        server.start(nothing, nothing)
