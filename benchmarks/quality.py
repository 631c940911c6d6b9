"""How fast a run converges: coarse-to-fine against one scale, Adam against L-BFGS, and runs that end early.

    python benchmarks/quality.py [--size 256] [--steps 500] [--rounds 1] [--weights FILE] [--pictures FOLDER]

Paints the Starry Night pair with the compact network and, with `--weights`, with that VGG-19 too.  Every shown picture
is judged by the total loss of the default settings at the final size in float32; judging is not timed.  Runs alternate;
a ratio is the median over rounds of the time relative to the first run of the round.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import tensorflow as tf

from nst import Frame, Settings, StyleTransfer, catalogue, images, load_network, machine
from nst.objective import Objective

EVERY = 5  # steps between two judgments

Judge = Callable[[Frame], float]
Painter = Callable[[Settings], Iterator[Frame]]


class Run(NamedTuple):
    """Result of a run."""

    evaluations: int
    seconds: float
    loss: float  # of the last picture, as judged
    picture: np.ndarray


def watch(frames: Iterator[Frame], judge: Judge, size: int, goal: float | None) -> Run:
    """Paint until the loss reaches `goal`, or to the end; judging is not timed."""
    seconds, looked, loss = 0.0, -EVERY, float("inf")
    while True:
        began = time.perf_counter()
        frame = next(frames)
        seconds += time.perf_counter() - began
        last = frame.step == frame.steps
        if last or (goal is not None and frame.scale == size and frame.step >= looked + EVERY):
            looked, loss = frame.step, judge(frame)
        if last or (goal is not None and loss <= goal):
            return Run(frame.step, seconds, loss, frame.image)


def variants(settings: Settings, steps: int) -> tuple[dict[str, Settings], dict[str, Settings]]:
    """Runs that stop at the goal, which the first of them sets, and runs that go to their end."""
    *coarser, _ = settings.scales()
    one_scale = replace(settings, min_scale=settings.size, steps=(steps,))
    several = replace(settings, steps=(*(count for _, count in coarser), steps))
    to_goal = {
        f"{words}, {optimizer}": replace(variant, optimizer=optimizer)
        for words, variant in (("one scale", one_scale), ("coarse to fine", several))
        for optimizer in ("adam", "lbfgs")
    }
    to_end = {
        f"{optimizer}, tolerance {tolerance}": replace(settings, optimizer=optimizer, tolerance=tolerance)
        for optimizer in ("adam", "lbfgs")
        for tolerance in (0, 0.3, 0.5, 1.0)
    }
    return to_goal, to_end


def compare(runs: dict[str, Settings], paint: Painter, judge: Judge, rounds: int, race: bool) -> dict[str, list[Run]]:
    """Do every run once per round; in a race, the others stop at the loss that the first ended with."""
    done: dict[str, list[Run]] = {name: [] for name in runs}
    first, *_ = runs
    for _ in range(rounds):
        for name, settings in runs.items():
            goal = done[first][0].loss if race and name != first else None
            done[name].append(watch(paint(settings), judge, settings.size, goal))
    return done


def table(title: str, done: dict[str, list[Run]]) -> None:
    """Print a row for each kind of run."""
    first, *_ = done.values()
    print(f"\n{title:<30}  {'evaluations':>11}  {'seconds':>7}  {'ratio':>5}  {'loss':>6}")
    for name, runs in done.items():
        ratio = median(run.seconds / base.seconds for run, base in zip(runs, first, strict=True))
        seconds = median(run.seconds for run in runs)
        print(
            f"{name:<30}  {runs[0].evaluations:>11}  {seconds:>7.1f}  {ratio:>5.2f}  {runs[0].loss:>6.4f}", flush=True
        )


def main() -> None:
    """Print the tables of each network."""
    options = parsed()
    print(machine.describe(("tensorflow", "keras")))
    for settings in [Settings(network="compact"), *([Settings(weights=options.weights)] if options.weights else [])]:
        compare_on(replace(settings, size=options.size, frames_per_second=60), options)


def compare_on(settings: Settings, options: argparse.Namespace) -> None:
    """Print the tables of one network."""
    paths = {example.name: example.path for example in catalogue.examples()}
    content, style = (images.load(paths[name], settings.size) for name in ("tower", "starry-night"))
    transfer = StyleTransfer(load_network(settings))
    exact = load_network(replace(settings, precision="float32"))
    photo = images.resize(content, *images.fit(*content.shape[1:3], settings.size))
    objective = Objective.of(exact, photo, [style], settings)._replace(subsamples=False)
    judged = tf.function(objective.losses_and_gradient)

    def judge(frame: Frame) -> float:
        losses, _ = judged(exact, tf.constant(frame.image[np.newaxis] / np.float32(255)))
        return float(losses["total"])

    def paint(settings: Settings) -> Iterator[Frame]:
        return transfer.stylize(content, [style], settings)

    to_goal, to_end = variants(settings, options.steps)
    for optimizer in ("adam", "lbfgs"):  # compile before anything is timed
        list(paint(replace(settings, optimizer=optimizer, steps=(2,))))
    print(f"\n{transfer.network.name}, {transfer.network.precision}, {settings.size} px, {options.rounds} rounds")
    ways = compare(to_goal, paint, judge, options.rounds, race=True)
    table(f"to the loss of {options.steps} Adam steps", ways)
    ends = compare(to_end, paint, judge, options.rounds, race=False)
    table("default steps, to the end", ends)
    if options.pictures:
        Path(options.pictures).mkdir(parents=True, exist_ok=True)
        for name, (run, *_) in {**ways, **ends}.items():
            file = f"{transfer.network.name} {settings.size} {name}.png".replace(",", "").replace(" ", "_")
            images.save(run.picture, Path(options.pictures) / file)


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels; default 256")
    parser.add_argument("--steps", type=int, default=500, help="of Adam, whose loss is the goal; default 500")
    parser.add_argument("--rounds", type=int, default=1, help="how often every run is repeated; default 1")
    parser.add_argument("--weights", help="file with VGG-19's weights")
    parser.add_argument("--pictures", help="folder for the pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
