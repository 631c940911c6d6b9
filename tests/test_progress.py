"""Steps, frames and the time left, with a fake clock."""

import subprocess
import sys

import pytest

from nst import progress
from nst.progress import EXPONENT, MAX_CALL_SECONDS, MIN_STEPS, Progress


@pytest.fixture
def seconds(monkeypatch):
    """`seconds[0]` is what the clock reads."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(run, seconds, *durations):
    for duration in durations:
        seconds[0] += duration
        run.advance()


def test_the_first_step_is_not_timed(seconds):
    run = Progress([(1000, 100)], interval=0.25)
    work(run, seconds, 50)
    assert (run.step, run.steps, run.elapsed, run.remaining) == (1, 100, 50, 0)
    work(run, seconds, 1, 3)
    assert run.remaining == pytest.approx(97 * 2)


def test_later_scales_are_guessed_by_their_pixels_and_then_by_what_they_took(seconds):
    run = Progress([(1000, 5), (4000, 10), (16000, 10)], interval=0.25)
    work(run, seconds, 9, 1, 1, 1, 1)
    guess = 4**EXPONENT
    assert run.remaining == pytest.approx(10 * guess + 10 * guess**2)
    work(run, seconds, 7, *[2] * (MIN_STEPS - 1))  # too few to tell
    assert run.remaining == pytest.approx((10 - MIN_STEPS) * guess + 10 * guess**2)
    work(run, seconds, 2)  # 3000 pixels more took a second more; 12000 will take 4
    assert run.remaining == pytest.approx((9 - MIN_STEPS) * 2 + 10 * (2 + 4))


@pytest.mark.parametrize(("slow", "guess"), [(1, 1), (0.5, 0.5), (2, 6), (8, 32)])  # level, falling, a line, steeper
def test_a_disturbed_step_time_is_not_carried_too_far(seconds, slow, guess):
    run = Progress([(1000, 2), (4000, MIN_STEPS + 1), (16000, 10)], interval=1)
    work(run, seconds, 5, 1, 5, *[slow] * MIN_STEPS)
    assert run.remaining == pytest.approx(10 * guess)


def test_a_scale_may_end_early(seconds):
    run = Progress([(1000, 100), (2000, 10)], interval=1)
    work(run, seconds, 5, 1, 1)
    run.end_scale()
    assert (run.step, run.steps) == (3, 13)
    work(run, seconds, *[2] * 10)
    run.end_scale()
    assert (run.step, run.steps, run.remaining, run.frame_is_due) == (13, 13, 0, True)


def test_frames_are_due_an_interval_apart_once_the_time_left_is_known_and_at_the_end(seconds):
    run = Progress([(1000, 4)], interval=2.5)
    due = []
    for _ in range(4):
        work(run, seconds, 1)
        due.append(run.frame_is_due)
        if run.frame_is_due:
            run.schedule_frame()
    assert due == [False, True, False, True]
    assert run.remaining == 0


def test_whether_a_frame_is_due_is_told_by_when_its_step_was_done(seconds):
    run = Progress([(1000, 4)], interval=2.5, step_times={1000: 1.0})
    run.schedule_frame()
    work(run, seconds, 1)
    seconds[0] += 100  # perhaps for reading the loss
    assert not run.frame_is_due


def test_steps_are_taken_in_one_go_until_a_frame_is_due(seconds):
    run = Progress([(1000, 100), (2000, 100)], interval=0.1)
    assert run.steps_until_frame == 1
    work(run, seconds, 5)
    assert run.steps_until_frame == 1  # no step time yet
    work(run, seconds, 0.03)
    run.schedule_frame()
    assert run.steps_until_frame == 4  # the frame is due within the fourth
    seconds[0] += 0.12
    run.advance(4)
    assert (run.step, run.steps_until_frame) == (6, 1)
    assert run.remaining == pytest.approx(94 * 0.03 + 100 * 0.03 * 2**EXPONENT)
    seconds[0] += 94 * 0.03
    run.advance(94)
    run.schedule_frame()
    assert run.steps_until_frame == 1  # the next scale's first
    work(run, seconds, 1)
    run.schedule_frame()
    assert run.steps_until_frame == 2


def test_a_go_has_an_end_where_frames_are_rare_and_where_steps_take_no_time(seconds):
    run = Progress([(1000, 10000)], interval=100, step_times={1000: 0.01})
    work(run, seconds, 1)
    run.schedule_frame()
    assert run.steps_until_frame == round(MAX_CALL_SECONDS / 0.01)
    work(run, seconds, *[0] * 5)
    assert (run.step_times, run.steps_until_frame) == ({1000: 0}, 1)


def test_it_resumes_from_an_earlier_run(seconds):
    run = Progress([(1000, 4)], interval=1, step=30, elapsed=12, step_times={1000: 5.0})
    work(run, seconds, 1)
    assert (run.step, run.steps, run.elapsed, run.remaining, run.frame_is_due) == (31, 34, 13, 3 * 5, True)
    work(run, seconds, 1)
    assert run.remaining == 2


def test_an_earlier_runs_paces_tell_the_time_left_until_the_run_has_its_own(seconds):
    run = Progress([(1000, 3), (4000, 2)], interval=1, step_times={1000: 1.0, 4000: 4.0})
    assert run.remaining == 3 * 1 + 2 * 4
    work(run, seconds, 1, 2, 2)  # the machine is slower today
    assert list(run.step_times.items()) == [(4000, 4.0), (1000, 2.0)]
    assert run.remaining == pytest.approx(2 * (2 + (4 - 2) / 3000 * 3000))


@pytest.mark.parametrize("steps", [1, 2])
def test_no_time_at_all_is_a_step_time_too(seconds, steps):
    run = Progress([(1000, steps), (4000, MIN_STEPS + 2), (16000, 1)], interval=1)
    work(run, seconds, *[0] * (steps + MIN_STEPS + 3))
    assert (run.remaining, run.frame_is_due) == (0, True)


def test_it_needs_nothing_but_the_standard_library():
    code = "import sys, nst.progress; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
