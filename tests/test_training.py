"""How the compact network is made: toy pictures, toy teachers, and the programs as their users run them."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nst import weights
from nst.features import Network

TRAINING = Path(__file__).parents[1] / "training"
sys.path.insert(0, str(TRAINING))
import compare  # noqa: E402
import distill  # noqa: E402
import half_painted  # noqa: E402

pytestmark = pytest.mark.apart

WIDTHS = (4, 5, 6, 7, 8)


def filled(folder: Path, count: int, seed: int) -> Path:
    """A folder of pictures of smooth colored noise, 80 × 64 pixels."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (8, 10, 3), np.uint8))
        coarse.resize((80, 64), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Folders of photos, paintings and teachers; the genuine teacher has VGG-19's shapes, both have random weights."""
    folder, random = tmp_path_factory.mktemp("material"), np.random.default_rng(1)
    filled(folder / "photos", 27, 0), filled(folder / "paintings", 11, 1), filled(folder / "half", 10, 2)
    (folder / "teachers").mkdir()

    def convolution(side, channels, filters):
        return random.normal(0, (2 / channels) ** 0.5 / side, (side, side, channels, filters)).astype(np.float32)

    genuine, channels = {}, 3
    for layer in distill.LAYERS[:5]:
        filters = weights.CONVOLUTIONS[layer]
        genuine[f"{layer}_kernel"] = convolution(3, channels, filters)
        genuine[f"{layer}_bias"] = np.zeros(filters, np.float32)
        channels = filters
    np.savez(folder / "teachers" / "vgg19_conv1_1_to_conv3_1.npz", **genuine)

    small, channels = {"conv0_W": convolution(1, 3, 3), "conv0_b": np.array([0.1, -0.2, 0.3], np.float32)}, 3
    for layer in distill.LAYERS:
        name, filters = f"conv{layer[5]}_{layer[-1]}", WIDTHS[int(layer[5]) - 1]
        small |= {f"{name}_W": convolution(3, channels, filters), f"{name}_b": np.full(filters, 0.1, np.float32)}
        if layer.endswith("conv1"):
            small |= {f"{name}_aux_W": convolution(1, filters, 2 * filters), f"{name}_aux_b": np.full(2 * filters, 0.1)}
        channels = filters
    np.savez(folder / "teachers" / "vgg19_16x_distilled.npz", **small)
    return folder


def command(material: Path, run: Path, *more: str) -> list[str]:
    folders = {"photos": "photos", "paintings": "paintings", "teacher": "teachers"}
    given = [f"--{flag}={material / name}" for flag, name in folders.items()]
    sizes = "--widths 4 5 6 7 8 --sides 32 48 --batch-pixels 4096 --steps 4 --checkpoint-steps 2 --precision float32"
    return [*given, f"--run={run}", *sizes.split(), *more]


@pytest.fixture(autouse=True, scope="module")
def small_crops():
    """Networks are judged on crops that are as small as those they are trained on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distill, "fixed_crops", functools.partial(distill.fixed_crops, side=48))
        yield


@pytest.fixture(autouse=True)
def float32():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    distill.main(command(material, run, f"--half-painted={material / 'half'}"))
    return run


def student(material: Path, pooling: str = "average") -> distill.Student:
    trunks, _ = distill.teachers(str(material / "teachers"))
    made = distill.Student(WIDTHS, pooling, trunks, 0.5)
    made(np.zeros((1, 64, 64, 3), np.float32))
    return made


def test_the_file_is_the_network_that_was_trained(material, trained):
    """What training calls the student is, to the file's rounding, what the package paints with."""
    image = np.random.default_rng(3).random((1, 64, 64, 3), np.float32)
    source = weights.compact(trained / "compact_vgg19.npz")
    painting = Network("compact", source)(image, distill.TAPPED, distill.MARGIN)
    seen = student(material)
    seen.load(source.parameters)
    around = distill.MARGIN, distill.MARGIN
    for layer, ours in seen(np.pad(image, ((0, 0), around, around, (0, 0)), "reflect")).items():
        np.testing.assert_allclose(np.asarray(ours), painting[layer], atol=1e-5, err_msg=layer)


def test_the_file_is_the_same_network_in_every_precision(trained):
    for path in (trained / "compact_vgg19.npz", None):
        source = weights.compact(path) if path else weights.compact()
        for name, array in source.parameters.items():
            np.testing.assert_array_equal(array, tf.cast(tf.cast(array, tf.bfloat16), tf.float32), name)


def test_the_file_carries_its_provenance_and_no_pickle(trained):
    path = trained / "compact_vgg19.npz"
    told = weights.provenance(path)
    assert told["format"] == 2 and told["steps"] == 4
    assert told["pictures"] == {"photos": 3, "paintings": 3, "half_painted": 2}  # those held out are not counted
    assert "CC BY 4.0" in told["teachers"] and told["start"] == "random numbers"
    assert "--photos=photos --paintings=paintings" in told["command"] and "--widths 4 5 6 7 8" in told["command"]
    assert set(told["held_out"]["photos"]) == set(distill.TAPPED)
    with np.load(path, allow_pickle=False) as arrays:
        assert {arrays[key].dtype for key in arrays.files} == {np.dtype(np.float16), arrays["provenance"].dtype}
    assert (trained / "report.md").read_text().count("1 − R²") == 4


def test_the_first_file_had_no_provenance(tmp_path):
    np.savez(tmp_path / "old.npz", block1_conv1_kernel=np.zeros((3, 3, 3, 4)))
    assert weights.provenance(tmp_path / "old.npz") == {"format": 1}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(material, trained, tmp_path, monkeypatch):
    fit, calls = distill.Student.fit, []

    def stopped(self, *given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(self, *given, **named)

    options = command(material, tmp_path, f"--half-painted={material / 'half'}")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distill.Student, "fit", stopped)
        distill.main(options)
    assert weights.provenance(tmp_path / "compact_vgg19.npz")["steps"] == 2
    distill.main(options)
    once, twice = (weights.compact(run / "compact_vgg19.npz").parameters for run in (trained, tmp_path))
    for key in once:
        np.testing.assert_allclose(once[key], twice[key], rtol=2e-3, atol=1e-5, err_msg=key)


def test_other_options_need_another_folder(material, trained):
    with pytest.raises(SystemExit, match="learning_rate"):
        distill.main(command(material, trained, f"--half-painted={material / 'half'}", "--learning-rate=1"))


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_training_brings_the_student_nearer(material, trained, tmp_path, optimizer):
    steps = ["--steps=60", "--checkpoint-steps=60", "--learning-rate=0.02", "--averaging=0.8"]
    distill.main(command(material, tmp_path, *steps, f"--optimizer={optimizer}"))
    told = [weights.provenance(run / "compact_vgg19.npz")["held_out"]["photos"] for run in (trained, tmp_path)]
    after_4, after_60 = (sum(unexplained for unexplained, _ in figures.values()) for figures in told)
    assert after_60 < after_4 / 2


def test_a_wider_student_begins_where_the_narrow_one_stood(material):
    narrow = student(material)
    trunks, _ = distill.teachers(str(material / "teachers"))
    wide = distill.Student(tuple(2 * width for width in WIDTHS), "average", trunks, 0.5)
    image = np.random.default_rng(3).random((1, 64, 64, 3), np.float32)
    wide(image)
    wide.load(narrow.exported())
    narrow.load(narrow.exported())  # as rounded as the wide one
    for layer, ours in narrow(image).items():
        np.testing.assert_allclose(np.asarray(wide(image)[layer]), np.asarray(ours), atol=1e-4, err_msg=layer)


def test_the_genuine_teacher_sees_what_keras_does():
    model = keras.applications.VGG19(include_top=False, weights=None)
    source = weights._caffe_weights(weights._keras_parameters(model))
    taps = ("block1_conv1", "block2_conv1")
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    ours = distill.Trunk(source, taps, "zeros")(image)
    prepared = keras.applications.vgg19.preprocess_input(image * 255)
    for layer in taps:
        theirs = keras.Model(model.input, model.get_layer(layer).output)(prepared)
        np.testing.assert_allclose(np.asarray(ours[layer]), np.asarray(theirs), rtol=1e-3, atol=1e-3)


def test_the_small_teachers_first_convolution_is_folded_away(material):
    path = material / "teachers" / "vgg19_16x_distilled.npz"
    image = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    ours = distill.Trunk(distill._collaborative_distillation(path), ("block1_conv1",), "reflect")(image)
    with np.load(path) as arrays:
        mixed = image @ arrays["conv0_W"][0, 0] + arrays["conv0_b"]
        padded = np.pad(mixed, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
        seen = np.maximum(np.asarray(keras.ops.conv(padded, arrays["conv1_1_W"])) + arrays["conv1_1_b"], 0)
        theirs = np.maximum(seen @ arrays["conv1_1_aux_W"][0, 0] + arrays["conv1_1_aux_b"], 0)
    np.testing.assert_allclose(np.asarray(ours["block1_conv1"]), theirs, atol=1e-4)


def test_a_perfect_student_has_no_error(material):
    made = student(material)
    made.targets = lambda image, training=False: made(image, training=training)
    crops = distill.fixed_crops(sorted((material / "photos").iterdir())[:4], side=48)
    assert all(figures == (0, 0) for figures in distill.evaluate(made, crops).values())


def test_covariance_error_by_hand():
    one = np.array([1, -1, 1, -1], np.float32).reshape(1, 2, 2, 1)  # variance 1, of any mean
    assert float(distill.covariance_error(one + 5, one)[0]) == pytest.approx(0, abs=1e-5)
    assert float(distill.covariance_error(2 * one, one)[0]) == pytest.approx(9, rel=1e-4)  # (4 − 1)² / 1²


def test_batches_follow_from_the_seed_and_their_number(material):
    source = distill.pictures({"photos": material / "photos", "paintings": material / "paintings"})
    whole, later = (distill.Batches(source, 7, first, 4, (32, 48), 4096) for first in (0, 2))
    np.testing.assert_array_equal(whole[3][0], later[1][0])
    assert whole[0][0].shape == (4, 64, 64, 3) and whole[1][0].shape == (2, 80, 80, 3)
    mixed = distill.Batches(source, 7, 0, 3, (32, 32, 48), 4096)
    assert [batch.shape[1] for (batch,) in map(mixed.__getitem__, range(3))] == [64, 80, 64]
    assert whole[0][0].min() >= 0 and whole[0][0].max() <= 1
    assert not np.array_equal(whole[0][0], distill.Batches(source, 8, 0, 4, (32, 48), 4096)[0][0])


def test_too_few_pictures_are_told(material):
    with pytest.raises(
        ValueError, match="paintings: .*half holds 10 .*; more than 8|photos: .*half holds 10 .*more than 24"
    ):
        distill.pictures({"photos": material / "half"})


def test_half_painted_pictures(material, tmp_path):
    folders = [f"--photos={material / 'photos'}", f"--paintings={material / 'paintings'}", f"--out={tmp_path}"]
    half_painted.main([*folders, "--count=3", "--size=64"])
    made = sorted(tmp_path.iterdir())
    assert len(made) == 3
    for path in made:
        with Image.open(path) as picture:
            assert max(picture.size) == 64


def test_compare_paints_every_pair_with_every_file(material, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        compare, "PAIRS", (("000.png", "001.png"), ("missing.jpg", "001.png"), ("002.png", "starry-night"))
    )
    new = trained / "compact_vgg19.npz"
    old = tmp_path / "old.npz"
    old.write_bytes(new.read_bytes())
    out = tmp_path / "sheet.png"
    options = [f"--pictures={material / 'photos'}", f"--teacher={material / 'teachers'}", f"--out={out}", "--size=64"]
    compare.main([str(old), str(new), *options])
    lines = out.with_suffix(".md").read_text().splitlines()
    assert len(lines) == 2 + 2 * 2 + 2  # head, two pairs of two files, means
    assert lines[2].split("|")[3:6] == lines[3].split("|")[3:6]  # the same weights paint the same picture
    with Image.open(out) as picture:
        assert picture.height == 28 + 2 * 368


def test_grain_by_hand():
    checkerboard = np.indices((8, 8)).sum(axis=0) % 2 * 255
    assert compare.grain(np.repeat(checkerboard[..., np.newaxis], 3, axis=2).astype(np.uint8)) == pytest.approx(1)
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2).repeat(8, axis=0)
    assert compare.grain(ramp) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_too(material, tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend}
    arguments = [sys.executable, str(TRAINING / "distill.py"), *command(material, tmp_path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.dumps(weights.provenance(tmp_path / "compact_vgg19.npz")["held_out"]).count("NaN") == 0
