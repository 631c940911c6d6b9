"""nst.painting.Painting with what it must tell, or refuse, before an engine is loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import images, memory, recipe
from nst.images import ImageError
from nst.painting import Painting
from nst.settings import MIN_STYLE, Settings
from tests import toy


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
    first = "Only the first of the 3 pictures in a.gif is painted."
    assert notes(plain, plain) == []
    assert notes(animated, plain) == [first]
    assert notes(logo, animated, animated) == [first]  # its transparency is kept
    assert notes(animated, logo, logo) == [first]  # what is transparent does not count as style


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
    assert max(painting._read().shape) == 128
    assert [max(picture.shape) for picture in painting._read_paintings(settings)] == [MIN_STYLE]


# --- Tries, and larger pictures ---------------------------------------------------------------------------------------


SMALL = replace(toy.SETTINGS, size=128, min_scale=64)  # 6 steps at 64 pixels, 4 at 128


@pytest.fixture(scope="module")
def engine():
    from nst.transfer import StyleTransfer

    return StyleTransfer(toy.network())


@pytest.fixture
def pictures(tmp_path) -> tuple[str, str]:
    """A photo, in part transparent, and a painting."""
    noise = Image.fromarray(images.to_uint8(toy.picture(200, 320)))
    photo = Image.new("RGBA", (320, 200))
    photo.paste(noise, (20, 20))
    return saved(tmp_path / "photo.png", photo), saved(tmp_path / "painting.png", noise.rotate(90, expand=True))


def test_a_try_is_gone_on_with_from_its_state(engine, pictures):
    painting = Painting(pictures[0], pictures[1:], SMALL, resumable=True)
    with pytest.raises(ValueError, match="There is no try 2; paint the tries first"):
        painting.pick(1)
    variants = [replace(SMALL, strength=strength, style_scale=scale) for scale in (1.0, 2.0) for strength in (30, 70)]
    *_, grid = painting.tries(lambda _: engine, variants, 3)
    painting.pick(3)
    assert painting.settings == variants[3] and painting.frame is grid[3]
    *_, last = painting.frames(lambda _: engine)
    assert (last.step, last.image.shape) == (last.steps, (80, 128, 3))
    made = recipe.parse(_saved_text(painting, pictures[0]))
    assert (made.settings, made.steered) == (variants[3], False)


def test_tries_that_do_not_fit_into_memory_are_refused(engine, pictures, monkeypatch):
    painting = Painting(pictures[0], pictures[1:], SMALL)
    one = memory.estimate(engine.network, (80, 128), [(128, 80)], SMALL)
    monkeypatch.setattr(memory, "_room", lambda: one)
    with pytest.raises(MemoryError, match="too little memory left for 8 pictures at once"):
        list(painting.tries(lambda _: engine, [SMALL] * 8, 3))


def test_twice_the_size_adds_a_scale_and_keeps_alpha(engine, pictures, tmp_path):
    twice, straight = (
        Painting(pictures[0], pictures[1:], settings, resumable=True)
        for settings in (SMALL, replace(SMALL, size=256, steps=(6, 4, 4)))
    )
    list(twice.frames(lambda _: engine))
    twice.enlarge()
    frames = list(twice.frames(lambda _: engine))
    list(straight.frames(lambda _: engine))
    assert [frame.scale for frame in frames[-1:]] == [256] and twice.shape == (160, 256)
    files = [tmp_path / f"{number}.png" for number in range(2)]
    saved_pixels = [painting.save(file) for painting, file in zip((twice, straight), files)]
    assert np.abs(np.subtract(*map(np.float32, saved_pixels))).mean() < 2  # the photo was reduced in two steps
    assert recipe.read(files[0]) == recipe.read(files[1])
    with Image.open(files[0]) as one, Image.open(files[1]) as other:
        np.testing.assert_array_equal(one.getchannel("A"), other.getchannel("A"))
    twice.enlarge()  # more steps than usual at the last scale are not repeated at the next one
    assert twice.frame is not None and list(twice.frames(lambda _: engine))[-1].scale == 512


def test_a_picture_that_cannot_be_enlarged_stays(engine, pictures, monkeypatch):
    painting = Painting(pictures[0], pictures[1:], SMALL, resumable=True)
    list(painting.frames(lambda _: engine))
    before = painting.settings, painting.shape, painting.frame
    with monkeypatch.context() as patch:
        patch.setattr(memory, "fit_size", lambda *parts: (replace(parts[-1], size=128), ""))
        painting.enlarge()
        with pytest.raises(MemoryError, match="256 pixels do not fit into this machine's memory: painted at 128"):
            list(painting.frames(lambda _: engine))
    assert (painting.settings, painting.shape, painting.frame) == before
    assert list(painting.frames(lambda _: engine, at_least=2))[-1].scale == 128  # as if nothing had been asked for


def _saved_text(painting: Painting, photo: str) -> str:
    path = Path(photo).with_name("out.png")
    painting.save(path)
    made = recipe.read(path)
    assert made is not None
    return made.text
