"""What goes in, and where it comes from: an example, a picture that was dropped in, a link."""

import html
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr

from nst import catalogue, images, recipe
from nst.page import sharing
from nst.page.display import told, trouble
from nst.page.results import TOUCHES, Canvas, View, kept, kept_as, show
from nst.page.sharing import PARAMETERS
from nst.page.text import CONTROLS, GONE, LINK_LIMITS
from nst.settings import Settings

DEFAULTS = Settings()
LINKED = ("picture", "photo", "painting")  # what a link to a visitor's own result names, in a Canvas's order


class Setup(NamedTuple):
    """What a handler changes of what goes in; the values of PARAMETERS and TOUCHES follow it."""

    content: Any = gr.skip()
    style: Any = gr.skip()
    credit: Any = gr.skip()
    note: Any = gr.skip()  # about the pictures, beneath them
    repeated: Any = gr.skip()  # the recipe last taken over
    go: Any = gr.skip()  # a new value: paint now


def choose(pair: catalogue.Pair) -> tuple[Any, ...]:
    """An example's pictures, with the settings of which the visitor sees nothing at their defaults: paint it."""
    setup = Setup(*_pictures(pair.content, pair.style), note="", repeated=None, go=time.time())
    further = (gr.skip() if name in CONTROLS else value for name, value in values_of(DEFAULTS).items())
    return *setup, *further, *(0 for _ in TOUCHES)


def choose_painting(example: catalogue.Example) -> tuple[str, str]:
    """A painting, and whose it is."""
    path, credit = catalogue.picture(example.name)
    return kept(path), html.escape(credit)


def look_into(path: str | None, repeated: str | None) -> tuple[Any, ...]:
    """Look at a picture that was dropped in: one of ours brings its settings, and the examples it was made from."""
    unchanged = [gr.skip() for _ in PARAMETERS + TOUCHES]
    try:
        if path:
            images.load(path, longest_side=64)
        made = recipe.read(path) if path else None
    except ValueError as error:
        return *Setup(note=trouble(str(error))), *unchanged
    if made is None or made.text == repeated:  # dropped once more: now it is to be painted on
        return *Setup(note=""), *unchanged
    shared = sharing.from_recipe(made, CONTROLS)
    setup = Setup(*_pictures(*shared.pictures)) if shared.pictures else Setup()
    setup = setup._replace(note=told(shared.sentence), repeated=made.text)
    touches = (round(100 * made.finishing.get(name, 0)) for name in TOUCHES)
    return *setup, *values_of(shared.settings).values(), *touches


def arrive(request: gr.Request) -> tuple[Any, ...]:
    """What a link asks for, when the page is opened with it; else The Starry Night, for a photo yet to come."""
    query = dict(request.query_params)
    if "picture" in query:
        return _arrive_at(query)
    link = sharing.from_query(query, CONTROLS)
    if link.pair:
        setup = Setup(*_pictures(link.pair.content, link.pair.style))
    else:
        path, credit = catalogue.picture("starry-night", fetch=False)
        setup = Setup(style=kept(path), credit=html.escape(credit))
    setup = setup._replace(note=told(link.sentence)) if link.sentence else setup
    return *View(), *setup, *(link.given.get(name, gr.skip()) for name in PARAMETERS), *(gr.skip() for _ in TOUCHES)


def _arrive_at(query: dict[str, str]) -> tuple[Any, ...]:
    """A visitor's own result."""
    unchanged = [gr.skip() for _ in PARAMETERS + TOUCHES]
    try:
        painted, content, style = (kept_as(query.get(name, "")) for name in LINKED)
        made = recipe.read(painted)
        if made is None:
            raise ValueError("Only pictures of this page are linked to.")
        width, height = made.size
        view = show(Path(painted), (painted, content, style), (height, width))
    except ValueError:
        return *View(), *Setup(note=trouble(GONE)), *unchanged
    settings = sharing.from_recipe(made, CONTROLS).settings
    return (
        *view,
        *Setup(content, style, repeated=made.text),
        *values_of(settings).values(),
        *unchanged[len(PARAMETERS) :],
    )


def link(content: str | None, style: str | None, canvas: Canvas | None, *values: Any) -> str:
    """HTML that page.js makes a link of, or says why there is none."""
    photo, painting = (catalogue.recognize(path or "") for path in (content, style))
    try:
        settings = Settings(**dict(zip(PARAMETERS, values)))
        query, sentence = sharing.to_query(photo, painting, settings, CONTROLS)
    except ValueError as error:
        return trouble(str(error))
    if not query and canvas:  # the files' names in Gradio's folder are hashes, and nobody can guess them
        query, sentence = "?" + urlencode(dict(zip(LINKED, (Path(path).parent.name for path in canvas)))), LINK_LIMITS
    return f'<i data-query="{html.escape(query)}"></i>{told(sentence)}' if query else told(sentence)


def values_of(settings: Settings) -> dict[str, Any]:
    """The settings of PARAMETERS as components take them."""
    values = {name: getattr(settings, name) for name in PARAMETERS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _pictures(content: str, style: str) -> tuple[str, str, str]:
    """Two examples and whose they are."""
    (photo, whose), (painting, whose_style) = catalogue.picture(content), catalogue.picture(style)
    return kept(photo), kept(painting), html.escape(f"{whose} {whose_style}")
