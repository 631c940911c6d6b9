"""What visitors hand on to each other: a picture with its recipe, or a link with a pair of examples and the settings.

Whatever comes in is a stranger's: it never names a file, and never asks for more than a visitor may have.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from nst import catalogue
from nst.page import limits
from nst.recipe import Recipe
from nst.settings import Settings

MIN_SIZE = 128  # pixels
MAX_STYLE_SCALE = 2.0  # the painting is looked at in this many times the picture's size
PARAMETERS = tuple(knob.name for knob in fields(Settings) if knob.name != "weights")  # a file of the server's


@dataclass(frozen=True)
class Shared:
    """What a picture's recipe asks the page for."""

    settings: Settings  # within the page's bounds
    pictures: tuple[str, str] | None  # photo and painting in the catalogue; None: the visitor has them
    sentence: str  # for a person: what was taken over, and what could not be; plain text


@dataclass(frozen=True)
class Link:
    """What a link asks the page for."""

    pair: catalogue.Pair | None
    given: dict[str, Any]  # settings by their names, good ones only
    sentence: str  # for a person: what is here now, and what was not taken; plain text, empty for an empty link


def check(settings: Settings) -> None:
    """Refuse what would keep the other visitors waiting.

    Raises:
        ValueError: one sentence with the setting, its value and what would be right.
    """
    most = limits.here()
    if not MIN_SIZE <= settings.size <= most.size:
        raise ValueError(f"size: {settings.size} should be from {MIN_SIZE} to {most.size} on this page")
    if (steps := sum(steps for _, steps in settings.scales())) > most.steps:
        raise ValueError(f"steps: {steps} at all scales together should be {most.steps} at most on this page")
    if settings.style_scale > MAX_STYLE_SCALE:
        raise ValueError(f"style_scale: {settings.style_scale:g} should be {MAX_STYLE_SCALE:g} at most on this page")


def from_recipe(made: Recipe, controls: Collection[str]) -> Shared:
    """How to paint a picture again.

    Args:
        controls: names of the settings that the visitor sees on the page; the sentence names the others.
    """
    notes = list(made.notes)
    settings = replace(made.settings, weights="", style_blend=(), frames_per_second=Settings().frames_per_second)
    if made.network in ("compact", "vgg19", "vgg16"):  # what really painted where the settings left it open
        settings = replace(settings, network=made.network.replace("16", "19"))  # the genuine one that a page has
    if made.settings.weights:
        notes.append(f"Its weights file, {made.settings.weights}, is not taken from a picture.")
    size = min(max(settings.size, MIN_SIZE), limits.here().size)
    if size != settings.size:
        notes.append(f"Its size was {settings.size} pixels; on this page it is {size}.")
        settings = replace(settings, size=size)
    try:
        check(settings)
    except ValueError as error:
        settings = Settings(size=size, strength=settings.strength, network=settings.network)
        notes.append(f"Only its size, strength and network are taken over: {error}.")
    pictures = _examples(made)
    return Shared(settings, pictures, " ".join([_told(made, settings, pictures, controls), *notes]))


def _examples(made: Recipe) -> tuple[str, str] | None:
    here = {example.name for example in catalogue.examples()}
    names = [used.name for used in (made.content, *made.styles) if used.example and used.name in here]
    return (names[0], names[1]) if len(names) == len(made.styles) + 1 == 2 else None


def _told(made: Recipe, settings: Settings, pictures: tuple[str, str] | None, controls: Collection[str]) -> str:
    if pictures:
        words = "Everything is as it was for this picture: Paint repeats it. Drop it in once more to paint on it."
    else:
        styles = " and ".join(used.name for used in made.styles) or "its painting"
        words = f"The controls are as they were for this picture. It was painted from {made.content.name} and {styles}."
        if len(made.styles) > 1:
            words += " This page takes one painting at a time."
    further = _further(settings, controls)
    return f"{words} Until you pick an example, also: {further}." if further else words


def _further(settings: Settings, controls: Collection[str]) -> str:
    """What differs from the defaults, and the visitor does not see."""
    return "; ".join(
        f"{name.replace('_', ' ')} {_written(getattr(settings, name))}"
        for name in PARAMETERS
        if name not in controls and getattr(settings, name) != getattr(Settings(), name)
    )


def _written(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{layer} {weight:g}" for layer, weight in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def from_query(query: Mapping[str, str], controls: Collection[str]) -> Link:
    """What the query of a link says; names that mean nothing here are others' business and pass unnoticed.

    Args:
        query: the texts by their names: "pair", and settings by theirs.
        controls: names of the settings that a link may set.
    """
    pairs = {pair.name: pair for pair in installed_pairs()}
    pair, given, notes = pairs.get(query.get("pair", "")), {}, []
    if pair:
        notes.append(f"{pair.title}: Paint repaints it{' as in your link' if len(query) > 1 else ''}.")
    elif "pair" in query:
        notes.append(f"There is no pair {query['pair'][:40]!r} here; the examples above are what there is.")
    for name in controls:
        if name in query:
            try:
                value = _read(type(getattr(Settings(), name)), query[name])
                settings = Settings(**{name: value})
                check(settings)
                given[name] = getattr(settings, name)
            except ValueError as error:
                notes.append(f"Your link could not be followed in all: {str(error)[:200]}.")
    return Link(pair, given, " ".join(notes))


def to_query(content: str | None, style: str | None, settings: Settings, controls: Collection[str]) -> tuple[str, str]:
    """The query of a link to two pictures with these settings, and a sentence on what it leaves out.

    Args:
        content: the photo's name in the catalogue; None if it is not from there.
        style: likewise, the painting's.

    Returns:
        The query, "" if no link can show these pictures; and the sentence, "" if nothing is left out.
    """
    pair = next((pair for pair in installed_pairs() if (pair.content, pair.style) == (content, style)), None)
    if pair is None:
        return "", "A link shows the examples, or a finished picture; this one is not painted yet."
    further = _further(settings, controls)
    values = {name: getattr(settings, name) for name in controls}
    values = {name: _short(value) for name, value in values.items() if value != getattr(Settings(), name)}
    left_out = f"The link leaves out {further}; the downloaded PNG does not." if further else ""
    return "?" + urlencode({"pair": pair.name, **values}), left_out


def installed_pairs() -> list[catalogue.Pair]:
    """Those whose pictures are here."""
    names = {example.name for example in catalogue.examples()}
    return [pair for pair in catalogue.PAIRS if {pair.content, pair.style} <= names]


def installed_paintings() -> list[catalogue.Example]:
    """Those that pairs are painted in the manner of."""
    styles = {pair.style for pair in installed_pairs()}
    return [example for example in catalogue.examples() if example.name in styles]


def _read(kind: type, text: str) -> Any:
    """A number if it should be one; what cannot be read stays text, for Settings to refuse."""
    try:
        return float(text) if kind in (int, float) else text[:40]
    except ValueError:
        return text[:40]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
