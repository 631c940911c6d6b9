"""nst.timelapse: films of a few small frames, read back."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nst import images, timelapse
from nst.images import ImageError

av = pytest.importorskip("av")
SUFFIXES = (".mp4", ".webp", ".gif")


def flat(height: int, width: int, color) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


# As a run makes them: small ones first, then the asked size; odd sides; all different, or GIF would join them.
FRAMES = [flat(24, 40, (20 * i, 0, 0)) for i in range(6)] + [flat(49, 81, (200, 20 * i, 0)) for i in range(6)]


def read(path) -> tuple[list[np.ndarray], list[float]]:
    """All frames of a film, and how many seconds each one is shown."""
    if path.suffix.lower() == ".mp4":
        with av.open(str(path)) as film:
            rate = float(film.streams.video[0].average_rate)
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        return frames, [1 / rate] * len(frames)
    frames, durations = [], []
    with Image.open(path) as film:
        for index in range(getattr(film, "n_frames", 1)):
            film.seek(index)
            film.load()  # WebP tells the duration only now
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info.get("duration", 0) / 1000)
    return frames, durations


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".GIF"])
def test_frames_grow_to_the_last_one_which_stays(suffix, tmp_path):
    path = tmp_path / f"film{suffix}"
    timelapse.write(FRAMES, path, seconds=2)  # 12 frames in 2 seconds: 6 a second
    frames, durations = read(path)
    assert len(frames) == (11 + 12 if suffix == ".mp4" else 12)  # a film holds a frame by repeating it: 2 s of 6
    assert {frame.shape for frame in frames} == {(50, 82, 3) if suffix == ".mp4" else (49, 81, 3)}
    assert sum(durations) == pytest.approx(11 / 6 + 2, abs=0.1)
    for frame, given in zip(frames, FRAMES, strict=False):
        assert np.abs(frame.astype(int) - given[0, 0]).max() < 12
    assert np.abs(frames[-1].astype(int) - FRAMES[-1][0, 0]).max() < 12


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)])
def test_films_keep_colors(color, tmp_path):
    timelapse.write([flat(64, 64, color)], tmp_path / "film.mp4")
    frames, _ = read(tmp_path / "film.mp4")
    assert np.abs(frames[0][32, 32].astype(int) - color).max() < 6


@pytest.mark.parametrize(("count", "seconds", "rate"), [(3, 8, 4), (20, 2, 10), (90, 1, 30)])
def test_rate_follows_count_and_seconds_within_bounds(count, seconds, rate, tmp_path):
    timelapse.write([flat(16, 16, (i, 0, 0)) for i in range(count)], tmp_path / "film.mp4", seconds)
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.video[0].average_rate == rate


def test_mp4_plays_while_it_loads(tmp_path):
    timelapse.write(FRAMES, tmp_path / "film.mp4")
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_lone_frame(suffix, tmp_path):
    path = tmp_path / f"film{suffix}"
    timelapse.write(FRAMES[-1:], path)
    frames, durations = read(path)
    assert len(frames) == (8 if suffix == ".mp4" else 1)
    if suffix == ".mp4":
        assert sum(durations) == 2


def test_enlarging_is_smooth(tmp_path):
    steps = np.repeat(np.array([[0, 255]], np.uint8)[:, :, None], 3, -1)
    timelapse.write([steps, flat(64, 64, 0)], tmp_path / "film.webp")
    (first, _), _ = read(tmp_path / "film.webp")
    assert len(np.unique(first[32, :, 0])) > 10


def test_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match="frames: "):
        timelapse.write([], tmp_path / "film.mp4")
    with pytest.raises(ValueError, match="seconds: "):
        timelapse.write(FRAMES, tmp_path / "film.mp4", seconds=0)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("write", [timelapse.check_writable, lambda path: timelapse.write(FRAMES, path)])
def test_where_nothing_can_be_written(write, tmp_path):
    with pytest.raises(ImageError, match=r"should end in \.mp4, \.webp, \.gif\."):
        write(tmp_path / "film.avi")
    with pytest.raises(ImageError, match="There is no folder"):
        write(tmp_path / "missing" / "film.gif")


@pytest.fixture
def untried():
    """Whether .mp4 can be written is tried anew in the test, and after it."""
    timelapse.mp4_obstacle.cache_clear()
    yield
    timelapse.mp4_obstacle.cache_clear()


# Without PyAV, and with one before version 17, which has no ColorPrimaries.
@pytest.mark.parametrize("missing", ["av", "av.video.reformatter"])
def test_without_pyav_only_mp4_is_missing(missing, untried, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # importing it then raises ImportError
    for write in (timelapse.check_writable, lambda path: timelapse.write(FRAMES, path)):
        with pytest.raises(ImageError, match=r"^Writing \.mp4 needs the package av, 17 or later .*\.$"):
            write(tmp_path / "film.mp4")
    timelapse.write(FRAMES, tmp_path / "film.gif")
    assert timelapse.suffix() == ".webp"
    assert os.listdir(tmp_path) == ["film.gif"]


def test_importing_is_light():
    code = "import sys, nst.timelapse; sys.exit('av' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_film_and_no_other_file(suffix, tmp_path):
    path = tmp_path / f"film{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(TypeError):
        timelapse.write([FRAMES[0].astype(np.complex64), *FRAMES], path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == [path.name]


def noise(side: int, count: int) -> list[np.ndarray]:
    """What no codec makes small."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, side, 1), np.uint8).repeat(3, axis=-1) for _ in range(count)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_film_fits_where_it_must(suffix, tmp_path):
    frames, path = noise(64, 40), tmp_path / f"film{suffix}"
    timelapse.write(frames, path)
    whole, max_bytes = path.stat().st_size, path.stat().st_size // 3
    timelapse.write(frames, path, max_bytes=max_bytes)
    assert max_bytes / 4 < path.stat().st_size <= max_bytes
    shown, durations = read(path)
    if suffix == ".mp4":
        assert len(shown) > 30  # coarser, and few of them left out
    else:
        assert 8 <= len(shown) < 14
        assert np.abs(shown[-1].astype(int) - frames[-1]).mean() < 30
        assert durations[-1] == 2
    timelapse.write(frames, path, max_bytes=2 * whole)
    assert path.stat().st_size == pytest.approx(whole, rel=0.3)


def test_a_film_keeps_what_it_was_told_to_and_no_large_pictures():
    film = timelapse.Film(frames=8)
    for picture in [flat(900, 1200, 9)] * 5 + [flat(30, 40, 9)] * 50:
        film.append(picture)
        assert len(film._jpegs) < 8
    assert {images.load(jpeg).shape for jpeg in film._jpegs} <= {(1, 576, 768, 3), (1, 30, 40, 3)}
