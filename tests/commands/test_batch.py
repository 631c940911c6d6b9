"""`nst batch` as a person runs it: in a process of its own, with a stand-in for the engine, but for one real batch."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import images, recipe
from tests.commands.conftest import ROOT, TINY, command
from tests.serving import HANG


@pytest.fixture
def photos(tmp_path) -> list[str]:
    """Five photos, unlike each other."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        pixels = np.full((48, 64, 3), (40 * index, 100, 250 - 40 * index), np.uint8)
        Image.fromarray(pixels).save(folder / f"photo {index}.png")
    (folder / "notes.txt").write_text("no picture")
    return sorted(f"photos/{path.name}" for path in folder.glob("*.png"))


@pytest.fixture
def styles(tmp_path) -> list[str]:
    """Four paintings."""
    for index in range(4):
        Image.linear_gradient("L").rotate(90 * index).resize((64, 64)).convert("RGB").save(tmp_path / f"s{index}.png")
    return [f"s{index}.png" for index in range(4)]


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def batch(*photos: object, styles: list[str] = (), more: list[object] = ()) -> list[object]:
    return ["batch", *photos, *(["--styles", *styles] if styles else []), "-o", "out", *TINY, *more]


def test_a_batch_that_is_killed_goes_on_and_paints_nothing_twice(start, run, tmp_path, photos, styles):
    arguments = batch("photos", styles=styles)
    process = start(*arguments, behavior="busy")
    deadline = time.monotonic() + HANG
    while not (tmp_path / "out/manifest.jsonl").exists() or len(entries(tmp_path / "out")) < 7:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with (tmp_path / "out/manifest.jsonl").open("a") as file:
        file.write('{"output": "photo 4_s')  # as if it had been killed while it wrote
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert 7 <= len(before) < 20

    code, out, err = run(*arguments)
    counts = f"{20 - len(before)} painted, {len(before)} done before, 0 failed"
    assert (code, err) == (0, f"nst: {counts}; see {Path('out', 'manifest.jsonl')}.\n")
    assert len(out.splitlines()) == 20 - len(before)
    pictures = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert len(pictures) == 20 and before.items() <= pictures.items()
    told = entries(tmp_path / "out")
    assert sorted(entry["output"] for entry in told) == sorted(pictures)  # each once
    for entry in told:
        made = recipe.read(tmp_path / "out" / entry["output"])
        assert made and entry["recipe"] == json.loads(made.text)
        photo, style = Path(entry["output"]).stem.rsplit("_", 1)
        assert (made.content.name, made.styles[0].name) == (f"{photo}.png", f"{style}.png")
    assert all(entry["losses"]["total"] == 3.0 for entry in told if entry["losses"])
    assert sum(entry["losses"] is None for entry in told) <= 1  # killed between a picture and its line

    code, out, err = run(*arguments)
    assert (code, out) == (0, "") and "0 painted, 20 done before" in err


def test_what_has_changed_is_painted_again(run, tmp_path, photos, styles):
    assert run(*batch("photos", styles=styles[:1]))[0] == 0
    Image.new("RGB", (64, 48), "white").save(tmp_path / photos[2])
    _, out, err = run(*batch("photos", styles=styles[:1]))
    assert out.startswith("3/5 photo 2_s0.png: ") and "1 painted, 4 done before" in err
    _, _, err = run(*batch("photos", styles=styles[:1], more=["--strength", "60"]))
    assert "5 painted, 0 done before" in err


def test_a_failed_file_is_told_at_the_end_and_stops_nothing(run, tmp_path, photos, styles):
    (tmp_path / photos[1]).write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (tmp_path / "out").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "out/photo 3_s1.png")
    code, out, err = run(*batch(*photos, "missing.jpg", styles=styles[:2]))
    assert code == 1 and len(out.splitlines()) == 7
    *sentences, last = err.splitlines()
    assert last == f"nst: 7 painted, 0 done before, 5 failed; see {Path('out', 'manifest.jsonl')}."
    assert sentences[0].startswith("nst: photo 1_s0.png: photo 1.png is damaged")
    assert sentences[2] == (
        "nst: photo 3_s1.png: photo 3_s1.png is there already, and this program did not paint it; move it first."
    )
    assert sentences[3] == "nst: missing_s0.png: There is no file missing.jpg; check its name and folder."
    assert sum("error" in entry for entry in entries(tmp_path / "out")) == 5


def test_jobs_of_a_table(run, tmp_path, photos, styles):
    (tmp_path / "jobs").mkdir()
    (tmp_path / photos[0]).rename(tmp_path / "jobs/near.png")
    rows = [
        {"content": "near.png", "style": f"../{styles[0]} ; starry-night", "output": "first.jpg", "steps": "2,3"},
        {"content": "../" + photos[1], "style": f"../{styles[1]}", "output": "", "steps": ""},
    ]
    with (tmp_path / "jobs/jobs.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    code, out, _ = run(*batch("jobs/jobs.csv", more=["--json"]))
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert [entry["output"] for entry in (first, second)] == ["first.jpg", "photo 1_s1.png"]
    assert first["recipe"]["settings"]["steps"] == [2, 3] and second["recipe"]["settings"]["steps"] == [4]
    assert [style["name"] for style in first["recipe"]["styles"]] == [styles[0], "starry-night"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("content,output\na.png,b.png\n", "jobs.csv has no column style; it has content, output."),
        ("", "jobs.csv has no column content and no column style; it has none."),
        ("content,style\n", "jobs.csv lists no pictures; add a row for each."),
        ("content,style,colour\na,b,c\n", "jobs.csv: there is no setting colour; docs/settings.md lists them."),
        ("content,style,size\na.png,s0.png,9\n", "jobs.csv, line 2: size: 9 should be a whole number from 64 to 8192"),
        ("content,style,size\na.png,s0.png\n", "jobs.csv, line 2: the row should have 3 values"),
        ("content,style\n,s0.png\n", "jobs.csv, line 2: content and style should each name a picture"),
        (
            "content,style,output\na.png,s0.png,../x.png\n",
            "jobs.csv, line 2: output: '../x.png' should be a file's name",
        ),
        ("content,style,output\na.png,s0.png,x.doc\n", "'x.doc' cannot be written; its name should end in .png"),
        ("content,style,output\na.png,s0.png,x.png\nb.png,s0.png,X.png\n", "X.png would be painted twice, from a.png"),
        ("content,style\na.png,nobody\n", "jobs.csv, line 2: 'nobody' is neither a file nor an example"),
        (b"content,style\n\xff\xfe,a\n", "jobs.csv is not a CSV file in UTF-8 that can be read"),
    ],
)
def test_a_wrong_table_is_refused_before_anything_is_painted(run, tmp_path, styles, table, sentence):
    (tmp_path / "jobs.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    code, out, err = run(*batch("jobs.csv"))
    assert (code, out) == (2, "") and err.startswith("nst: ") and sentence in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (batch("photo.jpg"), "--styles is missing: name one or more paintings."),
        (batch("empty", styles=["painting.png"]), "The folder empty holds no pictures; name another."),
        (batch("jobs.csv", styles=["painting.png"]), "A CSV file names its photos and paintings itself"),
        (batch("jobs.csv"), "There is no file jobs.csv; check its name and folder."),
        (["batch", "photo.jpg", "--styles", "painting.png", "-o", "photo.jpg"], "The folder photo.jpg cannot be made"),
    ],
)
def test_wrong_arguments(run, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1


def test_a_photo_is_not_overwritten(run, tmp_path, styles):
    Image.new("RGB", (64, 48)).save(tmp_path / "a_s0.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    code, _, err = run("batch", "a.png", "a_s0.png", "--styles", "s0.png", "-o", ".", *TINY)
    assert code == 2 and "a_s0.png is one of the pictures to paint from; choose another folder." in err


def test_ctrl_c_keeps_what_is_done(start, tmp_path, photos, styles):
    process = start(*batch("photos", styles=styles), behavior="busy")
    deadline = time.monotonic() + HANG
    while not list(tmp_path.glob("out/*.png")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    done = len(list(tmp_path.glob("out/*.png")))
    assert f"nst: Stopped with {done} of 20 pictures done; the same command goes on." in err


def test_a_real_batch(tmp_path, photos, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arguments = command(*batch(*photos[:2], styles=["starry-night"], more=["--network", "compact"]), engine="real")
    for expected in ("2 painted, 0 done before", "0 painted, 2 done before"):
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=HANG, check=True)
        assert expected in done.stderr
    pictures = [images.load(path) for path in sorted((tmp_path / "out").glob("*.png"))]
    assert [picture.shape for picture in pictures] == [(1, 48, 64, 3)] * 2
    assert np.abs(pictures[0] - pictures[1]).max() > 0.05
