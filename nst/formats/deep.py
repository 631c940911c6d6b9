"""Pictures of more than 8 bits a channel: numbers of any kind -> values in [0, 1] on white, band by band."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

BAND = 1 << 20  # pixels normalized at once

Rows = Callable[[int, int], np.ndarray]  # (top, bottom) -> numbers (bottom - top, W, channels)


@dataclass
class Deep:
    """A picture whose numbers are unpacked on first use."""

    size: tuple[int, int]  # width, height
    model: str  # "L", "RGB", "CMYK" or "LAB": what the first channels are
    load: Callable[[], Rows]  # unpacks the file
    white: float | None = None  # the number that is 1; None: guess it from the peak
    inverted: bool = False  # 0 is white
    signed_bits: int = 0  # of LAB's a and b, in two's complement; 0: they are not
    alpha: int | None = None  # the channel of the opacity
    premultiplied: bool = False  # the colors were multiplied by it
    clear: int | None = None  # the number of gray that is transparent

    def bands(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yields float32 (h, W, channels of the model) in [0, 1] on white, and the opacity (h, W, 1), from the top."""
        read, channels = self.load(), 1 if self.model == "L" else len(self.model)
        white = self.white or self._guess_white(lambda top, bottom: read(top, bottom)[..., :channels])
        paper = {"CMYK": (0, 0, 0, 0), "LAB": (1, 128 / 255, 128 / 255)}.get(self.model, (1,) * channels)
        for top in range(0, self.size[1], rows):
            numbers = read(top, min(top + rows, self.size[1]))
            colors = numbers[..., :channels]
            if self.signed_bits:
                colors = colors ^ np.array([0, 1, 1], colors.dtype) * (1 << self.signed_bits - 1)
            values = _unit(colors, white)
            values = 1 - values if self.inverted else values
            opacity = None
            if self.alpha is not None:
                opacity = _unit(numbers[..., self.alpha, np.newaxis], self.white or 1.0)
            elif self.clear is not None:
                opacity = (colors != self.clear).astype(np.float32)
            if opacity is not None:
                values = values if self.premultiplied else values * opacity
                values = (values + np.float32(paper) * (1 - opacity)).clip(0, 1)
            yield values, opacity

    def _guess_white(self, read: Rows) -> float:
        """Signed integers and floats have no fixed white: it is that of 8 or 16 bits, or the peak."""
        peak, whole = 0.0, True
        rows = max(1, BAND // self.size[0])
        for top in range(0, self.size[1], rows):
            numbers = read(top, min(top + rows, self.size[1]))
            whole = numbers.dtype.kind in "iu"
            peak = max(peak, float(numbers.max(initial=0, where=np.isfinite(numbers))))
        if not whole:
            return max(1.0, peak)
        return next((white for white in (255.0, 65535.0) if peak <= white), peak)


def of_pillow(image: Image.Image, white: float | None) -> Deep:
    """The picture of a Pillow image in mode I, F or I;16."""

    def load() -> Rows:
        numbers = np.asarray(image)[..., np.newaxis]
        return lambda top, bottom: numbers[top:bottom]

    clear: Any = image.info.get("transparency")
    return Deep(image.size, "L", load, white, clear=clear if isinstance(clear, int) else None)


def _unit(numbers: np.ndarray, white: float) -> np.ndarray:
    """Numbers as float32 in [0, 1]; NaN is 0."""
    values = numbers.astype(np.float32)
    values /= np.float32(white)
    np.nan_to_num(values, copy=False, nan=0, posinf=1, neginf=0)
    return values.clip(0, 1, out=values)
