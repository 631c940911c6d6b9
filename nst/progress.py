"""The clock of a run: counts its steps and guesses the time left.  Standard library only."""

import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

EXPONENT = 0.9  # a step's seconds grow with its pixels to about this power; two scales of the run tell it better
ENOUGH = 3  # steps after a scale's first that tell its pace better than the scale before does
AT_ONCE = 0.25  # seconds of steps, at most, in which nobody looks


class Progress:
    """Counts the steps of a run, tells when a frame is due and guesses the time left.

    A scale's first step may have waited for the compiler and the painting's statistics: it tells nothing of the pace.
    """

    def __init__(
        self,
        scales: Sequence[tuple[int, int]],
        interval: float,
        step: int = 0,
        elapsed: float = 0.0,
        paces: Mapping[int, float] = MappingProxyType({}),
    ):
        """Begin now, or go on from what another clock came to.

        Args:
            scales: (pixels that the network sees, steps, at least one) of each scale to be painted.
            interval: seconds between frames, at least.
            step, elapsed, paces: the other clock's.
        """
        self.step = step
        self.steps = step + sum(steps for _, steps in scales)  # of the whole run
        self._left = list(scales)
        self.paces = dict(paces)  # pixels -> seconds a step; the latest scale last
        self._done = 0  # steps at this scale
        self._interval = interval
        self._first_step = self._next_frame = time.monotonic()
        self._in_time = False  # whether the latest step was done when the next frame should be shown
        self._began = self._first_step - elapsed

    def tick(self, steps: int = 1) -> None:
        """So many more are done at one scale; its first one comes by itself."""
        now = time.monotonic()
        if not self._left[0][1]:
            self._left.pop(0)
            self._done = 0
        pixels, left = self._left[0]
        self._left[0] = pixels, left - steps
        self.step, self._done = self.step + steps, self._done + steps
        if self._done == 1:
            self._first_step = now
        elif pixels in self.paces or not self.paces or self._done > ENOUGH:
            self.paces.pop(pixels, None)  # the latest is to be the last
            self.paces[pixels] = (now - self._first_step) / (self._done - 1)
        self._in_time = bool(self.paces) and now >= self._next_frame

    def end_scale(self) -> None:
        """The rest of this scale's steps is left out."""
        pixels, left = self._left[0]
        self._left[0] = pixels, 0
        self.steps -= left

    def end(self) -> None:
        """All further steps are left out."""
        self._left, self.steps = [], self.step

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def remaining(self) -> float:
        """Seconds still to go, estimated; 0 before there is a pace."""
        return sum(steps * self._pace(pixels) for pixels, steps in self._left)

    @property
    def until_frame(self) -> int:
        """Steps to take until a frame is due or AT_ONCE is over; one at the beginning of a scale or without a pace."""
        pixels, left = self._left[0]
        pace = self._pace(pixels) if left and self._done else 0.0
        seconds = min(self._next_frame - time.monotonic(), AT_ONCE)
        return max(math.ceil(seconds / pace), 1) if pace else 1

    @property
    def frame_is_due(self) -> bool:
        """Whether to show the latest step: the last one always, the others once the time left can be told."""
        return self.step == self.steps or self._in_time

    def frame_is_shown(self) -> None:
        """The next frame is due an interval from now."""
        self._next_frame = time.monotonic() + self._interval

    def _pace(self, pixels: int) -> float:
        """Seconds for a step of so many pixels: on the line through the two latest paces, as far as they are known."""
        if not self.paces:
            return 0.0
        *before, (known, pace) = self.paces.items()
        if not before:
            return pace * (pixels / known) ** EXPONENT
        pixels_before, pace_before = before[-1]
        slope = (pace - pace_before) / (known - pixels_before)
        return pace + min(max(slope, 0), pace / known) * (pixels - known)  # never steeper than from nothing at all
