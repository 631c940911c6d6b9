"""What it costs to paint in another process: this process against a painter on Ray, in turns.

    python benchmarks/cluster.py [--size 512] [--steps 40] [--turns 8]

Both have the same number of threads; the page asks for checkpoints.  The table has the best turns, the ratios are those
of turns that follow each other, since other programs may run.  The aim is 5 % at most.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from nst import catalogue, cluster, images, machine
from nst.settings import Settings


def burst(engine, pictures, settings: Settings, checkpoints: bool) -> tuple[float, float]:
    """(steps a second, seconds between two frames), after the first step."""
    frames = engine.stylize(pictures[0], pictures[1:], settings, checkpoints=checkpoints)
    times = [(next(frames).step, time.perf_counter())]
    times += [(frame.step, time.perf_counter()) for frame in frames]
    (first, began), (last, ended) = times[1], times[-1]
    return (last - first) / (ended - began), (ended - began) / (len(times) - 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turns", type=int, default=8)
    options = parser.parse_args()
    os.environ |= {"NST_CLUSTER": "auto", "NST_PAINTERS": "1"}
    pool = cluster.pool()
    assert pool is not None
    threads = str(machine.cores() or 1)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    machine.import_tensorflow()
    from nst.features import load_network
    from nst.remote import ClusterStyleTransfer
    from nst.transfer import StyleTransfer

    settings = Settings(network="compact", size=options.size, min_scale=options.size, steps=(options.steps,))
    pictures = [images.load(catalogue.find(name).path, longest_side=options.size) for name in ("tower", "starry-night")]
    engines = {"Ray": ClusterStyleTransfer(pool, settings), "here": StyleTransfer(load_network(settings))}
    print(f"{machine.describe(('tensorflow', 'ray'))}; {engines['here'].network.precision}, {options.size} pixels")
    print(f"{'checkpoints':>11}  {'where':>5}  {'steps/s':>8}  {'s/frame':>8}")
    for checkpoints in (False, True):
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
        for turn in range(-1, options.turns):  # the first includes compilation
            for name, engine in engines.items():
                figures = burst(engine, pictures, settings, checkpoints)
                if turn >= 0:
                    measured[name].append(figures)
        for name, figures in measured.items():
            rates, intervals = zip(*figures)
            print(f"{checkpoints!s:>11}  {name:>5}  {max(rates):>8.2f}  {min(intervals):>8.3f}")
        ratios = [here[0] / there[0] for here, there in zip(measured["here"], measured["Ray"])]
        low, middle, high = (100 * (ratio - 1) for ratio in statistics.quantiles(ratios))
        span = f"half of them within {low:+.1f} to {high:+.1f} %"
        print(f"  a step takes {middle:+.1f} % more on Ray: median of {len(ratios)} pairs, {span}", flush=True)


if __name__ == "__main__":
    main()
