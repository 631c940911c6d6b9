"""The recipe of a picture: its inputs, network and settings, as a line of ASCII JSON embedded in its file.

It contains no folders, for privacy, and no times, so that the same run writes the same file, byte for byte.
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
    from nst.masks import Masks
    from nst.transfer import Frame

AnySettings = TypeVar("AnySettings")  # `Settings` or `Finishing`

VERSION = __version__
MAX_MASK = 5000  # characters of a mask in base64: all of them fit into a recipe
MAX_MASKS = 5  # of a recipe: more have their hashes only


@dataclass(frozen=True)
class Ingredient:
    """An input image, as downscaled for the engine."""

    name: str  # of its file without the folder, or of the example
    example: bool  # whether it is in the catalogue
    size: tuple[int, int]  # width, height in pixels
    pixels_hash: str  # first 16 hex digits of the SHA-256 of its uint8 RGB pixels, row by row

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _file_name(self.name))


@dataclass(frozen=True)
class Mask:
    """Where a painting went, or what was protected."""

    painting: int | None  # index of the painting; None: the photo was protected there
    mask_hash: str  # first 16 hex digits of the SHA-256 of its uint8 pixels, row by row
    png: str  # the mask as a PNG file in base64; "" if that is too large


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a picture was made."""

    version: str  # of this program
    network: str  # the one used, "compact", "vgg19" or "vgg16", where the settings may say "auto"
    precision: str  # the one used, "float32" or "bfloat16"
    weights_hash: str  # `Weights.digest`
    content: Ingredient
    styles: tuple[Ingredient, ...]
    size: tuple[int, int]  # width, height of the picture in pixels
    step: int  # steps done
    steps: int  # steps of the whole run; more than `step` if it was stopped
    settings: Settings  # as requested; `weights` without its folder
    finishing: dict[str, float] = field(default_factory=dict)  # `Finishing` settings other than the defaults
    masks: tuple[Mask, ...] = ()
    start: Ingredient | None = None  # the finished picture that it was started from
    steered: bool = False  # settings changed during the run: `settings` are the last ones and give a similar picture
    notes: tuple[str, ...] = field(default=(), compare=False)  # sentences on what `parse` could not read

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", replace(self.settings, weights=_file_name(self.settings.weights)))

    @property
    def text(self) -> str:
        """JSON for `parse`.  Contains every setting, because defaults may change between versions."""
        data = asdict(self)
        del data["notes"]
        for name in ("finishing", "masks", "start", "steered"):
            if not data[name]:
                del data[name]
        return json.dumps({"nst": data.pop("version"), **data})

    @property
    def texts(self) -> dict[str, str]:
        """Metadata for `images.save`: the recipe, and a description that other programs show."""
        styles = " and ".join(style.name for style in self.styles)
        # Must not start with a file name: `images.read_text` could mistake it for the recipe.
        description = f"Neural style transfer: {self.content.name} in the style of {styles}"
        return {"Software": f"nst {self.version}", "Description": description, "nst": self.text}


def ingredient(name: str | os.PathLike, image: np.ndarray, example: bool = False) -> Ingredient:
    """Describe an input image.

    Args:
        name: path of its file, of which only the last part is kept, or name of the example.
        image: float32 (1, H, W, 3) RGB in [0, 1], as passed to the engine.
        example: whether it is in the catalogue.
    """
    pixels = images.to_uint8(image)
    pixels_hash = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    return Ingredient(os.fspath(name), example, (pixels.shape[1], pixels.shape[0]), pixels_hash)


def describe_masks(where: "Masks") -> tuple[Mask, ...]:
    """The masks of a run, for its recipe."""
    from nst import masks  # imports SciPy, which is slow and rarely needed

    found = []
    for painting, mask in (*enumerate(where.paintings), (None, where.protect)):
        if mask is not None:
            mask_hash = hashlib.sha256(np.rint(mask * 255).astype(np.uint8).tobytes()).hexdigest()[:16]
            png = masks.encode(mask)
            found.append(Mask(painting, mask_hash, png if len(png) <= MAX_MASK and len(found) < MAX_MASKS else ""))
    return tuple(found)


def where(recipe: Recipe) -> "Masks":
    """The masks of a recipe, as far as it holds them."""
    from nst import masks

    parts = {mask.painting: masks.decode(mask.png) for mask in recipe.masks if mask.png}
    return masks.Masks(tuple(map(parts.get, range(len(recipe.styles)))), parts.get(None))


def describe(
    settings: Settings,
    network: "Network",
    used: Sequence[Ingredient],
    frame: "Frame",
    picture: np.ndarray,
    **more: Any,
) -> Recipe:
    """Make the recipe of a picture.

    Args:
        used: the content, then the styles.
        frame: the last frame of the run, which may have been stopped early.
        picture: uint8 (H, W, 3), as it will be written.
        more: further fields of `Recipe`.
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
        **more,
    )


def read(source: str | os.PathLike | bytes) -> Recipe | None:
    """The recipe embedded in a picture, given as a path or the bytes of its file; None if there is none.

    Raises:
        ValueError: the file cannot be read (`images.ImageError`), or its recipe is damaged.
    """
    text = images.read_text(source)
    return None if text is None else parse(text)


def parse(text: str) -> Recipe:
    """A recipe from its JSON, which may be followed by other characters.

    A setting that is unknown or has an invalid value stays at its default and is named in `notes`.  All strings are
    shortened and made printable, but are otherwise as trustworthy as the file.

    Raises:
        ValueError: the text is not a recipe, or is damaged.
    """
    try:
        data, _ = json.JSONDecoder().raw_decode(text)
        version, notes, steered = _printable(data.pop("nst")), [], data.get("steered") is True
        if steered:
            notes.append("Its settings were changed while it was painted: the last ones give only a similar picture.")
        if version != VERSION:
            notes.append(f"Painted by version {version} of this program; version {VERSION} may paint it differently.")
        return Recipe(
            version=version,
            **{name: _printable(data[name]) for name in ("network", "precision", "weights_hash")},
            content=_parse_ingredient(data["content"]),
            styles=tuple(map(_parse_ingredient, data["styles"])),
            size=_parse_size(data["size"]),
            step=_parse_int(data["step"]),
            steps=_parse_int(data["steps"]),
            settings=_update(Settings(), data["settings"], notes),
            finishing=_parse_finishing(data["finishing"], notes) if "finishing" in data else {},
            masks=_parse_masks(data.get("masks", []), len(data["styles"]), notes),
            start=_parse_ingredient(data["start"]) if "start" in data else None,
            steered=steered,
            notes=tuple(notes),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("The recipe in this picture is damaged, or another program wrote it.") from error


def _parse_finishing(values: dict[str, Any], notes: list[str]) -> dict[str, float]:
    from nst.finishing import Finishing  # imports SciPy, which is slow and rarely needed

    return {name: value for name, value in asdict(_update(Finishing(), values, notes)).items() if value}


def _parse_masks(items: list[Any], paintings: int, notes: list[str]) -> tuple[Mask, ...]:
    """The masks; append a sentence to `notes` if pictures of masks are missing or damaged."""
    found = {}
    for item in items[: paintings + 1]:
        painting, png = item["painting"], item["png"]
        if painting is not None and _parse_int(painting) >= paintings:
            raise ValueError(painting)
        try:
            if not isinstance(png, str) or not 0 < len(png) <= MAX_MASK:
                raise ValueError(png)
            from nst import masks

            masks.decode(png)
        except ValueError:
            png = ""
            notes.append("One of its masks is too large for a recipe, and missing.")
        found[painting] = Mask(painting, _printable(item["mask_hash"]), png)
    return tuple(found.values())


def _update(settings: AnySettings, values: dict[str, Any], notes: list[str]) -> AnySettings:
    """Replace settings by the valid ones among `values`; append a sentence to `notes` for each that is not."""
    if not isinstance(values, dict):
        raise ValueError(values)
    for knob in fields(settings):  # type: ignore[arg-type]  # one by one, to keep the valid ones
        if knob.name not in values:
            continue
        value = values.pop(knob.name)
        if isinstance(value, dict):
            value = {_printable(layer): weight for layer, weight in value.items()}
        try:
            settings = replace(settings, **{knob.name: value})  # type: ignore[type-var]
        except ValueError as error:
            notes.append(_printable(f"{error}; the default is used."))
    if values:
        notes.append(_printable(f"This version has no setting {' or '.join(sorted(values))}."))
    return settings


def _parse_ingredient(data: dict[str, Any]) -> Ingredient:
    name, pixels_hash = _printable(data["name"]), _printable(data["pixels_hash"])
    return Ingredient(name, data["example"] is True, _parse_size(data["size"]), pixels_hash)


def _parse_size(data: list[Any]) -> tuple[int, int]:
    width, height = map(_parse_int, data)
    return width, height


def _parse_int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(value)
    return value


def _file_name(path: str) -> str:
    """The last part of a POSIX or Windows path."""
    return _printable(re.split(r"[/\\]", path)[-1])


def _printable(text: str) -> str:
    """The first 255 characters, with "?" for unprintable ones such as terminal and text direction controls."""
    allowed = (character.isprintable() or unicodedata.category(character) == "Zs" for character in text)  # Zs: spaces
    return "".join(character if good else "?" for character, good in zip(text[:255], allowed))
