"""nst/page/components.py."""

import numpy as np
from gradio.data_classes import ImageData

from nst.page.components import LiveImage, Upload
from tests.painter import torn


def test_uploads_are_not_opened(tmp_path):
    path = torn(tmp_path)
    assert Upload(type="filepath").preprocess(ImageData(path=path)) == path


def test_frames_travel_inside_the_event():
    data = LiveImage().postprocess(np.zeros((4, 4, 3), np.uint8))
    assert data is not None and data.path is None and str(data.url).startswith("data:image/jpeg;base64,/9j/")
