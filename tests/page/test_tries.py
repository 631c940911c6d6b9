"""nst.page.tries: eight small pictures, of which one is gone on with."""

import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from nst import images, recipe
from nst.page import text, tries
from nst.page.handlers import Handlers
from nst.page.results import View
from nst.page.studio import KEPT, TRY_BRUSHES, TRY_STRENGTHS, Run, Studio, variants
from nst.settings import Settings
from tests.painter import Painter, torn, values

VISITOR, OTHER = SimpleNamespace(session_hash="visitor"), SimpleNamespace(session_hash="somebody else")


def desk(painter: Painter) -> Handlers:
    return Handlers(Studio(lambda _: painter))


def grids(updates) -> list[tuple[View, str]]:
    return [(View(*update[:-1]), update[-1]) for update in updates]


def test_eight_tries_move_and_one_is_painted_on(photo, painting):
    page = desk(Painter(steps=6).released())
    list(page.paint(VISITOR, photo, painting, *values()))
    shown = grids(tries.paint_tries(page, VISITOR, photo, painting, *values(seed=7)))
    assert shown[0][0].stop["visible"] and not shown[0][0].paint["visible"]
    moving = [html for _, html in shown if isinstance(html, str)]
    assert all(html.count("<img") == 8 for html in moving) and all(html.count("disabled") == 8 for html in moving[:-1])
    view, last = shown[-1]
    assert "disabled" not in last and view.paint["visible"] and view.sentence == tries.CHOOSE
    assert re.findall("Strength (.*?)<br>(.*?) brush", last) == [
        (f"{strength:g}", brush) for brush in ("fine", "broad") for strength in TRY_STRENGTHS
    ]
    *_, earlier = page.go_on(VISITOR)  # the picture before the tries is still there
    assert "Painted in" in earlier.sentence

    strength, brush, number = tries.choose(SimpleNamespace(index="6"))
    assert (strength, brush, number % tries.COUNT) == (TRY_STRENGTHS[2], TRY_BRUSHES[1], 6)
    views = tries.paint_chosen(page, VISITOR, 6)
    first = next(views)
    expected = images.resize(images.load(photo, longest_side=128), 42, 64) * (1 - strength / 100)
    expected += images.resize(images.load(painting, longest_side=256), 42, 64) * strength / 100
    np.testing.assert_allclose(first.picture, 255 * expected[0], atol=8)
    seen = [view.picture for view in views]
    assert [picture.shape for picture in seen if isinstance(picture, np.ndarray)][-1] == (85, 128, 3)
    assert isinstance(seen[-1], Path)
    run = page.studio.run("visitor")
    assert run is not None and run.settings == Settings(size=128, seed=7, strength=strength, style_scale=brush)
    assert run.history.points[0].step == 3  # that of the try
    assert list(tries.paint_chosen(page, VISITOR, 0))[-1].paint["visible"]  # another one of them


def test_tries_take_a_turn_and_stop(photo, painting):
    page = desk(Painter())
    updates = tries.paint_tries(page, VISITOR, photo, painting, *values())
    assert isinstance(grids([next(updates), next(updates)])[-1][1], str)
    assert page.studio.is_busy_for("visitor")
    page.stop(OTHER)
    page.stop(VISITOR)
    rest = grids(updates)
    assert len(rest) == 1 and "disabled" not in rest[0][1]  # also these can be chosen
    assert not page.studio.is_busy_for("visitor")
    page.on_unload(VISITOR)
    assert "deleted" in list(tries.paint_chosen(page, VISITOR, 0))[-1].sentence


@pytest.mark.parametrize("wrong", [{"size": 4096}, {"steps": (9999,)}])
def test_wrong_settings_and_pictures_get_a_sentence(photo, painting, tmp_path, wrong):
    for content, style, settings, sentence in (
        (photo, painting, values(**wrong), next(iter(wrong))),
        (None, painting, values(), "There is no photo yet"),
        (torn(tmp_path), painting, values(), "torn.png is damaged"),
    ):
        seen = []
        with pytest.raises(gr.Error, match=sentence) as raised:
            for view, _ in (
                (View(*update[:-1]), 0)
                for update in tries.paint_tries(desk(Painter()), VISITOR, content, style, *settings)
            ):
                seen.append(view)
        assert not raised.value.print_exception and seen[-1].paint["visible"] and not seen[-1].stop["visible"]


def test_a_fault_is_told_and_logged_without_names(photo, painting, caplog):
    painter = Painter()
    painter.tries = lambda *_, **__: 1 / 0
    with pytest.raises(gr.Error) as raised:
        list(tries.paint_tries(desk(painter), VISITOR, photo, painting, *values()))
    assert raised.value.message == text.FAULT and "ZeroDivisionError" in caplog.text and "my photo" not in caplog.text


def test_tries_of_a_few_visitors_are_kept(photo, painting):
    page = desk(Painter().released())
    for number in range(KEPT + 1):
        run = Run(photo, [painting], Settings(size=128))
        list(page.studio.tries(str(number), run, variants(run.settings), 3))
    assert page.studio.tried("0") is None and page.studio.tried("1") is not None


def test_a_restored_picture_goes_on_from_its_file(photo, painting, tmp_path):
    page = desk(Painter(steps=6).released())
    *_, last = page.paint(VISITOR, photo, painting, *values(size=128))
    page.on_unload(VISITOR)
    assert "deleted" in list(page.go_on(VISITOR))[-1].sentence  # nothing is on the page
    for go_on, size in ((page.go_on, (128, 85)), (page.enlarge, (256, 171))):
        page.on_unload(VISITOR)
        *_, view = (view for view in go_on(VISITOR, last.canvas, photo, painting, *values(size=192)))
        made = recipe.read(view.canvas[0])
        assert made is not None and made.start is not None
        assert (made.size, made.start.size) == (size, (128, 85))
        assert made.content.name == "my photo.png"


def test_twice_the_size_is_offered_where_the_page_paints_it(photo, painting):
    page = desk(Painter(steps=6).released())
    *_, last = page.paint(VISITOR, photo, painting, *values(size=128))
    assert last.larger["visible"]
    *_, twice = page.enlarge(VISITOR, last.canvas, photo, painting, *values())
    assert "256 × 171 pixels" in twice.sentence
    *_, last = page.paint(VISITOR, photo, painting, *values(size=1024))
    assert not last.larger["visible"]
    seen = []
    with pytest.raises(gr.Error, match="size: 2048 should be"):
        for view in page.enlarge(VISITOR, last.canvas, photo, painting, *values()):
            seen.append(view)
    assert isinstance(seen[-1].picture, Path)  # the picture stays
