"""Two ways to share a result: a picture with its recipe, or a link with a pair of examples and the settings.

Both are untrusted input: they cannot name files, nor exceed a visitor's limits.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

from nst import catalogue
from nst.page import limits
from nst.page.translation import tr
from nst.recipe import Recipe
from nst.settings import Settings

MIN_SIZE = 128  # pixels
MAX_STYLE_SCALE = 2.0  # size of the painting, relative to the picture's
MAX_ITEMS = 64  # numbers or layers in one setting: more than there are scales, paintings or layers
REPEATED = "Its pictures and settings are restored: Paint repeats it. Drop it in again to use the picture itself."
PAINTINGS = 4  # of one picture, at most: "style" and the first of EXTRAS
EXTRAS = ("style_2", "style_3", "style_4", "areas")  # pictures besides photo and painting, as the API names them
PARAMETERS = tuple(knob.name for knob in fields(Settings) if knob.name != "weights")  # weights is a file on the server


@dataclass(frozen=True)
class Shared:
    """Settings and pictures that a recipe asks for."""

    settings: Settings  # within the page's limits
    pictures: tuple[str, ...] | None  # catalogue names of photo and paintings; None unless all are examples
    sentence: str  # plain text for the visitor: what was restored and what was not


@dataclass(frozen=True)
class Link:
    """Example and settings that a link asks for."""

    pair: catalogue.Pair | None
    settings: dict[str, Any]  # valid settings by name
    sentence: str  # plain text for the visitor: what was restored and what was ignored; "" for an empty link


def check(settings: Settings) -> None:
    """Reject settings that would hold up the queue.

    Raises:
        ValueError: one sentence with the setting, its value and the valid range.
    """
    limit = limits.current()
    if not MIN_SIZE <= settings.size <= limit.size:
        raise ValueError(_misfit("size", settings.size))
    if (steps := sum(steps for _, steps in settings.scales())) > limit.steps:
        raise ValueError(f"steps: {steps} at all scales together should be {limit.steps} at most on this page")
    for name in ("steps", "style_blend", "content_layers", "style_layers"):
        if (count := len(getattr(settings, name))) > MAX_ITEMS:
            raise ValueError(f"{name}: {count} values should be {MAX_ITEMS} at most on this page")
    if settings.style_scale > MAX_STYLE_SCALE:
        raise ValueError(_misfit("style_scale", settings.style_scale))


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from a visitor's values.  Raises as `Settings` and `check` do, always with the ranges of this page."""
    try:
        settings = Settings(**values)
    except ValueError as error:
        name = str(error).partition(":")[0]
        if name not in ("size", "style_scale"):
            raise
        raise ValueError(_misfit(name, values[name])) from error
    check(settings)
    return settings


def _misfit(name: str, value: Any) -> str:
    """The sentence on a size or a style scale that this page does not take."""
    low = Settings.__dataclass_fields__["style_scale"].metadata["low"]
    right = {
        "size": f"a whole number from {MIN_SIZE} to {limits.current().size}",
        "style_scale": f"a number from {low:g} to {MAX_STYLE_SCALE:g}",
    }
    return f"{name}: {value!r} should be {right[name]} on this page"


def from_recipe(recipe: Recipe, controls: Collection[str]) -> Shared:
    """Turn a recipe into settings that this page accepts.

    Args:
        controls: names of the settings that visitors can see; the sentence lists the others.
    """
    notes = list(recipe.notes)
    settings = replace(recipe.settings, weights="", frames_per_second=Settings().frames_per_second)
    settings = replace(settings, style_blend=_places(settings.style_blend))
    if recipe.network in ("compact", "vgg19", "vgg16"):  # the network that `auto` resolved to
        settings = replace(settings, network=recipe.network.replace("16", "19"))  # the page offers one VGG
    if recipe.settings.weights:
        ignored = "Its weights file, {file}, was ignored: a picture cannot load weights."
        notes.append(tr(ignored, file=recipe.settings.weights))
    size = min(max(settings.size, MIN_SIZE), limits.current().size)
    if size != settings.size:
        notes.append(tr("Its size was {size} pixels; this page uses {used}.", size=settings.size, used=size))
        settings = replace(settings, size=size)
    try:
        check(settings)
    except ValueError as error:
        settings = Settings(size=size, strength=settings.strength, network=settings.network)
        notes.append(tr("Only its size, strength and network were restored: {error}.", error=error))
    pictures = _example_names(recipe)
    return Shared(settings, pictures, " ".join([_summary(recipe, settings, pictures, controls), *notes]))


def _places(blend: tuple[float, ...]) -> tuple[float, ...]:
    """The shares of the page's four paintings; without any, they are equal."""
    rest = PAINTINGS - len(blend)
    return (*blend, *[max(2.0, *blend) / 2] * rest) if blend and rest >= 0 else ()


def _example_names(recipe: Recipe) -> tuple[str, ...] | None:
    here = {example.name for example in catalogue.examples()}
    names = [used.name for used in (recipe.content, *recipe.styles) if used.example and used.name in here]
    return tuple(names) if len(names) == len(recipe.styles) + 1 <= PAINTINGS + 1 else None


def title(recipe: Recipe) -> str:
    """The pictures of a recipe: "my photo × The Starry Night"."""
    titles = {example.name: example.title.partition(",")[0] for example in catalogue.examples()}
    pictures = recipe.content, *recipe.styles
    return " × ".join(used.example and titles.get(used.name) or PurePath(used.name).stem[:40] for used in pictures)


def credit(recipe: Recipe) -> str:
    """The credit lines of the examples among these pictures."""
    here = {example.name for example in catalogue.examples()}
    names = [used.name for used in (recipe.content, *recipe.styles) if used.example and used.name in here]
    return " ".join(catalogue.picture(name, fetch=False)[1] for name in names)


def _summary(recipe: Recipe, settings: Settings, pictures: tuple[str, ...] | None, controls: Collection[str]) -> str:
    if pictures:
        words = tr(REPEATED)
    else:
        styles = ", ".join(used.name for used in recipe.styles) or tr("its painting")
        restored = "Its settings are restored. It was painted from {photo} and {paintings}."
        words = tr(restored, photo=recipe.content.name, paintings=styles)
        if len(recipe.styles) > PAINTINGS:
            words += " " + tr("This page takes four paintings at most.")
    hidden = _hidden_changes(settings, {*controls, "style_blend"})  # the amounts of the paintings show it
    return f"{words} {tr('Also set, until you pick an example: {settings}.', settings=hidden)}" if hidden else words


def _hidden_changes(settings: Settings, controls: Collection[str]) -> str:
    """Settings that differ from their defaults and are not among the controls."""
    return "; ".join(
        f"{name.replace('_', ' ')} {_format(getattr(settings, name))}"
        for name in PARAMETERS
        if name not in controls and getattr(settings, name) != getattr(Settings(), name)
    )


def _format(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{layer} {weight:g}" for layer, weight in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def from_query(query: Mapping[str, str], controls: Collection[str]) -> Link:
    """Parse the query string of a link.  Unknown names are ignored, because other programs may use them.

    Args:
        query: values by name: "pair" and the names of settings.
        controls: names of the settings that a link may set.
    """
    pairs = {pair.name: pair for pair in installed_pairs()}
    pair, valid, notes = pairs.get(query.get("pair", "")), {}, []
    if pair:
        sentence = "{pair}: Paint repaints it as in your link." if len(query) > 1 else "{pair}: Paint repaints it."
        notes.append(tr(sentence, pair=tr(pair.title)))
    elif "pair" in query:
        missing = "There is no pair {name} here; choose one of the examples above."
        notes.append(tr(missing, name=repr(query["pair"][:40])))
    for name in controls:
        if name in query:
            try:
                value = _parse(type(getattr(Settings(), name)), query[name])
                valid[name] = getattr(settings_of({name: value}), name)
            except ValueError as error:
                notes.append(tr("Part of your link was ignored: {error}.", error=str(error)[:200]))
    return Link(pair, valid, " ".join(notes))


def to_query(content: str | None, style: str | None, settings: Settings, controls: Collection[str]) -> tuple[str, str]:
    """Build the query string of a link to two examples with these settings.

    Args:
        content: catalogue name of the photo; None if it is not an example.
        style: the same for the painting.

    Returns:
        The query string, "" if these pictures cannot be linked; and a sentence on what the link omits, "" if nothing.
    """
    pair = next((pair for pair in installed_pairs() if (pair.content, pair.style) == (content, style)), None)
    if pair is None:
        return "", tr("Links show examples or finished pictures; this one is not painted yet.")
    hidden = _hidden_changes(settings, controls)
    values = {name: getattr(settings, name) for name in controls}
    values = {name: _format_number(value) for name, value in values.items() if value != getattr(Settings(), name)}
    omitted = tr("The link does not include {settings}; the downloaded PNG does.", settings=hidden) if hidden else ""
    return "?" + urlencode({"pair": pair.name, **values}), omitted


def space_page() -> str:
    """Address of the page on the Hub that shows this Space and passes its query on; "" on other machines."""
    return f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}" if os.environ.get("SPACE_ID") else ""


def installed_pairs() -> list[catalogue.Pair]:
    """Pairs whose two pictures are installed."""
    names = {example.name for example in catalogue.examples()}
    return [pair for pair in catalogue.PAIRS if {pair.content, pair.style} <= names]


def installed_paintings() -> list[catalogue.Example]:
    """The paintings on this machine, also those of no pair."""
    return [example for example in catalogue.examples() if example.role == "painting"]


def _parse(kind: type, text: str) -> Any:
    """Parse a number where the setting is one; return invalid text unchanged, for `Settings` to reject."""
    try:
        return float(text) if kind in (int, float) else text[:40]
    except ValueError:
        return text[:40]


def _format_number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
