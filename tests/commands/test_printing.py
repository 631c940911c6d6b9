"""`paint` for paper: --print, --dpi and --depth."""

import argparse

import numpy as np
import pytest
from PIL import Image

from nst import images, recipe
from nst.commands import printing

SMALL = ["--min-scale", "32", "--steps", "4"]


def paper(text: str, dpi: str | None = None) -> printing.Paper:
    found = printing.paper(argparse.Namespace(paper=text, dpi=dpi, depth="8"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "dpi", "shape", "size"),
    [
        ("10x5in", None, (50, 100), 3000),
        ("5x10in", None, (50, 100), 3000),  # however the paper is turned
        ("10X5 IN", "150", (100, 50), 1500),
        ("25.4x12.7cm", None, (50, 100), 3000),
        ("25.4×12.7", "100", (50, 100), 1000),  # centimeters
        ("10x5in", None, (100, 100), 1500),  # the short side bounds it
        ("10x5in", None, (25, 100), 3000),  # the long side does
    ],
)
def test_the_size_fits_the_paper(text, dpi, shape, size):
    assert paper(text, dpi).size(*shape) == size


def test_the_size_on_paper_is_told_if_the_proportions_differ():
    assert paper("60x40cm").note(4724, 7087) == ""
    assert paper("60x40cm").note(7087, 4724) == ""
    assert paper("60x40cm").note(3986, 7087) == "The picture prints at 60 x 33.7 cm."
    assert paper("60x40cm").note(4724, 4724) == "The picture prints at 40 x 40 cm."
    assert paper("24x16in").note(7200, 4050) == "The picture prints at 13.5 x 24 in."


def test_a_reduced_picture_still_fills_the_paper():
    assert paper("24x16in").resolution(4800, 7200) == 300
    assert paper("24x16in").resolution(1600, 2400) == 100
    assert paper("24x16in").note(1600, 2400) == "The picture prints at 24 x 16 in with 100 dpi."


@pytest.mark.parametrize(
    ("text", "dpi", "told"),
    [
        ("100x70cm", None, "11811 pixels; it should be 8192 at most, as with --dpi 208."),
        ("90x9m", None, "should be the sides of the paper, as in 60x40cm or 24x16in"),
        ("900x630cm", None, "106299 pixels; it should be 8192 at most, as with smaller paper."),
        ("0.5x0.5cm", None, "59 pixels; it should be 64 at least, as with --dpi 326."),
        ("0.1x0.1cm", None, "12 pixels; it should be 64 at least, as with larger paper."),
        ("big", None, "'big' should be the sides"),
        ("0x4cm", None, "'0x4cm' should be the sides"),
        ("-3x4cm", None, "'-3x4cm' should be the sides"),
        ("60x40x20cm", None, "should be the sides"),
        ("infx4", None, "should be the sides"),
        ("9" * 400 + "x4", None, "should be the sides"),
        ("٦x٤cm", None, "should be the sides"),
        ("", None, "'' should be the sides"),
        ("60x40cm", "49", "--dpi: '49' should be a whole number from 50 to 1200"),
        ("60x40cm", "1201", "--dpi: '1201' should be"),
        ("60x40cm", "fine", "--dpi: 'fine' should be"),
    ],
)
def test_nonsense_gets_one_sentence_with_what_would_be_right(text, dpi, told):
    with pytest.raises(ValueError, match=r"^--(print|dpi): ") as refused:
        paper(text, dpi).size(70, 100)
    assert told in str(refused.value)


def test_what_a_sentence_recommends_is_taken():
    assert paper("100x70cm", "208").size(70, 100) == 8189
    assert paper("0.5x0.5cm", "326").size(100, 100) == 64


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--print", "big"], "--print: 'big' should be"),
        (["--print", "9x6cm", "--size", "64"], "--print gives the size in pixels; leave out --size."),
        (["--dpi", "x"], "--dpi: 'x' should be"),
        (["--depth", "12"], "--depth: '12' should be 8 or 16"),
        (["--depth", "16", "-o", "out.jpg"], "out.jpg cannot have 16 bits a channel; name a .png or a .tiff."),
        (["--depth", "16", "-o", "out.webp"], "out.webp cannot have 16 bits a channel; name a .png or a .tiff."),
    ],
)
def test_the_command_refuses_before_it_paints(flags, told, run, tmp_path):
    before = set(tmp_path.iterdir())
    code, out, err = run("paint", "photo.jpg", "painting.png", "-o", "out.png", *SMALL, *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg"])
def test_a_print_has_its_pixels_and_its_resolution(suffix, run, tmp_path):
    out = tmp_path / f"out{suffix}"
    code, _, err = run("paint", "photo.jpg", "painting.png", "-o", out, *SMALL, "--print", "1x2cm")
    assert (code, err.splitlines()[0]) == (0, "nst: The picture prints at 1.3 x 1 cm.")  # the photo is 4 : 3
    made = recipe.read(out)
    assert made is not None and made.settings.size == 157
    with Image.open(out) as picture:
        assert picture.size == (157, 118)
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.02)


def test_a_picture_that_memory_made_smaller_prints_at_the_same_size(run, tmp_path):
    command = "paint", "photo.jpg", "painting.png", "-o", "out.png", *SMALL, "--print", "1.2x0.9cm"
    code, _, err = run(*command, behavior="too large")
    assert code == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.info["dpi"][0] == pytest.approx(picture.width / 1.2 * 2.54, abs=0.02)
        assert picture.width < 142
    assert f"The picture prints at 1.2 x 0.9 cm with {picture.info['dpi'][0]:.0f} dpi." in err


def test_dpi_alone_leaves_the_size(run, tmp_path):
    command = "paint", "photo.jpg", "painting.png", "-o", "out.png", *SMALL, "--size", "64"
    assert run(*command)[0] == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert "dpi" not in picture.info
    assert run(*command, "--dpi", "150")[0] == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert (picture.size, picture.info["dpi"]) == ((64, 48), pytest.approx((150, 150), abs=0.02))


@pytest.mark.parametrize("name", ["out.png", "out.tiff"])
def test_sixteen_bits(name, run, tmp_path):
    cv2 = pytest.importorskip("cv2")
    photo = Image.open(tmp_path / "photo.jpg").convert("RGBA")
    photo.paste((0, 0, 0, 0), (0, 0, 48, 72))
    photo.save(tmp_path / "photo.png")
    flags = *SMALL, "--size", "64", "--depth", "16", "--timelapse", "film.webp"
    assert run("paint", "photo.png", "painting.png", "-o", name, *flags)[0] == 0
    painted = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
    assert painted is not None
    assert (painted.dtype, painted.shape) == (np.uint16, (48, 64, 4))
    assert painted[24, 60].tolist() == [8, 30001, 50001, 65535]  # blue, green, red and alpha
    assert painted[24, 3, 3] == 0
    made = recipe.read(tmp_path / name)
    assert made is not None and (made.step, made.size) == (8, (64, 48))
    assert images.read(tmp_path / name).alpha is not None
