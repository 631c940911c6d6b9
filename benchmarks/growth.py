"""Time and memory by size, up to 2048 x 2048, and time by number of paintings; and what fits into 16 GB.

    python benchmarks/growth.py [--networks compact,vgg19] [--sizes 256,512,1024,2048]

Runs in the machine's faster precision.  Each size has its own process, so that its peak memory can be measured.
"""

import argparse
import math
import statistics
import sys
import time
from itertools import islice, pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from nst import machine
from nst.bench import run
from nst.settings import Settings

GIGABYTES = 16
TURNS = 2  # after a first one that includes compilation
BENT = 0.15  # growth is called linear if its exponent is within this of 1


def pixels(networks: list[str], sizes: list[int], precision: str) -> None:
    """Print a table of time and memory by size for each network, with a conclusion."""
    print(f"{'network':>8}  {'size':>5}  {'s/step':>8}  {'µs/pixel':>8}  {'power':>6}  {'memory GB':>9}")
    for network in networks:
        measured: list[tuple[int, float, int]] = []  # pixels, seconds per step, bytes
        for size in sizes:
            contender = run.Contender(kind="ours", network=network, precision=precision, size=size)
            contender.info()
            for turn in range(-1, TURNS):
                contender.take_turn(record=turn >= 0)
            memory = contender.finish()
            if not contender.turns or memory is None:
                print(f"{network:>8}  {size:>5}  {contender.error}")
                break
            measured.append((size**2, min(contender.turns), memory))
            area, seconds, _ = measured[-1]
            power = f"{growth(*measured[-2:]):.2f}" if len(measured) > 1 else ""
            micro = 1e6 * seconds / area
            print(
                f"{network:>8}  {size:>5}  {seconds:>8.3f}  {micro:>8.2f}  {power:>6}  {memory / 1e9:>9.2f}", flush=True
            )
        print(f"  {conclusion(measured)}")


def growth(before: tuple[int, float, int], after: tuple[int, float, int]) -> float:
    """The exponent with which time grew from one size to the next: 1 is linear in the pixels."""
    return math.log(after[1] / before[1]) / math.log(after[0] / before[0])


def conclusion(measured: list[tuple[int, float, int]]) -> str:
    """Where growth is not linear, and the largest square that fits, extrapolated from the two largest sizes."""
    bent = [f"{after[0] ** 0.5:.0f}" for before, after in pairwise(measured) if abs(growth(before, after) - 1) > BENT]
    words = f"not linear in the pixels on the way to {', '.join(bent)}" if bent else "linear in the pixels"
    if len(measured) < 2:
        return words + "; too few sizes to say what fits."
    (fewer, _, less), (more, _, most) = measured[-2:]
    slope = (most - less) / (more - fewer)
    if slope <= 0:
        return words + "; memory did not grow."
    side = ((GIGABYTES * 1e9 - most) / slope + more) ** 0.5
    beyond = ", beyond the sizes measured" if side > more**0.5 else ""
    return f"{words}; {slope:.0f} bytes a pixel, so {GIGABYTES} GB hold a square of {side:.0f} pixels{beyond}."


def paintings(network: str, precision: str, size: int = 256, most: int = 4, rounds: int = 3) -> None:
    """Print the time to the first picture (targets and one forward pass) and per step, for 1 to `most` paintings."""
    from nst.bench import contenders
    from nst.features import Network
    from nst.transfer import StyleTransfer

    transfer = StyleTransfer(Network(network, contenders.find_weights(network)[0], precision=precision))
    settings = Settings(size=size, min_scale=size, steps=(50,), frames_per_second=60)
    content, *styles = contenders.noise_images(size, most + 1)
    first: dict[int, list[float]] = {}
    step: dict[int, list[float]] = {}
    for turn in range(-1, rounds):  # the first includes compilation
        for count in range(1, most + 1):
            frames = transfer.stylize(content, styles[:count], settings)
            times = [time.perf_counter()]
            for frame in islice(frames, 8):
                times.append(time.perf_counter())
                last = frame.step
            if turn >= 0:
                first.setdefault(count, []).append(times[1] - times[0])
                step.setdefault(count, []).append((times[-1] - times[1]) / last)
    print(f"\n{network}, {size} pixels\n{'paintings':>9}  {'first picture, s':>16}  {'s/step':>7}")
    for count in first:
        print(f"{count:>9}  {min(first[count]):>16.3f}  {min(step[count]):>7.3f}")
    more = statistics.mean(min(first[count]) - min(first[1]) for count in range(2, most + 1)) / (most / 2)
    change = 100 * (min(step[most]) / min(step[1]) - 1)
    print(f"  each painting more: {more:.3f} s once a scale; a step with {most} of them {change:+.0f} %.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="compact,vgg19")
    parser.add_argument("--sizes", default="256,512,1024,2048")
    options = parser.parse_args()
    networks, sizes = options.networks.split(","), sorted(map(int, options.sizes.split(",")))
    probe = run.Contender(kind="peak", precision="auto")
    precision = probe.info()["precision"]
    probe.finish()
    print(f"{machine.describe(('tensorflow', 'keras'))}; {precision}")
    pixels(networks, sizes, precision)
    for network in networks:
        paintings(network, precision)


if __name__ == "__main__":
    main()
