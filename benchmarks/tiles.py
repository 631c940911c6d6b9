"""What tiles cost and save: time of a step and peak memory, by size of the picture and of the tile.

    python benchmarks/tiles.py [--networks compact,vgg19] [--sizes 1024] [--tiles 0,512] [--steps 3]

Each row has its own process, so that its peak memory can be measured.  A tile of 0 is the whole picture at once.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MEASURE = """if True:
    import sys, time
    import numpy as np
    from nst.features import load_network
    from nst.machine import peak_memory
    from nst.settings import Settings
    from nst.transfer import StyleTransfer

    network, (size, tile, steps) = sys.argv[1], map(int, sys.argv[2:])
    settings = Settings(size=size, tile=tile, steps=(steps,), network=network, frames_per_second=60)
    random = np.random.default_rng(0)
    photo, painting, start = (random.random((1, side, side, 3), np.float32) for side in (size, size, size // 2))
    times = [
        time.monotonic()
        for _ in StyleTransfer(load_network(settings)).stylize(photo, [painting], settings, start=start)
    ]
    print(min(after - before for before, after in zip(times, times[1:])), peak_memory())
"""


def main() -> None:
    """Print a table; the ratio is that of the time to the first tile's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="compact")
    parser.add_argument("--sizes", default="1024")
    parser.add_argument("--tiles", default="0,512")
    parser.add_argument("--steps", default="4", help="at least 4: the first ones include compilation")
    options = parser.parse_args()
    print(f"{'network':>8}  {'size':>5}  {'tile':>5}  {'s/step':>7}  {'memory GB':>9}  {'ratio':>5}")
    for network in options.networks.split(","):
        for size in options.sizes.split(","):
            first = 0.0
            for tile in options.tiles.split(","):
                command = [sys.executable, "-c", MEASURE, network, size, tile, options.steps]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                seconds, memory = map(float, done.stdout.split())
                first = first or seconds
                numbers = f"{seconds:>7.2f}  {memory / 1e9:>9.2f}  {seconds / first:>5.2f}"
                print(f"{network:>8}  {size:>5}  {tile:>5}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
