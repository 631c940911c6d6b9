"""The layout of the page and its event listeners."""

import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from nst import catalogue, images
from nst.finishing import Finishing
from nst.page import display, presets, sharing, text
from nst.page.components import Download, LiveImage, Number, Overlay, Radio, Slider, Textbox, Upload
from nst.page.display import error_message
from nst.page.handlers import Handlers
from nst.page.inputs import DEFAULTS, Setup, choose_example, choose_painting, make_link, on_load, on_upload, values_of
from nst.page.results import View, finish
from nst.page.sharing import PARAMETERS
from nst.page.studio import Studio
from nst.settings import Settings

PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # the API has only "paint"
UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden"} | PRIVATE


def build(studio: Studio) -> gr.Blocks:
    """Build the page."""
    handlers = Handlers(studio)
    with gr.Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(text.HEADER)
        cards = _gallery()
        with gr.Row(elem_id="page"):
            inputs, result = _inputs(), _result()
        canvas, last_recipe = gr.State(), gr.State()
        paint_trigger, follow_trigger = (gr.Number(visible="hidden") for _ in range(2))  # a new value starts a run
        setup = [
            *Setup(inputs.content, inputs.style, inputs.credit, inputs.note, last_recipe, paint_trigger),
            *inputs.settings.values(),
            *result.touches.values(),
        ]
        views = list(
            View(
                picture=result.picture,
                sentence=result.sentence,
                numbers=result.numbers,
                wipe=result.wipe,
                download=result.download,
                canvas=canvas,
                after=result.after,
                film=result.film,
                more=inputs.more,
                paint=inputs.paint,
                stop=inputs.stop,
                leave=inputs.leave,
            )
        )
        page.load(on_load, None, views + setup, **UNQUEUED)
        page.load(None, js="() => nst.announce()", **PRIVATE)
        page.unload(handlers.on_unload)
        for event in (page.load, inputs.settings["network"].change):
            event(handlers.describe, inputs.settings["network"], inputs.reason, **UNQUEUED)
        _connect_pictures(inputs, last_recipe, setup)
        runs = _connect_painting(handlers, inputs, result, views, paint_trigger, follow_trigger)
        for pair, card in cards:
            card.click(partial(choose_example, pair), None, setup, cancels=runs, **UNQUEUED)
        _connect_choosers(handlers, inputs, follow_trigger)
        _connect_result(handlers, inputs, result, canvas, runs)
    return page


# --- Event listeners --------------------------------------------------------------------------------------------------


def _connect_pictures(inputs: SimpleNamespace, last_recipe: gr.State, setup: list[Any]) -> None:
    """Connect the uploads, the camera and the example paintings."""
    for side, upload in (("content", inputs.content), ("style", inputs.style)):
        upload.upload(partial(on_upload, side=side), [upload, last_recipe], setup, **UNQUEUED)
    gr.on([inputs.content.input, inputs.style.input], None, None, inputs.credit, js="() => nst.replaced()", **PRIVATE)
    gr.on([inputs.content.clear, inputs.style.clear], None, None, inputs.note, js="() => ''", **PRIVATE)
    inputs.camera.click(None, js="() => nst.camera()", **PRIVATE)
    for painting, tile in inputs.paintings:
        tile.click(partial(choose_painting, painting), None, [inputs.style, inputs.credit], **UNQUEUED)


def _connect_painting(
    handlers: Handlers,
    inputs: SimpleNamespace,
    result: SimpleNamespace,
    views: list[Any],
    paint_trigger: gr.Number,
    follow_trigger: gr.Number,
) -> list[Any]:
    """Connect the queue, painting and stopping; return the painting events, so that others can cancel them."""
    timer = gr.Timer(2, active=False)
    queueing: dict[str, Any] = {"outputs": [result.sentence, inputs.paint, inputs.leave, timer]} | UNQUEUED
    painter: dict[str, Any] = {
        "outputs": views,
        "concurrency_id": "painter",
        "concurrency_limit": 1,  # two at once would take twice as long each
        "show_progress_on": result.picture,
        "trigger_mode": "multiple",  # else a run that replaces a cancelled one would be dropped
    }
    parameters = [inputs.content, inputs.style, *inputs.settings.values()]
    starts = [inputs.paint.click, paint_trigger.change, inputs.more.click, follow_trigger.change]
    begin = f"() => nst.begin('{text.WAITING}')"  # in the browser only, without a request
    gr.on(starts, None, None, [result.sentence, result.address], js=begin, **PRIVATE)
    joined_paint = gr.on(starts[:2], handlers.join, None, **queueing)
    joined_more, joined_follow = (event(handlers.join, None, **queueing) for event in starts[2:])
    for joined in (joined_paint, joined_more, joined_follow):
        joined.failure(None, None, result.sentence, js=f"() => `{error_message(text.QUEUE_FULL)}`", **PRIVATE)
    runs: list[Any] = [
        joined_paint.success(handlers.paint, parameters, api_name="paint", **painter),
        joined_more.success(handlers.go_on, None, **painter, **PRIVATE),
        joined_follow.success(handlers.follow, None, **painter, **PRIVATE),
    ]
    timer.tick(handlers.wait, None, **queueing)
    inputs.leave.click(handlers.leave, None, cancels=runs, **queueing)
    inputs.stop.click(handlers.stop, **UNQUEUED)
    return runs


def _connect_choosers(handlers: Handlers, inputs: SimpleNamespace, follow_trigger: gr.Number) -> None:
    """Keep choosers and sliders in sync, and let the picture follow the strength."""
    for name, chooser, values in inputs.choosers:
        slider, table = inputs.settings[name], json.dumps(values)
        chosen = chooser.input(None, chooser, slider, js=f"chosen => ({table})[chosen]", **PRIVATE)
        back = f"value => Object.entries({table}).find(([_, v]) => v === value)?.[0] ?? null"
        slider.change(None, slider, chooser, js=back, **PRIVATE)
        if name == "strength":
            for event in (chosen.then, partial(slider.input, trigger_mode="always_last")):
                event(handlers.steer, [inputs.content, inputs.style, slider], follow_trigger, **UNQUEUED)


def _connect_result(
    handlers: Handlers, inputs: SimpleNamespace, result: SimpleNamespace, canvas: gr.State, runs: list[Any]
) -> None:
    """Connect the actions for a finished picture."""
    finishes: dict[str, Any] = {
        "fn": finish,
        "inputs": [canvas, *result.touches.values()],
        "outputs": [result.picture, result.download, result.sentence],
    } | UNQUEUED
    events = [e for slider in result.touches.values() for e in (slider.input, slider.release)]  # reset fires release
    gr.on(events, **finishes, trigger_mode="always_last")
    for run in runs:
        run.then(**finishes)
    result.film.expand(handlers.film, None, [result.reel, result.film_download], **UNQUEUED)
    result.share_picture.click(None, None, result.address, js="() => nst.sharePicture()", **PRIVATE)
    linked = result.share.click(
        make_link, [inputs.content, inputs.style, canvas, *inputs.settings.values()], result.address, **UNQUEUED
    )
    linked.then(None, result.address, result.address, js="html => nst.copyLink(html)", **PRIVATE)


# --- Layout -----------------------------------------------------------------------------------------------------------


def _inputs() -> SimpleNamespace:
    """The uploads and the controls."""
    inputs = SimpleNamespace()
    with gr.Column(elem_id="inputs", scale=4, min_width=300):
        with gr.Column(elem_id="own"):
            with gr.Row(elem_id="pictures"):
                inputs.content = _upload("Your photo", "Drop a photo here", "content")
                inputs.style = _upload("A painting", "Drop a painting here", "style")
            with gr.Row(elem_id="helpers"):
                inputs.camera = gr.Button("Take a photo", elem_id="camera", size="sm")
                with gr.Row(elem_id="paintings"):
                    inputs.paintings = [(painting, _tile(painting)) for painting in sharing.installed_paintings()]
            gr.HTML(text.PRIVACY, elem_id="privacy")
            inputs.note = gr.HTML(label="Note", elem_id="note")
            with gr.Row(elem_id="actions"):
                inputs.paint = gr.Button("Paint", variant="primary", elem_id="paint")
                inputs.more = gr.Button("Continue", visible=False, elem_id="more")
                inputs.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                inputs.leave = gr.Button("Leave the queue", visible=False, elem_id="leave")
        with gr.Column(elem_id="controls"):
            inputs.settings, inputs.choosers, inputs.reason = _controls()
            inputs.credit = gr.HTML(elem_id="credit")
            with gr.Accordion("How it works", open=False, elem_id="about"):
                gr.HTML(display.ABOUT)
    return inputs


def _result() -> SimpleNamespace:
    """The picture, its numbers and its actions."""
    result = SimpleNamespace()
    with gr.Column(elem_id="result", scale=7, min_width=320):
        with gr.Column(elem_id="stage"):
            result.picture = LiveImage(
                label="Picture",
                show_label=False,
                interactive=False,
                buttons=["fullscreen"],  # the download has its own button, large enough for a thumb
                alt_text="Your photo, repainted",
                elem_id="picture",
            )
            result.wipe = Overlay(elem_id="wipe")
        result.sentence = gr.HTML(text.INVITATION, label="Sentence", elem_id="sentence")
        with gr.Column(visible=False, elem_id="after") as result.after:
            with gr.Row(elem_id="offers"):
                result.download = Download("Download as PNG", variant="primary", elem_id="download")
                result.share_picture = gr.Button("Share picture", elem_id="share-picture")
                result.share = gr.Button("Copy link", elem_id="share")
            result.address = gr.HTML(label="Link", elem_id="address")
            with gr.Accordion("Finishing touches", open=False, elem_id="touches"):
                result.touches = _touches()
            with gr.Accordion("Time-lapse", open=False, elem_id="film") as result.film:
                result.reel = Overlay("Making the film …", elem_id="reel")
                result.film_download = Download("Download the film", visible=False, elem_id="film-download")
        result.numbers = gr.HTML(display.numbers(), label="Numbers", elem_id="numbers")
    return result


def _gallery() -> list[tuple[catalogue.Pair, gr.Button]]:
    """A card for each example; `pictures_css` adds its thumbnail."""
    with gr.Row(elem_id="pairs"):
        return [
            (pair, gr.Button(pair.title, elem_id=f"pair-{pair.name}", elem_classes="card"))
            for pair in sharing.installed_pairs()
        ]


def _tile(painting: catalogue.Example) -> gr.Button:
    return gr.Button(painting.title, elem_id=f"painting-{painting.name}", elem_classes="tile", min_width=0)


def _upload(label: str, placeholder: str, elem_id: str) -> Upload:
    return Upload(label=label, placeholder=placeholder, sources="upload", type="filepath", height=170, elem_id=elem_id)


def _controls() -> tuple[dict[str, Any], list[tuple[str, gr.Radio, dict[str, float]]], gr.HTML]:
    """A component for each of PARAMETERS; choosers with their setting and its values; and the network's description."""
    controls, choosers = {}, []
    for name, title, choices in text.CHOOSERS:
        values = {label: preset.values[name] for label, preset in choices.items()}
        default = next(label for label, value in values.items() if value == getattr(DEFAULTS, name))
        chooser = gr.Radio(list(values), value=default, label=title, elem_id=name.replace("_", "-") + "-chooser")
        choosers.append((name, chooser, values))
    controls |= {name: _control(name) for name in text.MAIN_CONTROLS}
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        controls |= {name: _control(name) for name in text.CONTROLS if name not in text.MAIN_CONTROLS}
    reason = gr.HTML("The network is being loaded …", elem_id="reason")
    help_texts = {field.name: field.metadata["help"] for field in fields(Settings)}
    for name, value in values_of(DEFAULTS).items():
        if name not in controls:  # hidden: set by an uploaded recipe or the API
            kind = {str: Textbox, int: Number, float: Number}.get(type(value), gr.JSON)
            controls[name] = kind(value, label=help_texts[name], visible=False)
    return {name: controls[name] for name in PARAMETERS}, choosers, reason


def _control(name: str) -> Any:
    label, info = text.CONTROLS[name]
    options = {"value": getattr(DEFAULTS, name), "label": label, "info": info, "elem_id": name.replace("_", "-")}
    if name in text.CHOICES:
        return Radio([(choice, value) for value, choice in text.CHOICES[name].items()], **options)
    if name in text.SLIDERS:
        low, high, step = text.SLIDERS[name]
        return Slider(low, high, step=step, **options)
    return Number(**options)  # without bounds, because the errors of Settings are clearer


def _touches() -> dict[str, Any]:
    """A slider for each of TOUCHES, in percent."""
    lows = {touch.name: 100 * touch.metadata["low"] for touch in fields(Finishing)}
    return {
        name: gr.Slider(lows[name], 100, value=0, step=1, label=label, info=info, elem_id=name.replace("_", "-"))
        for name, (label, info) in text.TOUCH_LABELS.items()
    }


def pictures_css(folder: Path) -> str:
    """CSS with the thumbnails and captions of cards, paintings and choosers; the thumbnails are written to `folder`."""
    pairs, paintings = sharing.installed_pairs(), sharing.installed_paintings()
    paths = {f"#pair-{pair.name}::before": pair.thumbnail or catalogue.find(pair.style).path for pair in pairs}
    paths |= {f"#painting-{painting.name}": painting.path for painting in paintings}
    texts = {f"#pair-{pair.name}::after": pair.credit for pair in pairs}
    for name, _, choices in text.CHOOSERS:
        for index, (word, preset) in enumerate(choices.items(), start=1):
            label = f"#{name.replace('_', '-')}-chooser label:nth-of-type({index})"
            paths[f"{label}::before"] = presets.thumbnail(word)
            texts[f"{label}::after"] = preset.description
    gr.set_static_paths([folder])
    urls = {}
    for number, (selector, path) in enumerate(paths.items()):
        file = folder / f"{number}.webp"
        images.save(images.to_uint8(images.load(path, 280)), file, quality=80)
        urls[selector] = f"gradio_api/file={file.as_posix()}"  # relative: the page may have a root path
    return "\n".join(
        [f"{selector} {{ background-image: url({json.dumps(url)}); }}" for selector, url in urls.items()]
        + [f"{selector} {{ content: {json.dumps(text, ensure_ascii=False)}; }}" for selector, text in texts.items()]
    )
