"""nst/page/components.py."""

from pathlib import Path

import numpy as np
from gradio.data_classes import ImageData

from nst import catalogue
from nst.page.components import LiveImage, Upload
from nst.page.results import cache_file
from tests.painter import picture, torn


def test_uploads_are_not_opened(tmp_path):
    path = torn(tmp_path)
    assert Upload(type="filepath").preprocess(ImageData(path=path)) == path


def test_examples_are_shown_small_and_painted_from_the_untouched_file(tmp_path):
    upload, example = Upload(type="filepath"), catalogue.find("starry-night").path
    shown = upload.postprocess(cache_file(example))
    assert shown is not None and Path(shown.path).stat().st_size < 60_000 < example.stat().st_size
    given = upload.preprocess(ImageData(path=shown.path))
    assert given is not None and Path(given).read_bytes() == example.read_bytes()
    own = picture(tmp_path / "preview-of-me.png", (64, 64))  # a name like ours, of a visitor's file
    assert upload.preprocess(upload.postprocess(own)) == own
    assert upload.postprocess(None) is upload.preprocess(None) is None


def test_frames_travel_inside_the_event():
    data = LiveImage().postprocess(np.zeros((4, 4, 3), np.uint8))
    assert data is not None and data.path is None and str(data.url).startswith("data:image/jpeg;base64,/9j/")
