"""The command line, a file a command: `python -m nst paint CONTENT STYLE -o OUT`, `recipe FILE`, `examples`, …

Nothing heavy is imported before it is needed: `--help` and complaints about flags do not wait for TensorFlow.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from nst import __version__
from nst.commands import batch, bench, doctor, examples, page, paint, recipe, space, video
from nst.commands.output import BAD_INPUT, FAILED, STOPPED, Stop, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; wrong flags, --help and --version raise SystemExit.

    Args:
        arguments: None: those of the process.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
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
        return tell(error, BAD_INPUT)
    except (FloatingPointError, MemoryError) as error:
        return tell(error, FAILED)
    except (Stop, KeyboardInterrupt):
        return tell("Stopped before anything was painted; nothing was written.", STOPPED)


class _Parser(argparse.ArgumentParser):
    """Complains in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        sys.exit(tell(f"{message} (--help explains).", BAD_INPUT))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m nst", description="Repaint a photo in the style of a painting.")
    parser.add_argument("--version", action="version", version=f"nst {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (paint, batch, video, page, recipe, examples, doctor, space, bench):
        command.add_to(commands)
    return parser
