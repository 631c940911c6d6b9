"""`recipe`: how a picture was made, and the command that makes it again."""

import argparse
import base64
import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.commands.flags import format_value
from nst.commands.output import tell, write
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.recipe import Ingredient, Mask, Recipe


def add_to(commands: Any) -> None:
    parser = commands.add_parser("recipe", help="tell how a picture of this program was made")
    parser.add_argument("file", metavar="FILE", help="a picture that this program painted")
    parser.add_argument("--json", action="store_true", help="print the recipe as it is, in JSON")
    parser.add_argument("--masks", metavar="FOLDER", help="write its masks to files there, which the command names")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """How a picture was made, and the command that would make it again."""
    from nst import recipe

    made = recipe.read(options.file)
    if made is None:
        raise ValueError(
            f"{Path(options.file).name} carries no recipe: this program did not paint it, or another has changed it."
        )
    for note in made.notes:
        tell(note)
    if options.masks:
        _write_masks(made, Path(options.masks))
    if options.json:
        write(made.text)
        return 0
    parts = [("content", _ingredient(made.content)), *(("style", _ingredient(style)) for style in made.styles)]
    done = f"{made.step} steps" if made.step == made.steps else f"stopped at step {made.step} of {made.steps}"
    parts.append(("picture", f"{_pixels(made.size)}, {done}"))
    parts.append(("network", f"{made.network} in {made.precision}, hash {made.weights_hash}, nst {made.version}"))
    changed = [f"{name.replace('_', ' ')} {value}" for name, value in _changed(made.settings).items()]
    parts.append(("settings", "; ".join(changed) or "all defaults"))
    parts += [(_mask_words(mask), f"hash {mask.mask_hash}{' (missing)' * (not mask.png)}") for mask in made.masks]
    if made.finishing:
        touches = "; ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in made.finishing.items())
        parts.append(("finishing", f"{touches} (on the page: the command below paints without it)"))
    for part, words in [*parts, ("again", _command(made, options.masks))]:
        write(f"{part + ': ':10}{words}")
    if any(mask.png for mask in made.masks) and not options.masks:
        tell("The command needs the masks: --masks FOLDER writes them to files.")
    return 0


def _mask_words(mask: "Mask") -> str:
    return "protect" if mask.painting is None else f"mask {mask.painting + 1}"


def _mask_file(mask: "Mask") -> str:
    return f"{_mask_words(mask).replace(' ', '-')}.png"


def _write_masks(made: "Recipe", folder: Path) -> None:
    from nst import images

    for mask in made.masks:
        if mask.png:
            images.check_writable(folder / _mask_file(mask))
            with images.atomic_write(folder / _mask_file(mask)) as temporary:
                temporary.write_bytes(base64.b64decode(mask.png))


def _ingredient(used: "Ingredient") -> str:
    return f"{'the example ' * used.example}{used.name}, {_pixels(used.size)}, hash {used.pixels_hash}"


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def _command(made: "Recipe", folder: str | None = None) -> str:
    """The command line that paints it again, to its end, for a shell; its masks are in the folder."""
    files = [f"./{used.name}" if used.name.startswith("-") else used.name for used in (made.content, *made.styles)]
    # What the settings left open is given as it was decided then; a VGG-16 comes from where a VGG-19 would.
    network = made.network.replace("vgg16", "vgg19")
    # Whatever is not given comes from the picture it was started from.
    start = ["--start", made.start.name] if made.start else []
    decided = {**_changed(made.settings, everything=bool(start)), "network": network, "precision": made.precision}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in decided.items()]
    found = {mask.painting: str(Path(folder or "", _mask_file(mask))) for mask in made.masks if mask.png}
    protect = found.pop(None, None)
    flags += [f"--mask={found.get(place, '-')}" for place in range(max(found, default=-1) + 1)]  # type: ignore[arg-type]
    flags += [f"--protect={protect}"] * (protect is not None)
    return shlex.join(["python", "-m", "nst", "paint", *files, "-o", "again.png", *start, *flags])


def _changed(settings: Settings, everything: bool = False) -> dict[str, str]:
    """What differs from the defaults, or all settings, as flags take it."""
    values = {knob.name: (getattr(settings, knob.name), getattr(Settings(), knob.name)) for knob in fields(Settings)}
    return {name: format_value(value) for name, (value, default) in values.items() if everything or value != default}
