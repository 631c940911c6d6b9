"""nst.page.text: words that depend on a painting or on where the page runs."""

from dataclasses import replace

import pytest

from nst import catalogue
from nst.page import text


def test_the_painter_is_named_and_our_own_paintings_are_called_so():
    starry, shore = (catalogue.find(name) for name in ("starry-night", "pointillist-shore"))
    assert text.painting_words(starry) == ("The Starry Night", "after Vincent van Gogh")
    assert text.painting_words(shore) == ("Evening at the shore", "Our own, in dots")
    assert text.painting_words(replace(shore, title="Dusk")) == ("Dusk", "Our own")
    assert text.painting_words(replace(shore, artist="A. Painter")) == (shore.title, "A. Painter")


@pytest.mark.parametrize(
    "variables, linked",
    [
        ({}, []),
        ({"NST_SOURCE": "https://example.org/a?b&c"}, ["https://example.org/a?b&amp;c"]),
        ({"NST_SOURCE": "javascript:alert(1)"}, []),
        (
            {"SPACE_ID": "ann/nst"},
            ["https://huggingface.co/spaces/ann/nst/tree/main", "https://huggingface.co/spaces/ann/nst?duplicate=true"],
        ),
    ],
)
def test_the_footer_links_what_there_is(monkeypatch, variables, linked):
    for name in ("NST_SOURCE", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    footer = text.footer()
    assert text.NO_TRACKING in footer
    assert [part.partition('"')[0] for part in footer.split('href="')[1:]] == linked
