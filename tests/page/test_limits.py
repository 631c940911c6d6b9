"""nst.page.limits: what a visitor may ask for on small machines, large ones and GPUs."""

import math

import pytest

from nst import machine, memory
from nst.page import limits

GB = 10**9


@pytest.fixture
def on(monkeypatch):
    """Gives the limits of a machine with this much free memory and these GPUs."""

    monkeypatch.delenv("SPACE_ID", raising=False)

    def found(free: int | None, *gpus: tuple[str, int]) -> limits.Limits:
        monkeypatch.setattr(memory, "available", lambda: free)
        monkeypatch.setattr(machine, "gpus", lambda: list(gpus))
        return limits.current.__wrapped__()

    return found


def test_two_cores_and_16_gb(on):
    assert on(15 * GB) == limits.Limits(1024, 2000)


def test_little_memory_lowers_the_size_and_never_below_the_smallest(on):
    sizes = [on(round(free * GB)).size for free in (15, 3, 2, 1.2, 0.1)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 5
    assert sizes[-1] == memory.SMALLEST


def test_a_gpu_allows_more_as_far_as_its_memory_goes(on):
    assert on(3 * GB, ("A GPU", 80 * GB)) == on(3 * GB, ("A GPU of unknown size", 0)) == limits.Limits(2048, 6000)
    assert 1024 < on(3 * GB, ("A small GPU", 6 * GB)).size < 2048


def test_on_a_space_a_picture_may_not_take_long(on, monkeypatch):
    assert on(15 * GB).seconds == math.inf
    monkeypatch.setenv("SPACE_ID", "me/it")
    assert on(15 * GB) == limits.Limits(1024, 2000, 600)


def test_where_nobody_tells_how_much_memory_there_is(on):
    assert on(None) == limits.Limits(1024, 2000)


def test_looking_up_the_limits_is_no_run(on, monkeypatch):
    monkeypatch.setattr(memory, "_largest_estimate", 0)
    on(15 * GB)
    assert memory._largest_estimate == 0
