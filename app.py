"""The page: a photo and a painting go in, and the visitor watches the one being repainted in the manner of the other.

    python app.py

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it is served.  The only file that imports Gradio.
"""

import base64
import contextlib
import html
import importlib.util
import inspect
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # else pandas sums up all runs after each, for nobody

import gradio as gr
import numpy as np
from gradio import component_meta, processing_utils, themes
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder

from nst import catalogue, finishing, images, recipe, sharing
from nst.finishing import Finishing
from nst.images import ImageError
from nst.settings import Settings
from nst.sharing import PARAMETERS, SIZES

if TYPE_CHECKING:
    from nst.transfer import Frame, StyleTransfer

NETWORKS = {"auto": "Automatic", "compact": "Compact", "vgg19": "VGG-19"}
DEFAULTS = Settings()
KNOBS = {knob.name: knob.metadata for knob in fields(Settings)}
CONTROLS = ("size", "strength", "network")  # the settings that a visitor sees; programs may give the others, too
TOUCHES = tuple(touch.name for touch in fields(Finishing))
NUMBERS = ("Step", "Scale", "Time so far", "Time left", "Content loss", "Style loss", "Variation", "Total loss")
INVITATION = "Choose a photo and a painting, or start with an example."
WAITING = "Waiting for the painter …"
CROWD = "Too many visitors are waiting already; please come back in a few minutes."
FAULT = "The painting broke off through a fault of ours; a smaller size may work."

log = logging.getLogger(__name__)


component_meta.create_or_modify_pyi = lambda *_: None  # else Gradio writes an app.pyi beside this file


# --- Components -------------------------------------------------------------------------------------------------------


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
            return ImageData(url=_data_url(value), orig_name="frame.jpg")
        return super().postprocess(value)  # type: ignore[return-value]


class Download(gr.DownloadButton):
    """Left out of the API, where the picture is the same file."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        return True


# --- Handlers ---------------------------------------------------------------------------------------------------------


class View(NamedTuple):
    """What a handler changes on the page: one value for each output, in this order."""

    picture: Any = gr.skip()  # an array while painting, at the end the path of a PNG
    sentence: Any = gr.skip()
    numbers: Any = gr.skip()
    download: Any = gr.skip()
    share: Any = gr.skip()
    paint: Any = gr.skip()
    stop: Any = gr.skip()
    canvas: Any = gr.skip()  # what finishing needs: the picture as painted, and the photo
    touches: Any = gr.skip()  # the block with the finishing's sliders


class Setup(NamedTuple):
    """What a handler changes of what goes in; the values of PARAMETERS and TOUCHES follow it."""

    content: Any = gr.skip()
    style: Any = gr.skip()
    credit: Any = gr.skip()
    note: Any = gr.skip()  # about the pictures, beneath them
    repeated: Any = gr.skip()  # the recipe last taken over


class Studio:
    """What all visitors share: the networks, loaded once, and a way to tell each visitor's painter to stop."""

    def __init__(self, load: "Callable[[Settings], StyleTransfer] | None" = None):
        """`load` makes the engine; a test gives one of its own."""
        self._load = load or _load
        self._engines: dict[tuple[str, ...], StyleTransfer] = {}
        self._loading = threading.Lock()
        self._stops: dict[str | None, threading.Event] = {}

    def engine(self, settings: Settings) -> "StyleTransfer":
        """The engine for these settings; the first call for a network takes seconds, with a download a minute."""
        key = (settings.network, settings.weights, settings.pooling, settings.precision)
        if key not in self._engines:  # asked outside the lock too: a download must not keep the others waiting
            with self._loading:
                if key not in self._engines:
                    self._engines[key] = self._load(settings)
        return self._engines[key]

    def warm(self) -> None:
        """Load and compile before the first visitor comes."""
        for height, width in ((64, 64), (96, 72)):  # TensorFlow compiles for one size and, seeing another, for all
            grey = np.full((1, height, width, 3), 0.5, np.float32)
            settings = Settings(size=height, min_scale=64, steps=(1,))
            for _ in self.engine(settings).stylize(grey, [grey], settings):
                pass

    def describe(self, network: str) -> str:
        """HTML: which network paints, and why."""
        try:
            return html.escape(self.engine(Settings(network=network)).network.reason)
        except ValueError as error:
            return _trouble(str(error))

    def stop(self, request: gr.Request) -> None:
        """Let this visitor's painter end after the step it is at, with a finished picture."""
        if stop := self._stops.get(request.session_hash):
            stop.set()

    def paint(self, request: gr.Request, content: str | None, style: str | None, *values: Any) -> Iterator[View]:
        """Repaint a photo in the manner of a painting: pictures on the way as JPEG, last a PNG of the asked size."""
        stop = self._stops[request.session_hash] = threading.Event()
        try:
            yield from self._paint(content, style, dict(zip(PARAMETERS, values)), stop)
        finally:  # on the event loop when the visitor has left: nothing slow may happen here
            if self._stops.get(request.session_hash) is stop:
                del self._stops[request.session_hash]

    def _paint(
        self, content: str | None, style: str | None, knobs: dict[str, Any], stop: threading.Event
    ) -> Iterator[View]:
        frame, shape, used, problem = None, (0, 0), [], ""
        start = _buttons(painting=True) | {"canvas": None, "touches": gr.update(visible=False)}
        yield View(sentence="Looking at both pictures …", **start)
        try:
            settings = Settings(**knobs)
            sharing.check(settings)
            photo = _load_picture(content, "photo", settings.size)
            painting = _load_picture(style, "painting", round(settings.size * settings.style_scale))
            shape = images.fit(photo.shape[1], photo.shape[2], settings.size)
            used = [_ingredient(content, photo), _ingredient(style, painting)]
            engine = self.engine(settings)
            with contextlib.closing(engine.stylize(photo, [painting], settings)) as frames:
                scale = 0
                for frame in frames:
                    if stop.is_set() or frame.step == frame.steps:
                        break
                    new_scale = frame.scale != scale  # read aloud by screen readers, so not more often than that
                    yield View(frame.image, _progress(frame) if new_scale else gr.skip(), _numbers(frame))
                    scale = frame.scale
        except (ValueError, FloatingPointError, MemoryError) as error:
            problem = str(error)
        except Exception:
            log.exception("Painting failed")
            problem = FAULT
        last = View(**_buttons(painting=False))
        with tempfile.TemporaryDirectory() as folder:  # emptied when Gradio, having taken a copy, comes back
            if frame is not None:
                try:
                    path = Path(folder) / _file_name(content, style)
                    pixels = images.rescale(frame.image, *shape)
                    made = recipe.describe(settings, engine.network, used, frame, pixels)
                    images.save(pixels, path, texts=made.texts)
                    finishable = {"canvas": (_kept(path), content), "touches": gr.update(visible=True)}
                    told = _ending(frame, shape), _numbers(frame), _offer(path), gr.update(visible=True)
                    last = View(path, *told, **_buttons(painting=False), **finishable)
                except ImageError as error:
                    problem = str(error)
            yield last._replace(sentence=_trouble(problem)) if problem else last
        if problem:
            raise gr.Error(problem, duration=6, print_exception=False)


def _manual() -> str:
    """What programs are told about `Studio.paint`, in the form that Gradio hands on to them."""
    lines = [f"    {name}: {KNOBS[name]['help']}" for name in PARAMETERS]
    return "\n".join(
        [
            "Repaint a photo in the manner of a painting (neural style transfer), streaming pictures on the way.",
            "",
            "Args:",
            "    content: the photo to repaint",
            "    style: the painting whose manner it is repainted in",
            *lines,
            "",
            "Returns:",
            "    the picture, JPEG on the way and at last a PNG; a sentence on the run; its numbers as HTML",
        ]
    )


def _parameters() -> list[inspect.Parameter]:
    """What programs call the values that go into `Studio.paint`."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    settings = [inspect.Parameter(name, kind, default=getattr(DEFAULTS, name)) for name in PARAMETERS]
    return [inspect.Parameter(name, kind) for name in ("self", "request", "content", "style")] + settings


Studio.paint.__doc__ = _manual()
Studio.paint.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]


def _load(settings: Settings) -> "StyleTransfer":
    from nst.features import load_network  # TensorFlow takes 4 s to import: the page is up before it
    from nst.transfer import StyleTransfer

    network = load_network(settings)
    log.info("%s in %s: %s", network.name, network.precision, network.reason)
    return StyleTransfer(network)


def finish(canvas: tuple[str, str] | None, *percents: float) -> tuple[Any, Any, Any]:
    """The picture, the download and the sentence after finishing touches to the picture as it was painted."""
    if canvas is None:
        return gr.skip(), gr.skip(), gr.skip()
    painted, content = canvas
    try:
        touches = {name: percent / 100 for name, percent in zip(TOUCHES, percents, strict=True) if percent}
        if not touches:
            return painted, _offer(Path(painted)), gr.skip()
        pixels = _pixels(painted)
        photo = _pixels(content, pixels.shape[:2])
        made = recipe.read(painted)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(painted).name
            texts = replace(made, finishing=touches).texts if made else None
            images.save(finishing.finish(pixels, photo, Finishing(**touches)), path, texts=texts)
            finished = _kept(path)
    except ImageError:  # swept away after a day
        return gr.skip(), gr.skip(), _trouble("This picture is no longer kept here; please paint it again.")
    return finished, _offer(Path(finished)), gr.skip()


@lru_cache(maxsize=8)  # asked for again and again while a slider moves; the names are made of the files' hashes
def _pixels(path: str, shape: tuple[int, int] | None = None) -> np.ndarray:
    pixels = images.to_uint8(images.load(path, longest_side=max(shape) if shape else None))
    return images.rescale(pixels, *shape) if shape else pixels


def _kept(path: Path) -> str:
    """A copy in Gradio's own folder, since it serves no other; swept there after a day."""
    return processing_utils.save_file_to_cache(path, cache_dir=get_upload_folder())


def _load_picture(path: str | None, name: str, size: int) -> np.ndarray:
    if not path:
        raise ImageError(f"There is no {name} yet; drop one in, or start with an example.")
    return images.load(path, longest_side=size)


def _ingredient(path: str | None, picture: np.ndarray) -> recipe.Ingredient:
    example = catalogue.recognize(path or "")
    return recipe.ingredient(example or path or "", picture, example=example is not None)


def choose(pair: catalogue.Pair) -> tuple[Any, ...]:
    """An example's pictures, with the settings of which the visitor sees nothing at their defaults."""
    further = _values(DEFAULTS)[len(CONTROLS) :]
    setup = Setup(*_pictures(pair.content, pair.style), "", None)
    return *setup, *(gr.skip() for _ in CONTROLS), *further, *(0 for _ in TOUCHES)


def repeat(path: str | None, repeated: str | None) -> tuple[Any, ...]:
    """Look into a picture that was dropped in: one of ours brings its settings, and the examples it was made from."""
    unchanged = *Setup(), *(gr.skip() for _ in PARAMETERS + TOUCHES)
    try:
        made = recipe.read(path) if path else None
    except ValueError as error:
        return *Setup(note=_trouble(str(error))), *unchanged[len(Setup._fields) :]
    if made is None or made.text == repeated:  # dropped once more: now it is to be painted on
        return unchanged
    shared = sharing.from_recipe(made, CONTROLS)
    setup = Setup(*_pictures(*shared.pictures)) if shared.pictures else Setup()
    setup = setup._replace(note=_told(shared.sentence), repeated=made.text)
    touches = (round(100 * made.finishing.get(name, 0)) for name in TOUCHES)
    return *setup, *_values(shared.settings), *touches


def arrive(request: gr.Request) -> tuple[Any, ...]:
    """What a link asks for, when the page is opened with it."""
    link = sharing.from_query(dict(request.query_params), CONTROLS)
    setup = Setup(*_pictures(link.pair.content, link.pair.style)) if link.pair else Setup()
    setup = setup._replace(note=_told(link.sentence)) if link.sentence else setup
    return *setup, *(link.given.get(name, gr.skip()) for name in PARAMETERS), *(gr.skip() for _ in TOUCHES)


def link(content: str | None, style: str | None, *values: Any) -> str:
    """HTML that COPY makes a link of, or says why there is none."""
    photo, painting = (catalogue.recognize(path or "") for path in (content, style))
    try:
        settings = Settings(**dict(zip(PARAMETERS, values)))
        query, sentence = sharing.to_query(photo, painting, settings, CONTROLS)
    except ValueError as error:
        return _trouble(str(error))
    return f'<i data-query="{html.escape(query)}"></i>{_told(sentence)}' if query else _told(sentence)


def _values(settings: Settings) -> list[Any]:
    """The values of PARAMETERS as components take them."""
    values = (getattr(settings, name) for name in PARAMETERS)
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _pictures(content: str, style: str) -> tuple[str, str, str]:
    """Two examples and whose they are."""
    (photo, whose), (painting, whose_style) = catalogue.picture(content), catalogue.picture(style)
    return _kept(photo), _kept(painting), html.escape(f"{whose} {whose_style}")


# --- Words ------------------------------------------------------------------------------------------------------------


def _buttons(painting: bool) -> dict[str, Any]:
    return {"paint": gr.update(visible=not painting), "stop": gr.update(visible=painting)}


def _offer(path: Path) -> dict[str, Any]:
    return gr.update(value=path, visible=True)


def _told(sentence: str) -> str:
    return f"<span>{html.escape(sentence)}</span>"


def _trouble(problem: str) -> str:
    return f'<span class="trouble">{html.escape(problem)}</span>'


def _progress(frame: "Frame") -> str:
    return f"Painting at {frame.scale} pixels …"


def _ending(frame: "Frame", shape: tuple[int, int]) -> str:
    pixels = f"{shape[1]} × {shape[0]} pixels"
    if frame.step == frame.steps:
        return f"Painted in {_duration(frame.elapsed)}: {pixels}."
    enlarged = f", enlarged to {pixels}" if frame.image.shape[:2] != shape else f": {pixels}"
    return f"Stopped after {frame.step} of {frame.steps} steps{enlarged}."


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _numbers(frame: "Frame | None" = None) -> str:
    """HTML: how far the run is, and its losses."""
    values, done = dict.fromkeys(NUMBERS, "–"), 0.0
    if frame is not None:
        done = 100 * frame.elapsed / (frame.elapsed + frame.remaining) if frame.step else 0.0  # late steps take longer
        progress = (f"{frame.step} of {frame.steps}", f"{frame.scale} px")
        times = (_duration(frame.elapsed), _duration(frame.remaining))
        losses = (f"{frame.losses[name]:.3g}" for name in ("content", "style", "total_variation", "total"))
        values = dict(zip(NUMBERS, (*progress, *times, *losses), strict=True))
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in values.items())
    return f'<div class="bar"><i style="width:{done:.1f}%"></i></div><dl>{cells}</dl>'


def _file_name(content: str | None, style: str | None) -> str:
    stems = (re.sub(r"\W+", "-", Path(path or "").stem)[:40].strip("-") or "picture" for path in (content, style))
    return "_".join(stems) + ".png"


def _data_url(pixels: np.ndarray) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(images.encode_jpeg(pixels)).decode()


# --- The look: paper by day, the sky of Saint-Rémy by night -----------------------------------------------------------

HEADER = """<h1>Neural style transfer</h1>
<p>A photo is repainted in the manner of a painting while you watch, by the method of
<a href="https://arxiv.org/abs/1508.06576" target="_blank" rel="noopener">Gatys, Ecker and Bethge (2015)</a>.</p>"""

# What changes by itself is read aloud only if it says so; the numbers change too often for that.
ANNOUNCE = """() => ['sentence', 'note', 'address'].forEach(id =>
  document.getElementById(id).setAttribute('aria-live', 'polite'))"""

# The browser knows by which address the page is reached, and whether it may write to the clipboard.
COPY = """async html => {
  const [mark, query] = html.match(/<i data-query="([^"]*)"><\\/i>/) || [];
  if (!mark) return html;
  const address = location.origin + location.pathname + query;
  let words = 'Link copied:';
  try { await navigator.clipboard.writeText(address.replaceAll('&amp;', '&')); } catch { words = 'Copy this link:'; }
  return html.replace(mark, `<label>${words} <input readonly value="${address}" onfocus="this.select()"></label>`);
}"""

SHADES = ("c50", "c100", "c200", "c300", "c400", "c500", "c600", "c700", "c800", "c900", "c950")
NIGHT = "#f6f4ee #ebe8df #d9d6cd #bdbdc0 #9499ad #676e8c #4a5276 #323a63 #1f2750 #161c3d #0e132c"
OCHRE = "#fdf8ea #faedc8 #f4dc93 #ecc65c #e2b03a #cf9623 #a8741a #825618 #5f3f16 #432d12 #271a0a"


def _theme() -> themes.Base:
    night, ochre = (themes.Color(**dict(zip(SHADES, hue.split(), strict=True))) for hue in (NIGHT, OCHRE))
    system = ["ui-sans-serif", "system-ui", "sans-serif"]  # the visitor's own: nothing is fetched from elsewhere
    mono = ["ui-monospace", "monospace"]
    theme = themes.Base(primary_hue=ochre, secondary_hue=night, neutral_hue=night, font=system, font_mono=mono)
    return theme.set(
        body_background_fill="#fbf9f4",
        body_background_fill_dark="*neutral_950",
        background_fill_secondary="#f3efe6",
        background_fill_secondary_dark="#0a0e22",
        block_background_fill="#ffffff",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_radius="10px",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_400",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover="*primary_300",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="*neutral_950",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_cancel_background_fill="*neutral_800",
        button_cancel_background_fill_dark="*neutral_100",
        button_cancel_background_fill_hover="*neutral_700",
        button_cancel_background_fill_hover_dark="*neutral_50",
        button_cancel_text_color="#ffffff",
        button_cancel_text_color_dark="*neutral_950",
        button_large_radius="10px",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def build(studio: Studio) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="Neural style transfer", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(HEADER)
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="inputs", scale=4, min_width=300):
                with gr.Row(elem_id="pairs"):
                    cards = [
                        (pair, gr.Button(pair.title, elem_id=f"pair-{pair.name}")) for pair in sharing.installed_pairs()
                    ]
                with gr.Row(elem_id="pictures"):
                    content = _upload("Your photo", "Drop a photo here", "content")
                    style = _upload("A painting", "Drop a painting here", "style")
                note = gr.HTML(label="Note", elem_id="note")
                repeated = gr.State()
                with gr.Row(elem_id="actions"):
                    paint = gr.Button("Paint", variant="primary", elem_id="paint")
                    stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                with gr.Column(elem_id="controls"):
                    knobs = _controls() | _further()
                    reason = gr.HTML("The network is being loaded …", elem_id="reason")
                    credit = gr.HTML(elem_id="credit")
            with gr.Column(elem_id="result", scale=7, min_width=320):
                picture = LiveImage(
                    label="Picture",
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],  # the download is a button of its own: large enough for a thumb
                    alt_text="Your photo, repainted",
                    elem_id="picture",
                )
                sentence = gr.HTML(INVITATION, label="Sentence", elem_id="sentence")
                numbers = gr.HTML(_numbers(), label="Numbers", elem_id="numbers")
                with gr.Row(elem_id="offers"):
                    download = Download("Download as PNG", visible=False, elem_id="download")
                    share = gr.Button("Copy link", visible=False, elem_id="share")
                address = gr.HTML(label="Link", elem_id="address")
                canvas = gr.State()
                with gr.Accordion("Finishing touches", open=False, visible=False, elem_id="touches") as block:
                    touches = _touches()

        run: dict[str, Any] = {
            "fn": studio.paint,
            "inputs": [content, style, *knobs.values()],
            "outputs": list(View(picture, sentence, numbers, download, share, paint, stop, canvas, block)),
            "concurrency_id": "painter",
            "concurrency_limit": 1,  # two at once would each take twice as long
            "show_progress_on": picture,
        }
        private: dict[str, Any] = {"api_visibility": "private"}
        # In the browser alone, at once: whoever waits is told so, and whoever was refused a place in the queue, too.
        started = [paint.click, *(card.click for _, card in cards)]
        gr.on(started, None, None, [sentence, address], js=f"() => ['{WAITING}', '']", **private)
        painted = [paint.click(**run, api_name="paint")]
        setup = [*Setup(content, style, credit, note, repeated), *knobs.values(), *touches.values()]
        for pair, card in cards:
            chosen = card.click(partial(choose, pair), None, setup, queue=False, **private)
            painted.append(chosen.then(**run, **private))
        finishes: dict[str, Any] = {
            "fn": finish,
            "inputs": [canvas, *touches.values()],
            "outputs": [picture, download, sentence],
            "queue": False,
            "show_progress": "hidden",
        }
        moves = [move for slider in touches.values() for move in (slider.input, slider.release)]  # release: reset, too
        gr.on(moves, **finishes, trigger_mode="always_last", **private)
        for event in painted:
            event.then(**finishes, **private)
        asked = share.click(link, [content, style, *knobs.values()], address, queue=False, **private)
        asked.then(None, address, address, js=COPY, **private)
        stop.click(studio.stop, queue=False, **private)
        for upload in (content, style):
            upload.upload(repeat, [upload, repeated], setup, queue=False, show_progress="hidden", **private)

        for event in painted:
            event.failure(
                None, sentence, sentence, js=f"text => text === '{WAITING}' ? `{_trouble(CROWD)}` : text", **private
            )
        gr.on([content.input, style.input], None, None, credit, js=_js(""), **private)
        for event in (page.load, knobs["network"].change):
            event(studio.describe, knobs["network"], reason, queue=False, show_progress="hidden", **private)
        page.load(arrive, None, setup, queue=False, show_progress="hidden", **private)
        page.load(None, js=ANNOUNCE, **private)
    return page


def _js(text: str) -> str:
    return f"() => '{text}'"


def _upload(label: str, placeholder: str, elem_id: str) -> Upload:
    return Upload(label=label, placeholder=placeholder, sources="upload", type="filepath", height=170, elem_id=elem_id)


def _controls() -> dict[str, Any]:
    """A component for each of CONTROLS."""
    size = gr.Slider(
        *SIZES,
        value=DEFAULTS.size,
        step=32,
        label="Size",
        info="Longest side of the result in pixels; twice the size takes about four times as long.",
        elem_id="size",
    )
    strength = gr.Slider(
        KNOBS["strength"]["low"],
        KNOBS["strength"]["high"],
        value=DEFAULTS.strength,
        step=1,
        label="Strength",
        info="0 keeps the photo, 100 gives in to the painting.",
        elem_id="strength",
    )
    network = gr.Radio(
        [(NETWORKS[name], name) for name in KNOBS["network"]["choices"]],
        value=DEFAULTS.network,
        label="Network",
        info="The eye that compares the pictures: VGG-19 sees more, the compact one is quicker.",
        elem_id="network",
    )
    return {"size": size, "strength": strength, "network": network}


def _further() -> dict[str, Any]:
    """The other settings, which nobody sees: a picture dropped in sets them, or a program."""
    components = {}
    for name, value in list(zip(PARAMETERS, _values(DEFAULTS), strict=True))[len(CONTROLS) :]:
        kind = {str: gr.Textbox, int: gr.Number, float: gr.Number}.get(type(value), gr.JSON)
        components[name] = kind(value, label=KNOBS[name]["help"], visible=False)
    return components


def _touches() -> dict[str, Any]:
    """A slider for each of TOUCHES, in percent."""
    words = {
        "original_color": ("Original color", "0 keeps the painting's colors, 100 brings back the photo's."),
        "photo_blend": ("Blend with the photo", "0 shows the painting, 100 the photo."),
        "sharpness": ("Sharpness", "Below 0 it is softer than painted, above 0 sharper."),
    }
    lows = {touch.name: 100 * touch.metadata["low"] for touch in fields(Finishing)}
    return {
        name: gr.Slider(lows[name], 100, value=0, step=1, label=label, info=info, elem_id=name.replace("_", "-"))
        for name, (label, info) in words.items()
    }


def _thumbnails() -> str:
    """CSS that shows the pictures of every example on its button."""
    rules = ""
    for pair in sharing.installed_pairs():
        files = (catalogue.find(name).path for name in (pair.content, pair.style))
        urls = ", ".join(f"url({_data_url(_middle(images.load(file, longest_side=260)))})" for file in files)
        rules += f"#pairs #pair-{pair.name} {{ background-image: {urls}; }}\n"
    return rules


def _middle(picture: np.ndarray) -> np.ndarray:
    """The largest square in the middle of a picture, uint8."""
    height, width = picture.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images.to_uint8(picture[:, top : top + side, left : left + side])


def serve(page: gr.Blocks, **options: Any) -> None:
    """Put the page on the network, fit for strangers: bounded uploads and queue, nothing recorded, no stack traces."""
    page.queue(max_size=16).launch(
        theme=_theme(),
        css=_thumbnails(),
        css_paths=Path(__file__).with_suffix(".css"),
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
