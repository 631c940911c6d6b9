"""Presets with a thumbnail each, for visitors who prefer choosing to moving sliders.  Standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.catalogue import FOLDER


@dataclass(frozen=True)
class Preset:
    """Values for some settings."""

    values: dict[str, Any]  # by field name of Settings
    description: str  # one line for visitors


STRENGTHS = {
    "Hint": Preset({"strength": 38.0}, "Mostly your photo."),
    "Balanced": Preset({"strength": 50.0}, "Half photo, half painting."),
    "Bold": Preset({"strength": 65.0}, "Mostly the painting."),
}
BRUSH_SIZES = {
    "Fine": Preset({"style_scale": 0.5}, "Many small strokes."),
    "Original size": Preset({"style_scale": 1.0}, "Strokes as large as in the painting."),
    "Broad": Preset({"style_scale": 2.0}, "Large strokes, as if seen up close."),
}


OPENING = tuple(FOLDER / "opening" / f"{name}.jpg" for name in ("before", "after"))  # shown before the first run


def thumbnail(name: str) -> Path:
    """A detail of one example, 200 x 150 pixels, painted with this preset by `python -m examples.previews`."""
    return FOLDER / "looks" / f"{name.lower().replace(' ', '-')}.jpg"
