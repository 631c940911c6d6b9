"""The layout of the page, and which event calls which handler."""

import json
from dataclasses import fields
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr

from nst import catalogue, images
from nst.finishing import Finishing
from nst.page import display, presets, sharing, text
from nst.page.components import Download, LiveImage, Overlay, Upload, data_url
from nst.page.display import trouble
from nst.page.handlers import Handlers
from nst.page.inputs import DEFAULTS, Setup, arrive, choose, choose_painting, link, look_into, values_of
from nst.page.results import View, finish
from nst.page.sharing import PARAMETERS
from nst.page.studio import Studio
from nst.settings import Settings

PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # programs see "paint" alone
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden"} | PRIVATE


def build(studio: Studio) -> gr.Blocks:
    """The page."""
    handlers = Handlers(studio)
    with gr.Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(text.HEADER)
        cards = _gallery()
        with gr.Row(elem_id="page"):
            given, result = _inputs(), _result()
        canvas, repeated = gr.State(), gr.State()
        go, following = (gr.Number(visible="hidden") for _ in range(2))  # a change is a wish to paint
        setup = [
            *Setup(given.content, given.style, given.credit, given.note, repeated, go),
            *given.knobs.values(),
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
                more=given.more,
                paint=given.paint,
                stop=given.stop,
                leave=given.leave,
            )
        )
        page.load(arrive, None, views + setup, **AT_ONCE)
        page.load(None, js="() => nst.announce()", **PRIVATE)
        page.unload(handlers.gone)
        for event in (page.load, given.knobs["network"].change):
            event(handlers.describe, given.knobs["network"], given.reason, **AT_ONCE)
        _choosing(given, repeated, setup)
        runs = _painting(handlers, given, result, views, go, following)
        for pair, card in cards:
            card.click(partial(choose, pair), None, setup, cancels=runs, **AT_ONCE)
        _steering(handlers, given, following)
        _afterwards(handlers, given, result, canvas, runs)
    return page


# --- What leads to what -----------------------------------------------------------------------------------------------


def _choosing(given: SimpleNamespace, repeated: gr.State, setup: list[Any]) -> None:
    """Pictures: from the visitor's disk, from the camera, from us."""
    for upload in (given.content, given.style):
        upload.upload(look_into, [upload, repeated], setup, **AT_ONCE)
    gr.on([given.content.input, given.style.input], None, None, given.credit, js="() => ''", **PRIVATE)
    given.camera.click(None, js="() => nst.camera()", **PRIVATE)
    for painting, tile in given.paintings:
        tile.click(partial(choose_painting, painting), None, [given.style, given.credit], **AT_ONCE)


def _painting(
    handlers: Handlers,
    given: SimpleNamespace,
    result: SimpleNamespace,
    views: list[Any],
    go: gr.Number,
    following: gr.Number,
) -> list[Any]:
    """Standing in line, painting, stopping; the events that paint are given back."""
    clock = gr.Timer(2, active=False)
    waits: dict[str, Any] = {"outputs": [result.sentence, given.paint, given.leave, clock]} | AT_ONCE
    painter: dict[str, Any] = {
        "outputs": views,
        "concurrency_id": "painter",
        "concurrency_limit": 1,  # two at once would each take twice as long
        "show_progress_on": result.picture,
        "trigger_mode": "multiple",  # else what takes the place of a cancelled run would be dropped
    }
    started = [given.paint.click, go.change, given.more.click, following.change]
    begin = f"() => nst.begin('{text.WAITING}')"  # in the browser alone, at once
    gr.on(started, None, None, [result.sentence, result.address], js=begin, **PRIVATE)
    asked = gr.on(started[:2], handlers.join, None, **waits)
    asked_more, asked_to_follow = (event(handlers.join, None, **waits) for event in started[2:])
    for joined in (asked, asked_more, asked_to_follow):
        joined.failure(None, None, result.sentence, js=f"() => `{trouble(text.CROWD)}`", **PRIVATE)
    runs: list[Any] = [
        asked.success(handlers.paint, [given.content, given.style, *given.knobs.values()], api_name="paint", **painter),
        asked_more.success(handlers.go_on, None, **painter, **PRIVATE),
        asked_to_follow.success(handlers.follow, None, **painter, **PRIVATE),
    ]
    clock.tick(handlers.wait, None, **waits)
    given.leave.click(handlers.leave, None, cancels=runs, **waits)
    given.stop.click(handlers.stop, **AT_ONCE)
    return runs


def _steering(handlers: Handlers, given: SimpleNamespace, following: gr.Number) -> None:
    """Choosers and sliders go together, and a picture under way follows the strength."""
    for name, chooser, values in given.choosers:
        knob, table = given.knobs[name], json.dumps(values)
        chosen = chooser.input(None, chooser, knob, js=f"chosen => ({table})[chosen]", **PRIVATE)
        back = f"value => Object.entries({table}).find(([_, v]) => v === value)?.[0] ?? null"
        knob.change(None, knob, chooser, js=back, **PRIVATE)
        if name == "strength":
            pulls = [chosen.then, partial(knob.input, trigger_mode="always_last")]
            for pulled in pulls:
                pulled(handlers.steer, [given.content, given.style, knob], following, **AT_ONCE)


def _afterwards(
    handlers: Handlers, given: SimpleNamespace, result: SimpleNamespace, canvas: gr.State, runs: list[Any]
) -> None:
    """What can be done with a finished picture."""
    finishes: dict[str, Any] = {
        "fn": finish,
        "inputs": [canvas, *result.touches.values()],
        "outputs": [result.picture, result.download, result.sentence],
    } | AT_ONCE
    moves = [move for slider in result.touches.values() for move in (slider.input, slider.release)]  # release: reset
    gr.on(moves, **finishes, trigger_mode="always_last")
    for run in runs:
        run.then(**finishes)
    result.film.expand(handlers.film, None, [result.reel, result.film_download], **AT_ONCE)
    result.share_picture.click(None, None, result.address, js="() => nst.sharePicture()", **PRIVATE)
    asked = result.share.click(
        link, [given.content, given.style, canvas, *given.knobs.values()], result.address, **AT_ONCE
    )
    asked.then(None, result.address, result.address, js="html => nst.copyLink(html)", **PRIVATE)


# --- The parts of the page --------------------------------------------------------------------------------------------


def _inputs() -> SimpleNamespace:
    """The pictures and the controls."""
    given = SimpleNamespace()
    with gr.Column(elem_id="inputs", scale=4, min_width=300):
        with gr.Column(elem_id="own"):
            with gr.Row(elem_id="pictures"):
                given.content = _upload("Your photo", "Drop a photo here", "content")
                given.style = _upload("A painting", "Drop a painting here", "style")
            with gr.Row(elem_id="helpers"):
                given.camera = gr.Button("Take a photo", elem_id="camera", size="sm")
                with gr.Row(elem_id="paintings"):
                    given.paintings = [(painting, _tile(painting)) for painting in sharing.installed_paintings()]
            given.note = gr.HTML(label="Note", elem_id="note")
            with gr.Row(elem_id="actions"):
                given.paint = gr.Button("Paint", variant="primary", elem_id="paint")
                given.more = gr.Button("Continue", visible=False, elem_id="more")
                given.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                given.leave = gr.Button("Leave the line", visible=False, elem_id="leave")
        with gr.Column(elem_id="controls"):
            given.knobs, given.choosers, given.reason = _controls()
            given.credit = gr.HTML(elem_id="credit")
            with gr.Accordion("How it works", open=False, elem_id="about"):
                gr.HTML(display.ABOUT)
    return given


def _result() -> SimpleNamespace:
    """The picture, and what there is to see of it and to do with it."""
    result = SimpleNamespace()
    with gr.Column(elem_id="result", scale=7, min_width=320):
        with gr.Column(elem_id="stage"):
            result.picture = LiveImage(
                label="Picture",
                show_label=False,
                interactive=False,
                buttons=["fullscreen"],  # the download is a button of its own: large enough for a thumb
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
                result.reel = Overlay("Putting the pictures together …", elem_id="reel")
                result.film_download = Download("Download the film", visible=False, elem_id="film-download")
        result.numbers = gr.HTML(display.numbers(), label="Numbers", elem_id="numbers")
    return result


def _gallery() -> list[tuple[catalogue.Pair, gr.Button]]:
    """A card for each example; `_pictures_css` paints it."""
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
    """A component for each of PARAMETERS; choosers, each with the setting it sets and its values; and the reason."""
    made, choosers = {}, []
    for name, title, choices in text.CHOOSERS:
        values = {word: look.values[name] for word, look in choices.items()}
        standing = next(word for word, value in values.items() if value == getattr(DEFAULTS, name))
        chooser = gr.Radio(list(values), value=standing, label=title, elem_id=name.replace("_", "-") + "-chooser")
        choosers.append((name, chooser, values))
    made |= {name: _control(name) for name in text.MAIN_CONTROLS}
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        made |= {name: _control(name) for name in text.CONTROLS if name not in text.MAIN_CONTROLS}
    reason = gr.HTML("The network is being loaded …", elem_id="reason")
    knobs = {knob.name: knob for knob in fields(Settings)}
    for name, value in values_of(DEFAULTS).items():
        if name not in made:  # nobody sees them: a picture dropped in sets them, or a program
            kind = {str: gr.Textbox, int: gr.Number, float: gr.Number}.get(type(value), gr.JSON)
            made[name] = kind(value, label=knobs[name].metadata["help"], visible=False)
    return {name: made[name] for name in PARAMETERS}, choosers, reason


def _control(name: str) -> Any:
    label, info = text.CONTROLS[name]
    told = {"value": getattr(DEFAULTS, name), "label": label, "info": info, "elem_id": name.replace("_", "-")}
    if name in text.CHOICES:
        return gr.Radio([(word, value) for value, word in text.CHOICES[name].items()], **told)
    if name in text.SLIDERS:
        low, high, step = text.SLIDERS[name]
        return gr.Slider(low, high, step=step, **told)
    return gr.Number(**told)  # without bounds: Settings refuses in better words


def _touches() -> dict[str, Any]:
    """A slider for each of TOUCHES, in percent."""
    lows = {touch.name: 100 * touch.metadata["low"] for touch in fields(Finishing)}
    return {
        name: gr.Slider(lows[name], 100, value=0, step=1, label=label, info=info, elem_id=name.replace("_", "-"))
        for name, (label, info) in text.TOUCH_WORDS.items()
    }


def pictures_css() -> str:
    """CSS with what is on the buttons: results and whose manner they are in, paintings, what choosers do."""
    pairs, paintings = sharing.installed_pairs(), sharing.installed_paintings()
    pictures = {f"#pair-{pair.name}::before": pair.thumbnail or catalogue.find(pair.style).path for pair in pairs}
    pictures |= {f"#painting-{painting.name}": painting.path for painting in paintings}
    texts = {f"#pair-{pair.name}::after": pair.credit for pair in pairs}
    for name, _, choices in text.CHOOSERS:
        for index, (word, look) in enumerate(choices.items(), start=1):
            label = f"#{name.replace('_', '-')}-chooser label:nth-of-type({index})"
            pictures[f"{label}::before"] = presets.picture(word)
            texts[f"{label}::after"] = look.words
    shown = {place: images.encode_jpeg(images.to_uint8(images.load(path, 280))) for place, path in pictures.items()}
    return "\n".join(
        [f"{place} {{ background-image: url({data_url(jpeg)}); }}" for place, jpeg in shown.items()]
        + [f"{place} {{ content: {json.dumps(text, ensure_ascii=False)}; }}" for place, text in texts.items()]
    )
