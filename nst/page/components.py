"""Gradio components, adapted to this page."""

import base64
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
import numpy as np
from anyio.to_thread import run_sync
from gradio import component_meta
from gradio.data_classes import ImageData
from gradio.i18n import I18nData
from gradio.mcp import GradioMCPServer
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import is_http_url_like, traverse

from nst import images
from nst.page import cache, programs, translation
from nst.page.programs import ARGUMENTS, UPLOAD, brief

component_meta.create_or_modify_pyi = lambda *_: None  # keeps Gradio from writing a .pyi file next to this one


async def _outputs(self: GradioMCPServer, job: Any) -> list[Any]:
    """All outputs of a tool; Gradio 6.31 takes them for one, so that a picture becomes text."""
    return list(await run_sync(job.result))


GradioMCPServer._execute_tool_without_progress = _outputs


class Page(gr.Blocks):
    """Blocks that take no files but uploads, fetch no URL, and say in a sentence which input they refuse.

    Each event is handled in its visitor's language; programs that ask for none get English.
    """

    async def process_api(self, block_fn: Any, inputs: list[Any], *more: Any, **options: Any) -> dict[str, Any]:
        headers = getattr(options.get("request"), "headers", {})
        with translation.speaking(translation.choose(headers.get("accept-language"))):
            try:
                return await super().process_api(block_fn, inputs, *more, **options)
            except OSError as error:  # as when the disk is full
                raise gr.Error(programs.not_saved(error), print_exception=False) from error

    @property
    def config(self) -> Any:  # type: ignore[override]
        """Gradio's description of the page, with the words of the current language only: the others are 150 kB."""
        language = translation.current.get()
        words = dict((self._config["i18n_translations"] or {}).get(language, {}))
        css = f"{self._config['css'] or ''}\n{words.pop('css', '')}"
        return self._config | {"i18n_translations": {language: words}, "css": css}

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config

    def get_api_info(self, *more: Any, **options: Any) -> Any:
        told = super().get_api_info(*more, **options)
        for endpoint in told["named_endpoints"].values():
            for value in (*endpoint["parameters"], *endpoint["returns"]):
                value["label"] = getattr(value["label"], "key", value["label"])
        return told

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *more: Any, **options: Any) -> list[Any]:
        names = ARGUMENTS if block_fn.api_name == "paint" else [_label(block) for block in block_fn.inputs]
        if len(inputs) < len(names):
            raise _refusal(f"{len(inputs)} values should be {len(names)}: {', '.join(names)}")
        try:
            checked = [_checked(*each) for each in zip(names, block_fn.inputs, inputs)]
            return await super().preprocess_data(block_fn, checked, *more, **options)
        except gr.Error:
            raise
        except Exception as error:
            raise _refusal("This page cannot read what it was sent.") from error


class Upload(gr.Image):
    """An image input that returns the path of the untouched file: only `images.load` decodes pictures.

    Examples, of up to a megabyte, are shown as small copies, and files that browsers cannot show as previews.
    """

    is_template = True  # uses Gradio's own front end

    def preprocess(self, payload: ImageData | None) -> str | None:
        return cache.original(payload.path) if payload and payload.path else None

    def postprocess(self, value: Any) -> Any:
        return super().postprocess(cache.stand_in(value) if value else None)


def _label(block: Any) -> str:
    label = getattr(block, "label", None) or "input"
    return label.key if isinstance(label, I18nData) else label


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(brief(sentence), print_exception=False)


def _checked(name: str, block: Any, value: Any) -> Any:
    """The value; raises a refusal of files that were not uploaded.  The URL of an upload stands for its path."""
    if not isinstance(block, Upload):
        return traverse(value, partial(_refuse_file, name), _is_file)
    if value is None:
        return value
    path = str(value["path"]) if _is_file(value) else ""
    if is_http_url_like(path):
        path = unquote(path.partition("/gradio_api/file=")[2])
    if not path or "\0" in path or not is_in_or_equal(path, get_upload_folder()):
        raise _refusal(f"{name}: {value!r} should be {UPLOAD}")
    if not Path(path).is_file():
        raise _refusal(f"{name}: this picture is not here (pictures are kept for a day); please upload it again")
    return value | {"path": path, "meta": {"_type": "gradio.FileData"}}


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and {"path", "meta"} <= set(value)


def _refuse_file(name: str, value: Any) -> None:
    raise _refusal(f"{name}: {value!r} should be no file")


def _of_setting(component: Any) -> Any:
    """Leave the checks to `Settings`, since Gradio's are without a sentence, and tell programs `self.schema`."""
    component.preprocess = lambda self, payload: payload
    component.api_info = lambda self: self.schema
    component.schema = {}
    return component


@_of_setting
class Slider(gr.Slider):
    is_template = True


@_of_setting
class Number(gr.Number):
    is_template = True


@_of_setting
class Radio(gr.Radio):
    is_template = True


@_of_setting
class Textbox(gr.Textbox):
    is_template = True


@_of_setting
class JSON(gr.JSON):
    is_template = True


class LiveImage(gr.Image):
    """An image output that sends arrays as data URLs: a request per file would starve on slow connections."""

    is_template = True

    def postprocess(self, value: np.ndarray | str | Path | None) -> ImageData | None:
        if isinstance(value, np.ndarray):
            return ImageData(url=data_url(images.encode_jpeg(value)), orig_name="frame.jpg")
        return super().postprocess(value)  # type: ignore[return-value]


def data_url(jpeg: bytes) -> str:
    """A JPEG as a data URL, which needs no request."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
