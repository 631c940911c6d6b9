"""What the page lets a visitor ask for: it follows from the machine it runs on.  TensorFlow is not needed."""

import math
import os
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

from nst import machine, memory, weights
from nst.settings import Settings

LOADED = 750 << 20  # bytes that the process holds with TensorFlow and the compact network


@dataclass(frozen=True)
class Limits:
    """The most that one visitor gets; the command line goes further."""

    size: int  # longest side of the picture, in pixels
    steps: int  # of all scales together
    seconds: float = math.inf  # that a picture is expected to take


ON_CPU, ON_GPU, ON_A_SPACE = Limits(1024, 2000), Limits(2048, 6000), 600.0  # more would keep the others waiting


@cache
def here() -> Limits:
    """This machine's: a GPU allows more, little memory less, and on a public Space nobody keeps the others for long."""
    gpus = machine.gpus()
    most = ON_GPU if gpus else ON_CPU
    if "SPACE_ID" in os.environ:
        most = replace(most, seconds=ON_A_SPACE)
    free = gpus[0][1] or None if gpus else memory.available()
    if free is None:
        return most
    network: Any = SimpleNamespace(filters=weights.compact().filters(), precision="float32")
    room = round(memory.SHARE * free) - (0 if gpus else LOADED)
    square = most.size, most.size
    try:
        settings, _ = memory.fit_size(network, square, [square], Settings(size=most.size), room)
    except MemoryError:  # told when a visitor paints; the doctor says what to do
        return replace(most, size=memory.SMALLEST)
    return replace(most, size=settings.size)
