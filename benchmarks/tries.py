"""How long eight tries take on the page, without a browser: the first grid, and all of them.

    python benchmarks/tries.py [RUNS]

The engine is warmed up as at start-up.  The aim is 8 s on two cores with the compact network.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from nst import catalogue, machine
from nst.page import tries
from nst.page.handlers import Handlers
from nst.page.studio import Studio
from nst.page.wishes import ARGUMENTS
from nst.settings import Settings

PAIRS = ("tower", "starry-night"), ("lion", "pointillist-shore"), ("cheetah", "woodcut-wave")


def main(runs: int) -> None:
    """Print a row for each run and pair."""
    studio = Studio()
    began = time.perf_counter()
    studio.warm()
    print(machine.describe(("tensorflow", "gradio")))
    print(f"warm after {time.perf_counter() - began:.1f} s")
    print(f"{'pair':>24}  {'first grid, s':>13}  {'all, s':>6}  {'grids':>5}")
    request: Any = SimpleNamespace(session_hash="benchmark")
    for pair in PAIRS * runs:
        files = [str(catalogue.picture(name)[0]) for name in pair]
        values = [*files, *(getattr(Settings(network="compact"), name, None) for name in ARGUMENTS[2:])]
        began, seen = time.perf_counter(), []
        for *_, grid in tries.paint_tries(Handlers(studio), request, *values):
            if isinstance(grid, str):
                seen.append(time.perf_counter() - began)
        print(f"{' x '.join(pair):>24}  {seen[0]:>13.2f}  {seen[-1]:>6.1f}  {len(seen):>5}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
