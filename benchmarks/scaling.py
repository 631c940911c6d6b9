"""How many painters a number of simultaneous visitors needs: one measured picture, and a simulated queue.

    python benchmarks/scaling.py                 # paints one picture on this machine, then simulates
    python benchmarks/scaling.py --seconds 5     # simulates painters that take 5 seconds for a picture

A visitor asks for a picture, waits for a painter, watches, looks at it for a while, and asks again.  Prints a table for
docs/scaling.md.
"""

import argparse
import heapq
import math
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from nst import catalogue, images
from nst.commands.running import load
from nst.painting import Painting
from nst.settings import Settings

LOOKING = 90.0  # mean seconds from a finished picture to the next one; an assumption, exponentially distributed
SPREAD = 0.3  # standard deviation of the logarithm of a picture's seconds: visitors choose sizes and strengths
BEARABLE = 20.0  # seconds that 95 of 100 waits should stay below
VISITORS = 1, 10, 100, 1000, 10_000
PICTURES = 30  # that each visitor asks for in the simulation


class Picture(NamedTuple):
    """What one picture costs."""

    seconds: float
    frames: int
    frame_bytes: int  # of all intermediate pictures, JPEG in base64, as the page sends them
    file_bytes: int  # of the finished picture


def measure(size: int) -> Picture:
    """Paint the tower after the Starry Night with the default settings, the network loaded and compiled before."""
    engine = load(Settings())
    tower, night = (catalogue.picture(name, fetch=False)[0] for name in ("tower", "starry-night"))
    settings = Settings(size=size)
    for _ in Painting(tower, [night], Settings(size=size, steps=(2,))).frames(lambda _: engine):
        pass
    painting = Painting(tower, [night], settings)
    sent = [len(images.encode_jpeg(frame.image)) for frame in painting.frames(lambda _: engine)]
    assert painting.frame is not None  # every run ends with one
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "finished.png")
        painting.save(file)
        file_bytes = file.stat().st_size
    return Picture(painting.frame.elapsed, len(sent), round(sum(sent) * 4 / 3), file_bytes)


def waits(visitors: int, painters: int, seconds: float, seed: int = 0) -> list[float]:
    """The seconds that visitors wait for a painter, in order; the first fifth, while the queue fills, is left out."""
    chance = random.Random(seed)
    arrivals = [(chance.uniform(0, LOOKING + seconds), visitor) for visitor in range(visitors)]
    heapq.heapify(arrivals)
    free = [0.0] * painters  # when each painter is free
    waited = []
    for _ in range(visitors * PICTURES):
        asked, visitor = heapq.heappop(arrivals)
        begin = max(asked, heapq.heappop(free))
        end = begin + seconds * math.exp(chance.gauss(-(SPREAD**2) / 2, SPREAD))
        heapq.heappush(free, end)
        heapq.heappush(arrivals, (end + chance.expovariate(1 / LOOKING), visitor))
        waited.append(begin - asked)
    return sorted(waited[len(waited) // 5 :])


def needed(visitors: int, seconds: float) -> int:
    """The fewest painters with which 95 of 100 waits are bearable."""
    low, high = 1, visitors
    while low < high:
        middle = (low + high) // 2
        if quantile(waits(visitors, middle, seconds), 0.95) <= BEARABLE:
            high = middle
        else:
            low = middle + 1
    return low


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels of the picture that is measured")
    parser.add_argument("--seconds", type=float, help="of a picture; default: measured")
    options = parser.parse_args()
    seconds = options.seconds
    if seconds is None:
        picture = measure(options.size)
        seconds = picture.seconds
        print(f"{options.size} pixels: {picture}; {picture.frame_bytes / seconds / 1000:.0f} kB/s while it is painted")
    print("| visitors | painters | median wait | 95 % wait below | painters busy |\n|---|---|---|---|---|")
    for visitors in VISITORS:
        painters = needed(visitors, seconds)
        found = waits(visitors, painters, seconds)
        cycle = seconds + LOOKING + sum(found) / len(found)
        busy = visitors * seconds / cycle / painters
        times = f"{quantile(found, 0.5):.0f} s | {quantile(found, 0.95):.0f} s"
        print(f"| {visitors} | {painters} | {times} | {busy:.0%} |")


if __name__ == "__main__":
    main()
