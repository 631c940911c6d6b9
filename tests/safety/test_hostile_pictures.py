"""Hostile pictures: each is read or refused in one sentence, with little time and memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nst import images
from nst.formats import colors
from tests.effort import SOAK, effort
from tests.safety import hostile_pictures as hostile

ROOT = Path(__file__).parents[2]
MAX_MB, HANG = 200, 20  # of a refusal above rest; seconds, generous because machines differ
SENTENCE = re.compile(r"(The file|a photo\.jpg) [^\n<>]+\.")


def run(*arguments: str, timeout: float) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of its memory")
def test_each_is_read_or_refused_with_little_memory():
    step, size = effort(("5", "1000000"), ("1", "40000000"))
    lines = run("-m", "tests.safety.hostile_pictures", step, size, timeout=effort(120, 1800)).splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) >= effort(400, 1000)
    refused = [file for file in found if file["message"]]
    assert 0.5 < len(refused) / len(found) < 0.9  # the others are read
    for what, files in (("slowest", sorted(found, key=lambda file: file["seconds"])), ("largest", _by_memory(refused))):
        for file in files[-5:]:
            print(f"{what}: {file['name']}, {file['bytes']} bytes: {file['seconds']:.2f} s, {file['MB']:.0f} MB")
    for file in found:
        assert not file["problem"], file
        assert not file["message"] or SENTENCE.fullmatch(file["message"]), file
        assert file["seconds"] < HANG, file
    assert _by_memory(refused)[-1]["MB"] < MAX_MB


def _by_memory(files: list[dict]) -> list[dict]:
    return sorted(files, key=lambda file: file["MB"])


def test_names_become_one_line(tmp_path):
    path = tmp_path / "a\nphoto\x1b[31m.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(images.ImageError) as caught:
        images.load(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff"])
def test_what_was_stripped_was_heeded(name):
    assert images.load(hostile.PICTURES[name]).shape == (1, 48, 40, 3)  # the EXIF turns 48 x 40 pixels


@pytest.mark.parametrize(
    ("name", "frames"), [("animated gif", 2), ("animated webp", 2), ("apng", 2), ("tiff pages", 2)]
)
def test_frames_are_counted(name, frames):
    assert images.read(hostile.PICTURES[name]).frames == frames


def test_a_profile_keeps_what_describes_its_colors():
    tamed = colors._tamed(colors.SRGB_BYTES)
    assert len(tamed) == len(colors.SRGB_BYTES)
    assert tamed[128:132] == b"\0\0\0\x08"  # of 11: white, adaptation, and a curve and a column for each color


EDIT = st.tuples(st.sampled_from(["cut", "insert", "replace", "copy"]), st.floats(0, 1), st.binary(max_size=12))


@settings(max_examples=effort(300, 20_000), deadline=None, derandomize=not SOAK, database=None)
@given(st.sampled_from(list(hostile.PICTURES)), st.lists(EDIT, min_size=1, max_size=4))
def test_any_edit_gives_a_picture_or_a_sentence(name, edits):
    data = hostile.PICTURES[name]
    for kind, fraction, new in edits:
        place = int(fraction * len(data))
        if kind == "cut":
            data = data[:place]
        elif kind == "copy":
            data = data[:place] + data[place : place + 40] * 3 + data[place:]
        else:
            data = data[:place] + new + data[place + len(new) * (kind == "replace") :]
    try:
        image = images.load(data, 64)
    except images.ImageError as error:
        assert SENTENCE.fullmatch(str(error))
    else:
        assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.skipif(not SOAK, reason="`make soak` installs atheris")
def test_fuzzing(tmp_path):
    pytest.importorskip("atheris")
    for index, (_, data) in enumerate(hostile.corpus(20_000)):
        if len(data) < 50_000:
            (tmp_path / str(index)).write_bytes(data)
    limits = ["-max_total_time=600", "-timeout=20", "-rss_limit_mb=3000", "-max_len=60000"]
    run("tests/safety/fuzz_pictures.py", *limits, f"-artifact_prefix={tmp_path}/", str(tmp_path), timeout=900)
