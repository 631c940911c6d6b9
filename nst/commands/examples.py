"""`examples`: the photos and paintings that can be named instead of files."""

import argparse
from typing import Any

from nst.commands.output import BAD_INPUT, STOPPED, tell, write


def add_to(commands: Any) -> None:
    parser = commands.add_parser("examples", help="list the photos and paintings that can be named instead of files")
    parser.add_argument("--fetch", action="store_true", help="get the missing pictures from Wikimedia Commons")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """The catalogue as a table; or the pictures it lacks are fetched, with a line on each."""
    from nst import catalogue

    if options.fetch:
        here = False
        try:
            for is_here, sentence in catalogue.fetch():
                write(sentence)
                here = here or is_here
        except KeyboardInterrupt:
            return tell("Stopped; what has been fetched stays.", STOPPED)
        return 0 if here else BAD_INPUT
    rows = [("NAME", "TITLE", "ARTIST", "YEAR", "LICENSE")]
    for example in catalogue.examples():
        rows.append((example.name, example.title, example.artist, str(example.year or "?"), example.license))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if more := catalogue.missing():
        write(f"More can be fetched, with `python -m nst examples --fetch`: {', '.join(more)}.")
    return 0
