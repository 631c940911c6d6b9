"""`video`: repaint a film."""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.commands import flags
from nst.commands.output import FAILED, STOPPED, Stop, tell, write
from nst.commands.running import find, interrupt, interrupted, load, on_signals

if TYPE_CHECKING:
    from nst.video import Film


def add_to(commands: Any) -> None:
    usage = "%(prog)s FILM STYLE [STYLE ...] -o OUT [--frame-steps N] [--SETTING VALUE ...]"
    words = "Repaint a film without flicker; one that was stopped goes on when the command is given again."
    parser = commands.add_parser("video", help="repaint a film", description=words, usage=usage)
    parser.allow_abbrev = False
    parser.set_defaults(command=run)
    parser.add_argument("content", metavar="FILM", help="the film: a file")
    parser.add_argument("styles", metavar="STYLE", nargs="+", help="one or more paintings: files, or names of examples")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the film: .mp4, .mov, .mkv or .webm")
    parser.add_argument(
        "--frame-steps",
        metavar="N",
        default="20",
        help="steps of each frame, but for the first one and those after cuts (default: 20; 1 to 10000)",
    )
    flags.add_settings(parser)


def run(options: argparse.Namespace) -> int:
    """Paint all frames that are not done yet, and write the film."""
    on_signals(interrupt)
    if not options.frame_steps.isascii() or not options.frame_steps.isdigit():
        raise ValueError(f"--frame-steps: {options.frame_steps!r} should be a whole number from 1 to 10000")
    settings = flags.settings(options)
    named = [find(name) for name in options.styles]

    from nst.video import Film

    paintings = [path for path, _ in named]
    film = Film(options.content, paintings, options.output, settings, int(options.frame_steps))
    for note in (note for _, note in named if note):
        tell(note)
    try:
        _watch(film)
    except (Stop, KeyboardInterrupt):
        on_signals(signal.SIG_IGN)
        return tell(f"Stopped with {_done(film)}; the same command goes on.", STOPPED)
    except (ValueError, ArithmeticError, MemoryError, OSError) as error:
        if not film.painted + film.found:
            raise
        tell(error)
        return tell(f"{_done(film)[0].upper()}{_done(film)[1:]}; the same command goes on.", FAILED)
    for note in film.notes:
        tell(note)
    write(f"{film.output}: {film.painted} frames painted, {film.found} done before.")
    return 0


def _watch(film: "Film") -> None:
    """Paint it, with a bar on a terminal."""
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f} % |{bar}| {n_fmt}/{total_fmt} frames, {remaining} left"
    name, total = Path(film.source.path).name, film.source.frames
    with tqdm(total=total, desc=name, bar_format=layout, dynamic_ncols=True, disable=not sys.stderr.isatty()) as bar:
        for frame in film.paint(load):
            bar.total = frame.frames
            bar.update()
            if interrupted.is_set():
                raise Stop


def _done(film: "Film") -> str:
    done = film.painted + film.found
    return f"{done} of about {max(done, film.source.frames)} frames done"
