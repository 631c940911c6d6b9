"""The command line: `python -m nst paint CONTENT STYLE -o OUT`, `recipe FILE`, `examples`, `bench`.

Nothing heavy is imported before it is needed: `--help` and complaints about flags do not wait for TensorFlow.
"""

import argparse
import contextlib
import io
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_origin

from nst.machine import peak_memory
from nst.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from nst.features import Network
    from nst.recipe import Ingredient, Recipe
    from nst.transfer import Frame

FAILED, BAD_INPUT, STOPPED = 1, 2, 130  # exit codes


class _Stop(BaseException):
    """Ctrl-C or SIGTERM.  A KeyboardInterrupt that passes through an import may change the exit code at the end."""


_asked_to_stop = threading.Event()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that have no Greek
    parser = _parser()
    options = parser.parse_args(arguments)
    if "command" not in options:
        parser.print_help()
        return 0
    try:
        return options.command(options)
    except ValueError as error:
        return _tell(error, BAD_INPUT)
    except (FloatingPointError, MemoryError) as error:
        return _tell(error, FAILED)
    except (_Stop, KeyboardInterrupt):
        return _tell("Stopped before anything was painted; nothing was written.", STOPPED)


def _tell(sentence: object, code: int = 0) -> int:
    """One line on standard error; returns the exit code that goes with it."""
    print("nst:", " ".join(str(sentence).split()), file=sys.stderr)
    return code


# --- flags ------------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as everything here does, without printing the usage first."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_tell(f"{message} (--help explains).", BAD_INPUT))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m nst", description="Repaint a photo in the manner of a painting.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    usage = "%(prog)s CONTENT STYLE [STYLE ...] -o OUT [--timelapse FILM] [--json] [--SETTING VALUE ...]"
    painting = commands.add_parser("paint", help="repaint a photo", description=parser.description, usage=usage)
    painting.allow_abbrev = False
    painting.set_defaults(command=paint)
    painting.add_argument("content", metavar="CONTENT", help="the photo: a file, or the name of an example")
    painting.add_argument("styles", metavar="STYLE", nargs="+", help="the painting, or several, named likewise")
    painting.add_argument("-o", "--output", metavar="OUT", required=True, help="the picture to write")
    painting.add_argument("--timelapse", metavar="FILM", help="also write a film of it: .mp4, .webp or .gif")
    painting.add_argument("--json", action="store_true", help="report each intermediate picture as a line of JSON")
    group = painting.add_argument_group("settings")
    for knob in fields(Settings):
        # Neither `type` nor `choices`: Settings judges the values, and says in its own words what would be right.
        form, words = _form(knob), _help(knob)
        group.add_argument(_flag(knob), dest=knob.name, default=argparse.SUPPRESS, metavar=form, help=words)
    asking = commands.add_parser("recipe", help="tell how a picture of this program was made")
    asking.set_defaults(command=tell_recipe)
    asking.add_argument("file", metavar="FILE", help="a picture that this program painted")
    asking.add_argument("--json", action="store_true", help="print the recipe as it is, in JSON")
    listing = commands.add_parser("examples", help="list the photos and paintings that can be named instead of files")
    listing.add_argument("--fetch", action="store_true", help="get the missing paintings from Wikimedia Commons")
    listing.set_defaults(command=list_examples)
    examining = commands.add_parser("doctor", help="tell what this machine can paint, how fast, and what is missing")
    examining.add_argument("--json", action="store_true", help="a line of JSON for each finding")
    examining.set_defaults(command=examine)
    _add_space(commands)
    _add_bench(commands)
    return parser


def _add_space(commands: Any) -> None:
    making = commands.add_parser("space", help="make a Space of the page on the Hugging Face Hub, as Spacefile says")
    deeds = making.add_subparsers(title="commands", metavar="COMMAND", required=True)
    rendering = deeds.add_parser("render", help="write README.md's front matter and the Space's requirements")
    rendering.set_defaults(command=render_space)
    deploying = deeds.add_parser("deploy", help="create or update a Space")
    deploying.add_argument("repo", metavar="OWNER/NAME", help="the Space")
    deploying.add_argument("--hardware", metavar="NAME", help="instead of the Spacefile's, such as t4-small")
    deploying.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    deploying.set_defaults(command=deploy_space)


def _add_bench(commands: Any) -> None:
    from nst.bench import run

    words = "measure seconds and memory a step, against the machine's peak and against plain programs"
    measuring = commands.add_parser("bench", help=words, description=words[0].upper() + words[1:] + ".")
    measuring.set_defaults(command=run.run)
    measuring.add_argument("--json", action="store_true", help="a line of JSON for each row")
    quick = "both networks at 512 pixels in the machine's quicker precision, without PyTorch"
    measuring.add_argument("--quick", action="store_true", help=quick)
    low, high = (Settings.__dataclass_fields__["size"].metadata[end] for end in ("low", "high"))
    sizes = {str(size): size for size in range(low, high + 1)}
    for flag, every, allowed, right in (
        ("--networks", run.NETWORKS, {name: name for name in run.NETWORKS}, "compact or vgg19"),
        ("--precisions", run.PRECISIONS, {name: name for name in run.PRECISIONS}, "float32 or bfloat16"),
        ("--sizes", run.SIZES, sizes, f"whole numbers from {low} to {high}"),
    ):
        form, words = f"{flag[2].upper()},...", f"only these (of {', '.join(map(str, every))})"
        measuring.add_argument(flag, type=_several(allowed, right), default=(), metavar=form, help=words)
    turns = _several({str(turns): turns for turns in range(1, 101)}, "a whole number from 1 to 100")
    words = f"turns of each program, of which the fastest counts (default: {run.TURNS}; {run.QUICK_TURNS} if quick)"
    measuring.add_argument("--turns", type=lambda text: turns(text)[0], default=None, metavar="N", help=words)


def _several(allowed: dict[str, Any], right: str) -> Callable[[str], tuple]:
    """A reader of values with commas between."""

    def read(text: str) -> tuple:
        items = dict.fromkeys(item.strip() for item in text.split(","))
        if not set(items) <= set(allowed):
            raise argparse.ArgumentTypeError(f"{text!r} should be {right}")
        return tuple(allowed[item] for item in items)

    return read


def _flag(knob: Field) -> str:
    return "--" + knob.name.replace("_", "-")


def _form(knob: Field) -> str:
    """What a flag's value looks like."""
    if knob.metadata["choices"]:
        return "{" + ",".join(knob.metadata["choices"]) + "}"
    return {int: "N", float: "X", tuple: "X,X,...", dict: "LAYER=X,..."}.get(get_origin(knob.type) or knob.type, "TEXT")


def _help(knob: Field) -> str:
    default = knob.default if knob.default_factory is MISSING else knob.default_factory()
    notes = [f"default: {written}"] if (written := _written(default)) else []
    if knob.type is not str:
        notes.append(f"{knob.metadata['low']:.10g} to {knob.metadata['high']:.10g}")
    return knob.metadata["help"].replace("%", "%%") + (f" ({'; '.join(notes)})" if notes else "")


def _written(value: Any) -> str:
    """A setting's value as its flag takes it."""
    if isinstance(value, dict):
        return ",".join(f"{layer}={str(weight).removesuffix('.0')}" for layer, weight in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _settings(options: argparse.Namespace) -> Settings:
    given = [knob for knob in fields(Settings) if knob.name in options]
    return Settings(**{knob.name: _read(knob.type, getattr(options, knob.name)) for knob in given})


def _read(kind: Any, text: str) -> Any:
    """A flag's value in its setting's type; what cannot be read stays text, for Settings to refuse."""
    if get_origin(kind) in (tuple, dict):
        items = [item.strip() for item in text.split(",") if item.strip()]
        if get_origin(kind) is tuple:
            return tuple(_read(get_args(kind)[0], item) for item in items)
        pairs = [item.partition("=") for item in items]
        return {layer.strip(): _read(get_args(kind)[1], weight) if equals else 1.0 for layer, equals, weight in pairs}
    try:
        return kind(text)
    except ValueError:
        return text


# --- doctor -----------------------------------------------------------------------------------------------------------


def examine(options: argparse.Namespace) -> int:
    """Tell everything that was found out, as it is found out."""
    from nst.deploy import doctor
    from nst.page.studio import Studio

    code = 0

    def tell(finding: doctor.Finding) -> int:
        if options.json:
            _print(json.dumps(asdict(finding)))
        else:
            _print(f"{finding.name:11} {finding.fact}" + (f"\n{'':11} → {finding.advice}" if finding.advice else ""))
        return FAILED if finding.fatal else 0

    for finding in doctor.look_around():
        tell(finding)
    with contextlib.suppress(Exception), _quiet_start():
        import tensorflow  # noqa: F401
    for finding in doctor.try_out(Studio()):
        code = tell(finding) or code
    return code


# --- space ------------------------------------------------------------------------------------------------------------


def render_space(_: argparse.Namespace) -> int:
    """Tell which files were written."""
    from nst.deploy import space

    _print(f"Written: {', '.join(space.render()) or 'nothing, all is as Spacefile says'}.")
    return 0


def deploy_space(options: argparse.Namespace) -> int:
    """Tell each step before it is done."""
    from nst.deploy import space

    for sentence in space.deploy(options.repo, hardware=options.hardware, dry_run=options.dry_run):
        _print(f"{'would ' if options.dry_run else ''}{sentence}")
    return 0


# --- paint ------------------------------------------------------------------------------------------------------------


def paint(options: argparse.Namespace) -> int:
    """Repaint one photo.  What can be wrong is found out before the long run; files are written only after it."""
    _on_signals(_stop)
    settings = _settings(options)
    names = (options.content, *options.styles)
    named = [_picture(name) for name in names]
    paths = [path for path, _ in named]
    _check_outputs(options, paths)

    from nst import images, memory, recipe, timelapse

    content, *styles = _pictures(paths, settings)
    with _quiet_start():
        from nst.features import load_network
        from nst.transfer import StyleTransfer
    network = load_network(settings)
    shapes = content.shape[1:3], [style.shape[1:3] for style in styles]
    settings, lowered = memory.fit_size(network, *shapes, settings)
    if lowered:
        _tell(lowered)  # now, and not after the long run
        content, *styles = _pictures(paths, settings)

    frame, film, code, trouble = None, timelapse.Film(), 0, ""
    try:
        with _reporter(options, network) as report:
            for frame in StyleTransfer(network).stylize(content, styles, settings):
                report(frame)
                if _asked_to_stop.is_set():
                    raise _Stop
                if options.timelapse:
                    film.append(frame.image)
    except _Stop:
        code = STOPPED
    except (FloatingPointError, MemoryError) as error:
        files = filter(None, (options.output, options.timelapse))
        if frame is None or any(Path(file).exists() for file in files):  # a failed run replaces nothing
            raise
        code, trouble = FAILED, str(error)
    _on_signals(signal.SIG_IGN)
    if frame is None:
        raise _Stop

    if frame.note:
        settings = replace(settings, size=frame.scale)
    _, height, width, _ = content.shape
    picture = images.rescale(frame.image, *images.fit(height, width, settings.size))
    inputs = zip(names, (content, *styles), named, strict=True)
    used = [recipe.ingredient(name, image, example=bool(note)) for name, image, (_, note) in inputs]
    made = recipe.describe(settings, network, used, frame, picture)
    images.save(picture, options.output, texts=made.texts)
    notes = [note for note in (trouble, frame.note, *(note for _, note in named)) if note]
    if options.timelapse:
        if picture is not frame.image:
            film.append(picture)
        try:
            _on_signals(_stop)
            film.write(options.timelapse)
        except _Stop:
            code = STOPPED
            notes.append(f"{options.timelapse} was not written.")
        _on_signals(signal.SIG_IGN)
    _summarize(options, network, frame, picture, code, notes, told=[lowered] if lowered else [])
    return code


def _pictures(paths: Sequence[Path], settings: Settings) -> "list[np.ndarray]":
    """The content and the styles, as large as the settings need them."""
    from nst import images

    sides = [settings.size] + [round(settings.size * settings.style_scale)] * (len(paths) - 1)
    return [images.load(path, side) for path, side in zip(paths, sides)]


def _stop(*_: Any) -> NoReturn:
    _asked_to_stop.set()  # an exception that rises inside a destructor or a callback is lost
    raise _Stop


def _on_signals(handler: Any) -> None:
    _asked_to_stop.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _picture(name: str) -> tuple[Path, str]:
    """The file that an argument means, and for an example a sentence about it; a file wins over an example."""
    path = Path(name)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path, ""
    from nst import catalogue

    return catalogue.picture(name)


def _check_outputs(options: argparse.Namespace, inputs: list[Path]) -> None:
    from nst import images, timelapse

    images.check_writable(options.output)
    if options.timelapse:
        timelapse.check_writable(options.timelapse)
    outputs = [Path(path).resolve() for path in (options.output, options.timelapse) if path]
    if len(set(outputs)) < len(outputs):
        raise ValueError(f"The picture and its film cannot both be written to {options.output}; name two files.")
    for output in outputs:
        if output in [path.resolve() for path in inputs]:
            raise ValueError(f"{output.name} is one of the pictures to paint from; write to another file.")


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """For importing TensorFlow: it writes notes to file descriptor 2 before it reads the level that forbids them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _reporter(options: argparse.Namespace, network: "Network") -> Iterator[Callable[["Frame"], None]]:
    """Yields a function that tells about a frame: in JSON if asked to, and by a bar if a person is watching."""
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f} % |{bar}| {n}/{total}{postfix}"
    watched = sys.stderr.isatty()
    with tqdm(desc=network.name, total=1, bar_format=layout, dynamic_ncols=True, disable=not watched) as bar:

        def report(frame: "Frame") -> None:
            if options.json:
                told = {"step": frame.step, "steps": frame.steps, "size": frame.image.shape[:2]}
                _print(json.dumps({**told, "seconds": round(frame.elapsed, 3), "losses": frame.losses}))
            if watched:
                rate, left = frame.step / max(frame.elapsed, 1e-3), tqdm.format_interval(frame.remaining)
                bar.total = frame.steps
                bar.set_postfix_str(f"loss {frame.losses['total']:.4g}, {rate:.1f} steps/s, {left} left", refresh=False)
                bar.update(frame.step - bar.n)
                bar.refresh()

        yield report


def _summarize(
    options: argparse.Namespace,
    network: "Network",
    frame: "Frame",
    picture: "np.ndarray",
    code: int,
    notes: list[str],
    told: list[str],
) -> None:
    """The last words: JSON or a line on standard output, what else a person should know on standard error.

    `told` are sentences that a person has had already, but no program.
    """
    height, width = picture.shape[:2]
    if code:
        done = f"Stopped at step {frame.step} of {frame.steps}"
        notes = [f"{done}; what was painted so far is in {options.output}, {width} x {height} pixels.", *notes]
    for note in notes:
        _tell(note)
    if options.json:
        summary = {
            "output": options.output,
            "network": network.name,
            "precision": network.precision,
            "seconds": round(frame.elapsed, 3),
            "steps_per_second": round(frame.step / frame.elapsed, 3) if frame.elapsed > 0 else None,
            "peak_memory_bytes": peak_memory(),
            "notes": [*told, *notes],
        }
        _print(json.dumps(summary))
    elif not code:
        painted = f"{width} x {height} pixels, {frame.steps} steps in {frame.elapsed:.1f} s"
        _print(f"{options.output}: {painted} by {network.name} in {network.precision}. {network.reason}")


def _print(line: str) -> None:
    """One line for whoever reads our standard output; a reader who leaves does not stop the painting."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end


# --- recipe -----------------------------------------------------------------------------------------------------------


def tell_recipe(options: argparse.Namespace) -> int:
    """How a picture was made, and the command that would make it again."""
    from nst import recipe

    made = recipe.read(options.file)
    if made is None:
        raise ValueError(
            f"{Path(options.file).name} carries no recipe: this program did not paint it, or another has changed it."
        )
    for note in made.notes:
        _tell(note)
    if options.json:
        _print(made.text)
        return 0
    parts = [("content", _ingredient(made.content)), *(("style", _ingredient(style)) for style in made.styles)]
    done = f"{made.step} steps" if made.step == made.steps else f"stopped at step {made.step} of {made.steps}"
    parts.append(("picture", f"{_pixels(made.size)}, {done}"))
    parts.append(("network", f"{made.network} in {made.precision}, hash {made.weights_hash}, nst {made.version}"))
    changed = [f"{name.replace('_', ' ')} {value}" for name, value in _changed(made.settings).items()]
    parts.append(("settings", "; ".join(changed) or "all defaults"))
    if made.finishing:
        touches = "; ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in made.finishing.items())
        parts.append(("finishing", f"{touches} (on the page: the command below paints without it)"))
    for part, words in [*parts, ("again", _command(made))]:
        _print(f"{part + ': ':10}{words}")
    return 0


def _ingredient(used: "Ingredient") -> str:
    return f"{'the example ' * used.example}{used.name}, {_pixels(used.size)}, hash {used.pixels_hash}"


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def _command(made: "Recipe") -> str:
    """The command line that paints it again, to its end, for a shell."""
    files = [f"./{used.name}" if used.name.startswith("-") else used.name for used in (made.content, *made.styles)]
    # What the settings left open is given as it was decided then; a VGG-16 comes from where a VGG-19 would.
    network = made.network.replace("vgg16", "vgg19")
    decided = {**_changed(made.settings), "network": network, "precision": made.precision}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in decided.items()]
    return shlex.join(["python", "-m", "nst", "paint", *files, "-o", "again.png", *flags])


def _changed(settings: Settings) -> dict[str, str]:
    """What differs from the defaults, as flags take it."""
    values = {knob.name: (getattr(settings, knob.name), getattr(Settings(), knob.name)) for knob in fields(Settings)}
    return {name: _written(value) for name, (value, default) in values.items() if value != default}


# --- examples ---------------------------------------------------------------------------------------------------------


def list_examples(options: argparse.Namespace) -> int:
    """The catalogue as a table; or the paintings it lacks are fetched, with a line on each."""
    from nst import catalogue

    if options.fetch:
        here = False
        try:
            for is_here, sentence in catalogue.fetch():
                _print(sentence)
                here = here or is_here
        except KeyboardInterrupt:
            return _tell("Stopped; what has been fetched stays.", STOPPED)
        return 0 if here else BAD_INPUT
    rows = [("NAME", "TITLE", "ARTIST", "YEAR", "LICENSE")]
    for example in catalogue.examples():
        rows.append((example.name, example.title, example.artist, str(example.year or "?"), example.license))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if more := catalogue.missing():
        _print(f"More can be fetched, with `python -m nst examples --fetch`: {', '.join(more)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
