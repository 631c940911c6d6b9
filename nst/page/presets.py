"""Settings with a name and a picture, for whoever would rather choose than move sliders.  Standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.catalogue import FOLDER


@dataclass(frozen=True)
class Look:
    """One choice."""

    values: dict[str, Any]  # of Settings, by their names
    words: str  # what it does, in one line for a visitor


PRESETS = {
    "Hint": Look({"strength": 38.0}, "Your photo, with a first layer of paint on it."),
    "Balanced": Look({"strength": 50.0}, "As much painting as photo."),
    "Bold": Look({"strength": 65.0}, "The painting takes over; your photo shines through."),
}
LOOKS = {
    "Fine strokes": Look({"style_scale": 0.5}, "Small strokes, and many of them."),
    "As painted": Look({"style_scale": 1.0}, "Strokes as large as the painter made them."),
    "Broad strokes": Look({"style_scale": 2.0}, "Large strokes, as if you stood close to the painting."),
}


def picture(name: str) -> Path:
    """A square detail of one example, painted with the look of that name; made by `python -m examples.previews`."""
    return FOLDER / "looks" / f"{name.lower().replace(' ', '-')}.jpg"
