"""nst.page.presets: valid values, short descriptions and thumbnails."""

import pytest
from PIL import Image

from nst.page import presets, sharing
from nst.settings import Settings

ALL = {**presets.STRENGTHS, **presets.BRUSH_SIZES}


@pytest.mark.parametrize("name", ALL)
def test_the_page_can_paint_it_and_shows_it(name):
    sharing.check(Settings(**ALL[name].values))
    assert ALL[name].description.endswith(".") and len(ALL[name].description) <= 70
    assert presets.thumbnail(name).stat().st_size <= 12_000
    with Image.open(presets.thumbnail(name)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (200, 150))


@pytest.mark.parametrize("table, knob", [(presets.STRENGTHS, "strength"), (presets.BRUSH_SIZES, "style_scale")])
def test_the_default_is_in_the_middle(table, knob):
    assert all(set(preset.values) == {knob} for preset in table.values())
    values = [preset.values[knob] for preset in table.values()]
    assert values == sorted(set(values)) and len(values) == 3
    assert values[1] == getattr(Settings(), knob)


def test_the_opening_pictures_are_alike_in_shape_and_small():
    shapes = []
    for path in presets.OPENING:
        assert path.stat().st_size <= 90_000
        with Image.open(path) as picture:
            shapes.append(picture.width / picture.height)
    assert shapes == [pytest.approx(4 / 3, abs=0.01)] * 2


def test_names_and_pictures_are_no_two_alike():
    assert len(ALL) == len(presets.STRENGTHS) + len(presets.BRUSH_SIZES)
    assert {presets.thumbnail(name) for name in ALL} == set(presets.thumbnail("Hint").parent.iterdir())
