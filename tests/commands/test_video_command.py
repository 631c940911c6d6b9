"""`nst video` as a person runs it: in a process of its own, with a stand-in for the engine."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.commands.conftest import TINY
from tests.serving import HANG

av = pytest.importorskip("av")
pytest.importorskip("cv2")


@pytest.fixture
def source(tmp_path) -> Path:
    """A film of 30 frames, in which a square moves."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(30):
            picture = np.full((48, 64, 3), 90, np.uint8)
            picture[10:30, index : index + 20] = (200, 100, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def words() -> list[object]:
    return ["video", "in.mp4", "painting.png", "-o", "out.mp4", *TINY, "--frame-steps", "2"]


def wait_for(frames: int, folder: Path, process) -> None:
    deadline = time.monotonic() + HANG
    while len(list(folder.glob("[0-9]*.png"))) < frames:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_film_that_is_stopped_goes_on_and_paints_nothing_twice(start, run, tmp_path, source, number, code):
    process, folder = start(*words(), behavior="busy"), tmp_path / "out.mp4.frames"
    wait_for(5, folder, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == code and not (tmp_path / "out.mp4").exists()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.png")}
    assert 5 <= len(before) < 30
    if number == signal.SIGINT:
        assert err == f"nst: Stopped with {len(before)} of about 30 frames done; the same command goes on.\n"

    code, out, err = run(*words())
    assert (code, out, err) == (0, f"out.mp4: {30 - len(before)} frames painted, {len(before)} done before.\n", "")
    assert not folder.exists() and sorted(path.name for path in tmp_path.glob("*out*")) == ["out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == 30


def test_what_goes_wrong_before_the_first_frame_leaves_nothing(run, tmp_path, source):
    code, out, err = run(*words(), behavior="overflow")
    assert (code, out, err) == (1, "", "nst: The loss overflowed at step 1; try a lower learning rate.\n")
    assert not (tmp_path / "out.mp4.frames").exists() and not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.mp4", "painting.png", "-o", "out.mp4"], "There is no file missing.mp4; check its name and folder."),
        (["photo.jpg", "painting.png", "-o", "out.mp4"], "photo.jpg is a picture, not a film"),
        (["text.mp4", "painting.png", "-o", "out.mp4"], "text.mp4 cannot be read as a film"),
        (["in.mp4", "missing.png", "-o", "out.mp4"], "There is no file missing.png; check its name and folder."),
        (["in.mp4", "in.mp4", "-o", "out.mp4"], "in.mp4"),
        (["in.mp4", "painting.png", "-o", "in.mp4"], "in.mp4 is the film to paint from; write to another file."),
        (["in.mp4", "painting.png", "-o", "out.gif"], "its name should end in .mp4, .mov, .mkv, .webm."),
        (["in.mp4", "painting.png", "-o", "no/out.mp4"], "There is no folder no for out.mp4; create it first."),
        (["in.mp4", "painting.png", "-o", "out.mp4", "--frame-steps", "0"], "frame_steps: 0 should be a whole number"),
        (["in.mp4", "painting.png", "-o", "out.mp4", "--frame-steps", "x"], "'x' should be a whole number"),
        (["in.mp4", "painting.png", "-o", "out.mp4", "--size", "9"], "size: 9 should be a whole number"),
        (["in.mp4", "painting.png", "-o", "out.mp4", "--temporal-weight", "-1"], "temporal_weight: -1.0 should be"),
    ],
)
def test_a_failed_start_is_one_sentence(run, tmp_path, source, arguments, sentence):
    (tmp_path / "text.mp4").write_text("no film")
    code, out, err = run("video", *arguments)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
    assert os.listdir(tmp_path).count("out.mp4.frames") == 0
