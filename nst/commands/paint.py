"""`paint`: repaint one photo."""

import argparse
import contextlib
import json
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.commands import flags, printing
from nst.commands.output import FAILED, STOPPED, Stop, tell, write
from nst.commands.running import find, interrupt, interrupted, load, on_signals
from nst.machine import peak_memory
from nst.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from nst.masks import Masks
    from nst.painting import Painting
    from nst.recipe import Recipe
    from nst.timelapse import Film
    from nst.transfer import Frame


def add_to(commands: Any) -> None:
    usage = (
        "%(prog)s CONTENT STYLE [STYLE ...] -o OUT [--start FILE] [--mask FILE ...] [--protect FILE] "
        "[--timelapse FILM] [--json] [--print PAPER] [--dpi N] [--depth {8,16}] [--SETTING VALUE ...]"
    )
    words = "Repaint a photo in the style of a painting."
    parser = commands.add_parser("paint", help="repaint a photo", description=words, usage=usage)
    parser.allow_abbrev = False
    parser.set_defaults(command=run)
    photo, paintings = (
        "the photo: a file, or the name of an example",
        "one or more paintings: files, or names of examples",
    )
    parser.add_argument("content", metavar="CONTENT", nargs="?", help=photo)
    parser.add_argument("styles", metavar="STYLE", nargs="*", help=paintings)
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the picture to write")
    parser.add_argument(
        "--start",
        metavar="FILE",
        help="a finished picture to start from; its recipe gives the settings, and pictures that are examples",
    )
    parser.add_argument(
        "--mask",
        metavar="FILE",
        dest="masks",
        action="append",
        default=[],
        help="where a painting goes: a picture, white there; once for each painting, in order, - for none",
    )
    parser.add_argument("--protect", metavar="FILE", help="where the photo stays as it is: a picture, white there")
    parser.add_argument("--timelapse", metavar="FILM", help="also write a film of it: .mp4, .webp or .gif")
    parser.add_argument("--json", action="store_true", help="report each intermediate picture as a line of JSON")
    printing.add_to(parser)
    flags.add_settings(parser)


def run(options: argparse.Namespace) -> int:
    """Repaint one photo.  What can be wrong is found out before the long run; files are written only after it."""
    on_signals(interrupt)
    paper = options.paper = printing.paper(options)
    made = _recipe(options.start)
    settings = flags.settings(options, replace(made.settings, weights="") if made else Settings())
    content, *styles = named = [find(name) for name in _pictures(options, made)]
    where = _where(options, len(styles), made)
    others = map(Path, filter(None, (options.start, *options.masks, options.protect)))
    _check_outputs(options, [*(path for path, _ in named), *others])

    from nst import images
    from nst.painting import Painting
    from nst.timelapse import Film

    if paper:
        settings = replace(settings, size=paper.size(*images.read(content[0], printing.LOW).stored_shape))
    film = Film() if options.timelapse else None
    painting = Painting(
        content[0], [path for path, _ in styles], settings, where=where, start=options.start, deep=options.depth == "16"
    )
    code, trouble = 0, ""
    try:
        with _reporter(options, painting) as report:
            for frame in painting.frames(load):
                report(frame)
                if interrupted.is_set():
                    raise Stop
                if film:
                    film.append(painting.shown(frame.image))
    except Stop:
        code = STOPPED
    except (FloatingPointError, MemoryError) as error:
        files = filter(None, (options.output, options.timelapse))
        if painting.frame is None or any(Path(file).exists() for file in files):  # a failed run replaces nothing
            raise
        code, trouble = FAILED, str(error)
    on_signals(signal.SIG_IGN)
    if painting.frame is None:
        raise Stop

    try:
        dpi = paper.resolution(*painting.shape) if paper else options.dpi
        picture, options.output, elsewhere = _save(lambda path: painting.save(path, dpi), options.output)
    except ValueError as error:
        return tell(error, FAILED)
    lowered = f"The loss overflowed, so the learning rate was lowered to {painting.lowered:g}." * (painting.lowered > 0)
    printed = paper.note(*painting.shape) if paper and painting.frame.note else ""
    notes = [trouble, elsewhere, lowered, painting.frame.note, printed, *(note for _, note in named)]
    notes = [note for note in notes if note]
    film_code = 0
    if film:
        if picture is not painting.frame.image:
            film.append(picture)
        film_code, note = _save_film(film, options.timelapse)
        notes += [note] if note else []
    _summarize(options, painting, picture, bool(code) or film_code == STOPPED, notes)
    return FAILED if elsewhere else code or film_code


def _save(write: Callable[[Path], Any], path: str) -> tuple[Any, str, str]:
    """Write a file to the path, or, if that fails, to the temporary folder or the home: no painting is lost.

    Returns:
        What `write` returns, the path of the file, and one sentence if that is not the path asked for.

    Raises:
        ValueError: it cannot be written anywhere.
    """
    try:
        return write(Path(path)), path, ""
    except ValueError as error:
        for folder in (tempfile.gettempdir, Path.home):
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # there is no such folder
                other = Path(folder(), f"nst-{secrets.token_hex(4)}{Path(path).suffix}")
                return write(other), str(other), f"{error} It was written to {other} instead."
        raise


def _save_film(film: "Film", path: str) -> tuple[int, str]:
    """(exit code, one sentence if the film is not at the path).  The picture is saved: no failure may hide that."""
    try:
        on_signals(interrupt)
        _, _, elsewhere = _save(film.write, path)
        return (FAILED, elsewhere) if elsewhere else (0, "")
    except Stop:
        return STOPPED, f"{path} was not written."
    except Exception as error:  # also of the libraries that write films
        return FAILED, f"{path} was not written: {str(error).rstrip('.') or type(error).__name__}."
    finally:
        on_signals(signal.SIG_IGN)


def _recipe(start: str | None) -> "Recipe | None":
    """That of the picture to start from, if it has one."""
    if start is None:
        return None
    from nst import recipe

    return recipe.read(start)


def _pictures(options: argparse.Namespace, made: "Recipe | None") -> list[str]:
    """The photo and the paintings that the command names, else the examples that the recipe does."""
    if options.content and options.styles:
        return [options.content, *options.styles]
    if not options.start:
        raise ValueError("CONTENT and STYLE are missing: name a photo and one or more paintings (--help explains).")
    used = [made.content, *made.styles] if made and not options.content else []
    if used and all(each.example for each in used):
        return [each.name for each in used]
    files = " and ".join(each.name for each in used if not each.example)
    reason = f"was painted from {files}" if files else "does not name its photo and painting"
    raise ValueError(f"{Path(options.start).name} {reason}: name both, as in CONTENT STYLE --start FILE.")


def _where(options: argparse.Namespace, count: int, made: "Recipe | None") -> "Masks":
    """The masks that the flags name for `count` paintings, else those of the recipe.

    Raises:
        ValueError: a file is no mask, or there are more than paintings.
    """
    from nst import masks, recipe

    if not options.masks and not options.protect:
        return recipe.where(made) if made and len(made.styles) == count else masks.EVERYWHERE
    if (given := len(options.masks)) > count:
        raise ValueError(f"--mask: {given} masks should be {count} at most, one for each painting.")
    paintings = tuple(None if name == "-" else masks.read(name) for name in options.masks)
    return masks.Masks(paintings, masks.read(options.protect) if options.protect else None)


def _check_outputs(options: argparse.Namespace, inputs: list[Path]) -> None:
    from nst import images, timelapse

    images.check_writable(options.output)
    if options.depth == "16":
        images.check_deep(options.output)
    if options.timelapse:
        timelapse.check_writable(options.timelapse)
    outputs = [Path(path).resolve() for path in (options.output, options.timelapse) if path]
    if len(set(outputs)) < len(outputs):
        raise ValueError(f"The picture and its film cannot both be written to {options.output}; name two files.")
    for output in outputs:
        if output in [path.resolve() for path in inputs]:
            raise ValueError(f"{output.name} is one of the pictures to paint from; write to another file.")


@contextlib.contextmanager
def _reporter(options: argparse.Namespace, painting: "Painting") -> Iterator[Callable[["Frame"], None]]:
    """Yields a function that reports a frame: in JSON if asked to, and with a progress bar on a terminal."""
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f} % |{bar}| {n}/{total}{postfix}"
    watched = sys.stderr.isatty()
    with tqdm(total=1, bar_format=layout, dynamic_ncols=True, disable=not watched) as bar:

        def report(frame: "Frame") -> None:
            for note in _early_notes(painting, options) if frame.step == 0 else ():
                tell(note)
            if options.json:
                facts = {"step": frame.step, "steps": frame.steps, "size": frame.image.shape[:2]}
                write(json.dumps({**facts, "seconds": round(frame.elapsed, 3), "losses": frame.losses}))
            if watched and painting.network:
                bar.set_description_str(painting.network.name, refresh=False)
                rate, left = frame.step / max(frame.elapsed, 1e-3), tqdm.format_interval(frame.remaining)
                bar.total = frame.steps
                bar.set_postfix_str(f"loss {frame.losses['total']:.4g}, {rate:.1f} steps/s, {left} left", refresh=False)
                bar.update(frame.step - bar.n)
                bar.refresh()

        yield report


def _early_notes(painting: "Painting", options: argparse.Namespace) -> list[str]:
    """What is to be told before the long run: another network, a lowered size, the size on paper, what is left out."""
    assert painting.network is not None  # there is a frame
    is_jpeg = Path(options.output).suffix.lower() in (".jpg", ".jpeg")
    white = "What is transparent in the photo is white in the result, since JPEG has no transparency; a PNG has."
    white *= is_jpeg and painting.alpha is not None
    printed = options.paper.note(*painting.shape) if options.paper else ""
    notes = painting.network.reason * painting.substituted, painting.note, printed, *painting.notes, white
    return [note for note in notes if note]


def _summarize(
    options: argparse.Namespace, painting: "Painting", picture: "np.ndarray", stopped: bool, notes: list[str]
) -> None:
    """One line of JSON or of text on standard output; notes on standard error."""
    frame, network = painting.frame, painting.network
    assert frame is not None and network is not None  # there is a picture
    height, width = picture.shape[:2]
    if stopped:
        done = f"Stopped at step {frame.step} of {frame.steps}"
        notes = [f"{done}; what was painted so far is in {options.output}, {width} x {height} pixels.", *notes]
    for note in notes:
        tell(note)
    if options.json:
        early = [note for note in _early_notes(painting, options) if note not in notes]
        summary = {
            "output": options.output,
            "network": network.name,
            "precision": network.precision,
            "seconds": round(frame.elapsed, 3),
            "steps_per_second": round(frame.step / frame.elapsed, 3) if frame.elapsed > 0 else None,
            "peak_memory_bytes": peak_memory(),
            "notes": [*early, *notes],
        }
        write(json.dumps(summary))
    elif not stopped:
        painted = f"{width} x {height} pixels, {frame.steps} steps in {frame.elapsed:.1f} s"
        write(f"{options.output}: {painted} by {network.name} in {network.precision}. {network.reason}")
