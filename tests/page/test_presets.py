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
        assert (picture.format, picture.size) == ("JPEG", (160, 160))


@pytest.mark.parametrize("table, knob", [(presets.STRENGTHS, "strength"), (presets.BRUSH_SIZES, "style_scale")])
def test_the_default_is_in_the_middle(table, knob):
    assert all(set(preset.values) == {knob} for preset in table.values())
    values = [preset.values[knob] for preset in table.values()]
    assert values == sorted(set(values)) and len(values) == 3
    assert values[1] == getattr(Settings(), knob)


def test_names_and_pictures_are_no_two_alike():
    assert len(ALL) == len(presets.STRENGTHS) + len(presets.BRUSH_SIZES)
    assert {presets.thumbnail(name) for name in ALL} == set(presets.thumbnail("Hint").parent.iterdir())
