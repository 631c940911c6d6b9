"""Gradio's components, as this page needs them."""

import base64
from pathlib import Path

import gradio as gr
import numpy as np
from gradio import component_meta
from gradio.data_classes import ImageData

from nst import images

component_meta.create_or_modify_pyi = lambda *_: None  # else Gradio writes a .pyi beside this file


class Upload(gr.Image):
    """An input that hands over the file untouched: `images.load` is the one place where pictures are decoded."""

    is_template = True  # Gradio's own front end

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is not None and payload.path:
            return payload.path
        return super().preprocess(payload)  # type: ignore[return-value]


class LiveImage(gr.Image):
    """An output whose arrays travel inside the event: as files they cost a request each and starve on slow lines."""

    is_template = True

    def postprocess(self, value: np.ndarray | str | Path | None) -> ImageData | None:
        if isinstance(value, np.ndarray):
            return ImageData(url=data_url(images.encode_jpeg(value)), orig_name="frame.jpg")
        return super().postprocess(value)  # type: ignore[return-value]


class _Unlisted:
    """Left out of what programs are told of and given."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


class Download(_Unlisted, gr.DownloadButton):
    """For people: to programs the picture is given as the same file."""


class Overlay(_Unlisted, gr.HTML):
    """Only for the eye."""


def data_url(jpeg: bytes) -> str:
    """A picture as an address that needs no request."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
