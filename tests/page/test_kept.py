"""nst.page.kept: what a browser keeps of its latest results, and what a forged list reaches."""

import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from nst import images
from nst.page import kept, results, text
from nst.page.handlers import Handlers
from nst.page.inputs import Setup
from nst.page.results import Canvas, View
from nst.page.studio import Studio
from tests.page.test_page import VISITOR
from tests.painter import Painter, picture, values


@pytest.fixture
def paint(photo, painting):
    """paint(**settings) is a finished picture of the photo and the painting."""
    content, style = (results.cache_file(Path(path)) for path in (photo, painting))  # as uploads are

    def run(**changes) -> Canvas:
        handlers = Handlers(Studio(lambda _: Painter(steps=2).released()))
        *_, view = handlers.paint(VISITOR, content, style, *values(**changes))
        return view.canvas

    return run


def test_the_newest_come_first_each_once_and_no_more_than_the_most(paint):
    canvases, stored = [paint(seed=seed) for seed in range(kept.MOST + 1)], []
    for canvas in (*canvases, canvases[1]):
        strip, stored = kept.keep(canvas, stored)
    wanted = [canvases[1], *canvases[:1:-1]]
    assert stored == ["/".join(Path(path).parent.name for path in canvas) for canvas in wanted]
    assert strip.count("data-keys") == strip.count("data-pin") == kept.MOST and 'alt="my photo × Wheat Field"' in strip


def test_a_picture_that_goes_on_takes_its_own_place(paint, photo):
    first, second = paint(seed=1), paint(seed=2)
    _, stored = kept.keep(first, [])
    _, continued = kept.keep(second, stored, continues=True)
    assert len(continued) == 1 and continued != stored
    other = (second[0], second[1], second[1])  # of another painting
    assert len(kept.keep(other, stored, continues=True)[1]) == 2


def test_a_picture_of_several_paintings_comes_back_with_all_of_them(photo, painting, tmp_path):
    other = picture(tmp_path / "Waves.jpg", (160, 200))
    content, style, second = (results.cache_file(Path(path)) for path in (photo, painting, other))
    handlers = Handlers(Studio(lambda _: Painter(steps=2).released()))
    mixed = [0.5, 1, 2, 1]
    *_, view = handlers.paint(VISITOR, content, style, *values(style_blend=mixed), None, second)
    assert view.canvas[1:] == (content, style, second)
    strip, (keys,) = kept.keep(view.canvas, [])
    assert 'alt="my photo × Wheat Field × Waves"' in strip
    restored = kept.restore(gr.EventData(None, {"keys": keys}))
    assert View(*restored[: len(View._fields)]).canvas == view.canvas
    setup = Setup(*restored[len(View._fields) :][: len(Setup._fields)])
    assert (setup.content, setup.style, setup.style_2, setup.style_3) == (content, style, second, None)
    assert [0.5, 2, 1, 1] in restored  # the shares have moved up with the paintings
    shutil.rmtree(Path(second).parent)
    assert kept.keep(None, [keys])[1] == []


def test_deleted_results_vanish(paint):
    first, second = paint(seed=3), paint(seed=4)
    _, stored = kept.keep(second, kept.keep(first, [])[1])
    shutil.rmtree(Path(second[0]).parent)
    assert kept.keep(None, stored)[1] == stored[1:]
    view = View(*kept.restore(gr.EventData(None, {"keys": stored[0]}))[: len(View._fields)])
    assert view.paint["visible"] and view.picture == gr.skip()


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "text",
        7,
        {"a": 1},
        [None, 7, [], {}, "", "/", "../../etc/passwd", "//", "a/b/c", "0" * 64, "/".join(["0" * 64] * 3)],
    ],
    ids=str,
)
def test_a_forged_list_reaches_nothing(forged):
    assert kept.keep(None, forged) == kept.show_pins(forged) == ("", [])
    for keys in forged if isinstance(forged, list) else [forged]:
        restored = kept.restore(gr.EventData(None, {"keys": keys}))
        assert text.DELETED in Setup(*restored[len(View._fields) :][: len(Setup._fields)]).note
        assert View(*restored[: len(View._fields)]).picture == gr.skip()


def test_an_upload_is_no_result(paint, tmp_path):
    images.save(np.zeros((64, 64, 3), np.uint8), tmp_path / "somebody's photo.png")
    key = Path(results.cache_file(tmp_path / "somebody's photo.png")).parent.name
    assert kept.keep(None, ["/".join([key] * 3)]) == ("", [])


def test_a_restored_picture_has_its_settings_and_no_run(paint, painting, tmp_path):
    for name in ("a.jpg", "z.jpg"):  # other visitors have the same painting, under names of their own
        results.cache_file(Path(shutil.copy(painting, tmp_path / name)))
    canvas = paint(strength=70)
    _, (keys,) = kept.keep(canvas, [])
    restored = kept.restore(gr.EventData(None, {"keys": keys}))
    view = View(*restored[: len(View._fields)])
    assert view.canvas == canvas and 70 in restored
    assert "Your picture is back with its settings: my photo × Wheat Field." in view.sentence
    assert view.more["visible"] and not view.film["visible"] and view.paint["visible"]


def test_a_result_of_several_paintings_is_pinned(paint, photo):
    canvas = paint()
    (keys,) = kept.keep((*canvas, results.cache_file(Path(photo))), [])[1]
    assert kept.show_pins([keys])[1] == [keys]


def test_three_results_are_pinned_until_they_are_deleted(paint):
    pins = []
    for strength in (20, 40, 60, 80):
        pins += kept.keep(paint(strength=strength, style_scale=0.5), [])[1]
    cards, shown = kept.show_pins([pins[1], "../../etc/passwd", *pins])
    assert shown == [pins[1], pins[0], pins[2]]
    assert cards.count("<figure>") == 3 and "Strength 40, brush size 0.5" in cards and "my photo × Wheat Field" in cards
    shutil.rmtree(Path(kept.cached_file(pins[1].partition("/")[0])).parent)
    assert kept.show_pins(pins[:3])[1] == [pins[0], pins[2]]
