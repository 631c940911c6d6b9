"""Progress of a run: counts its steps and estimates the time left.  Standard library only."""

import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

EXPONENT = 0.9  # step time grows with pixels to about this power; used until two scales have been measured
MIN_STEPS = 3  # after the first of a scale, until its own step time replaces the estimate from the previous scale
MAX_CALL_SECONDS = 0.25  # of steps in one call of the compiled loop


class Progress:
    """Counts the steps of a run, decides when a frame is due and estimates the time left.

    The first step of a scale is not timed: it may include compilation and the painting's statistics.
    """

    def __init__(
        self,
        scales: Sequence[tuple[int, int]],
        interval: float,
        step: int = 0,
        elapsed: float = 0.0,
        step_times: Mapping[int, float] = MappingProxyType({}),
    ):
        """Start now, or resume from an earlier run.

        Args:
            scales: (pixels of the network's input, steps, at least one) of each scale to be painted.
            interval: minimum seconds between frames.
            step, elapsed, step_times: of the earlier run.
        """
        self.step = step
        self.steps = step + sum(steps for _, steps in scales)  # of the whole run
        self._left = list(scales)  # (pixels, steps left), the current scale first
        self.step_times = dict(step_times)  # pixels -> seconds per step; the latest scale last
        self._scale_steps = 0  # done at this scale
        self._interval = interval
        self._first_step = self._next_frame = time.monotonic()
        self._frame_time_passed = False  # whether the latest step ended after `_next_frame`
        self._began = self._first_step - elapsed

    def advance(self, steps: int = 1) -> None:
        """Count steps of one scale; report its first one separately."""
        now = time.monotonic()
        self.begin_scale()
        pixels, left = self._left[0]
        self._left[0] = pixels, left - steps
        self.step, self._scale_steps = self.step + steps, self._scale_steps + steps
        if self._scale_steps == 1:
            self._first_step = now
        elif pixels in self.step_times or not self.step_times or self._scale_steps > MIN_STEPS:
            self.step_times.pop(pixels, None)  # so that the new one comes last
            self.step_times[pixels] = (now - self._first_step) / (self._scale_steps - 1)
        self._frame_time_passed = bool(self.step_times) and now >= self._next_frame

    def begin_scale(self) -> None:
        """Go on to the next scale if the current one is done."""
        if not self._left[0][1]:
            self._left.pop(0)
            self._scale_steps = 0

    def extend(self, steps: int) -> None:
        """Add steps at the last scale."""
        pixels, left = self._left[-1]
        self._left[-1] = pixels, left + steps
        self.steps += steps

    def end_scale(self) -> None:
        """Skip the rest of this scale's steps."""
        pixels, left = self._left[0]
        self._left[0] = pixels, 0
        self.steps -= left

    def end(self) -> None:
        """Skip all further steps."""
        self._left, self.steps = [], self.step

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def remaining(self) -> float:
        """Estimated seconds left; 0 while no step time is known."""
        return sum(steps * self._step_time(pixels) for pixels, steps in self._left)

    @property
    def steps_left(self) -> int:
        """Steps left at the current scale."""
        return self._left[0][1]

    @property
    def steps_until_frame(self) -> int:
        """Steps until a frame is due or MAX_CALL_SECONDS are over; 1 at the start of a scale or without a step time."""
        pixels, left = self._left[0]
        step_time = self._step_time(pixels) if left and self._scale_steps else 0.0
        seconds = min(self._next_frame - time.monotonic(), MAX_CALL_SECONDS)
        return max(math.ceil(seconds / step_time), 1) if step_time else 1

    @property
    def frame_is_due(self) -> bool:
        """Whether to show the latest step: always the last one, others once the time left can be estimated."""
        return self.step == self.steps or self._frame_time_passed

    def schedule_frame(self) -> None:
        """A frame is shown now; the next one is due after the interval."""
        self._next_frame = time.monotonic() + self._interval

    def _step_time(self, pixels: int) -> float:
        """Seconds per step at a size, extrapolated linearly from the two latest step times if there are two."""
        if not self.step_times:
            return 0.0
        *before, (known, seconds) = self.step_times.items()
        if not before:
            return seconds * (pixels / known) ** EXPONENT
        pixels_before, seconds_before = before[-1]
        slope = (seconds - seconds_before) / (known - pixels_before)
        return seconds + min(max(slope, 0), seconds / known) * (pixels - known)  # at most proportional to pixels
