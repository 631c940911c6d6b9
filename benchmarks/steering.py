"""Seconds from a change of each live setting during a run to the first frame with it, without a page.

    python benchmarks/steering.py [--network compact] [--size 384] [--rounds 5]

A run of one scale with two paintings is changed again and again, at arbitrary moments.  The first change to another
`style_statistics` or to other layers compiles a new step.
"""

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from nst import machine
from nst.bench import contenders
from nst.settings import LIVE, Settings

OTHER: dict[str, Any] = {  # a value to change to, and back
    "strength": 70.0,
    "content_layers": {"block4_conv2": 1.0, "block3_conv1": 0.5},
    "style_layers": Settings().style_layers | {"block3_conv1": 2.0},
    "style_statistics": "covariance",
    "composition": 1.0,
    "focus": 0.0,
    "content_weight": 0.2,
    "style_weight": 2.0,
    "total_variation_weight": 20.0,
    "color": "luminance",
    "color_amount": 0.5,
    "style_blend": (2.0, 1.0),
    "style_scale": 0.5,
    "detail": 0.5,
}


class Run:
    """A run without an end in a thread of its own."""

    def __init__(self, transfer: Any, content: np.ndarray, styles: Sequence[np.ndarray], settings: Settings):
        from nst.transfer import Controls

        self.controls, self.styles = Controls(), styles
        frames = transfer.stylize(content, styles, settings, controls=self.controls)
        self._latest = next(frames)
        self._news = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._paint, args=(frames,))
        self._thread.start()

    def _paint(self, frames: Iterator[Any]) -> None:
        for frame in frames:
            with self._news:
                self._latest = frame
                self._news.notify_all()
            if self._over:
                break

    def delay(self, wanted: Settings) -> float:
        """Seconds from asking for these settings to the first frame with them."""
        began = time.perf_counter()
        with self._news:
            self.controls.wanted = wanted, self.styles
            self._news.wait_for(lambda: self._latest.settings.following(wanted) == self._latest.settings)
        return time.perf_counter() - began

    def end(self) -> None:
        """Wait for the last frame."""
        self._over = True
        self._thread.join()


def delays(transfer: Any, size: int, rounds: int) -> None:
    """Print a table of the delays of each live setting."""
    content, *styles = contenders.noise_images(size, 3)
    settings = Settings(size=size, min_scale=size, steps=(10_000,), style_blend=(1.0, 1.0))
    random = np.random.default_rng(0)
    print(f"{'setting':<24}{'first, s':>10}{'median, s':>11}{'longest, s':>12}")
    for name in LIVE:
        usual = replace(settings, color="luminance") if name == "color_amount" else settings
        run = Run(transfer, content, styles, usual)
        other = replace(usual, **{name: OTHER[name]})
        measured = []
        for wanted in islice(cycle((other, usual)), 2 * rounds):
            time.sleep(0.5 + random.random() / 4)
            measured.append(run.delay(wanted))
        run.end()
        first, *later = measured
        print(f"{name:<24}{first:>10.2f}{statistics.median(later):>11.2f}{max(later):>12.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="compact", choices=("compact", "vgg19"))
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3, help="changes there and back")
    options = parser.parse_args()
    machine.import_tensorflow()
    from nst.features import load_network
    from nst.objective import style_targets
    from nst.transfer import StyleTransfer

    settings = Settings(network=options.network)
    network = load_network(settings)
    print(f"{machine.describe(('tensorflow', 'keras'))}; {network.name} in {network.precision}, {options.size} pixels")
    delays(StyleTransfer(network), options.size, options.rounds)
    (style,) = contenders.noise_images(options.size, 1)
    times = []
    for _ in range(options.rounds + 1):
        began = time.perf_counter()
        targets = style_targets(network, [style], options.size, settings)
        targets["block1_conv1"][0][0].numpy()  # waits for the device
        times.append(time.perf_counter() - began)
    print(f"the statistics of one painting: {statistics.median(times[1:]):.2f} s, the first time {times[0]:.2f} s")


if __name__ == "__main__":
    main()
