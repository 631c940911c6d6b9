"""Gradio components, adapted to this page."""

import base64
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio import component_meta
from gradio.data_classes import ImageData

from nst import images

PREVIEW = ".preview.webp"  # ends the name of the file that is shown instead of the one beside it

component_meta.create_or_modify_pyi = lambda *_: None  # keeps Gradio from writing a .pyi file next to this one


class Upload(gr.Image):
    """An image input that returns the path of the untouched file: only `images.load` decodes pictures."""

    is_template = True  # uses Gradio's own front end

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is not None and payload.path:
            original = payload.path.removesuffix(PREVIEW)
            return original if Path(original).exists() else payload.path
        return super().preprocess(payload)  # type: ignore[return-value]


def _as_given(_: object, payload: Any) -> Any:
    """Gradio's own components refuse wrong types without a word to the client; `Settings` has a sentence for each."""
    return payload


class Slider(gr.Slider):
    is_template = True
    preprocess = _as_given  # type: ignore[assignment]


class Number(gr.Number):
    is_template = True
    preprocess = _as_given  # type: ignore[assignment]


class Radio(gr.Radio):
    is_template = True
    preprocess = _as_given  # type: ignore[assignment]


class Textbox(gr.Textbox):
    is_template = True
    preprocess = _as_given  # type: ignore[assignment]


class LiveImage(gr.Image):
    """An image output that sends arrays as data URLs: a request per file would starve on slow connections."""

    is_template = True

    def postprocess(self, value: np.ndarray | str | Path | None) -> ImageData | None:
        if isinstance(value, np.ndarray):
            return ImageData(url=data_url(images.encode_jpeg(value)), orig_name="frame.jpg")
        return super().postprocess(value)  # type: ignore[return-value]


class Download(gr.DownloadButton):
    """A download button that the API omits: the picture output is the same file."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


class Overlay(gr.HTML):
    """HTML that the API omits: it is only for display."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


def data_url(jpeg: bytes) -> str:
    """A JPEG as a data URL, which needs no request."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
