"""nst.page.thumbnails: small files at relative addresses."""

from pathlib import Path

import numpy as np
from PIL import Image

from nst import images
from nst.page import thumbnails
from tests.painter import picture


def file_of(address: str) -> Path:
    assert address.startswith("gradio_api/file=/")  # relative: the page may have a root path
    return Path(address.removeprefix("gradio_api/file="))


def test_a_copy_is_small_and_follows_the_file(tmp_path):
    path = tmp_path / "a.png"
    picture(path, (480, 240))
    address = thumbnails.url(path, 120)
    with Image.open(file_of(address)) as copy:
        assert (copy.format, copy.size) == ("WEBP", (120, 60))
    assert thumbnails.url(path, 120) == address
    images.save(np.zeros((80, 80, 3), np.uint8), path)  # another painting of this name has been downloaded
    with Image.open(file_of(thumbnails.url(path, 120))) as copy:
        assert copy.size == (80, 80)


def test_before_and_after_are_side_by_side(tmp_path):
    paths = [tmp_path / name for name in ("photo.png", "painted.png")]
    for path, shade in zip(paths, (40, 200), strict=True):
        images.save(np.full((300, 200, 3), shade, np.uint8), path)
    with Image.open(file_of(thumbnails.before_and_after(*paths, side=80))) as both:
        shades = np.asarray(both.convert("L"), float)
    assert shades.shape == (80, 162)
    assert abs(shades[:, :76].mean() - 40) < 3 and abs(shades[:, 86:].mean() - 200) < 3
