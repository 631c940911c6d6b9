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


class Download(gr.DownloadButton):
    """Left out of the API, where the picture is the same file."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


class Overlay(gr.HTML):
    """Left out of the API: only for the eye."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


def data_url(jpeg: bytes) -> str:
    """A picture as an address that needs no request."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
