"""The command `bench` and its flags; `nst.bench.run` measures."""

import argparse
from collections.abc import Callable
from typing import Any

from nst.bench import run
from nst.settings import Settings


def add_to(commands: Any) -> None:
    words = "measure time and memory per step, against the machine's peak and against plain programs"
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
