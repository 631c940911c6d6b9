"""`--mask`, `--protect` and the masks of a recipe, with the toy network."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import images, recipe
from nst.commands import main, paint
from nst.transfer import StyleTransfer
from tests import toy

TINY = ["--size=64", "--min-scale=32", "--steps=4", "--padding=4", "--strength=90"]
TOY = ["--content-layers=block1_conv2", "--style-layers=block1_conv1,block1_conv2"]


@pytest.fixture
def command(photo, painting, tmp_path, monkeypatch, capsys):
    """command(*arguments) paints in a folder with left.png and wide.png, masks; returns code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paint, "load", lambda _: StyleTransfer(toy.network()))
    for name, size in {"left.png": (240, 160), "wide.png": (400, 100)}.items():
        mask = Image.new("L", size)
        mask.paste(255, (0, 0, size[0] // 2, size[1]))
        mask.save(name)
    Image.new("L", (240, 160)).save("black.png")
    Image.new("L", (240, 160), 255).save("white.png")
    Path("text.png").write_text("no picture")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        return code, *capsys.readouterr()

    return lambda *more: run("paint", photo, painting, "-o", "out.png", *TINY, *TOY, *more), run


def test_what_is_protected_stays_and_the_rest_is_painted(command, photo):
    paint, run = command
    assert paint("--mask", "left.png", "--protect", "black.png")[0] == 0
    result = images.to_uint8(images.load("out.png")).astype(int)
    change = np.abs(result - images.to_uint8(images.resize(images.load(photo), *result.shape[:2]))).max(axis=-1)
    assert change[:, 36:].max() <= 2 < change[:, :28].mean()

    code, out, err = run("recipe", "out.png")
    assert code == 0 and "\nmask 1:   hash " in out and "\nprotect:  hash " in out
    assert "--masks FOLDER" in err and "--mask=mask-1.png --protect=protect.png" in out
    Path("masks").mkdir()
    again = run("recipe", "out.png", "--masks", "masks")[1].splitlines()[-1].partition("again:")[2]
    made = recipe.read("out.png")
    flags = [part for part in shlex.split(again) if part.startswith(("--mask", "--protect"))]
    assert flags == ["--mask=masks/mask-1.png", "--protect=masks/protect.png"]
    assert paint(*flags)[0] == 0
    repeated = recipe.read("out.png")
    assert made is not None and repeated is not None and repeated.masks == made.masks


def test_a_mask_of_other_proportions_is_told(command):
    code, _, err = command[0]("--mask", "wide.png")
    assert code == 0 and "nst: A mask has other proportions than the photo, and is stretched over it.\n" in err


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--mask", "-", "--mask", "left.png"], "--mask: 2 masks should be 1 at most, one for each painting."),
        (["--mask", "text.png"], "text.png is not a picture"),
        (["--protect", "gone.png"], "gone.png"),
        (["--mask", "black.png"], "The masks leave nothing to paint; leave some of the photo free."),
        (["--protect", "white.png"], "The masks leave nothing to paint"),
        (["--mask", "out.png"], "out.png"),
    ],
)
def test_masks_that_cannot_be_used(command, flags, sentence):
    code, out, err = command[0](*flags)
    assert code == 2 and out == "" and sentence in err and not Path("out.png").exists()


def test_a_dash_skips_a_painting(command, photo, painting):
    flags = ["-o", "out.png", *TINY, *TOY, "--mask", "-", "--mask", "left.png"]
    assert command[1]("paint", photo, painting, painting, *flags)[0] == 0
    made = recipe.read("out.png")
    assert made is not None and [mask.painting for mask in made.masks] == [1]
    assert "--mask=- --mask=mask-2.png" in command[1]("recipe", "out.png")[1]
