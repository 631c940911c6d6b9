"""The recipe of a picture: everything that made it, as a line of ASCII JSON that travels inside the picture's file.

It holds neither folders, which are nobody's business, nor times: the same run writes the same file, byte for byte.
"""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nst import __version__, images
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.features import Network
    from nst.transfer import Frame

Knobs = TypeVar("Knobs")  # a dataclass of settings

VERSION = __version__


@dataclass(frozen=True)
class Ingredient:
    """A picture that went in, as the engine saw it: reduced to the asked size."""

    name: str  # of its file, without the folder, or in the catalogue
    example: bool  # whether it is the catalogue's
    size: tuple[int, int]  # width, height in pixels
    pixels_hash: str  # first 16 hex digits of the SHA-256 of its uint8 RGB pixels, row by row

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _file_name(self.name))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What made a picture."""

    version: str  # of this program
    network: str  # what really painted where the settings say "auto": "compact", "vgg19" or "vgg16"
    precision: str  # likewise: "float32" or "bfloat16"
    weights_hash: str  # `Weights.digest`
    content: Ingredient
    styles: tuple[Ingredient, ...]
    size: tuple[int, int]  # width, height of the picture in pixels
    step: int  # steps done
    steps: int  # of the whole run; more than `step` if it was stopped
    settings: Settings  # as asked for; `weights` without its folder
    finishing: dict[str, float] = field(default_factory=dict)  # done to the painted picture, by `Finishing`'s names
    steered: bool = False  # settings changed while it was painted: these are the last ones, and make a similar picture
    notes: tuple[str, ...] = field(default=(), compare=False)  # sentences on what `parse` could not take over

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", replace(self.settings, weights=_file_name(self.settings.weights)))

    @property
    def text(self) -> str:
        """The recipe as JSON, for `parse`.  All settings are in it: another version may have other defaults."""
        told = asdict(self)
        del told["notes"]
        for name in ("finishing", "steered"):
            if not told[name]:
                del told[name]
        return json.dumps({"nst": told.pop("version"), **told})

    @property
    def texts(self) -> dict[str, str]:
        """What `images.save` embeds: the recipe, and a word for people who look with another program."""
        styles = " and ".join(style.name for style in self.styles)
        # A name comes never first: `images.read_text` would mistake one like the recipe's beginning for it.
        description = f"Neural style transfer: {self.content.name} in the manner of {styles}"
        return {"Software": f"nst {self.version}", "Description": description, "nst": self.text}


def ingredient(name: str | os.PathLike, image: np.ndarray, example: bool = False) -> Ingredient:
    """Describe a picture that goes in.

    Args:
        name: its file, of which only the name is kept, or its name in the catalogue.
        image: float32 (1, H, W, 3) RGB in [0, 1], as the engine is given it.
        example: whether it is the catalogue's.
    """
    pixels = images.to_uint8(image)
    pixels_hash = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    return Ingredient(os.fspath(name), example, (pixels.shape[1], pixels.shape[0]), pixels_hash)


def describe(
    settings: Settings,
    network: "Network",
    used: Sequence[Ingredient],
    frame: "Frame",
    picture: np.ndarray,
    steered: bool = False,
) -> Recipe:
    """The recipe of a picture.

    Args:
        used: the content and then the styles.
        frame: the last one of the run, which may have been stopped.
        picture: uint8 (H, W, 3), as it will be written.
        steered: whether settings changed while it was painted.
    """
    content, *styles = used
    return Recipe(
        version=VERSION,
        network=network.name,
        precision=network.precision,
        weights_hash=network.weights_hash,
        content=content,
        styles=tuple(styles),
        size=(picture.shape[1], picture.shape[0]),
        step=frame.step,
        steps=frame.steps,
        settings=settings,
        steered=steered,
    )


def read(source: str | os.PathLike | bytes) -> Recipe | None:
    """The recipe in a picture, given by its path or as the bytes of its file; None if it carries none.

    Raises:
        ValueError: the file cannot be read (an `images.ImageError`), or its recipe is damaged.
    """
    text = images.read_text(source)
    return None if text is None else parse(text)


def parse(text: str) -> Recipe:
    """A recipe from its JSON; what follows that is ignored.

    A setting that this version does not know, or whose value it refuses, is left at its default and named in `notes`:
    most of a recipe is better than none.  Text comes out short and printable, and no more to be trusted than the file.

    Raises:
        ValueError: it is no recipe, or a damaged one.
    """
    try:
        told, _ = json.JSONDecoder().raw_decode(text)
        version, notes, steered = _words(told.pop("nst")), [], told.get("steered") is True
        if steered:
            notes.append("Its sliders were pulled while it was painted: its last settings make a similar picture.")
        if version != VERSION:
            notes.append(f"Painted by version {version} of this program; version {VERSION} may paint it differently.")
        return Recipe(
            version=version,
            **{name: _words(told[name]) for name in ("network", "precision", "weights_hash")},
            content=_ingredient(told["content"]),
            styles=tuple(map(_ingredient, told["styles"])),
            size=_size(told["size"]),
            step=_whole(told["step"]),
            steps=_whole(told["steps"]),
            settings=_taken(Settings(), told["settings"], notes),
            finishing=_finishing(told["finishing"], notes) if "finishing" in told else {},
            steered=steered,
            notes=tuple(notes),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("The recipe in this picture is damaged, or not of this program.") from error


def _finishing(told: dict[str, Any], notes: list[str]) -> dict[str, float]:
    from nst.finishing import Finishing  # SciPy takes a while to import, and most pictures have none

    taken = asdict(_taken(Finishing(), told, notes))
    return {name: value for name, value in taken.items() if value}


def _taken(settings: Knobs, told: dict[str, Any], notes: list[str]) -> Knobs:
    """The settings as far as this version takes them; a sentence on each that it does not take joins the notes."""
    if not isinstance(told, dict):
        raise ValueError(told)
    for knob in fields(settings):  # type: ignore[arg-type]  # one by one: a refused value does not spoil the others
        if knob.name not in told:
            continue
        value = told.pop(knob.name)
        if isinstance(value, dict):
            value = {_words(layer): weight for layer, weight in value.items()}
        try:
            settings = replace(settings, **{knob.name: value})  # type: ignore[type-var]
        except ValueError as error:
            notes.append(_words(f"{error}; its default is taken."))
    if told:
        notes.append(_words(f"This version has no setting {' or '.join(sorted(told))}."))
    return settings


def _ingredient(told: dict[str, Any]) -> Ingredient:
    name, pixels_hash = _words(told["name"]), _words(told["pixels_hash"])
    return Ingredient(name, told["example"] is True, _size(told["size"]), pixels_hash)


def _size(told: list[Any]) -> tuple[int, int]:
    width, height = map(_whole, told)
    return width, height


def _whole(told: Any) -> int:
    if type(told) is not int or not 0 <= told < 2**31:
        raise ValueError(told)
    return told


def _file_name(path: str) -> str:
    """The last part of a path of any system."""
    return _words(re.split(r"[/\\]", path)[-1])


def _words(told: str) -> str:
    """Text that may be printed: short, and nothing in it moves a terminal's cursor or turns the way it is written."""
    safe = (letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in told)  # Zs: kinds of spaces
    return "".join(letter if good else "?" for letter, good in zip(told[:255], safe))
