"""The command line in a process of its own, mostly with a stand-in for the engine, for speed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

from tests.serving import HANG

ROOT = Path(__file__).parents[2]
TINY = ["--size", "64", "--min-scale", "32", "--steps", "4"]

ENGINE = textwrap.dedent("""
    import contextlib, os, shutil, signal, sys, time, types
    import numpy as np
    from nst import images

    behavior = os.environ.get("BEHAVIOR", "")

    def load_network(settings):
        if settings.weights:
            raise ValueError("weights: no good;\\n see above")
        return types.SimpleNamespace(name="compact", precision="float32", reason="Because.", weights_hash="0" * 16,
                                     filters={"block1_conv1": (64, 64)})

    if behavior == "little memory":
        from nst import memory

        memory.available = lambda: int(os.environ["MEMORY"])

    if behavior == "no film":
        from nst import timelapse

        def write(*_, **__):
            raise RuntimeError("no such codec")

        timelapse.write = write

    if behavior == "slow film":
        from nst import timelapse

        timelapse.write = lambda *_, **__: (print("filming", flush=True), time.sleep(600))

    class StyleTransfer:
        def __init__(self, network, sketcher=None):
            self.network = network

        def expected_seconds(self, *_):
            return 0.0

        def stylize(self, content, styles, settings, **_):
            if behavior == "slow start":
                print("starting", flush=True)
                time.sleep(600)
            steps = sum(steps for _, steps in settings.scales())
            step = 0
            for side, count in settings.scales():
                if behavior == "too large" and side == settings.size:
                    frame.steps, frame.note = frame.step, f"{side} pixels are too many."
                    yield frame
                    return
                height, width = images.fit(*content.shape[1:3], side)
                for step in range(step, step + count + (side == settings.size)):
                    image = np.full((height, width, 3), (200, 100, step), np.uint8)
                    deep = np.full((height, width, 3), (50001, 30001, step), np.uint16)
                    losses = dict(content=1.0, style=2.0, total_variation=0.1, total=3.0)
                    frame = types.SimpleNamespace(step=step, steps=steps, scale=side, image=image, losses=losses,
                                                  elapsed=step / 2, remaining=0.0, note="", settings=settings,
                                                  deep=deep)
                    yield frame
                    if behavior == "no folder":
                        shutil.rmtree("folder", ignore_errors=True)
                    if behavior == "overflow":
                        raise FloatingPointError("The loss overflowed at step 1; try a lower learning rate.")
                    if behavior == "busy":
                        time.sleep(0.02)
                    if behavior == "slow":
                        time.sleep(600)
                    if behavior == "deaf" and step == 3:  # as when a signal comes while a destructor runs
                        with contextlib.suppress(BaseException):
                            os.kill(os.getpid(), signal.SIGINT)
                            time.sleep(600)
                step += 1

    sys.modules["keras"] = types.ModuleType("keras")  # for speed
    sys.modules["nst.features"] = types.SimpleNamespace(load_network=load_network)
    sys.modules["nst.transfer"] = types.SimpleNamespace(StyleTransfer=StyleTransfer)
    from nst.__main__ import main
    sys.exit(main())
""")


def command(*arguments: object, engine: str = "stand-in") -> list[str]:
    start = ["-c", ENGINE] if engine == "stand-in" else ["-m", "nst"]
    return [sys.executable, *start, *map(str, arguments)]


@pytest.fixture
def start(tmp_path, monkeypatch, processes):
    """Starts the command line in an empty folder with a photo and a painting; ends what still runs afterward."""
    Image.effect_mandelbrot((96, 72), (-2, -1, 1, 1), 20).convert("RGB").save(tmp_path / "photo.jpg")
    Image.linear_gradient("L").resize((80, 64)).convert("RGB").save(tmp_path / "painting.png")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NST_OFFLINE", "1")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # TensorFlow, imported by other tests, sets it
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object, engine: str = "stand-in", behavior: str = "", **options) -> subprocess.Popen:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path, **options}
        environment = {**os.environ, "BEHAVIOR": behavior}
        processes.append(subprocess.Popen(command(*arguments, engine=engine), env=environment, **options))
        return processes[-1]

    return run


@pytest.fixture
def run(start):
    """Runs the command line to its end: (exit code, standard output, standard error)."""

    def finish(*arguments: object, **options) -> tuple[int, str, str]:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=HANG)
        return process.returncode, out, err

    return finish
