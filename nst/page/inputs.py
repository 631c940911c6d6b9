"""Handlers that fill in the inputs: from an example, an upload or a link."""

import html
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr

from nst import catalogue, images, machine, recipe
from nst.page import areas, display, sharing
from nst.page.cache import cache_file, cached_file, is_shown_by_browsers, stand_in
from nst.page.display import error_message, message
from nst.page.results import TOUCHES, Canvas, View, buttons, continuing, show
from nst.page.sharing import EXTRAS, PAINTINGS, PARAMETERS
from nst.page.text import AREAS_RESTORED, CONTROLS, DELETED, LINK_LIMITS, SHARED, STUDIO_CONTROLS, painting_words
from nst.page.thumbnails import before_and_after, url
from nst.page.translation import tr
from nst.settings import Settings

DEFAULTS = Settings()
UNCHANGED = (gr.skip(),) * len(PARAMETERS + TOUCHES)
TILE = 112  # pixels: twice the size of a painting in the strip
STARTED = time.monotonic()
CARD = 150  # pixels of a picture on a card
DOWNLOADS = 3600  # seconds after the start in which examples are downloaded and painted in the background
# Query names of a link to a visitor's own result, in Canvas order.
RESULT_QUERY = ("picture", "photo", "painting", "painting_2", "painting_3", "painting_4")


class Setup(NamedTuple):
    """New values of the inputs; the values of PARAMETERS and TOUCHES follow in the same tuple."""

    content: Any = gr.skip()
    style: Any = gr.skip()
    credit: Any = gr.skip()
    note: Any = gr.skip()  # a sentence below the pictures
    last_recipe: Any = gr.skip()  # text of the recipe that was restored last
    paint_trigger: Any = gr.skip()  # any new value starts painting
    style_2: Any = gr.skip()
    style_3: Any = gr.skip()
    style_4: Any = gr.skip()
    areas: Any = gr.skip()  # a picture of colored areas


def choose_example(event: gr.EventData) -> tuple[Any, ...]:
    """Load the example whose card was chosen, reset the studio and what visitors cannot see, and start painting."""
    pair = next((pair for pair in sharing.installed_pairs() if pair.name == event.name), None)
    if pair is None:
        return *Setup(), *UNCHANGED
    setup = _pictures(pair.content, pair.style)._replace(
        note="", last_recipe=None, paint_trigger=time.monotonic(), areas=None
    )
    stay = set(CONTROLS) - set(STUDIO_CONTROLS)
    settings = (gr.skip() if name in stay else value for name, value in values_of(DEFAULTS).items())
    return *setup, *settings, *(0 for _ in TOUCHES)


def cards() -> str:
    """HTML of the examples that are here, with the latest of their thumbnails."""
    examples = []
    for pair in sharing.installed_pairs():
        photo, painting = catalogue.find(pair.content), catalogue.find(pair.style)
        both = before_and_after(photo.path, pair.thumbnail or painting.path, CARD)
        examples.append((pair.name, tr(pair.title), painting_words(painting)[1], both))
    return display.cards(examples)


def show_examples(shown_cards: str | None, shown_strip: str | None) -> tuple[Any, Any, Any]:
    """HTML of the cards and of the strip of paintings, if they differ from what is shown, and whether to look again."""
    tiles = [(each.name, *painting_words(each), url(each.path, TILE)) for each in sharing.installed_paintings()]
    strip, row = display.paintings(tiles), cards()
    is_growing = bool(catalogue.missing()) or not all(pair.thumbnail for pair in sharing.installed_pairs())
    is_early = time.monotonic() - STARTED < DOWNLOADS and not machine.is_offline()
    return (
        row if row != shown_cards else gr.skip(),
        strip if strip != shown_strip else gr.skip(),
        gr.update(active=is_early and is_growing),
    )


def choose_painting(event: gr.EventData) -> tuple[Any, Any]:
    """Load the painting whose tile was chosen, and its credit line."""
    if event.name not in {painting.name for painting in sharing.installed_paintings()}:
        return gr.skip(), gr.skip()
    path, credit = catalogue.picture(event.name)
    return cache_file(path), html.escape(credit)


def on_upload(path: str | None, last_recipe: str | None, side: str = "content") -> tuple[Any, ...]:
    """Check an uploaded picture; if it carries a recipe, restore its settings and the examples it was made from.

    `side` names the upload, a field of `Setup`, which gets a preview of what browsers do not show.
    """
    try:
        if path:
            images.load(path, longest_side=64)
        preview = Setup() if path is None or is_shown_by_browsers(path) else Setup(**{side: stand_in(path)})
        found = recipe.read(path) if path else None
    except ValueError as error:
        return *Setup(note=error_message(str(error))), *UNCHANGED
    if found is None or found.text == last_recipe:  # uploaded again: use it as an ordinary picture
        return *preview._replace(note="", areas=_kept_areas(path, last_recipe, side)), *UNCHANGED
    shared = sharing.from_recipe(found, CONTROLS)
    setup = _pictures(*shared.pictures) if shared.pictures else preview
    note = f"{shared.sentence} {tr(AREAS_RESTORED)}" if recipe.where(found) else shared.sentence
    setup = setup._replace(note=message(note), last_recipe=found.text, areas=areas.restored(found))
    touches = (round(100 * found.finishing.get(name, 0)) for name in TOUCHES)
    return *setup, *values_of(shared.settings).values(), *touches


def _kept_areas(path: str | None, last_recipe: str | None, side: str) -> Any:
    """No areas for another photo, but those of the last recipe if the photo is the one that it names."""
    if side != "content":
        return gr.skip()
    made = recipe.parse(last_recipe) if last_recipe else None
    return areas.restored(made) if made and path and made.content.name == Path(path).name else None


def on_load(request: gr.Request) -> tuple[Any, ...]:
    """Fill in what the query string asks for; by default, The Starry Night as the painting."""
    query = dict(request.query_params)
    note: Any = gr.skip()
    if "picture" in query:
        try:
            return show_result([query[name] for name in RESULT_QUERY if name in query], tr(SHARED))
        except ValueError:
            note = error_message(tr(DELETED))
    link = sharing.from_query(query, CONTROLS)
    if link.pair:
        setup = _pictures(link.pair.content, link.pair.style)
    else:
        path, credit = catalogue.picture("starry-night", fetch=False)
        setup = Setup(style=cache_file(path), credit=html.escape(credit))
    setup = setup._replace(note=message(link.sentence) if link.sentence else note)
    return *View(), *setup, *(link.settings.get(name, gr.skip()) for name in PARAMETERS), *(gr.skip() for _ in TOUCHES)


def show_result(keys: Sequence[str], sentence: str) -> tuple[Any, ...]:
    """Show a result that is still cached, with its pictures and settings; it can be gone on with from its file.

    Args:
        keys: cache keys of a `Canvas`, untrusted.
        sentence: told below the picture; `{}` stands for its photo and its paintings.

    Raises:
        ValueError: no such result is cached.
    """
    painted = cached_file(keys[0])
    made = recipe.read(painted)
    if made is None:
        raise ValueError("This picture was not painted by this page.")
    names = [used.name for used in (made.content, *made.styles)]
    content, style, *others = (cached_file(*pair) for pair in zip(keys[1 : len(RESULT_QUERY)], names))
    width, height = made.size
    hidden = gr.update(visible=False)
    view = show(Path(painted), (painted, content, style, *others), (height, width))._replace(
        sentence=message(sentence.format(sharing.title(made))),
        numbers=display.numbers(),
        film=hidden,
        **continuing((height, width)),
        **buttons("idle"),
    )
    credit = html.escape(sharing.credit(made))
    setup = _setup(content, style, *others)
    setup = setup._replace(credit=credit, note="", last_recipe=made.text, areas=areas.restored(made))
    settings = sharing.from_recipe(made, CONTROLS).settings
    return *view, *setup, *values_of(settings).values(), *(0 for _ in TOUCHES)


def larger_size(canvas: Canvas | None, size: int) -> Any:
    """Twice the size of the finished picture; the control's own without one."""
    try:
        return 2 * max(images.read(canvas[0]).stored_shape) if canvas else size
    except ValueError:  # deleted; painting will say so
        return size


def make_link(content: str | None, style: str | None, canvas: Canvas | None, *values: Any) -> str:
    """HTML that page.js turns into a link, or a sentence on why there is no link.

    `values` are those of PARAMETERS and EXTRAS; no pair of examples has the latter.
    """
    is_pair = not any(values[len(PARAMETERS) :])
    photo, painting = (catalogue.recognize(path or "") if is_pair else None for path in (content, style))
    try:
        settings = replace(Settings(**dict(zip(PARAMETERS, values))), style_blend=())  # of one painting
        query, sentence = sharing.to_query(photo, painting, settings, CONTROLS)
    except ValueError as error:
        return error_message(str(error))
    if not query and canvas:  # cached files are named by hashes, which nobody can guess
        query, sentence = (
            "?" + urlencode(dict(zip(RESULT_QUERY, (Path(p).parent.name for p in canvas)))),
            tr(LINK_LIMITS),
        )
    link = html.escape(sharing.space_page() + query)  # page.js completes it, unless on a Space
    return f'<i data-link="{link}"></i>{message(sentence)}' if query else message(sentence)


def values_of(settings: Settings) -> dict[str, Any]:
    """Values of PARAMETERS, in the form that components accept."""
    values = {name: getattr(settings, name) for name in PARAMETERS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _pictures(*names: str) -> Setup:
    """Examples, a photo and its paintings, with their credit lines."""
    paths, credits = zip(*map(catalogue.picture, names))
    return _setup(*map(cache_file, paths))._replace(credit=html.escape(" ".join(credits)))


def _setup(content: str, *styles: str) -> Setup:
    """A photo and one to four paintings; places that are not taken are cleared."""
    first, *others = *styles, *[None] * (PAINTINGS - len(styles))
    return Setup(content, first, **dict(zip(EXTRAS, others)))
