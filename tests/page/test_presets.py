"""nst.page.presets: what the named settings promise."""

import pytest
from PIL import Image

from nst.page import presets, sharing
from nst.settings import Settings

ALL = {**presets.PRESETS, **presets.LOOKS}


@pytest.mark.parametrize("name", ALL)
def test_the_page_can_paint_it_and_shows_it(name):
    sharing.check(Settings(**ALL[name].values))
    assert ALL[name].words.endswith(".") and len(ALL[name].words) <= 70
    assert presets.picture(name).stat().st_size <= 12_000
    with Image.open(presets.picture(name)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (160, 160))


@pytest.mark.parametrize("table, knob", [(presets.PRESETS, "strength"), (presets.LOOKS, "style_scale")])
def test_the_default_is_in_the_middle(table, knob):
    assert all(set(look.values) == {knob} for look in table.values())
    values = [look.values[knob] for look in table.values()]
    assert values == sorted(set(values)) and len(values) == 3
    assert values[1] == getattr(Settings(), knob)


def test_names_and_pictures_are_no_two_alike():
    assert len(ALL) == len(presets.PRESETS) + len(presets.LOOKS)
    assert {presets.picture(name) for name in ALL} == set(presets.picture("Hint").parent.iterdir())
