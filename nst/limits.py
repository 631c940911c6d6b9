"""What the page lets a visitor ask for: it follows from the machine it runs on.  TensorFlow is not needed."""

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from nst import machine, preflight, weights
from nst.settings import Settings

LOADED = 750 << 20  # bytes that the process holds with TensorFlow and the compact network
ON_CPU, ON_GPU = (1024, 2000), (2048, 6000)  # pixels, steps: more would keep the other visitors waiting


@dataclass(frozen=True)
class Limits:
    """The most that one visitor gets; the command line goes further."""

    size: int  # longest side of the picture, in pixels
    steps: int  # of all scales together


@cache
def here() -> Limits:
    """This machine's: a GPU allows more, little memory less."""
    gpus = machine.gpus()
    size, steps = ON_GPU if gpus else ON_CPU
    free = gpus[0][1] or None if gpus else preflight.available()
    if free is None:
        return Limits(size, steps)
    network: Any = SimpleNamespace(filters=weights.compact().filters(), precision="float32")
    room = round(preflight.SHARE * free) - (0 if gpus else LOADED)
    try:
        settings, _ = preflight.fitted(network, (size, size), [(size, size)], Settings(size=size), room)
    except MemoryError:  # told when a visitor paints; the doctor says what to do
        return Limits(preflight.SMALLEST, steps)
    return Limits(settings.size, steps)
