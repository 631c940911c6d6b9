"""The page: a photo and a painting go in, and the visitor watches the one being repainted in the manner of the other.

    python app.py

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it is served.  Here is its layout, with what leads to what; the
handlers and the look are in page/.
"""

import importlib.util
import json
import logging
import os
import sys
import threading
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # else pandas sums up all runs after each, for nobody

import gradio as gr

from nst import catalogue, display, images, looks, sharing
from nst.display import trouble
from nst.finishing import Finishing
from nst.sharing import PARAMETERS
from nst.studio import CROWD_SIZE, Studio
from page.components import Download, LiveImage, Overlay, Upload, data_url
from page.handlers import (
    CONTROLS,
    CROWD,
    DEFAULTS,
    INVITATION,
    KNOBS,
    Desk,
    Setup,
    View,
    arrive,
    choose,
    choose_painting,
    finish,
    link,
    look_into,
    values_of,
)
from page.theme import theme

WAITING = "Waiting for the painter …"
MAIN_CONTROLS = ("strength", "size")  # the others are folded away
CHOOSERS = (("strength", "How far", looks.PRESETS), ("style_scale", "Manner", looks.LOOKS))
CHOICES = {
    "network": {"auto": "Automatic", "compact": "Compact", "vgg19": "VGG-19"},
    "style_statistics": {"covariance": "Covariances", "gram": "Gram matrices"},
    "init": {"content": "The photo", "noise": "Noise", "style": "The painting", "mix": "Photo and noise"},
}
SLIDERS = {"size": (*sharing.SIZES, 32), "strength": (0, 100, 1), "style_scale": (0.1, 2, 0.05), "detail": (0, 1, 0.05)}
TOUCH_WORDS = {
    "original_color": ("Original color", "0 keeps the painting's colors, 100 brings back the photo's."),
    "photo_blend": ("Blend with the photo", "0 shows the painting, 100 the photo."),
    "sharpness": ("Sharpness", "Below 0 it is softer than painted, above 0 sharper."),
}

HEADER = """<h1>Neural style transfer</h1>
<p>A photo is repainted in the manner of a painting while you watch, by the method of
<a href="https://arxiv.org/abs/1508.06576" target="_blank" rel="noopener">Gatys, Ecker and Bethge (2015)</a>.</p>"""


def build(studio: Studio) -> gr.Blocks:
    """The page."""
    desk = Desk(studio)
    with gr.Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(HEADER)
        cards = _gallery()
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="inputs", scale=4, min_width=300):
                with gr.Column(elem_id="own"):
                    with gr.Row(elem_id="pictures"):
                        content = _upload("Your photo", "Drop a photo here", "content")
                        style = _upload("A painting", "Drop a painting here", "style")
                    with gr.Row(elem_id="helpers"):
                        camera = gr.Button("Take a photo", elem_id="camera", size="sm")
                        with gr.Row(elem_id="paintings"):
                            paintings = [(painting, _tile(painting)) for painting in sharing.installed_paintings()]
                    note = gr.HTML(label="Note", elem_id="note")
                    with gr.Row(elem_id="actions"):
                        paint = gr.Button("Paint", variant="primary", elem_id="paint")
                        more = gr.Button("Continue", visible=False, elem_id="more")
                        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                        leave = gr.Button("Leave the line", visible=False, elem_id="leave")
                with gr.Column(elem_id="controls"):
                    knobs, choosers, reason = _controls()
                    credit = gr.HTML(elem_id="credit")
                    with gr.Accordion("How it works", open=False, elem_id="about"):
                        gr.HTML(display.ABOUT)
            with gr.Column(elem_id="result", scale=7, min_width=320):
                with gr.Column(elem_id="stage"):
                    picture = LiveImage(
                        label="Picture",
                        show_label=False,
                        interactive=False,
                        buttons=["fullscreen"],  # the download is a button of its own: large enough for a thumb
                        alt_text="Your photo, repainted",
                        elem_id="picture",
                    )
                    wipe = Overlay(elem_id="wipe")
                sentence = gr.HTML(INVITATION, label="Sentence", elem_id="sentence")
                with gr.Column(visible=False, elem_id="after") as after:
                    with gr.Row(elem_id="offers"):
                        download = Download("Download as PNG", variant="primary", elem_id="download")
                        picture_share = gr.Button("Share picture", elem_id="share-picture")
                        share = gr.Button("Copy link", elem_id="share")
                    address = gr.HTML(label="Link", elem_id="address")
                    with gr.Accordion("Finishing touches", open=False, elem_id="touches"):
                        touches = _touches()
                    with gr.Accordion("Time-lapse", open=False, elem_id="film") as film:
                        reel = Overlay("Putting the pictures together …", elem_id="reel")
                        film_download = Download("Download the film", visible=False, elem_id="film-download")
                numbers = gr.HTML(display.numbers(), label="Numbers", elem_id="numbers")
        canvas, repeated = gr.State(), gr.State()
        go, following = (gr.Number(visible="hidden") for _ in range(2))  # a change is a wish to paint
        clock = gr.Timer(2, active=False)

        # What a visitor asks for, in the order in which it happens.  Programs see "paint" alone.
        private: dict[str, Any] = {"api_visibility": "private"}
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden"} | private
        setup = [*Setup(content, style, credit, note, repeated, go), *knobs.values(), *touches.values()]
        views = list(View(picture, sentence, numbers, wipe, download, canvas, after, film, more, paint, stop, leave))
        page.load(arrive, None, views + setup, **at_once)
        page.load(None, js="() => nst.announce()", **private)
        page.unload(desk.gone)
        for event in (page.load, knobs["network"].change):
            event(desk.describe, knobs["network"], reason, **at_once)
        for upload in (content, style):
            upload.upload(look_into, [upload, repeated], setup, **at_once)
        gr.on([content.input, style.input], None, None, credit, js="() => ''", **private)
        camera.click(None, js="() => nst.camera()", **private)
        for painting, tile in paintings:
            tile.click(partial(choose_painting, painting), None, [style, credit], **at_once)

        waits: dict[str, Any] = {"outputs": [sentence, paint, leave, clock]} | at_once
        started = [paint.click, more.click, go.change, following.change]
        gr.on(started, None, None, [sentence, address], js=f"() => nst.begin('{WAITING}')", **private)  # at once
        painter: dict[str, Any] = {
            "outputs": views,
            "concurrency_id": "painter",
            "concurrency_limit": 1,  # two at once would each take twice as long
            "show_progress_on": picture,
            "trigger_mode": "multiple",  # else what takes the place of a cancelled run would be dropped
        }
        inputs = [content, style, *knobs.values()]
        painting = gr.on([paint.click, go.change], desk.join, None, **waits)
        going_on, follows = more.click(desk.join, None, **waits), following.change(desk.join, None, **waits)
        for joined in (painting, going_on, follows):
            joined.failure(None, None, sentence, js=f"() => `{trouble(CROWD)}`", **private)
        runs = [
            painting.success(desk.paint, inputs, api_name="paint", **painter),
            going_on.success(desk.go_on, None, **painter, **private),
            follows.success(desk.follow, None, **painter, **private),
        ]
        for pair, card in cards:
            card.click(partial(choose, pair), None, setup, cancels=runs, **at_once)
        clock.tick(desk.wait, None, **waits)
        leave.click(desk.leave, None, cancels=runs, **waits)
        stop.click(desk.stop, **at_once)
        for name, chooser, values in choosers:
            js = f"chosen => ({json.dumps(values)})[chosen]"
            chosen = chooser.input(None, chooser, knobs[name], js=js, **private)
            if name == "strength":
                pulls = [chosen.then, partial(knobs[name].input, trigger_mode="always_last")]
                for pulled in pulls:
                    pulled(desk.steer, [content, style, knobs[name]], following, **at_once)
            back = f"value => Object.entries({json.dumps(values)}).find(([_, v]) => v === value)?.[0] ?? null"
            knobs[name].change(None, knobs[name], chooser, js=back, **private)

        finishes: dict[str, Any] = {
            "fn": finish,
            "inputs": [canvas, *touches.values()],
            "outputs": [picture, download, sentence],
        } | at_once
        moves = [move for slider in touches.values() for move in (slider.input, slider.release)]  # release: reset, too
        gr.on(moves, **finishes, trigger_mode="always_last")
        for run in runs:
            run.then(**finishes)
        film.expand(desk.film, None, [reel, film_download], **at_once)
        picture_share.click(None, None, address, js="() => nst.sharePicture()", **private)
        asked = share.click(link, [content, style, canvas, *knobs.values()], address, **at_once)
        asked.then(None, address, address, js="html => nst.copyLink(html)", **private)
    return page


def _gallery() -> list[tuple[catalogue.Pair, gr.Button]]:
    """A card for each example; `_pictures_css` paints it."""
    with gr.Row(elem_id="pairs"):
        return [
            (
                pair,
                gr.Button(pair.title, elem_id=f"pair-{pair.name}", elem_classes="card"),
            )
            for pair in sharing.installed_pairs()
        ]


def _tile(painting: catalogue.Example) -> gr.Button:
    return gr.Button(painting.title, elem_id=f"painting-{painting.name}", elem_classes="tile", min_width=0)


def _upload(label: str, placeholder: str, elem_id: str) -> Upload:
    return Upload(label=label, placeholder=placeholder, sources="upload", type="filepath", height=170, elem_id=elem_id)


def _controls() -> tuple[dict[str, Any], list[tuple[str, gr.Radio, dict[str, float]]], gr.HTML]:
    """A component for each of PARAMETERS; choosers, each with the setting it sets and its values; and the reason."""
    made, choosers = {}, []
    for name, title, choices in CHOOSERS:
        values = {word: look.values[name] for word, look in choices.items()}
        standing = next(word for word, value in values.items() if value == getattr(DEFAULTS, name))
        chooser = gr.Radio(list(values), value=standing, label=title, elem_id=name.replace("_", "-") + "-chooser")
        choosers.append((name, chooser, values))
    made |= {name: _control(name) for name in MAIN_CONTROLS}
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        made |= {name: _control(name) for name in CONTROLS if name not in MAIN_CONTROLS}
    reason = gr.HTML("The network is being loaded …", elem_id="reason")
    for name, value in values_of(DEFAULTS).items():
        if name not in made:  # nobody sees them: a picture dropped in sets them, or a program
            kind = {str: gr.Textbox, int: gr.Number, float: gr.Number}.get(type(value), gr.JSON)
            made[name] = kind(value, label=KNOBS[name]["help"], visible=False)
    return {name: made[name] for name in PARAMETERS}, choosers, reason


def _control(name: str) -> Any:
    label, info = CONTROLS[name]
    words = {"value": getattr(DEFAULTS, name), "label": label, "info": info, "elem_id": name.replace("_", "-")}
    if name in CHOICES:
        return gr.Radio([(word, value) for value, word in CHOICES[name].items()], **words)
    if name in SLIDERS:
        low, high, step = SLIDERS[name]
        return gr.Slider(low, high, step=step, **words)
    return gr.Number(**words)  # without bounds: Settings refuses in better words


def _touches() -> dict[str, Any]:
    """A slider for each of TOUCHES, in percent."""
    lows = {touch.name: 100 * touch.metadata["low"] for touch in fields(Finishing)}
    return {
        name: gr.Slider(lows[name], 100, value=0, step=1, label=label, info=info, elem_id=name.replace("_", "-"))
        for name, (label, info) in TOUCH_WORDS.items()
    }


def _pictures_css() -> str:
    """CSS with what is on the buttons: results and whose manner they are in, paintings, what choosers do."""
    pairs, paintings = sharing.installed_pairs(), sharing.installed_paintings()
    pictures = {f"#pair-{pair.name}::before": pair.thumbnail or catalogue.find(pair.style).path for pair in pairs}
    pictures |= {f"#painting-{painting.name}": painting.path for painting in paintings}
    words = {f"#pair-{pair.name}::after": pair.credit for pair in pairs}
    for name, _, choices in CHOOSERS:
        for index, (word, look) in enumerate(choices.items(), start=1):
            label = f"#{name.replace('_', '-')}-chooser label:nth-of-type({index})"
            pictures[f"{label}::before"] = looks.picture(word)
            words[f"{label}::after"] = look.words
    shown = {place: images.encode_jpeg(images.to_uint8(images.load(path, 280))) for place, path in pictures.items()}
    return "\n".join(
        [f"{place} {{ background-image: url({data_url(jpeg)}); }}" for place, jpeg in shown.items()]
        + [f"{place} {{ content: {json.dumps(text, ensure_ascii=False)}; }}" for place, text in words.items()]
    )


def serve(page: gr.Blocks, **options: Any) -> None:
    """Put the page on the network, fit for strangers: bounded uploads and queue, nothing recorded, no stack traces."""
    beside = Path(__file__).parent / "page"
    page.queue(max_size=2 * CROWD_SIZE).launch(
        theme=theme(),
        css=_pictures_css(),
        css_paths=beside / "page.css",
        head=f"<script>{(beside / 'page.js').read_text(encoding='utf-8')}</script>",
        max_file_size=images.MAX_BYTES,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=importlib.util.find_spec("mcp") is not None,  # with `pip install .[mcp]`, language models paint, too
        footer_links=["api"],
        **options,
    )


studio = Studio()
demo = build(studio)  # by this name `gradio app.py` finds it

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    threading.Thread(target=studio.warm, daemon=True).start()
    desktop = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    serve(demo, inbrowser=desktop)  # elsewhere it might be a browser in this very terminal
