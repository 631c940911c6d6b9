"""The largest request that the page accepts, derived from the machine it runs on.  Needs no TensorFlow."""

import math
import os
import sys
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

from nst import machine, memory, weights
from nst.settings import Settings

BASE_MEMORY = 750 << 20  # bytes that the process uses with TensorFlow and the compact network loaded


@dataclass(frozen=True)
class Limits:
    """Maximum values for one visitor; the command line allows more."""

    size: int  # longest side of the picture, in pixels
    steps: int  # total over all scales
    seconds: float = math.inf  # of one run: expected to take no longer, and ended then
    waiting: int = 2  # pictures from one address that wait for their turn


CPU_LIMITS, GPU_LIMITS, SPACE_SECONDS = Limits(1024, 2000), Limits(2048, 6000), 600.0  # more would hold up the queue


def number(name: str, usual: float, low: int, high: int) -> float:
    """A number from the environment; ends the program with a sentence for what it cannot be."""
    text = os.environ.get(name, "")
    try:
        found = float(text) if text else usual
    except ValueError:
        found = math.nan
    if text and not low <= found <= high:
        sys.exit(f"{name}: {text!r} should be a number from {low} to {high}.")
    return found


@cache
def current() -> Limits:
    """The limits of this machine: a GPU raises them, little memory lowers them, and a public Space caps the time.

    NST_RUN_SECONDS and NST_WAITING_PER_ADDRESS replace the two that do not depend on the machine.
    """
    gpus = machine.gpus()
    limit = GPU_LIMITS if gpus else CPU_LIMITS
    seconds = number("NST_RUN_SECONDS", SPACE_SECONDS if "SPACE_ID" in os.environ else math.inf, 10, 86400)
    limit = replace(limit, seconds=seconds, waiting=int(number("NST_WAITING_PER_ADDRESS", limit.waiting, 1, 10000)))
    free = gpus[0][1] or None if gpus else memory.available()
    if free is None:
        return limit
    network: Any = SimpleNamespace(filters=weights.compact().filters(), precision="float32")
    room = round(memory.SHARE * free) - (0 if gpus else BASE_MEMORY)
    square = limit.size, limit.size
    try:
        settings, _ = memory.fit_size(network, square, [square], Settings(size=limit.size), room, tiled=False)
    except MemoryError:  # told when a visitor paints; the doctor says what to do
        return replace(limit, size=memory.SMALLEST)
    return replace(limit, size=settings.size)
