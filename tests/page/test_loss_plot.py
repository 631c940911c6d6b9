"""nst.page.loss_plot: which points of a run are stored, and how they are plotted."""

import math
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from nst.page.loss_plot import HEIGHT, MAX_POINTS, History, Point, curves


def frame(step: int, scale: int = 128, **losses: float) -> SimpleNamespace:
    return SimpleNamespace(
        step=step, scale=scale, elapsed=step / 2, losses={"content": 0.5, "style": 0.2, "total": 0.3} | losses
    )


def history(*frames: SimpleNamespace) -> History:
    kept = History()
    for each in frames:
        kept.append(each)
    return kept


def line(svg: str, name: str) -> list[tuple[float, float]]:
    """Points of a curve: thousandths of the width, pixels from the top."""
    found = re.search(f'class="curve {name}".*?points="([^"]*)"', svg)
    return [tuple(map(float, point.split(","))) for point in found[1].split()] if found else []


def words(svg: str) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter("text") if text.text]


def test_a_long_run_is_kept_evenly():
    kept = history(*(frame(step, 128 if step < 6000 else 256) for step in range(0, 10_001)))
    steps = [point.step for point in kept.points]
    assert len(steps) == MAX_POINTS and steps[0] == 0 and steps[-1] == 10_000 and 6000 in steps
    gaps = [later - earlier for earlier, later in zip(steps, steps[1:])]
    assert max(gaps) <= 3 * 10_000 / MAX_POINTS


def test_a_run_goes_on_and_a_new_one_begins():
    kept = history(frame(0), frame(10), frame(20), frame(20, content=0.1), frame(30))
    assert [point.step for point in kept.points] == [0, 10, 20, 30]
    assert kept.points[2].losses["content"] == 0.1
    kept.append(frame(15))
    assert [point.step for point in kept.points] == [0, 10, 15]
    kept.append(frame(0))
    assert [point.step for point in kept.points] == [0]


def test_a_logarithmic_axis():
    kept = history(
        frame(10, content=0.1, style=0.1, total=1.0),
        frame(20, content=1.0, style=0.1, total=0.1),
    )
    svg = curves(kept.points, 40)
    assert line(svg, "total") == [(250, 0), (500, HEIGHT)]
    assert line(svg, "content") == [(250, HEIGHT), (500, 0)]
    assert [word for word in words(svg) if word[0] in "01"] == ["0.1", "0.2", "0.5", "1", "128 px"]
    assert 'aria-label="Losses by step, logarithmic: total fell from 1 to 0.1."' in svg
    middle = history(frame(10, content=0.01, style=0.1, total=1)).points
    assert line(curves(middle, 10), "style")[0][1] == pytest.approx(HEIGHT / 2)


def test_the_photo_itself_has_no_content_loss():
    run = [frame(0, content=8e-5, style=3, total=3.2), frame(10, content=0.5, style=0.2, total=0.3)]
    assert "0.0001" not in words(curves(history(*run).points, 20))
    assert line(curves(history(*run).points, 20), "content")[0] == (0, HEIGHT)  # on the ground
    mixed = history(*run, frame(20, content=5e6, style=60, total=9e6)).points  # as published, the parts differ by far
    assert line(curves(mixed, 20), "style")[-1][1] < HEIGHT


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 5e-324, 1e308])
def test_values_that_cannot_be_drawn_are_left_out(value):
    odd = frame(10, content=value, style=value, total=value)
    svg = curves(history(odd).points, 10)
    ElementTree.fromstring(svg)
    assert line(svg, "total") == []
    svg = curves(history(frame(5), odd, frame(15)).points, 20)
    assert [x for x, _ in line(svg, "total")] == [250, 750]


@pytest.mark.parametrize("value", [1e-29, 1e-6, 0.3, 1.0, 7e5, 1e29])
def test_one_value_only(value):
    same = [frame(step, content=value, style=value, total=value) for step in (5, 10)]
    svg = curves(history(*same).points, 10)
    assert all(0 < y < HEIGHT for name in ("content", "style", "total") for _, y in line(svg, name))
    assert f"total is {value:.2g}" in svg
    assert 1 <= svg.count('<line x2="100%"') <= 5
    assert len(line(curves(history(same[0]).points, 10), "total")) == 1


def test_before_the_first_frame():
    svg = curves([], 0)
    assert 'aria-label="Losses by step: none yet."' in svg and f'height="{HEIGHT}"' in svg
    assert words(svg) == ["Losses by step appear here"]


def test_scales_are_marked_where_they_begin():
    kept = history(frame(0, 128), frame(50, 128), frame(60, 256), frame(99, 256), frame(100, 512))
    svg = curves(kept.points, 100)
    marks = re.findall(r'<line x1="([\d.]+)%".*?(?:<text[^>]*>(.*?)</text>)?(?=<line|<g)', svg)
    assert marks == [("0.0", "128"), ("60.0", "256"), ("100.0", "512 px")]
    close = history(frame(0, 128), frame(60, 256), frame(61, 512)).points
    assert "512 px" not in words(curves(close, 100))  # the mark alone: its size would cover the other


def test_a_long_run_is_drawn_in_few_bytes():
    kept = history(*(frame(step, 128 * 2 ** (step // 300), total=1 / (1 + step)) for step in range(0, 1200, 3)))
    assert len(curves(kept.points, 1200).encode()) < 6000


def test_a_loss_just_below_a_power_of_ten_is_plotted():
    losses = {"content": 5.0, "style": 1 - 0.9, "total": 5.0}  # 0.09999999999999998
    assert "polyline" in curves([Point(step, 64, float(step), losses) for step in (1, 2)], 2)
