"""nst.cluster and nst.remote: painters in other processes, and what happens when one is lost."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from nst import batch, cluster
from nst.cluster import Painter, PainterLostError
from nst.commands import main
from nst.controls import Controls
from nst.page.handlers import Handlers
from nst.page.studio import Studio, variants
from nst.settings import Settings
from tests import toy
from tests.safety.test_fairness import twelve_visitors_finish_in_order
from tests.serving import HANG, free_port, served

SETTINGS = Settings(
    network="compact", size=64, min_scale=32, steps=(10, 20), frames_per_second=60, precision="float32", composition=0
)
LONG = replace(SETTINGS, min_scale=64, steps=(60,))
EXACT = 0
PICTURE, STYLE = toy.picture(48, 64), toy.picture(40, 40, seed=1)


def require_ray() -> None:
    if not find_spec("ray"):
        pytest.skip("Ray is not installed: pip install nst[cluster]")


@pytest.fixture(scope="module")
def pool():
    """Two painters on Ray, of one core each."""
    require_ray()
    with pytest.MonkeyPatch.context() as patch:
        before = dict(os.environ)  # what Ray is told goes back
        os.environ |= {"NST_CLUSTER": "auto", "NST_PAINTERS": "2"}
        patch.setattr(cluster, "STORE", 200 << 20)
        patch.setattr(cluster, "CHECKPOINTS", 0.2)
        cluster._joined.cache_clear()
        pool = cluster.pool()
        assert pool is not None
        yield pool
        import ray  # not before: it reads the environment

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Ray does not wait for its processes, which it has ended
            ray.shutdown()
            gc.collect()
        cluster._joined.cache_clear()
        os.environ.clear()
        os.environ |= before


@pytest.fixture(scope="module")
def engine(pool):
    from nst.remote import ClusterStyleTransfer

    return ClusterStyleTransfer(pool, SETTINGS)


@pytest.fixture(scope="module")
def local():
    from nst.features import load_network
    from nst.transfer import StyleTransfer

    return StyleTransfer(load_network(SETTINGS))


def kill(pool, number: int) -> None:
    os.kill(pool.processes()[number], signal.SIGKILL)


def busy(pool) -> int:
    """The painter that has a run."""
    return [slot.busy for slot in pool._slots].index(True)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


# --- The engine -------------------------------------------------------------------------------------------------------


def test_frames_are_those_painted_here(engine, local):
    there = {frame.step: frame for frame in engine.stylize(PICTURE, [STYLE], SETTINGS)}
    here = {frame.step: frame for frame in local.stylize(PICTURE, [STYLE], SETTINGS)}
    assert max(there) == max(here) == 30 and len(there) > 10
    for step in there.keys() & here.keys():
        assert there[step].settings == here[step].settings and there[step].scale == here[step].scale
        assert difference(there[step].image, here[step].image) <= EXACT
    assert there[30].image.flags.writeable and there[30].checkpoint is None
    assert engine.expected_seconds(48, 64, SETTINGS) > 0


def test_a_stopped_run_goes_on_from_its_checkpoint(engine):
    *_, straight = engine.stylize(PICTURE, [STYLE], SETTINGS)
    frames = engine.stylize(PICTURE, [STYLE], SETTINGS, checkpoints=True)
    stopped = next(frame for frame in frames if frame.step >= 15)
    frames.close()
    assert stopped.checkpoint.step == stopped.step
    *_, last = engine.stylize(PICTURE, [STYLE], SETTINGS, resume=stopped.checkpoint)
    np.testing.assert_array_equal(last.image, straight.image)


def test_tries_are_painted_there(engine, pool):
    asked = variants(SETTINGS)[:2]
    *_, frames = engine.tries(PICTURE, [STYLE], asked, 3)
    assert [frame.settings.strength for frame in frames] == [each.strength for each in asked]
    assert frames[0].checkpoint.step == 3
    assert not any(slot.busy for slot in pool._slots)


def test_what_the_engine_refuses_is_told_as_here(engine, local):
    wrong = replace(SETTINGS, content_layers={"block5_conv4": 1.0})
    told = []
    for each in (engine, local):
        with pytest.raises(ValueError) as caught:
            next(each.stylize(PICTURE, [STYLE], wrong))
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_controls_reach_a_run(engine):
    paintings = [STYLE]
    controls = Controls((LONG, paintings))
    frames = engine.stylize(PICTURE, paintings, LONG, controls=controls)
    assert next(frames).settings.strength == LONG.strength
    controls.wanted = replace(LONG, strength=90), paintings
    assert next(frame for frame in frames if frame.settings.strength == 90).step < 100
    frames.close()


def test_paintings_are_sent_again_only_if_they_are_others(monkeypatch):
    from nst import remote

    sent = []
    actor = SimpleNamespace(steer=SimpleNamespace(remote=lambda *told: sent.append(told)))
    controls, first = Controls((SETTINGS, [STYLE])), (SETTINGS, [STYLE])
    now = remote._forward(actor, "run", first, controls)
    assert remote._forward(actor, "run", now, controls) is now
    controls.wanted = SETTINGS, [STYLE.copy()]
    remote._forward(actor, "run", now, controls)
    assert [paintings if paintings is None else len(paintings) for *_, paintings in sent] == [None, 1]


def test_a_stop_ends_a_run_within_two_steps(monkeypatch):
    monkeypatch.setattr("nst.machine.import_tensorflow", lambda: None)
    steps, stopped = [], threading.Event()

    def stylize(controls, **_):
        with contextlib.suppress(GeneratorExit):
            while controls.wanted:
                steps.append(stopped.is_set())
                time.sleep(0.01)
                if len(steps) > 1000:
                    yield
        steps.append(True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        painter = Painter(1)
    network = SimpleNamespace(weights_hash="0")
    monkeypatch.setattr(painter, "_engine", lambda _: SimpleNamespace(network=network, stylize=stylize))
    with ThreadPoolExecutor() as threads:
        run = threads.submit(painter.begin, "run", "stylize", SETTINGS, "0", (SETTINGS, []), {"checkpoints": False})
        while len(steps) < 5:
            time.sleep(0.01)
        stopped.set()
        painter.stop("run")
        assert run.result(HANG) == (None, None)
    assert steps.count(True) <= 2
    assert painter.proceed("run") == (None, None) and not painter._runs


# --- Lost painters ----------------------------------------------------------------------------------------------------


def test_a_run_whose_painter_is_killed_goes_on_and_others_do(engine, pool):
    *_, straight = engine.stylize(PICTURE, [STYLE], LONG)
    with ThreadPoolExecutor() as threads:
        other = threads.submit(lambda: list(engine.stylize(PICTURE, [STYLE], LONG))[-1])
        while not any(slot.busy for slot in pool._slots):
            time.sleep(0.01)
        steps, spared = [], busy(pool)
        with contextlib.closing(engine.stylize(PICTURE, [STYLE], LONG)) as frames:
            for frame in frames:
                steps.append(frame.step)
                if len(steps) == 15:
                    kill(pool, 1 - spared)
        assert steps[-1] == 60 and steps == sorted(set(steps))
        np.testing.assert_array_equal(frame.image, straight.image)
        np.testing.assert_array_equal(other.result(HANG).image, straight.image)
    assert len(set(pool.processes())) == 2


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_paints_two_pictures_at_once_and_survives_a_killed_painter(
    pool, engine, browser, photo, painting, monkeypatch
):
    def short(content, styles, settings, **options):
        return stylize(content, styles, replace(settings, steps=(120,)), **options)

    stylize = engine.stylize
    monkeypatch.setattr(engine, "stylize", short)
    shared = Studio()
    assert shared.painters == 2
    for asked in ("auto", "compact"):
        shared._asked[asked, "", "average", "auto"] = (engine, ""), time.monotonic() + HANG
    assert "2 pictures are painted at the same time." in Handlers(shared).describe("compact")
    with served(shared) as address:
        tabs = []
        for strength in (40, 60):
            tab = browser.new_context().new_page()
            tab.set_default_timeout(1000 * HANG)
            tab.goto(f"{address}/?size=128&strength={strength}")
            tab.set_input_files("#content input[type=file]", photo)
            tab.wait_for_selector("#content img")
            tab.set_input_files("#style input[type=file]", painting)
            tab.wait_for_selector("#style img")
            tab.click("#paint")
            tabs.append(tab)
        wait_for(lambda: len(shared._turns) == 2 and all(run.frame and run.frame.step > 8 for _, run in shared._turns))
        kill(pool, 0)
        for tab in tabs:
            tab.wait_for_selector("#sentence:has-text('Painted in')")
            tab.context.close()


def test_twelve_visitors_on_two_painters_all_finish_in_order(pool, engine, photo, painting):
    shared = Studio(lambda _: engine, painters=2)
    twelve_visitors_finish_in_order(shared, photo, painting, {"steps": [5], "min_scale": 128})
    assert not any(slot.busy for slot in pool._slots)


def wait_for(condition) -> None:
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- Commands ---------------------------------------------------------------------------------------------------------


def test_a_batch_keeps_all_painters_busy(pool, tmp_path, monkeypatch, capsys, photo, painting):
    together, painted = threading.Barrier(2), batch.paint

    def paint(job, load):
        frames = painted(job, load)
        yield next(frames)
        together.wait(HANG)
        return (yield from frames)

    monkeypatch.setattr(batch, "paint", paint)
    small = ["--network", "compact", "--size", "64", "--min-scale", "32", "--steps", "4"]
    again = ["batch", photo, "tower", "--styles", painting, "starry-night", "-o", str(tmp_path / "out"), *small]
    for counts in ("4 painted, 0 done before, 0 failed", "0 painted, 4 done before, 0 failed"):
        assert main(again) == 0 and counts in capsys.readouterr().err
    assert len(list(tmp_path.glob("out/*.png"))) == 4


# --- NST_CLUSTER ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address, sentence",
    [
        ("somewhere", "'somewhere' should be auto, HOST:PORT or ray://HOST:PORT"),
        ("ray://127.0.0.1:FREE", "nobody answers at ray://127.0.0.1:FREE"),
        ("127.0.0.1:FREE", "nobody answers at 127.0.0.1:FREE"),
    ],
)
def test_a_cluster_that_is_not_there(tmp_path, capsys, monkeypatch, address, sentence):
    require_ray()
    port = str(free_port())
    sentence = sentence.replace("FREE", port)
    monkeypatch.setenv("NST_CLUSTER", address.replace("FREE", port))
    code = main(["paint", "tower", "starry-night", "-o", str(tmp_path / "out.png")])
    told = capsys.readouterr().err
    assert code == 2 and told.count("\n") == 1 and told.startswith("nst: NST_CLUSTER: ") and sentence in told


def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setenv("NST_CLUSTER", "127.0.0.1:7")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"^NST_CLUSTER needs Ray: pip install nst\[cluster\]\.$"):
        cluster.pool()


@pytest.mark.parametrize("text", ["0", "two", "1.5", "-1"])
def test_painters_are_a_number(monkeypatch, text):
    monkeypatch.setenv("NST_CLUSTER", "127.0.0.1:9")
    monkeypatch.setenv("NST_PAINTERS", text)
    with pytest.raises(ValueError, match="NST_PAINTERS: '.*' should be a number from 1 to 1000"):
        cluster.pool()


def test_the_page_does_not_start_without_its_cluster():
    words = os.environ | {"NST_CLUSTER": "nowhere"}
    require_ray()
    done = subprocess.run([sys.executable, "app.py"], capture_output=True, text=True, env=words)
    assert done.returncode == 2 and done.stderr.startswith("nst: NST_CLUSTER: 'nowhere' should be")


# --- The last one, which leaves painters that are not ready ----------------------------------------------------------


def test_a_run_that_loses_painters_again_and_again_ends_with_a_sentence(engine, pool, monkeypatch):
    monkeypatch.setattr("nst.remote.DEATHS", 2)
    seen = []
    with pytest.raises(PainterLostError, match="was lost 2 times"):
        for frame in engine.stylize(PICTURE, [STYLE], LONG):
            seen.append(frame.step)
            if len(seen) in (20, 40):
                kill(pool, busy(pool))
    assert 40 <= len(seen) < LONG.steps[0]
