"""Films: flow, flicker, cuts; sound, times and rotation; what is damaged."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import catalogue, flow, images, video
from nst.losses import temporal_loss
from nst.transfer import StyleTransfer
from tests import toy

av = pytest.importorskip("av")
pytest.importorskip("cv2")
SETTINGS = replace(toy.SETTINGS, size=96, min_scale=48, steps=(40, 20))
SHAPE = (72, 96)


def clip(count: int, name: str = "lion") -> list[np.ndarray]:
    """A photo that the camera pans over, and a disk that moves the other way."""
    photo = Image.fromarray(images.to_uint8(images.load(catalogue.find(name).path, 400)))
    made = []
    for index in range(count):
        left, top = 40 + 2.5 * index, 20 + index
        frame = np.array(photo.resize(SHAPE[::-1], Image.Resampling.LANCZOS, box=(left, top, left + 160, top + 120)))
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        disk = (rows - 36) ** 2 + (columns - 70 + 3 * index) ** 2 < 12**2
        frame[disk] = np.stack((20 * (rows - 24), 8 * (columns - 50 + 3 * index), 0 * rows + 60), -1).clip(0, 255)[disk]
        made.append(frame)
    return made


def film(path: Path, pictures, times=None, rate: int = 12, rotation: int = 0, sound: str = "", pixels: int = 1) -> Path:
    """Write a film; `times` in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if path.suffix != ".webm" else "libvpx-vp9", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100 if times else rate)
        stream.codec_context.sample_aspect_ratio = Fraction(pixels)
        stream.options = {"crf": "10"}
        if rotation:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("PyAV 18 writes rotations.")
            stream.set_display_rotation(rotation)
        track = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (times or range(999))[index], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            wave = np.sin(np.arange(48000) / 20)[np.newaxis]
            samples = av.AudioFrame.from_ndarray((20000 * wave).astype(np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 48000, 0
            container.mux(track.encode(samples))
            container.mux(track.encode())
    return path


@pytest.fixture(scope="module")
def engine() -> StyleTransfer:
    return StyleTransfer(toy.network())


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    images.save(images.to_uint8(toy.picture(96, 80, seed=1)), tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.fixture
def paint(engine, painting, tmp_path):
    """Paints a film with few steps: the film and what was yielded."""

    def finished(source: Path, name: str = "out.mp4", **changes) -> tuple[video.Film, list[video.Painted]]:
        settings = replace(SETTINGS, size=64, min_scale=64, steps=(2,), **changes)
        made = video.Film(source, [painting], tmp_path / name, settings, frame_steps=1)
        return made, list(made.paint(lambda _: engine))

    return finished


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """The times in seconds and the contents of a stream's packets."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(**{kind: 0}) if packet.pts is not None]
        return sorted((packet.pts * packet.time_base, bytes(packet)) for packet in found)


def test_a_film_flickers_three_times_less_than_its_frames_painted_one_by_one(engine):
    photos, style = clip(6), images.load(catalogue.find("starry-night").path, 128)
    motions = [flow.motion(*pair) for pair in zip(photos, photos[1:])]

    def painted(photo: np.ndarray, **options) -> np.ndarray:
        *_, last = engine.stylize(photo[np.newaxis] / np.float32(255), [style], SETTINGS, **options)
        return last.image

    def flicker(pictures: list[np.ndarray]) -> float:
        return float(np.mean([flow.flicker(*pair, motion) for *pair, motion in zip(pictures, pictures[1:], motions)]))

    alone = [painted(photo) for photo in photos]
    following = alone[:1]
    for photo, motion in zip(photos[1:], motions):
        following.append(painted(photo, previous=flow.previous(following[-1], photo, motion)))
    assert flicker(following) < flicker(alone) / 3
    changed = [np.abs(pictures[-1].astype(int) - photos[-1]).mean() for pictures in (following, alone)]
    assert changed[0] > changed[1] / 2  # a painting still, not the photo


def test_the_flow_finds_a_pan_and_what_it_uncovers():
    before, after = (clip(1)[0], np.roll(clip(1)[0], -4, axis=1))
    after[:, -4:] = 255 - after[:, -4:]
    motion = flow.motion(before, after)
    inside = motion.flow[10:-10, 10:-16]
    assert np.abs(np.median(inside, axis=(0, 1)) - (4, 0)).max() < 0.3
    assert motion.weights[:, 4:-12].mean() > 0.9 and not motion.known[:, -4:].any() and not motion.is_cut
    assert flow.motion(before, clip(1, "tower")[0]).is_cut
    same = flow.motion(before, before)
    assert same.weights.all() and not same.flow.any() and flow.flicker(before, before, same) == 0
    again = flow.motion(before, after)
    np.testing.assert_array_equal(motion.flow, again.flow)


def test_what_is_uncovered_gets_the_colors_of_what_is_like_it():
    photo = np.full((48, 64, 3), (200, 40, 40), np.uint8)
    photo[:, 32:] = (40, 40, 200)
    painted = np.where(photo[..., :1] == 200, np.uint8((180, 160, 20)), np.uint8((20, 120, 60))).astype(np.uint8)
    known = np.ones((48, 64), bool)
    known[10:20] = False
    motion = flow.Motion(np.zeros((48, 64, 2), np.float32), known.astype(np.float32), known, False)
    start = images.to_uint8(flow.previous(np.where(known[..., np.newaxis], painted, 0), photo, motion).image)
    assert np.abs(start.astype(int) - painted)[:, [4, 16, 48, 60]].max() < 25


def test_the_temporal_loss_counts_where_the_weights_are():
    previous, weights = toy.picture(4, 6), np.zeros((1, 4, 6, 1), np.float32)
    weights[:, :2] = 1
    image = previous + np.float32(0.1)
    assert float(temporal_loss(image, previous, weights)) == pytest.approx(0.01 / 2, rel=1e-4)


def test_a_frame_before_of_another_size_is_refused(engine):
    wrong = flow.Previous(toy.picture(36, 48), np.ones((1, 36, 48, 1), np.float32))
    with pytest.raises(ValueError, match=r"^previous: a frame of \(36, 48\) should have .* \(72, 96\)$"):
        next(engine.stylize(toy.picture(72, 96), [toy.picture(64, 64)], SETTINGS, previous=wrong))


def test_a_cut_starts_from_the_photo(paint, tmp_path):
    source = film(tmp_path / "in.mp4", [*clip(3), *clip(2, "tower")])
    made, painted = paint(source)
    assert [frame.is_cut for frame in painted] == [True, False, False, True, False]
    assert made.painted == 5 and not made.folder.exists()
    assert [frame.index for frame in painted] == list(range(5)) and {frame.frames for frame in painted} == {5}


@pytest.mark.parametrize("suffix", video.SUFFIXES)
def test_times_are_kept_also_of_a_variable_rate(paint, tmp_path, suffix):
    times = [0, 8, 20, 24, 60, 63]
    source = film(tmp_path / f"in{suffix}", clip(6), times)
    made, _ = paint(source, f"out{suffix}")
    expected, found = ([time for time, _ in packets(path, "video")] for path in (source, made.output))
    assert [float(time) for time in found] == pytest.approx([float(time) for time in expected], abs=0.002)
    assert [float(time - found[0]) for time in found] == pytest.approx([time / 100 for time in times], abs=0.002)
    with av.open(str(made.output)) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (48, 64)


def test_sound_is_copied_where_the_format_takes_it(paint, tmp_path):
    source = film(tmp_path / "in.mp4", clip(12), sound="aac")
    for name in ("out.mp4", "out.mkv"):
        made, _ = paint(source, name)
        before, after = packets(source, "audio"), packets(made.output, "audio")
        assert [content for _, content in after] == [content for _, content in before]
        assert max(abs(ours - theirs) for (ours, _), (theirs, _) in zip(after, before)) < 0.03


def test_sound_is_encoded_anew_where_the_format_does_not_take_it(paint, tmp_path):
    source = film(tmp_path / "in.mp4", clip(12), sound="aac")
    made, _ = paint(source, "out.webm")
    with av.open(str(made.output)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert 0.9 * 48000 < sound.size < 1.1 * 48000 and np.sqrt((sound**2).mean()) > 0.3


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_film_is_upright(paint, tmp_path, rotation):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255  # upper left
    upright = np.rot90(picture, rotation // 90)
    made, painted = paint(film(tmp_path / "in.mp4", [picture] * 3, rotation=rotation), strength=0.0)
    assert painted[0].image.shape == upright.shape
    with av.open(str(made.output)) as container:
        shown = next(container.decode(video=0))
    assert shown.rotation == 0
    bright = shown.to_ndarray(format="rgb24").mean(axis=-1) > 128
    assert (bright == (upright[..., 0] > 128)).mean() > 0.9


def test_pixels_that_are_not_square(tmp_path):
    assert video.probe(film(tmp_path / "in.mp4", clip(2), pixels=2)).shape == (72, 192)


def test_colors_stay(paint, tmp_path):
    source = film(tmp_path / "in.mp4", [np.full((48, 64, 3), (200, 60, 30), np.uint8)] * 2)
    made, _ = paint(source, strength=0.0, total_variation_weight=0.0)
    (expected, *_), (found, *_) = (list(video.frames(path, (48, 64))) for path in (source, made.output))
    assert np.abs(found.astype(int).mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 12


def test_a_stopped_film_goes_on_and_paints_nothing_twice(engine, paint, painting, tmp_path):
    source = film(tmp_path / "in.mp4", [*clip(3), *clip(3, "tower")])
    whole, expected = paint(source, "whole.mp4")
    begun = video.Film(source, [painting], tmp_path / "out.mp4", whole.settings, frame_steps=1)
    frames = begun.paint(lambda _: engine)
    for _ in range(4):
        next(frames)
    frames.close()
    kept = {path: path.stat().st_mtime_ns for path in begun.folder.iterdir()}
    assert len(kept) == 4
    next(iter(sorted(kept, reverse=True))).write_bytes(b"broken")  # as a disk does that loses power
    (begun.folder / "mine.txt").write_text("of somebody else")
    made, painted = paint(source)
    assert [frame.is_new for frame in painted] == [False] * 3 + [True] * 3
    assert (made.painted, made.found) == (3, 3)
    for ours, theirs in zip(painted, expected):
        np.testing.assert_array_equal(ours.image, theirs.image)
    assert made.output.read_bytes() == whole.output.read_bytes()
    assert [path.name for path in made.folder.iterdir()] == ["mine.txt"]


def test_frames_of_another_job_are_not_used(engine, paint, painting, tmp_path):
    source = film(tmp_path / "in.mp4", clip(3))
    begun = video.Film(source, [painting], tmp_path / "out.mp4", replace(SETTINGS, size=64, steps=(3,)), frame_steps=1)
    next(begun.paint(lambda _: engine))
    made, painted = paint(source)
    assert all(frame.is_new for frame in painted) and not made.folder.exists()


def test_what_is_damaged_in_the_middle_is_left_out(paint, tmp_path):
    source = film(tmp_path / "in.mkv", clip(8))
    content = bytearray(source.read_bytes())
    source.write_bytes(content[: int(0.7 * len(content))])
    made, painted = paint(source)
    assert 1 <= len(painted) <= 8 and made.output.exists()


def wrong(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no films, with the sentence that they get."""
    good = film(folder / "good.mp4", clip(2), sound="aac")
    (folder / "text.mp4").write_text("no film")
    (folder / "broken.mp4").write_bytes(good.read_bytes()[:300])
    (folder / "empty.mp4").write_bytes(b"")
    Image.new("RGB", (64, 48)).save(folder / "picture.png")
    (folder / "picture.mp4").write_bytes((folder / "picture.png").read_bytes())
    with av.open(str(folder / "song.m4a"), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 48000, 0
        container.mux(track.encode(samples))
        container.mux(track.encode())
    with av.open(str(folder / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    return {
        "missing.mp4": "There is no file missing.mp4; check its name and folder.",
        "text.mp4": "text.mp4 cannot be read as a film",
        "broken.mp4": "broken.mp4 cannot be read as a film",
        "empty.mp4": "empty.mp4 cannot be read as a film",
        "picture.png": "picture.png is a picture, not a film; the command paint repaints pictures.",
        "picture.mp4": "picture.mp4 is a picture, not a film",
        "song.m4a": "song.m4a has no video in it; name a film.",
        "none.mp4": "none.mp4 ",
    }


def test_what_is_no_film_gets_one_sentence(tmp_path):
    for name, sentence in wrong(tmp_path).items():
        with pytest.raises(images.ImageError) as error:
            video.probe(tmp_path / name)
        assert str(error.value).startswith(sentence) and "\n" not in str(error.value), name


def test_outputs_that_cannot_be(painting, tmp_path):
    source = film(tmp_path / "in.mp4", clip(2))
    for output, sentence in (
        (source, "in.mp4 is the film to paint from; write to another file."),
        (tmp_path / "out.avi", "'out.avi' cannot be written; its name should end in .mp4, .mov, .mkv, .webm."),
        (tmp_path / "none" / "out.mp4", "There is no folder"),
    ):
        with pytest.raises(ValueError) as error:
            video.Film(source, [painting], output, SETTINGS)
        assert sentence in str(error.value)


def test_opencv_is_asked_for_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(images.ImageError, match=r"^Films need the package opencv-python-headless \(pip install .*\.$"):
        video.check_writable(tmp_path / "out.mp4")
