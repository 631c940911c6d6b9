"""nst.painting.Painting with what it must tell, or refuse, before an engine is loaded."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst.images import ImageError
from nst.painting import Painting
from nst.settings import MIN_STYLE, Settings


class LoadedError(Exception):
    """The pictures were read and not refused."""


def load(_):
    raise LoadedError


def saved(path: Path, image: Image.Image, **options) -> str:
    image.save(path, **options)
    return str(path)


@pytest.fixture
def plain(tmp_path) -> str:
    return saved(tmp_path / "plain.png", Image.new("RGB", (64, 48), "orange"))


def notes(content: str, *styles: str) -> list[str]:
    painting = Painting(content, styles, Settings(size=64))
    with pytest.raises(LoadedError):
        next(painting.frames(load))
    return painting.notes


def test_what_is_not_painted_is_noted_once(plain, tmp_path):
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "lime", "blue")]
    animated = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    logo = Image.new("RGBA", (64, 48))
    logo.paste((200, 30, 30, 255), (10, 10, 30, 20))
    logo = saved(tmp_path / "logo.png", logo)
    first, clear = (
        "Only the first of the 3 pictures in a.gif is painted.",
        "What is transparent in logo.png is filled with the colors around it.",
    )
    assert notes(plain, plain) == []
    assert notes(animated, plain) == [first]
    assert notes(logo, animated, animated) == [first]  # its transparency is kept
    assert notes(animated, logo, logo) == [first, clear]


def test_a_photo_smaller_than_the_result_is_noted(plain, tmp_path):
    small = saved(tmp_path / "small.png", Image.new("RGB", (40, 63), "red"))
    assert notes(small, plain) == ["Your photo has 63 pixels; the result of 64 is enlarged from it."]


def test_a_picture_of_which_nothing_is_visible_is_refused(plain, tmp_path):
    nothing = saved(tmp_path / "nothing.png", Image.new("RGBA", (40, 30), (200, 30, 30, 0)))
    for content, style in ((nothing, plain), (plain, nothing)):
        with pytest.raises(ImageError, match="Nothing of nothing.png is visible"):
            next(Painting(content, [style], Settings(size=64)).frames(load))


@pytest.mark.parametrize(("size", "format"), [((2000, 16), "png"), ((16, 2000), "png"), ((2000, 16), "jpg")])
def test_a_strip_is_refused_with_the_size_that_would_do(size, format, plain, tmp_path):
    strip = saved(tmp_path / f"strip.{format}", Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)))
    for content, style in ((strip, plain), (plain, strip)):
        with pytest.raises(
            ValueError, match=r"size: 129 would make strip\.\w+ .*129.* pixels; it should be at least 2000"
        ):
            next(Painting(content, [style], Settings(size=129)).frames(load))
        with pytest.raises(LoadedError):
            next(Painting(content, [style], Settings(size=2000)).frames(load))


def test_fine_strokes_leave_a_painting_its_pixels(tmp_path):
    Image.effect_noise((300, 200), 50).convert("RGB").save(tmp_path / "painting.png")
    settings = Settings(size=128, min_scale=128, style_scale=0.1)
    painting = Painting(tmp_path / "painting.png", [tmp_path / "painting.png"], settings)
    assert [max(picture.shape) for picture in painting._read()] == [128, MIN_STYLE]
