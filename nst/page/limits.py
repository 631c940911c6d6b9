"""The largest request that the page accepts, derived from the machine it runs on.  Needs no TensorFlow."""

import math
import os
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
    seconds: float = math.inf  # expected time for one picture


CPU_LIMITS, GPU_LIMITS, SPACE_SECONDS = Limits(1024, 2000), Limits(2048, 6000), 600.0  # more would hold up the queue


@cache
def current() -> Limits:
    """The limits of this machine: a GPU raises them, little memory lowers them, and a public Space caps the time."""
    gpus = machine.gpus()
    limit = GPU_LIMITS if gpus else CPU_LIMITS
    if "SPACE_ID" in os.environ:
        limit = replace(limit, seconds=SPACE_SECONDS)
    free = gpus[0][1] or None if gpus else memory.available()
    if free is None:
        return limit
    network: Any = SimpleNamespace(filters=weights.compact().filters(), precision="float32")
    room = round(memory.SHARE * free) - (0 if gpus else BASE_MEMORY)
    square = limit.size, limit.size
    try:
        settings, _ = memory.fit_size(network, square, [square], Settings(size=limit.size), room)
    except MemoryError:  # told when a visitor paints; the doctor says what to do
        return replace(limit, size=memory.SMALLEST)
    return replace(limit, size=settings.size)
