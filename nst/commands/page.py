"""`page`: the page on this machine."""

import argparse
from importlib.util import find_spec
from typing import Any


def add_to(commands: Any) -> None:
    parser = commands.add_parser("page", help="open the page on this machine")
    parser.set_defaults(command=run)


def run(_: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if not find_spec("gradio"):
        raise ValueError("The page needs Gradio: pip install nst[page].")
    from nst.page.layout import build
    from nst.page.server import start
    from nst.page.studio import Studio

    studio = Studio()
    start(build(studio), studio)
    return 0
