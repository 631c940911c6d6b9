"""Steering: how other threads change a run that is under way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nst.settings import Settings


@dataclass
class Controls:
    """What a run follows: the engine reads `wanted` before each few steps.

    Attributes:
        wanted: settings, of which those in `settings.LIVE` are followed, and the paintings, as many as before; None for
            what `StyleTransfer.stylize` was given.  Assign both at once.
    """

    wanted: tuple[Settings, Sequence[np.ndarray]] | None = None
