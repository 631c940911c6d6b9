"""What visitors hand on to each other: the recipe in a picture, read as far as the page can follow it.

Whatever comes in is a stranger's: it never names a file, and never asks for more than a visitor may have.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

from nst import catalogue
from nst.recipe import Recipe
from nst.settings import Settings

SIZES = (128, 1024)  # larger pictures keep the other visitors waiting; the command line goes further
MAX_STEPS = 2000  # likewise, of all scales together
MAX_STYLE_SCALE = 2.0  # the painting is looked at in this many times the picture's size
PARAMETERS = tuple(knob.name for knob in fields(Settings) if knob.name != "weights")  # a file of the server's


@dataclass(frozen=True)
class Shared:
    """What a picture's recipe asks the page for."""

    settings: Settings  # within the page's bounds
    pictures: tuple[str, str] | None  # photo and painting in the catalogue; None: the visitor has them
    sentence: str  # for a person: what was taken over, and what could not be; plain text


def check(settings: Settings) -> None:
    """Refuse what would keep the other visitors waiting.

    Raises:
        ValueError: one sentence with the setting, its value and what would be right.
    """
    if not SIZES[0] <= settings.size <= SIZES[1]:
        raise ValueError(f"size: {settings.size} should be from {SIZES[0]} to {SIZES[1]} on this page")
    if (steps := sum(steps for _, steps in settings.scales())) > MAX_STEPS:
        raise ValueError(f"steps: {steps} at all scales together should be {MAX_STEPS} at most on this page")
    if settings.style_scale > MAX_STYLE_SCALE:
        raise ValueError(f"style_scale: {settings.style_scale:g} should be {MAX_STYLE_SCALE:g} at most on this page")


def from_recipe(made: Recipe, controls: Collection[str]) -> Shared:
    """How to paint a picture again.

    Args:
        controls: names of the settings that the visitor sees on the page; the sentence names the others.
    """
    notes = list(made.notes)
    settings = replace(made.settings, weights="", style_blend=(), frames_per_second=Settings().frames_per_second)
    if made.network in ("compact", "vgg19"):  # what really painted where the settings left it open
        settings = replace(settings, network=made.network)
    if made.settings.weights:
        notes.append(f"Its weights file, {made.settings.weights}, is not taken from a picture.")
    size = min(max(settings.size, SIZES[0]), SIZES[1])
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
    further = [
        f"{name.replace('_', ' ')} {_written(getattr(settings, name))}"
        for name in PARAMETERS
        if name not in controls and getattr(settings, name) != getattr(Settings(), name)
    ]
    return f"{words} Until you pick an example, also: {'; '.join(further)}." if further else words


def _written(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{layer} {weight:g}" for layer, weight in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
