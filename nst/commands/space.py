"""`space`: the public page on the Hugging Face Hub, as Spacefile says."""

import argparse
from typing import Any

from nst.commands.output import write


def add_to(commands: Any) -> None:
    parser = commands.add_parser("space", help="make a Space of the page on the Hugging Face Hub, as Spacefile says")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    rendering = actions.add_parser("render", help="write README.md's front matter and the Space's requirements")
    rendering.set_defaults(command=render)
    deploying = actions.add_parser("deploy", help="create or update a Space")
    deploying.add_argument("repo", metavar="OWNER/NAME", help="the Space")
    deploying.add_argument("--hardware", metavar="NAME", help="instead of the Spacefile's, such as t4-small")
    deploying.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    deploying.set_defaults(command=deploy)


def render(_: argparse.Namespace) -> int:
    """Tell which files were written."""
    from nst.deploy import space

    write(f"Written: {', '.join(space.render()) or 'nothing, all is as Spacefile says'}.")
    return 0


def deploy(options: argparse.Namespace) -> int:
    """Tell each step before it is done."""
    from nst.deploy import space

    for sentence in space.deploy(options.repo, hardware=options.hardware, dry_run=options.dry_run):
        write(f"{'would ' if options.dry_run else ''}{sentence}")
    return 0
