"""The layout of the page and its event listeners."""

import json
from dataclasses import fields
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from nst.finishing import Finishing
from nst.page import areas, display, fairness, kept, presets, sharing, text, thumbnails, translation, tries
from nst.page.components import JSON, LiveImage, Number, Page, Radio, Slider, Textbox, Upload
from nst.page.display import error_message
from nst.page.handlers import Handlers
from nst.page.inputs import (
    DEFAULTS,
    Setup,
    cards,
    choose_example,
    choose_painting,
    larger_size,
    make_link,
    on_load,
    on_upload,
    show_examples,
    values_of,
)
from nst.page.programs import RESULT, schema
from nst.page.results import View, finish
from nst.page.sharing import PARAMETERS
from nst.page.studio import Studio
from nst.page.translation import tr
from nst.settings import Settings

PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # the API has only `paint_for_programs`, as "paint"
LOOK = 200  # pixels of a picture on a preset
SLOT = 112  # pixels: height of a painting in the studio
CHOOSE_TILE = """element.addEventListener("click", event => {
  const tile = event.target.closest("[data-name]");
  if (tile) trigger("select", {name: tile.dataset.name});
});"""
UNQUEUED: dict[str, Any] = {"queue": False, "show_progress": "hidden"} | PRIVATE


def build(studio: Studio) -> gr.Blocks:
    """Build the page."""
    handlers = Handlers(studio)
    gr.set_static_paths([presets.OPENING[0].parent])
    with Page(title=text.TITLE, analytics_enabled=False) as page:
        gr.HTML(words("html-header"))
        pairs = gr.HTML(words("html-cards"), label="Examples", elem_id="pairs", js_on_load=CHOOSE_TILE)
        paintings = gr.HTML(label="Paintings", elem_id="paintings", js_on_load=CHOOSE_TILE)
        with gr.Row(elem_id="page"):
            inputs, result = _inputs(), _result()
        with gr.Accordion(words("How it works"), open=False, elem_id="about"):
            gr.HTML(words("html-explanation"))
        gr.HTML(words("html-footer"), elem_id="foot")
        inputs.choosers = [inputs.brush_size, result.strength]
        inputs.settings |= {name: slider for name, slider, *_ in inputs.choosers}
        inputs.settings |= result.studio.settings
        inputs.settings = {name: inputs.settings[name] for name in PARAMETERS}
        arguments = [inputs.content, inputs.style, *inputs.settings.values(), *result.studio.extras.values()]
        for name, control in inputs.settings.items():
            control.schema = schema(name)
        canvas, last_recipe = gr.State(), gr.State()
        paint_trigger, follow_trigger = (gr.Number(visible="hidden") for _ in range(2))  # a new value starts a run
        setup = [
            *Setup(
                inputs.content,
                inputs.style,
                inputs.credit,
                inputs.note,
                last_recipe,
                paint_trigger,
                *result.studio.extras.values(),
            ),
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
                more=result.more,
                larger=result.larger,
                paint=inputs.paint,
                stop=result.stop,
                leave=result.leave,
                bar=result.bar,
            )
        )
        page.load(on_load, None, views + setup, **UNQUEUED)
        page.load(None, js="() => nst.announce()", **PRIVATE)
        again = gr.Timer(15, active=False)
        for event in (page.load, again.tick):
            event(show_examples, [pairs, paintings], [pairs, paintings, again], **UNQUEUED)
        paintings.select(choose_painting, None, [inputs.style, inputs.credit], **UNQUEUED)
        page.unload(handlers.on_unload)
        for event in (page.load, inputs.settings["network"].change):
            event(handlers.describe, inputs.settings["network"], inputs.reason, **UNQUEUED)
        _connect_pictures(inputs, last_recipe, setup)
        _connect_paintings(inputs, result.studio, last_recipe, setup)
        runs = _connect_painting(handlers, inputs, result, arguments, views, canvas, paint_trigger, follow_trigger)
        pairs.select(choose_example, None, setup, cancels=runs, **UNQUEUED)
        chosen = _connect_choosers(inputs) + _connect_mixers(inputs, result.studio)
        _connect_studio(handlers, inputs, chosen, arguments, follow_trigger)
        _connect_where(inputs, result.studio)
        _connect_result(handlers, inputs, result, arguments, canvas, runs)
        _connect_kept(page, handlers, result, canvas, views + setup, runs)
    return page


# --- Event listeners --------------------------------------------------------------------------------------------------


def _connect_pictures(inputs: SimpleNamespace, last_recipe: gr.State, setup: list[Any]) -> None:
    """Connect the uploads and the camera."""
    for side, upload in (("content", inputs.content), ("style", inputs.style)):
        upload.upload(partial(on_upload, side=side), [upload, last_recipe], setup, **UNQUEUED)
    gr.on([inputs.content.input, inputs.style.input], None, None, inputs.credit, js="() => nst.replaced()", **PRIVATE)
    gr.on([inputs.content.clear, inputs.style.clear], None, None, inputs.note, js="() => ''", **PRIVATE)
    inputs.camera.click(None, js="() => nst.camera()", **PRIVATE)


def _connect_painting(
    handlers: Handlers,
    inputs: SimpleNamespace,
    result: SimpleNamespace,
    arguments: list[Any],
    views: list[Any],
    canvas: gr.State,
    paint_trigger: gr.Number,
    follow_trigger: gr.Number,
) -> list[Any]:
    """Connect the queue, painting and stopping; return the painting events, so that others can cancel them."""
    timer = gr.Timer(2, active=False)
    queueing: dict[str, Any] = {"outputs": [result.sentence, inputs.paint, result.leave, timer]} | UNQUEUED
    painter: dict[str, Any] = {
        "outputs": views,
        "concurrency_id": fairness.PAINTER,
        "concurrency_limit": handlers.studio.painters,  # two with one painter would take twice as long each
        "show_progress": "hidden",  # the bar below the picture has it
        "trigger_mode": "multiple",  # else a run that replaces a cancelled one would be dropped
    }
    for_programs: dict[str, Any] = painter | {"outputs": [result.picture, result.sentence, result.json]}
    gr.on([], handlers.paint_for_programs, arguments, api_name="paint", **for_programs)  # nothing here triggers it
    starts = [inputs.paint.click, paint_trigger.change, result.more.click, follow_trigger.change, result.larger.click]
    begin = f"() => nst.begin('{text.WAITING}')"  # in the browser only, without a request
    gr.on(starts, None, None, [result.sentence, result.address], js=begin, **PRIVATE)
    joined_paint = gr.on(starts[:2], handlers.join, None, **queueing)
    joined_more, joined_follow, joined_larger = (event(handlers.join, None, **queueing) for event in starts[2:])
    full = f"() => `{error_message('@')}`.replace('@', nst.lost || nst.say('{text.QUEUE_FULL}'))"

    def refuse(joined: Any) -> None:
        failed = joined.failure(None, None, result.sentence, js=full, **PRIVATE)
        failed.then(handlers.refusal, None, result.sentence, **UNQUEUED)  # says why

    for joined in (joined_paint, joined_more, joined_follow, joined_larger):
        refuse(joined)
    size, sizing = inputs.settings["size"], {"trigger_mode": "multiple"} | UNQUEUED
    sized = joined_larger.success(larger_size, [canvas, size], size, **sizing)

    def queue(event: Any, paint: Any, inputs: list[Any], outputs: list[Any]) -> Any:
        event(None, None, [result.sentence, result.address], js=begin, **PRIVATE)
        joined = event(handlers.join, None, **queueing)
        refuse(joined)
        return joined.success(paint, inputs, **painter | {"outputs": outputs}, **PRIVATE)

    controls = [inputs.settings[name] for name in ("strength", "style_scale")]
    tried = tries.connect(result.studio.tries, handlers, arguments, views, controls, queue)
    runs: list[Any] = [
        joined_paint.success(handlers.paint, arguments, **painter, **PRIVATE),
        joined_more.success(handlers.go_on, [canvas, *arguments], **painter, **PRIVATE),
        joined_follow.success(handlers.follow, None, **painter, **PRIVATE),
        sized.then(handlers.enlarge, [canvas, *arguments], **painter, **PRIVATE),
        *tried,
    ]
    ended = [result.sentence, inputs.paint, result.stop, result.leave, timer]
    for run in runs:
        run.failure(None, None, ended, js=f"() => nst.failed(`{error_message('@')}`)", **PRIVATE)
    timer.tick(handlers.wait, None, **queueing)
    result.leave.click(handlers.leave, None, cancels=runs, **queueing)
    result.stop.click(handlers.stop, **UNQUEUED)
    return runs


def _connect_choosers(inputs: SimpleNamespace) -> list[Any]:
    """Keep choosers and sliders in sync; return what follows a choice."""
    followers = []
    for _, slider, chooser, values in inputs.choosers:
        table = json.dumps(values)
        chosen = chooser.input(None, chooser, slider, js=f"chosen => ({table})[chosen]", **PRIVATE)
        followers.append(chosen.then)
        back = f"value => Object.entries({table}).find(([_, v]) => v === value)?.[0] ?? null"
        slider.change(None, slider, chooser, js=back, **PRIVATE)
    return followers


def _connect_studio(
    handlers: Handlers, inputs: SimpleNamespace, chosen: list[Any], arguments: list[Any], follow_trigger: gr.Number
) -> None:
    """Let the picture follow the LIVE controls."""
    chosen += [partial(gr.on, _moves(inputs.settings[name])) for name in text.LIVE_CONTROLS]
    for event in chosen:
        event(handlers.steer, arguments, follow_trigger, trigger_mode="always_last", **UNQUEUED)


def _moves(control: Any) -> list[Any]:
    """The events in which a visitor moves a control: a slider's reset button fires no input, but a release."""
    return [control.input, *([control.release] if isinstance(control, Slider) else [])]


def _connect_mixers(inputs: SimpleNamespace, studio: SimpleNamespace) -> list[Any]:
    """Keep the settings of several numbers in sync with their sliders; return what follows a move of these."""
    layers, blend = (inputs.settings[name] for name in text.MIXED)
    sliders, followers = list(studio.marks.values()), []
    for layer, slider in studio.marks.items():
        js = f"(layers, weight) => ({{...layers, {layer}: weight}})"
        followers.append(gr.on(_moves(slider), None, [layers, slider], layers, js=js, **PRIVATE).then)
    layers.change(None, layers, sliders, js=f"layers => {list(studio.marks)}.map(name => layers[name] ?? 0)", **PRIVATE)
    moves = [move for slider in studio.amounts for move in _moves(slider)]
    followers.append(gr.on(moves, None, studio.amounts, blend, js="(...amounts) => [amounts]", **PRIVATE).then)
    blend.change(None, blend, studio.amounts, js="blend => nst.amounts(blend)", **PRIVATE)
    return followers


def _connect_paintings(
    inputs: SimpleNamespace, studio: SimpleNamespace, last_recipe: gr.State, setup: list[Any]
) -> None:
    """Connect the uploads of more paintings, and show the first one beside them."""
    inputs.style.change(None, inputs.style, studio.first, js="painting => painting", **PRIVATE)
    outputs = [studio.note if output is inputs.note else output for output in setup]
    for side in sharing.EXTRAS[:-1]:
        upload = studio.extras[side]
        upload.upload(partial(on_upload, side=side), [upload, last_recipe], outputs, **UNQUEUED)
        upload.input(None, None, inputs.credit, js="() => nst.replaced()", **PRIVATE)
        upload.clear(None, None, studio.note, js="() => ''", **PRIVATE)


def _connect_result(
    handlers: Handlers,
    inputs: SimpleNamespace,
    result: SimpleNamespace,
    arguments: list[Any],
    canvas: gr.State,
    runs: list[Any],
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
    content, style, *others = arguments
    linked = result.share.click(make_link, [content, style, canvas, *others], result.address, **UNQUEUED)
    linked.then(None, result.address, result.address, js="html => nst.copyLink(html)", **PRIVATE)


# --- Layout -----------------------------------------------------------------------------------------------------------


def words(key: str) -> Any:
    """An English sentence, or a key of `translations`, that Gradio shows in the visitor's language."""
    return I18nData(key)


def _inputs() -> SimpleNamespace:
    """The uploads and the controls."""
    inputs = SimpleNamespace()
    with gr.Column(elem_id="inputs", scale=4, min_width=300):
        with gr.Column(elem_id="own"):
            with gr.Row(elem_id="pictures"):
                inputs.content = _upload(words("Your photo"), words("Drop a photo here"), "content")
                inputs.style = _upload(words("A painting"), words("Drop a painting here"), "style")
            gr.HTML(words(text.PRIVACY), elem_id="privacy")
            inputs.note = gr.HTML(label="Note", elem_id="note")
            with gr.Row(elem_id="actions"):
                inputs.camera = gr.Button(words("Take a photo"), elem_id="camera")
                inputs.paint = gr.Button(words("Paint"), variant="primary", elem_id="paint")
        with gr.Column(elem_id="controls"):
            inputs.brush_size = _group("style_scale")
            inputs.settings, inputs.reason = _controls()
            inputs.credit = gr.HTML(elem_id="credit")
    return inputs


def _result() -> SimpleNamespace:
    """The picture with its bar, which stay in view together, and below them the actions and the numbers."""
    result = SimpleNamespace()
    with gr.Column(elem_id="result", scale=7, min_width=320):
        with gr.Column(elem_id="easel"):
            with gr.Column(elem_id="stage"):
                result.picture = LiveImage(
                    label="Picture",
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],  # the download has its own button, large enough for a thumb
                    alt_text=words("Your photo, repainted"),
                    elem_id="picture",
                )
                result.wipe = gr.HTML(words("html-opening"), elem_id="wipe")
            result.bar = gr.HTML(words("html-bar"), elem_id="bar")
            with gr.Row(elem_id="state"):
                result.sentence = gr.HTML(words(text.INVITATION), label="Sentence", elem_id="sentence")
                result.more = gr.Button(words("Continue"), visible=False, elem_id="more")
                result.larger = gr.Button(words("Twice the size"), visible=False, elem_id="larger")
                result.stop = gr.Button(words("Stop"), variant="stop", visible=False, elem_id="stop")
                result.leave = gr.Button(words("Leave the queue"), visible=False, elem_id="leave")
            result.strength = _group("strength")
            result.studio = _studio()
        with gr.Column(visible=False, elem_id="after") as result.after:
            with gr.Row(elem_id="offers"):
                result.download = gr.DownloadButton(words("Download as PNG"), variant="primary", elem_id="download")
                result.share_picture = gr.Button(words("Share picture"), elem_id="share-picture")
                result.share = gr.Button(words("Copy link"), elem_id="share")
            result.address = gr.HTML(label="Link", elem_id="address")
            with gr.Accordion(words("Finishing touches"), open=False, elem_id="touches"):
                result.touches = _touches()
            with gr.Accordion(words("Time-lapse"), open=False, elem_id="film") as result.film:
                result.reel = gr.HTML(words("Making the film …"), elem_id="reel")
                result.film_download = gr.DownloadButton(
                    words("Download the film"), visible=False, elem_id="film-download"
                )
        with gr.Accordion(words("For the curious"), open=False, elem_id="curious"):
            result.numbers = gr.HTML(words("html-numbers"), label="Numbers", elem_id="numbers")
        result.json = JSON(visible=False, label="Result")  # for programs
        result.json.schema = RESULT
        result.kept = _kept()
    return result


def _studio() -> SimpleNamespace:
    """What experts ask for, beneath the picture: live controls, more paintings, masks and tries."""
    studio = SimpleNamespace(settings={}, extras={}, marks={}, amounts=[])
    studio.settings |= {name: _mixed(name) for name in text.MIXED}  # outside the tabs, which are not there while closed
    with gr.Accordion(words("Studio"), open=False, elem_id="studio"), gr.Tabs():
        with gr.Tab(words("Look")):
            _look_tab(studio)
        with gr.Tab(words("Paintings")):
            _paintings_tab(studio)
        studio.where = _where_tab()
        with gr.Tab(words("Tries")):
            studio.tries = tries.tab(words)
    # Outside of the tab, which is not there until it is opened.  The editor writes to it, and programs do.
    studio.extras["areas"] = Upload(label="Areas", type="filepath", visible="hidden", elem_id="areas")
    return studio


def _look_tab(studio: SimpleNamespace) -> None:
    """Colors, smoothness and the weights of the style layers."""
    with gr.Row(elem_id="look"):
        with gr.Column(min_width=260):
            studio.settings |= {name: _control(name) for name in text.STUDIO_CONTROLS}
        with gr.Column(min_width=260, elem_id="marks"):
            gr.HTML(words(text.WEIGHTS))
            for layer, label in text.MARKS.items():
                studio.marks[layer] = _amount(label, DEFAULTS.style_layers[layer], layer.replace("_", "-"))


def _paintings_tab(studio: SimpleNamespace) -> None:
    """The paintings with their shares: an empty place is shown once those before it are taken (page.css)."""
    gr.HTML(words(text.SEVERAL), elem_id="several")
    with gr.Row(elem_id="places"):
        for name in ("style", *sharing.EXTRAS[:-1]):
            with gr.Column(elem_classes="place", min_width=0):
                if name == "style":
                    studio.first = gr.Image(
                        interactive=False, show_label=False, buttons=[], height=SLOT, alt_text=words("A painting")
                    )
                else:
                    label, drop = words("Another painting"), words("Drop a painting here")
                    studio.extras[name] = _upload(label, drop, name, sources=["upload"], height=SLOT, show_label=False)
                studio.amounts.append(_amount("Amount", 1.0, f"amount-{len(studio.amounts) + 1}"))
    studio.note = gr.HTML(label="Note", elem_id="paintings-note")


def _amount(label: str, value: float, elem_id: str) -> Slider:
    """A slider for one number of a setting that has several."""
    return Slider(0, 2, value, step=0.05, label=words(label), elem_id=elem_id)


def _mixed(name: str) -> JSON:
    """A setting of several numbers, which its sliders write; `visible="hidden"` lets it fire when it is filled in."""
    return JSON(values_of(DEFAULTS)[name], label=name, visible="hidden", elem_id=name.replace("_", "-"))


def _where_tab() -> SimpleNamespace:
    """The tab with the editor of areas."""
    with gr.Tab(words("Where")) as tab:
        mount = "nst.where.mount(element, trigger, upload); // 'input'"
        editor = gr.HTML(words("html-areas"), label="Areas", elem_id="where", js_on_load=mount)
    return SimpleNamespace(tab=tab, editor=editor)


def _connect_where(inputs: SimpleNamespace, studio: SimpleNamespace) -> None:
    """Show the photo in the editor, pass what is drawn to `areas`, and show what others have put there."""
    editor, tab = studio.where.editor, studio.where.tab
    *others, stored = studio.extras.values()
    pictures = [inputs.content, inputs.style, *others]
    gr.on([tab.select, inputs.content.change], None, pictures, None, js="(...all) => nst.where.show(all)", **PRIVATE)
    editor.input(None, None, stored, js="() => nst.where.file", **PRIVATE)
    stored.change(None, stored, None, js="file => nst.where.take(file)", **PRIVATE)
    inputs.content.input(None, None, stored, js="() => null", **PRIVATE)  # areas of another photo


def _opening() -> str:
    """HTML of a finished example, half of it still the photo; served as files, without delay for what follows."""
    photo, painted = (f"gradio_api/file={path.as_posix()}" for path in presets.OPENING)
    return display.wipe(photo, 4, 3, at=50, painted_url=painted, caption=tr(text.OPENING))


def _upload(label: Any, placeholder: Any, elem_id: str, **changes: Any) -> Upload:
    options = {"sources": ["upload", "clipboard", "webcam"], "type": "filepath", "height": 194, "buttons": []}
    return Upload(label=label, placeholder=placeholder, elem_id=elem_id, **options | changes)


def _group(name: str) -> tuple[str, Slider, gr.Radio, dict[str, float]]:
    """Preset pictures and a slider for one setting: its name, the slider, the chooser, and the chooser's values."""
    title, info, choices = text.CHOOSERS[name]
    values = {label: preset.values[name] for label, preset in choices.items()}
    default = next(label for label, value in values.items() if value == getattr(DEFAULTS, name))
    elem_id = name.replace("_", "-")
    with gr.Column(elem_id=f"{elem_id}-group", elem_classes="group"):
        chooser = gr.Radio(
            [(words(label), label) for label in values],
            value=default,
            label=words(title),
            info=words(info),
            elem_id=f"{elem_id}-chooser",
        )
        slider = _control(name)
    return name, slider, chooser, values


def _controls() -> tuple[dict[str, Any], gr.HTML]:
    """A component for each of PARAMETERS that is not placed elsewhere, and the description of the network."""
    controls = {name: _control(name) for name in text.MAIN_CONTROLS}
    elsewhere = *text.MAIN_CONTROLS, *text.CHOOSERS, *text.STUDIO_CONTROLS, *text.MIXED
    with gr.Accordion(words("More settings"), open=False, elem_id="more-settings"):
        rest = [name for name in text.CONTROLS if name not in elsewhere]
        controls |= {name: _control(name) for name in rest}
    reason = gr.HTML(words("The network is being loaded …"), elem_id="reason")
    help_texts = {field.name: field.metadata["help"] for field in fields(Settings)}
    for name, value in values_of(DEFAULTS).items():
        if name not in (*controls, *elsewhere):  # hidden: set by an uploaded recipe or the API
            kind = {str: Textbox, int: Number, float: Number}.get(type(value), JSON)
            controls[name] = kind(value, label=help_texts[name], visible=False)
    return controls, reason


def _control(name: str) -> Any:
    label, info = text.CONTROLS[name]
    options = {"value": getattr(DEFAULTS, name), "label": words(label), "elem_id": name.replace("_", "-")}
    if info:
        options["info"] = words(info)
    if name in text.CHOICES:
        return Radio([(words(choice), value) for value, choice in text.CHOICES[name].items()], **options)
    if name in text.SLIDERS:
        low, high, step = text.SLIDERS[name]
        return Slider(low, high, step=step, **options)
    return Number(**options)  # without bounds, because the errors of Settings are clearer


def _touches() -> dict[str, Any]:
    """A slider for each of TOUCHES, in percent."""
    lows = {touch.name: 100 * touch.metadata["low"] for touch in fields(Finishing)}
    return {
        name: gr.Slider(
            lows[name], 100, value=0, step=1, label=words(label), info=words(info), elem_id=name.replace("_", "-")
        )
        for name, (label, info) in text.TOUCH_LABELS.items()
    }


def translations() -> gr.I18n:
    """The words of the page in all languages; HTML and CSS have keys of their own."""
    parts = {
        "html-header": text.header,
        "html-cards": cards,
        "html-explanation": display.explanation,
        "html-footer": text.footer,
        "html-opening": _opening,
        "html-bar": display.bar,
        "html-areas": areas.editor,
        "html-numbers": display.numbers,
        "css": captions_css,
    }
    tables = {}
    for language, table in translation.TABLES.items():
        with translation.speaking(language):
            tables[language] = table | {key: make() for key, make in parts.items()}
    return gr.I18n(**tables)


def pictures_css() -> str:
    """CSS with the pictures of presets."""
    urls = {}
    for name, (_, _, choices) in text.CHOOSERS.items():
        for index, word in enumerate(choices, start=1):
            urls[_choice(name, index)] = thumbnails.url(presets.thumbnail(word), LOOK)
    return "\n".join(
        f"{selector}::before {{ background-image: url({json.dumps(url)}); }}" for selector, url in urls.items()
    )


def captions_css() -> str:
    """CSS with the captions of pictures in the current language."""
    texts = {}
    for name, (_, _, choices) in text.CHOOSERS.items():
        for index, preset in enumerate(choices.values(), start=1):
            texts[_choice(name, index)] = tr(preset.description)
    texts["#picture .empty"] = tr("Your picture appears here")
    painting = tr("Tap to choose a painting")
    taps = {"#content p": tr("Tap to choose a photo"), "#style p": painting, "#places p": painting}
    rules, touch = (
        "\n".join(
            f"{selector}::after {{ content: {json.dumps(caption, ensure_ascii=False)}; }}"
            for selector, caption in captions.items()
        )
        for captions in (texts, taps)
    )
    return f"{rules}\n@media (pointer: coarse) {{\n{touch}\n}}"


def _choice(name: str, index: int) -> str:
    return f"#{name.replace('_', '-')}-chooser label:nth-of-type({index})"


# --- The latest results of this browser -------------------------------------------------------------------------------


def _kept() -> SimpleNamespace:
    """Their thumbnails, which the browser hides while there are none."""
    press = """event => {
  const {keys, pin} = event.target.dataset;
  if (keys) trigger("click", {keys});
  if (pin) { nst.pin(pin); trigger("select", {}); }
}"""
    with gr.Column(elem_id="kept"):
        with gr.Row(elem_id="kept-title"):
            gr.HTML(words(text.KEPT))
            clear = gr.Button(words("Clear list"), size="sm", min_width=0, elem_id="clear")
        strip = gr.HTML(js_on_load=f"element.addEventListener('click', {press});", elem_id="strip")
    pins = gr.HTML(js_on_load=f"element.addEventListener('click', {press});", elem_id="pins")
    return SimpleNamespace(
        strip=strip, clear=clear, pins=pins, **{name: gr.JSON(visible=False) for name in ("stored", "pinned")}
    )


def _connect_kept(
    page: gr.Blocks,
    handlers: Handlers,
    result: SimpleNamespace,
    canvas: gr.State,
    everything: list[Any],
    runs: list[Any],
) -> None:
    """Keep each finished picture in the browser's storage, and restore those that are clicked."""
    strip, stored = result.kept.strip, result.kept.stored

    def update(event: Any, continues: bool = False) -> None:
        keep, js = partial(kept.keep, continues=continues), "canvas => [canvas, nst.stored('kept')]"
        updated = event(keep, [canvas, stored], [strip, stored], js=js, **UNQUEUED)
        updated.then(None, stored, None, js="kept => nst.store('kept', kept)", **PRIVATE)

    def look(event: Any) -> None:
        looked = event(partial(kept.keep, None), stored, [strip, stored], js="() => [nst.stored('kept')]", **UNQUEUED)
        looked.then(None, stored, None, js="kept => nst.store('kept', kept)", **PRIVATE)

    def compare(event: Any) -> None:
        pins, pinned = result.kept.pins, result.kept.pinned
        compared = event(kept.show_pins, pinned, [pins, pinned], js="() => [nst.stored('pins')]", **UNQUEUED)
        compared.then(None, pinned, None, js="pins => nst.store('pins', pins)", **PRIVATE)

    look(page.load)
    for event in (page.load, strip.select, result.kept.pins.select):
        compare(event)
    update(runs[0].success)
    *again, _, chosen = runs[1:]
    update(chosen.success)  # of the tries
    for run in again:
        update(run.success, continues=True)
    begin = f"() => nst.begin('{text.PREPARING}')"
    strip.click(None, None, [result.sentence, result.address], js=begin, **PRIVATE)
    strip.click(handlers.on_unload, **UNQUEUED)  # the run that is on the page is no longer gone on with
    look(strip.click(kept.restore, None, everything, cancels=runs, **UNQUEUED).then)
    result.kept.clear.click(None, None, strip, js="() => nst.store('kept', [])", **PRIVATE)
