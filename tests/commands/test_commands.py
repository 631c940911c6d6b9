"""nst.__main__ as a person runs it: in a process of its own, mostly with a stand-in for the engine, for speed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import images, recipe, timelapse
from nst.commands import _parser, flags
from nst.commands.paint import _save
from nst.commands.recipe import _command
from nst.settings import Settings
from nst.timelapse import FILM_FRAMES, FILM_SIDE, Film
from tests.commands.conftest import ROOT, TINY
from tests.conftest import STOPS
from tests.serving import HANG


def paint(*more: object) -> list[object]:
    return ["paint", "photo.jpg", "painting.png", "-o", "out.png", *TINY, *more]


def size(path: Path) -> tuple[str | None, int, int]:
    with Image.open(path) as image:
        image.load()
        return image.format, image.width, image.height


# --- flags ------------------------------------------------------------------------------------------------------------


def test_help_names_every_setting_with_its_default_and_range(run):
    code, out, err = run("paint", "--help", engine="real")
    assert (code, err) == (0, "")
    flat = re.sub(r"\s+", "", out)
    for knob in fields(Settings):
        assert f"  {flags.flag(knob)} " in out
        assert re.sub(r"\s+", "", knob.metadata["help"]) in flat
        if default := flags.format_value(getattr(Settings(), knob.name)):
            assert f"default:{default}" in flat
        for choice in knob.metadata["choices"]:
            assert choice in flat
    assert "(default: 512; 64 to 8192)" in " ".join(out.split())


@pytest.mark.parametrize("knob", fields(Settings), ids=lambda knob: knob.name)
def test_every_flag_reads_what_help_writes(knob):
    default = getattr(Settings(), knob.name)
    options = _parser().parse_args(["paint", "a", "b", "-o", "c", flags.flag(knob), flags.format_value(default)])
    assert flags.settings(options) == Settings()


@pytest.mark.parametrize(
    ("flag", "text", "name", "value"),
    [
        ("--style-layers", "block1_conv1=4,block2_conv1=2", "style_layers", {"block1_conv1": 4.0, "block2_conv1": 2.0}),
        ("--content-layers", " block4_conv2 = 1 , ", "content_layers", {"block4_conv2": 1.0}),
        ("--style-layers", "block1_conv1,block2_conv1=2", "style_layers", {"block1_conv1": 1.0, "block2_conv1": 2.0}),
        ("--steps", "30,15", "steps", (30, 15)),
        ("--style-blend", "0.5,2", "style_blend", (0.5, 2.0)),
        ("--style-blend", "", "style_blend", ()),
        ("--learning-rate", "1e-3", "learning_rate", 0.001),
        ("--weights", "a,b.h5", "weights", "a,b.h5"),
    ],
)
def test_values_of_every_kind(flag, text, name, value):
    options = _parser().parse_args(["paint", "a", "b", "-o", "c", flag, text])
    assert getattr(flags.settings(options), name) == value


@pytest.mark.parametrize(
    "arguments", [["--help"], ["paint", "--help"], [], ["paint", "a.jpg", "-o", "b.png"], ["examples"]]
)
def test_nothing_heavy_is_imported_for_words(arguments):
    code = f"""if True:
        import sys
        from nst.__main__ import main
        try:
            main({arguments})
        finally:
            print([name for name in ("tensorflow", "keras", "numpy", "PIL", "tqdm", "gradio") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.endswith("[]\n")


def test_alone_it_prints_help(run):
    code, out, err = run(engine="real")
    assert (code, err) == (0, "")
    assert "paint" in out
    assert "examples" in out


def test_help_on_a_terminal_without_greek(run, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, _ = run("paint", "--help", engine="real")
    assert code == 0
    assert r"\u03b1" in out


def test_examples_are_listed(run):
    code, out, err = run("examples", engine="real")
    assert (code, err) == (0, "")
    assert re.search(r"^starry-night +The Starry Night.* +after Vincent van Gogh +1889 +MIT", out, re.MULTILINE)


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_real_run_reports_in_json_and_writes_picture_and_film(run, tmp_path):
    more = ["--json", "--timelapse", "film.webp", "--network", "compact", "--frames-per-second", 60]
    code, out, err = run(*paint(*more), engine="real")
    assert (code, err) == (0, "")  # nor a word from TensorFlow
    *told, last = map(json.loads, out.splitlines())
    assert [set(line) for line in told] == [{"step", "steps", "size", "seconds", "losses"}] * len(told)
    assert [line["steps"] for line in told] == [8] * len(told)
    steps = [line["step"] for line in told]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 8)
    assert (told[0]["size"], told[-1]["size"]) == ([24, 32], [48, 64])
    assert all(set(line["losses"]) == {"content", "style", "total_variation", "total"} for line in told)
    assert told[-1]["losses"]["style"] < told[0]["losses"]["style"]
    assert (last["output"], last["network"]) == ("out.png", "compact")
    assert last["precision"] in ("float32", "bfloat16")
    assert last["seconds"] == told[-1]["seconds"]
    assert last["steps_per_second"] == pytest.approx(8 / last["seconds"], rel=0.01)
    assert 1e8 < last["peak_memory_bytes"] < 1e11
    assert last["notes"] == []
    assert set(last) == {"output", "network", "precision", "seconds", "steps_per_second", "peak_memory_bytes", "notes"}
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)
    assert size(tmp_path / "film.webp") == ("WEBP", 64, 48)


def test_one_line_says_it_all(run, tmp_path):
    code, out, err = run(*paint())
    assert (code, err) == (0, "")
    assert out == "out.png: 64 x 48 pixels, 8 steps in 4.0 s by compact in float32. Because.\n"
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)


def test_a_bar_on_a_terminal_only(start):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(theirs, (24, 100))
    process = start(*paint(), stderr=theirs)
    out, _ = process.communicate(timeout=HANG)
    os.close(theirs)
    bar = os.read(ours, 65536).decode()
    os.close(ours)
    assert out.count("\n") == 1
    assert "compact" in bar
    assert "8/8, loss 3, 2.0 steps/s, 00:00 left" in bar


@pytest.mark.parametrize("suffix", [".mp4", ".webp", ".gif"])
def test_films(run, tmp_path, suffix):
    if suffix == ".mp4":
        pytest.importorskip("av")
    code, _, err = run(*paint("--timelapse", f"film{suffix}"))
    assert (code, err) == (0, "")
    assert (tmp_path / f"film{suffix}").stat().st_size > 100


def test_a_film_keeps_its_first_its_last_and_evenly_chosen_others(monkeypatch):
    written: list[np.ndarray] = []
    monkeypatch.setattr(timelapse, "write", lambda frames, _, max_bytes: written.extend(frames))
    film = Film()
    for index in range(10 * FILM_FRAMES):
        film.append(np.full((16, 24, 3), index * 255 // (10 * FILM_FRAMES), np.uint8))
        assert len(film._jpegs) < FILM_FRAMES
    film.append(np.full((FILM_SIDE, 2 * FILM_SIDE, 3), 255, np.uint8))
    film.write("film.webp")
    grays = [int(frame[0, 0, 0]) for frame in written]
    assert FILM_FRAMES / 2 <= len(written) <= FILM_FRAMES
    assert (grays[0], grays[-1]) == (0, 255)
    assert np.diff(grays).min() >= 0
    assert np.diff(grays).max() <= 6
    assert written[-1].shape == (FILM_SIDE // 2, FILM_SIDE, 3)


def test_a_film_of_a_very_narrow_picture_leaves_out_the_coarse_scales(tmp_path):
    film = Film()
    for height in (2, 4, 8):
        film.append(np.zeros((height, 100, 3), np.uint8))
    film.write(str(tmp_path / "film.gif"))
    assert size(tmp_path / "film.gif") == ("GIF", 100, 8)


def test_examples_by_name_and_a_file_of_that_name_wins(run, tmp_path):
    code, _, err = run("paint", "photo.jpg", "starry-night", "-o", "out.png", *TINY)
    assert code == 0
    assert err.startswith("nst: The Starry Night, painted by our program")
    (tmp_path / "starry-night").write_bytes((tmp_path / "painting.png").read_bytes())
    assert run("paint", "photo.jpg", "starry-night", "-o", "out.png", *TINY)[2] == ""


def test_a_reader_who_leaves_does_not_stop_the_painting(start, tmp_path):
    process = start(*paint("--json", "--steps", 2000))
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=HANG) == 0
    assert process.stderr.read() == ""
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)


# --- recipe -----------------------------------------------------------------------------------------------------------


def test_a_picture_tells_how_it_was_made_and_how_to_make_it_again(run, tmp_path):
    os.rename(tmp_path / "painting.png", tmp_path / "-it's ä.png")
    (tmp_path / "folder").mkdir()
    os.rename(tmp_path / "photo.jpg", tmp_path / "folder/photo.jpg")
    layers = ["--style-layers", "block1_conv1=0.1234567,block2_conv1=2"]
    argument = tmp_path / "folder/photo.jpg", "./-it's ä.png", "lion"
    assert run("paint", *argument, "-o", "out.png", *TINY, *layers)[0] == 0
    code, out, err = run("recipe", "out.png", engine="real")
    assert (code, err) == (0, "")
    told = {line.partition(":")[0]: line.partition(":")[2].strip() for line in out.splitlines()}
    assert list(told) == ["content", "style", "picture", "network", "settings", "again"]
    assert re.fullmatch(r"photo.jpg, 64 x 48 pixels, hash [0-9a-f]{16}", told["content"])
    assert re.search(r"^style:    -it's ä.png, 64 x 51 pixels, .*\nstyle:    the example lion, 64 x", out, re.MULTILINE)
    assert told["picture"] == "64 x 48 pixels, 8 steps"
    assert told["network"] == "compact in float32, hash 0000000000000000, nst 0.2.0"
    assert told["settings"] == "size 64; style layers block1_conv1=0.1234567,block2_conv1=2; steps 4; min scale 32"
    assert str(tmp_path) not in out

    words = shlex.split(told["again"])
    assert words[:8] == ["python", "-m", "nst", "paint", "photo.jpg", "./-it's ä.png", "lion", "-o"]
    os.rename(tmp_path / "folder/photo.jpg", tmp_path / "photo.jpg")
    assert run(*words[3:])[0] == 0
    first, again = (json.loads(run("recipe", name, "--json", engine="real")[1]) for name in ("out.png", "again.png"))
    assert again.pop("settings") == {**first.pop("settings"), "network": "compact", "precision": "float32"}
    assert first == again


def test_a_finished_picture_is_started_from_with_its_settings(run, tmp_path):
    small = ["-o", "small.png", "--size", "64", "--min-scale", "32", "--steps", "2", "--strength", "70"]
    assert run("paint", "lion", "woodcut-wave", *small, engine="real")[0] == 0
    arguments = ["--start", "small.png", "-o", "large.png", "--size", "128", "--json"]
    code, out, err = run("paint", *arguments, engine="real")
    assert code == 0, err
    first = json.loads(out.splitlines()[0])
    assert first["steps"] == 2 and max(first["size"]) == 128  # the scale above only
    made = recipe.read(tmp_path / "large.png")
    assert made is not None and made.start is not None
    assert (made.start.name, made.start.size[0], made.settings.strength) == ("small.png", 64, 70)
    assert (max(made.size), made.content.name, [style.name for style in made.styles]) == (128, "lion", ["woodcut-wave"])
    assert "--start small.png" in run("recipe", "large.png", engine="real")[1]

    assert run(*paint(), engine="real")[0] == 0  # of files
    code, _, err = run("paint", "--start", "out.png", "-o", "x.png", engine="real")
    assert (code, err) == (
        2,
        "nst: out.png was painted from photo.jpg and painting.png: name both, as in CONTENT STYLE --start FILE.\n",
    )
    code, _, err = run("paint", "--start", "photo.jpg", "-o", "x.png", engine="real")
    assert code == 2 and "photo.jpg does not name its photo and painting" in err
    code, _, err = run("paint", "lion", "woodcut-wave", "--start", "out.png", "-o", "out.png", engine="real")
    assert code == 2 and "out.png is one of the pictures to paint from" in err


@pytest.mark.parametrize(("network", "flag"), [("vgg16", "vgg19"), ("vgg19", "vgg19"), ("compact", "compact")])
def test_the_command_names_a_network_that_can_be_asked_for(run, tmp_path, network, flag):
    assert run("paint", "photo.jpg", "painting.png", "-o", "out.png", *TINY)[0] == 0
    made = recipe.read(tmp_path / "out.png")
    assert made and f"--network={flag}" in shlex.split(_command(replace(made, network=network)))


def test_the_same_run_writes_the_same_file(run, tmp_path):
    written = []
    for _ in range(2):
        assert run(*paint())[0] == 0
        written.append((tmp_path / "out.png").read_bytes())
    assert written[0] == written[1]


def test_a_stopped_run_has_a_recipe_too(run):
    run(*paint(), behavior="deaf")
    assert "\npicture:  64 x 48 pixels, stopped at step 4 of 8\n" in run("recipe", "out.png", engine="real")[1]


def test_a_recipe_is_told_without_tensorflow(run, tmp_path):
    run(*paint())
    code = f"""if True:
        import sys
        from nst.__main__ import main
        main(["recipe", {str(tmp_path / "out.png")!r}])
        print([name for name in ("tensorflow", "keras", "tqdm", "gradio") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("content:  photo.jpg")
    assert done.stdout.endswith("\n[]\n")


def test_a_recipe_tells_what_the_command_leaves_out(run, tmp_path):
    run(*paint())
    made = recipe.read(tmp_path / "out.png")
    assert made is not None
    finished = replace(made, finishing={"original_color": 0.5, "sharpness": -0.25})
    images.save(np.zeros((48, 64, 3), np.uint8), tmp_path / "finished.png", texts=finished.texts)
    out = run("recipe", "finished.png", engine="real")[1]
    line = "finishing: original color 0.5; sharpness -0.25 (on the page: the command below paints without it)"
    assert line in out.splitlines()


def test_a_recipe_of_another_version_says_so(run, tmp_path):
    run(*paint())
    data = (tmp_path / "out.png").read_bytes().replace(b'{"nst": "0.2.0"', b'{"nst": "9.9.9"')
    (tmp_path / "other.png").write_bytes(data.replace(b'"pooling"', b'"poolinq"'))
    code, out, err = run("recipe", "other.png", engine="real")
    assert (code, len(out.splitlines())) == (0, 6)
    assert re.fullmatch("nst: Painted by version 9.9.9 .*\nnst: This version has no setting poolinq.\n", err)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_interrupting_a_real_run_saves_what_is_painted(start, tmp_path):
    process = start(*paint("--json", "--steps", 5000, "--network", "compact"), engine="real")
    assert json.loads(process.stdout.readline())["step"] == 0
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert re.fullmatch(
        r"nst: Stopped at step \d+ of 10000; what was painted so far is in out.png, 64 x 48 pixels.\n", err
    )
    assert json.loads(out.splitlines()[-1])["output"] == "out.png"
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)


@pytest.mark.parametrize("number", STOPS)
def test_stopping_saves_picture_and_film(start, tmp_path, number):
    (tmp_path / "out.png").write_bytes(b"old")
    process = start(*paint("--json", "--timelapse", "film.gif"), behavior="slow")
    process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert err == "nst: Stopped at step 0 of 8; what was painted so far is in out.png, 64 x 48 pixels.\n"
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)
    assert size(tmp_path / "film.gif") == ("GIF", 64, 48)
    with Image.open(tmp_path / "out.png") as image:
        assert image.getpixel((32, 24)) == (200, 100, 0)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP.")
def test_a_closed_terminal_leaves_the_picture(start, tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(theirs, (24, 100))
    process = start(*paint(), behavior="slow", stdout=theirs, stderr=theirs)
    os.close(theirs)
    bar = b""
    while b"loss" not in bar:  # of the first frame
        bar += os.read(ours, 4096)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=HANG) == 130
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP.")
def test_nohup_paints_to_the_end(start):
    process = start(*paint("--json", "--steps", 2000), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=HANG)
    assert process.returncode == 0


def test_a_stop_that_is_lost_in_a_callback_is_heeded_at_the_next_frame(start, tmp_path):
    process = start(*paint(), behavior="deaf")
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert err.startswith("nst: Stopped at step 4 of 8; what was painted so far is in out.png")


def test_stopping_the_film_keeps_the_picture(start, tmp_path):
    process = start(*paint("--timelapse", "film.gif"), behavior="slow film")
    assert process.stdout.readline() == "filming\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert "is in out.png, 64 x 48 pixels.\nnst: film.gif was not written.\n" in err
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)
    assert not (tmp_path / "film.gif").exists()


def test_stopping_before_anything_is_painted_writes_nothing(start, tmp_path):
    (tmp_path / "out.png").write_bytes(b"old")
    process = start(*paint(), behavior="slow start")
    assert process.stdout.readline() == "starting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (130, "")
    assert err == "nst: Stopped before anything was painted; nothing was written.\n"
    assert (tmp_path / "out.png").read_bytes() == b"old"


# --- what is not painted ----------------------------------------------------------------------------------------------


def test_frames_and_transparency_that_are_left_out_are_told(run, tmp_path):
    frames = [Image.new("RGBA", (40, 30), color) for color in ("red", "#0f08", "blue")]
    frames[1].save(tmp_path / "a.webp", save_all=True, append_images=frames[::2], lossless=True)
    code, out, err = run("paint", "photo.jpg", "a.webp", "-o", "out.png", *TINY, "--json", engine="real")
    notes = ["Only the first of the 3 pictures in a.webp is painted."]  # what is transparent does not count as style
    assert (code, err) == (0, "".join(f"nst: {note}\n" for note in notes))
    assert json.loads(out.splitlines()[-1])["notes"] == notes


# --- what fails after the run -----------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_loses_no_picture(run, tmp_path, monkeypatch):
    for folder in ("folder", "spare"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "spare"))
    more = ["--json", "--timelapse", "folder/film.gif"]
    code, out, err = run(
        "paint", "photo.jpg", "painting.png", "-o", "folder/out.png", *TINY, *more, behavior="no folder"
    )
    picture, film = sorted((tmp_path / "spare").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (code, size(picture), size(film)) == (1, ("PNG", 64, 48), ("GIF", 64, 48))
    assert json.loads(out.splitlines()[-1])["output"] == str(picture)
    assert re.fullmatch(rf"nst: .* written to {picture} instead\.\nnst: .* written to {film} instead\.\n", err)


def test_a_picture_is_saved_where_it_can_be(tmp_path, monkeypatch):
    def write(path: Path) -> str:
        tried.append(path.parent)
        if path.parent not in good:
            raise images.ImageError(f"{path} could not be written.")
        return "written"

    tried, good = [], {tmp_path / "home"}
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    written, path, sentence = _save(write, str(tmp_path / "out.png"))
    assert tried == [tmp_path, tmp_path / "temporary", tmp_path / "home"]
    assert written == "written" and Path(path).parent == tmp_path / "home" and path in sentence
    good.clear()
    with pytest.raises(images.ImageError, match="out.png could not be written"):
        _save(write, str(tmp_path / "out.png"))


def test_a_film_that_fails_hides_no_picture(run, tmp_path):
    code, out, err = run(*paint("--timelapse", "film.gif"), behavior="no film")
    assert (code, err) == (1, "nst: film.gif was not written: no such codec.\n")
    assert out.startswith("out.png: 64 x 48 pixels, 8 steps")
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)


# --- another network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flags", "variable"), [(["--network", "vgg19"], ""), ([], "VGG-19")])
def test_another_network_than_was_asked_for_is_told_before_the_run(start, monkeypatch, flags, variable):
    monkeypatch.setenv("NST_NETWORK", variable)
    process = start(*paint("--json", *flags), behavior="slow")
    assert process.stderr.readline() == "nst: Because.\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=HANG)
    assert json.loads(out.splitlines()[-1])["notes"][0] == "Because."


# --- too little memory ------------------------------------------------------------------------------------------------


def test_a_size_that_does_not_fit_is_lowered_and_said(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY", "200000000")
    sentence = r"512 pixels do not fit into this machine's memory: painted at (\d+)\."
    code, out, err = run("paint", "photo.jpg", "painting.png", "-o", "out.png", "--json", behavior="little memory")
    assert code == 0
    painted = int(re.search(rf"^nst: {sentence}$", err, re.MULTILINE)[1])
    assert painted % 32 == 0
    assert any(re.fullmatch(sentence, note) for note in json.loads(out.splitlines()[-1])["notes"])
    assert size(tmp_path / "out.png") == ("PNG", painted, painted * 3 // 4)
    assert f"settings: size {painted}\n" in re.sub(" +", " ", run("recipe", "out.png", engine="real")[1])


def test_where_no_size_fits_it_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY", "1000000")
    refuses(run(*paint(), behavior="little memory"), "too little memory", code=1)
    assert not (tmp_path / "out.png").exists()


def test_memory_that_runs_out_leaves_the_scale_before(run, tmp_path):
    (tmp_path / "out.png").write_bytes(b"old")
    code, out, err = run(*paint("--json", "--size", 256, "--min-scale", 128), behavior="too large")
    assert (code, err.splitlines()[-1]) == (0, "nst: 256 pixels are too many.")
    assert "256 pixels are too many." in json.loads(out.splitlines()[-1])["notes"]
    assert size(tmp_path / "out.png") == ("PNG", 128, 96)
    assert "\npicture: 128 x 96 pixels, 3 steps\n" in re.sub(" +", " ", run("recipe", "out.png", engine="real")[1])


# --- what cannot be done ----------------------------------------------------------------------------------------------


def refuses(outcome: tuple[int, str, str], words: str, code: int = 2) -> None:
    assert outcome[:2] == (code, "")
    assert outcome[2].startswith("nst: ")
    assert outcome[2].count("\n") == 1
    assert re.search(words, outcome[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paint", "-o", "out.png"], "CONTENT and STYLE are missing"),
        (["paint", "photo.jpg", "painting.png"], "required: -o/--output"),
        (["paint", "missing.jpg", "painting.png", "-o", "out.png"], "There is no file missing.jpg"),
        (["paint", "photo.jpg", "starry-nigth", "-o", "out.png"], r"did you mean starry-night\?"),
        (["paint", "photo.jpg", "notes.txt", "-o", "out.png"], "notes.txt is not a picture"),
        (["paint", "photo.jpg", ".", "-o", "out.png"], "."),
        (["paint", "photo.jpg", "painting.png", "-o", "out.bmp"], "out.bmp"),
        (["paint", "photo.jpg", "painting.png", "-o", "missing/out.png"], "no folder missing"),
        (["paint", "photo.jpg", "painting.png", "-o", "."], "."),
        (["paint", "photo.jpg", "painting.png", "-o", f"{'x' * 260}.png"], "cannot be written: .*; choose another"),
        (paint("--timelapse", f"{'x' * 260}.gif"), "cannot be written: .*; choose another"),
        (["paint", "photo.jpg", "painting.png", "-o", "./painting.png"], "painting.png is one of the pictures"),
        (paint("--timelapse", "film.avi"), "film.avi"),
        (paint("--timelapse", "photo.gif/film.gif"), "no folder photo.gif"),
        (["paint", "photo.jpg", "painting.png", "-o", "x.webp", "--timelapse", "x.webp"], "cannot both"),
        (paint("--size", "63"), "size: 63 should be a whole number from 64 to 8192"),
        (paint("--size", "12px"), "size: '12px' should be a whole number"),
        (paint("--size"), "--size: expected one argument"),
        (paint("--strength", "nan"), "strength: nan"),
        (paint("--steps", "30,x"), "steps: 'x'"),
        (paint("--steps", ","), "steps: at least one"),
        (paint("--style-layers", "block1_conv1="), "style_layers: '' should be a number"),
        (paint("--style-layers", "block1_conv1=much"), "style_layers: 'much' should be a number"),
        (paint("--pooling", "median"), "pooling: 'median' should be average or max"),
        (paint("--weights", "broken.h5"), "weights: no good; see above"),
        (paint("--wieght", "1"), "--wieght"),
        (paint("--style-w", "1"), "--style-w"),
        (["recipe"], "required: FILE"),
        (["recipe", "photo.jpg"], "photo.jpg carries no recipe"),
        (["recipe", "notes.txt"], "notes.txt carries no recipe"),
        (["recipe", "missing.png"], "There is no file missing.png"),
        (["recipe", "damaged.png"], "The recipe in this picture is damaged"),
        (["sculpt"], "sculpt"),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence(run, tmp_path, arguments, words):
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "damaged.png").write_bytes(b'\0{"nst": "\x1b[31m')
    (tmp_path / "out.png").write_bytes(b"old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refuses(run(*arguments), words)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--weights", "broken.h5"], "broken.h5 is damaged, or does not hold"),
        (["--style-layers", "block9_conv1=1", "--network", "compact"], "block9_conv1"),
    ],
)
def test_what_the_real_engine_refuses(run, tmp_path, more, words):
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")
    (tmp_path / "out.png").write_bytes(b"old")
    refuses(run(*paint(*more), engine="real"), words)
    assert (tmp_path / "out.png").read_bytes() == b"old"


def test_a_run_that_fails_midway_leaves_the_old_picture(run, tmp_path):
    (tmp_path / "out.png").write_bytes(b"old")
    refuses(run(*paint("--timelapse", "film.gif"), behavior="overflow"), "The loss overflowed", code=1)
    assert (tmp_path / "out.png").read_bytes() == b"old"
    assert not (tmp_path / "film.gif").exists()


def test_a_run_that_fails_on_the_way_keeps_what_is_painted_where_nothing_was(run, tmp_path):
    code, _, err = run(*paint(), behavior="overflow")
    assert code == 1
    assert "is in out.png, 64 x 48 pixels.\nnst: The loss overflowed" in err
    assert size(tmp_path / "out.png") == ("PNG", 64, 48)
