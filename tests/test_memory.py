"""nst.memory: the estimate against what runs really take, the memory there is, and the size that fits."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nst import memory
from nst.memory import OVERHEAD, available, estimate, fit_size
from tests import toy

ROOT = Path(__file__).parent.parent
MB = 1 << 20
MEASURE = """if True:
    import json, sys
    from nst import memory
    from nst.features import load_network
    from nst.machine import peak_memory
    from nst.settings import Settings
    from nst.transfer import StyleTransfer
    from tests import toy

    transfer = StyleTransfer(load_network(Settings(network="compact")))
    loaded = peak_memory()
    for size in map(int, sys.argv[1:]):  # smaller ones first: a peak stays
        settings = Settings(size=size, min_scale=size, steps=(1,))
        estimated = loaded + memory.estimate(transfer.network, (size, size), [(size, size)], settings)
        for _ in transfer.stylize(toy.picture(size, size), [toy.picture(size, size, seed=1)], settings):
            pass
        print(json.dumps([estimated, peak_memory()]))
"""

# One layer of 8 channels, seen as 20, in bfloat16; at each position and without the compiled step's share:
NETWORK: Any = SimpleNamespace(filters={"block1_conv1": (8, 20)}, precision="bfloat16")
SETTINGS = replace(
    toy.SETTINGS, size=1024, padding=0, content_layers={"block1_conv1": 1}, style_layers={"block1_conv1": 1}
)
STEP = 2 * (8 + 20 + 2 * 20) + 12 * 16
LOOK = 2 * (20 + 4 * 20) + 12 * 4


# --- How much it will take --------------------------------------------------------------------------------------------


def test_the_estimate_is_within_a_quarter_of_what_runs_take():
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "128", "256", "384", "512"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )
    estimated, measured = zip(*map(json.loads, done.stdout.splitlines()), strict=True)
    assert len(measured) == 4
    assert estimated == pytest.approx(measured, rel=0.25)


def test_layers_and_positions_are_counted():
    assert estimate(NETWORK, (100, 200), [], SETTINGS) == OVERHEAD + 100 * 200 * STEP
    assert estimate(NETWORK, (100, 200), [(9, 9)], replace(SETTINGS, padding=10)) == OVERHEAD + 120 * 220 * STEP
    twice = SimpleNamespace(filters=NETWORK.filters, precision="float32")
    assert estimate(twice, (100, 200), [], SETTINGS) == OVERHEAD + 20_000 * (4 * (8 + 20 + 2 * 20) + 12 * 16)


def test_deeper_layers_count_by_their_size_and_what_nobody_looks_at_not_at_all():
    filters = {"block1_conv1": (8, 20), "block2_conv1": (16, 16), "block2_conv2": (60, 60)}
    deep: Any = SimpleNamespace(filters=filters, precision="bfloat16")
    layers = {"block2_conv1": 1.0}
    settings = replace(SETTINGS, content_layers=layers, style_layers=layers)
    channels = 8 + 16 / 4 + 16 / 4 + 2 * 20
    assert estimate(deep, (64, 64), [], settings) == OVERHEAD + 64 * 64 * (2 * channels + 12 * 16)


def test_a_large_painting_counts_as_far_as_it_is_looked_at():
    broad = replace(SETTINGS, style_scale=2)
    assert estimate(NETWORK, (100, 200), [(400, 400)], broad) == OVERHEAD + 400 * 400 * LOOK
    assert estimate(NETWORK, (100, 200), [(800, 800), (9, 9)], broad) == OVERHEAD + 400 * 400 * LOOK  # shrunk
    assert estimate(NETWORK, (100, 200), [(80, 80)], broad) == OVERHEAD + 100 * 200 * STEP  # never enlarged


# --- The size that fits -----------------------------------------------------------------------------------------------


def test_what_fits_is_not_changed():
    room = OVERHEAD + 1024 * 1024 * STEP
    assert fit_size(NETWORK, (50, 50), [(50, 50)], SETTINGS, room) == (SETTINGS, "")


@pytest.mark.parametrize("side, painted", [(1023.9, 992), (704, 704), (703, 672), (128, 128)])
def test_what_does_not_fit_is_lowered_in_steps_and_said(side, painted):
    settings, sentence = fit_size(
        NETWORK, (50, 50), [(50, 50)], SETTINGS, OVERHEAD + round(side**2 * STEP), tiled=False
    )
    assert settings == replace(SETTINGS, size=painted)
    assert sentence == f"1024 pixels do not fit into this machine's memory: painted at {painted}."


def test_what_does_not_fit_at_once_is_painted_in_the_largest_tiles_that_fit():
    wanted = replace(SETTINGS, size=8192)
    at_once = estimate(NETWORK, (8192, 8192), [(50, 50)], wanted)
    in_tiles = estimate(NETWORK, (8192, 8192), [(8192, 8192)], replace(wanted, tile=1024))
    held = 8192**2 * (11 * 12 + 20 * 2)  # images, and the content layer
    assert in_tiles == OVERHEAD + round((1024 + 160) ** 2 * STEP) + held < at_once
    assert fit_size(NETWORK, (50, 50), [(50, 50)], wanted, in_tiles) == (replace(wanted, tile=1024), "")
    smaller = replace(wanted, tile=768)  # as asked for
    assert fit_size(NETWORK, (50, 50), [(50, 50)], smaller, in_tiles) == (smaller, "")
    settings, sentence = fit_size(NETWORK, (50, 50), [(50, 50)], wanted, held)
    assert 7500 < settings.size < 8192 and settings.tile == 512 and sentence


def test_where_nothing_fits_it_is_said():
    with pytest.raises(MemoryError, match="^This machine has too little memory left to paint: 60 MB.$"):
        fit_size(NETWORK, (50, 50), [(50, 50)], SETTINGS, OVERHEAD)


def test_some_memory_is_left_to_others(monkeypatch):
    monkeypatch.setattr(memory, "_reusable", lambda: 0)
    monkeypatch.setattr(memory, "available", lambda: round((OVERHEAD + 512 * 512 * STEP) / 0.85))
    assert fit_size(NETWORK, (50, 50), [], SETTINGS)[0].size == 512
    monkeypatch.setattr(memory, "available", lambda: None)
    assert fit_size(NETWORK, (50, 50), [], SETTINGS) == (SETTINGS, "")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Only Linux tells what a process holds.")
def test_what_earlier_runs_leave_is_there_for_the_next_one(monkeypatch):
    for name in ("_initial_bytes", "_largest_estimate"):
        monkeypatch.setattr(memory, name, 0)
    monkeypatch.setattr(memory, "available", lambda: round((OVERHEAD + 512 * 512 * STEP) / 0.85))
    assert [fit_size(NETWORK, (50, 50), [], SETTINGS)[0].size for _ in range(2)] == [
        512,
        512,
    ]  # nothing has been held yet
    monkeypatch.setattr(memory, "_initial_bytes", 1)  # so all that this process holds has been a run's
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert fit_size(NETWORK, (50, 50), [], SETTINGS)[0].size == 512


# --- How much there is ------------------------------------------------------------------------------------------------


def write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


MACHINE = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:  8000 kB", "proc/self/cgroup": "1:cpu:/\n0::/"}
STATISTICS = "anon 100\ninactive_file 500\ntotal_inactive_file 600"


def second(folder: str, limit: object, used: int) -> dict[str, object]:
    parts = {"max": limit, "current": used, "stat": STATISTICS}
    return {f"sys/fs/cgroup{folder}/memory.{name}": value for name, value in parts.items()}


def first(folder: str, limit: int, used: int) -> dict[str, object]:
    parts = {"limit_in_bytes": limit, "usage_in_bytes": used, "stat": STATISTICS}
    return {f"sys/fs/cgroup/memory{folder}/memory.{name}": value for name, value in parts.items()}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8000 * 1024),
        ({**second("", "max", 1000)}, 8000 * 1024),
        ({"proc/self/cgroup": "0::/a/b", **second("/a/b", 3000, 1000)}, 2500),
        ({"proc/self/cgroup": "0::/a/b", **second("/a/b", "max", 1000), **second("/a", 4000, 1000)}, 3500),
        ({"proc/self/cgroup": "0::/outside", **second("", 2000, 1000)}, 1500),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/c\n3:memory:/c\n0::/", **first("/c", 5000, 1000)}, 4600),
        ({"proc/self/cgroup": "3:memory:/docker/1", **first("", 2**63 - 4096, 1000)}, 8000 * 1024),
        ({"proc/self/cgroup": "3:memory:/docker/1", **first("", 6000, 1000)}, 5600),
    ],
)
def test_the_machine_and_the_containers_around_us_are_asked(tmp_path, monkeypatch, files, free):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert available(write(tmp_path, MACHINE | files)) == free


def test_without_linux_it_is_what_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(os, "sysconf_names", {"SC_PHYS_PAGES": 0}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)
    assert available(tmp_path) == 4_096_000
    monkeypatch.setattr(os, "sysconf_names", {})
    assert available(tmp_path) is None


@pytest.mark.parametrize("limit, free", [(None, None), (100, 99 * MB)])
def test_a_gpu_has_memory_of_its_own(monkeypatch, limit, free):
    config = SimpleNamespace(
        list_physical_devices=lambda _: ["GPU:0"],
        get_logical_device_configuration=lambda _: limit and [SimpleNamespace(memory_limit=limit)],
        experimental=SimpleNamespace(get_memory_info=lambda _: {"current": MB}),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    assert available() == free
