"""An engine that paints at once, pictures for it, and what the page's components hold: for the tests of the page."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from PIL import Image

from nst import images
from nst.page.sharing import PARAMETERS
from nst.settings import Settings


class Checkpoint(NamedTuple):
    """Where a `Painter` goes on."""

    step: int


class Painter:
    """An engine that blends the two pictures, half of the steps at half of the size, slowly until it is released."""

    network = SimpleNamespace(
        name="compact",
        reason="The compact network, <because> this is a test.",
        precision="float32",
        weights_hash="0123456789abcdef",
        filters={"block1_conv1": (64, 64)},
    )

    def __init__(self, steps: int = 20, fails_at: int | None = None):
        self.steps, self.fails_at = steps, fails_at
        self._released = threading.Event()
        self.closed = threading.Event()
        self.settings: Settings | None = None
        self.shapes: list[tuple[int, ...]] = []

    def expected_seconds(self, height: int, width: int, settings: Settings) -> float:
        """A second for a thousand pixels of the longest side."""
        return settings.size / 1000

    def stylize(
        self, content, styles, settings, *, resume=None, more_steps=0, controls=None, **_
    ) -> Iterator[SimpleNamespace]:
        self.settings = settings
        content, style = content[..., :3], styles[0][..., :3]
        self.shapes.append(content.shape[1:3])
        self.steps += more_steps
        self.settings = settings = settings.with_more_steps(more_steps)
        try:
            for step in range(resume.step + 1 if resume else 0, self.steps + 1):
                if step == self.fails_at:
                    raise RuntimeError("a fault inside")
                if self._released.is_set() and self.steps - step and step % (self.steps // 20 or 1):
                    continue
                if controls and controls.wanted:
                    self.settings = self.settings.following(controls.wanted[0])
                size = settings.size if step > self.steps // 2 else settings.size // 2
                shape = images.fit(*content.shape[1:3], size)
                share = step / self.steps
                blend = (1 - share) * images.resize(content, *shape) + share * images.resize(style, *shape)
                yield self._frame(step, size, blend, self.settings)
                self._released.wait(timeout=0.15)
        finally:
            self.closed.set()

    def _frame(self, step: int, size: int, picture: np.ndarray, settings: Settings) -> SimpleNamespace:
        share = step / self.steps
        return SimpleNamespace(
            step=step,
            steps=self.steps,
            scale=size,
            image=images.to_uint8(picture),
            losses={"content": share, "style": 1 - share, "total_variation": 0.25, "total": 1.25},
            elapsed=share,
            remaining=1 - share,
            checkpoint=Checkpoint(step),
            note="",
            settings=settings,
        )

    def tries(self, content, styles, variants, steps, **_) -> Iterator[list[SimpleNamespace]]:
        """Three grids of pictures of 64 pixels, with as much of the painting as their strength says."""
        for step in range(1, 4):
            shape = images.fit(*content.shape[1:3], 64)
            photo, style = images.resize(content, *shape), images.resize(styles[0], *shape)
            yield [
                self._frame(step, 64, photo + variant.strength / 100 * (style - photo), variant) for variant in variants
            ]
            self._released.wait(timeout=0.15)

    def released(self) -> "Painter":
        """Itself, in twenty frames or so to the end from now on, and without a pause."""
        self._released.set()
        return self


def picture(path: Path, size: tuple[int, int]) -> str:
    """Colored squares, width x height."""
    colors = np.random.default_rng([*path.name.encode(), size[0]]).integers(
        0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8
    )
    Image.fromarray(colors).resize(size).save(path)
    return str(path)


def drawing(folder: Path) -> str:
    """What is no picture."""
    path = folder / "drawing.svg"
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return str(path)


def torn(folder: Path) -> str:
    """A picture of which most is missing."""
    path = folder / "<b>torn.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return str(path)


def values(**changes) -> list:
    """What the page's components hold, a small size if nothing else is said."""
    settings = Settings(**{"size": 128} | changes)
    return [getattr(settings, name) for name in PARAMETERS]
