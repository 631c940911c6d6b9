"""The latest results of a browser: it keeps their cache keys, and the page shows those that are still cached.

Not a `gr.BrowserState`: where browsers forbid local storage, as in some frames, it keeps the whole page from opening.
"""

import html
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from nst import images, recipe
from nst.page import sharing
from nst.page.cache import cached_file
from nst.page.components import data_url
from nst.page.display import error_message
from nst.page.inputs import UNCHANGED, Setup, show_result
from nst.page.results import Canvas, View, buttons
from nst.page.text import DELETED, RESTORED
from nst.page.translation import tr

MOST = 8  # results
SIDE, CARD = 144, 640  # pixels of a thumbnail and of a pinned picture: twice of those on the page, for sharp screens
PINS = 3  # pinned results


def keep(canvas: Canvas | None, kept: Any, continues: bool = False) -> tuple[str, list[str]]:
    """Add a result to those of a browser, and drop those that have been deleted here.

    Args:
        canvas: the new result, None for none.
        kept: the cache keys of each older one, "picture/photo/painting/…", the newest first; untrusted.
        continues: the new result takes the place of the newest, if that was made of the same photo and paintings.

    Returns:
        HTML of their thumbnails as buttons, and what `kept` should be.
    """
    kept = kept if isinstance(kept, list) else []
    if canvas:
        new = "/".join(Path(path).parent.name for path in canvas)
        same = bool(kept) and str(kept[0]).partition("/")[2] == new.partition("/")[2]
        kept = [new, *kept[1 if continues and same else 0 :]]
    found = {}
    for keys in kept[: 2 * MOST]:
        try:
            painted, _, _, *_ = (cached_file(key) for key in str(keys).split("/"))
            found[keys] = _button(keys, *_thumbnail(painted))
        except ValueError:  # deleted, or not ours
            continue
    shown = list(found)[:MOST]
    return "".join(found[keys] for keys in shown), shown


def show_pins(pins: Any) -> tuple[str, list[str]]:
    """The results that a visitor has pinned to compare them.

    Args:
        pins: cache keys like those of `keep`; untrusted.

    Returns:
        HTML of them side by side, and those that are still here.
    """
    cards = {}
    for keys in pins[: 2 * PINS] if isinstance(pins, list) else []:
        try:
            painted, *_ = (cached_file(key) for key in str(keys).split("/"))
            cards[keys] = _card(keys, painted)
        except ValueError:  # deleted, or not ours
            continue
    shown = list(cards)[:PINS]
    group = "".join(cards[keys] for keys in shown)
    return f'<div role="group" aria-label="{tr("Pinned pictures")}">{group}</div>' if shown else "", shown


def restore(event: gr.EventData) -> tuple[Any, ...]:
    """Show the result whose thumbnail was clicked."""
    try:
        return show_result(str(getattr(event, "keys", "")).split("/"), tr(RESTORED))
    except ValueError:
        return *View(**buttons("idle")), *Setup(note=error_message(tr(DELETED))), *UNCHANGED


def _button(keys: str, url: str, title: str) -> str:
    title = html.escape(title)
    pin = tr("Pin {title} to compare it", title=title)
    return (
        f'<span><button type="button" data-keys="{keys}" title="{title}"><img src="{url}" alt="{title}"></button>'
        f'<button type="button" class="pin" data-pin="{keys}" aria-label="{pin}">{tr("Pin")}</button></span>'
    )


def _card(keys: str, path: str) -> str:
    url, title = map(html.escape, _thumbnail(path, CARD))
    settings = _recipe(path).settings
    numbers = tr(
        "Strength {strength}, brush size {brush}", strength=f"{settings.strength:g}", brush=f"{settings.style_scale:g}"
    )
    unpin = tr("Unpin {title}", title=title)
    return (
        f'<figure><img src="{url}" alt="{title}"><figcaption><b>{title}</b><span>{numbers}</span></figcaption>'
        f'<button type="button" data-pin="{keys}" aria-label="{unpin}">{tr("Unpin")}</button></figure>'
    )


@lru_cache(maxsize=256)  # safe, because paths contain hashes of the files
def _thumbnail(path: str, side: int = SIDE) -> tuple[str, str]:
    """A small JPEG of a result as a data URL, and its title."""
    title = sharing.title(_recipe(path))
    return data_url(images.encode_jpeg(images.to_uint8(images.load(path, longest_side=side)))), title


def _recipe(path: str) -> recipe.Recipe:
    made = recipe.read(path)
    if made is None:
        raise ValueError("This picture was not painted by this page.")
    return made
