"""nst.transparency on small arrays, and a whole run from a file with alpha to a file with alpha."""

import io

import numpy as np
import pytest
from PIL import Image

from nst import finishing, images, recipe, transparency
from nst.finishing import Finishing
from nst.painting import Painting
from tests import toy

RED, GREEN = (200, 30, 30), (30, 160, 60)


def logo(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A red and a green bar, each opaque, and nothing around them."""
    image = Image.new("RGBA", size)
    image.paste((*RED, 255), (8, 8, 24, 40))
    image.paste((*GREEN, 255), (40, 8, 56, 40))
    return image


def read(image: Image.Image) -> images.Picture:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return images.read(buffer.getvalue())


def test_the_transparent_part_gets_the_colors_at_its_edge():
    picture = read(logo())
    filled = transparency.filled(picture.pixels, picture.alpha)[0] * 255
    assert picture.alpha is not None
    opaque = picture.alpha == 255
    np.testing.assert_allclose(filled[opaque], picture.pixels[0][opaque] * 255, atol=0.01)
    np.testing.assert_allclose(filled[24, 7], RED, atol=25)
    np.testing.assert_allclose(filled[24, 56], GREEN, atol=25)
    assert filled.max() < 225 and filled.min() > 10  # neither white nor black anywhere


def test_half_transparent_pixels_lose_the_white_behind_them():
    image = Image.new("RGBA", (32, 32), (*RED, 255))
    image.paste((*RED, 64), (0, 0, 16, 32))
    picture = read(image)
    filled = transparency.filled(picture.pixels, picture.alpha)[0] * 255
    np.testing.assert_allclose(filled, np.broadcast_to(RED, filled.shape), atol=3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (16, 16)])
def test_any_shape_is_filled(shape):
    alpha = np.zeros(shape, np.uint8)
    alpha[-1, -1] = 255
    white = np.ones((1, *shape, 3), np.float32)
    white[0, -1, -1] = 0.25
    np.testing.assert_allclose(transparency.filled(white, alpha), 0.25, atol=1e-5)
    assert transparency.filled(white, None) is white


def test_cutting_out_and_white():
    pixels, alpha = np.full((4, 4, 3), 100, np.uint8), np.array([[0, 255]], np.uint8)
    cut = transparency.cut_out(pixels, np.repeat(np.repeat(alpha, 4, 0), 2, 1))
    assert cut.shape == (4, 4, 4) and cut[0, 0, 3] == 0 and cut[0, 3].tolist() == [100, 100, 100, 255]
    white = transparency.on_white(pixels, np.repeat(np.repeat(alpha, 4, 0), 2, 1))
    assert white[0, 0].tolist() == [255] * 3 and white[0, 3].tolist() == [100] * 3
    assert transparency.cut_out(pixels, None) is pixels is transparency.on_white(pixels, None)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_a_run_keeps_the_alpha_of_the_photo(suffix, tmp_path):
    from nst.transfer import StyleTransfer

    logo().save(tmp_path / "logo.png")
    images.save(images.to_uint8(toy.picture(40, 40)), tmp_path / "style.png")
    painting = Painting(tmp_path / "logo.png", [tmp_path / "style.png"], toy.SETTINGS)
    for frame in painting.frames(lambda _: StyleTransfer(toy.network())):
        shown = painting.shown(frame.image)
        assert shown.shape == frame.image.shape and (shown[0, 0] == 255).all()
        assert (frame.image[0, 0] < 255).any()  # painted, but of no white
    opaque = painting.save(tmp_path / f"out.{suffix}")
    assert opaque.shape == (48, 64, 3) and (opaque[0, 0] == 255).all()
    with Image.open(tmp_path / f"out.{suffix}") as result:
        assert (result.mode, result.size) == ("RGB" if suffix == "jpg" else "RGBA", (64, 48))
        if suffix == "jpg":
            assert min(result.getpixel((0, 0))) > 250
        else:
            assert np.asarray(result)[..., 3].tolist() == np.asarray(logo())[..., 3].tolist()
    made = recipe.read(tmp_path / f"out.{suffix}")
    assert made is not None and made.size == (64, 48) and made.content.name == "logo.png"


def test_alpha_is_widened_to_sixteen_bits():
    pixels, alpha = np.full((2, 2, 3), 40000, np.uint16), np.array([[0, 100], [200, 255]], np.uint8)
    cut = transparency.cut_out(pixels, alpha)
    assert cut.dtype == np.uint16
    assert cut[..., 3].tolist() == [[0, 25700], [51400, 65535]]
    assert (cut[..., :3] == 40000).all()


def test_finishing_leaves_alpha_alone():
    painted = np.asarray(logo())
    photo = np.full((48, 64, 3), 128, np.uint8)
    for touches in (Finishing(), Finishing(original_color=0.5, photo_blend=0.2, sharpness=0.5)):
        finished = finishing.finish(painted, photo, touches)
        assert finished.shape == (48, 64, 4) and (finished[..., 3] == painted[..., 3]).all()
    np.testing.assert_array_equal(finished[..., :3], finishing.finish(painted[..., :3], photo, touches))
