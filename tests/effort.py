"""How long the tests of safety run: in seconds within `make test`, for minutes and with large counts by `make soak`."""

import os
from typing import Any

SOAK = bool(os.environ.get("NST_SOAK"))


def effort(short: Any, long: Any) -> Any:
    """The first value within `make test`, the second by `make soak`."""
    return long if SOAK else short
