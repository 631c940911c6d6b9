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
import distill  # noqa: E402
import half_painted  # noqa: E402

pytestmark = pytest.mark.apart

SHAPE = (4, 5), (6, 7, 8)  # widths, ranks
FILTERS = {  # of VGG-16
    layer: filters
    for layer, filters in weights.CONVOLUTIONS.items()
    if not layer.endswith("conv4") and layer <= distill.TAPPED[-1]
}


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
    """Folders of photos and paintings, and a teacher of VGG-16's shape and random weights."""
    folder, random = tmp_path_factory.mktemp("material"), np.random.default_rng(1)
    filled(folder / "photos", 27, 0), filled(folder / "paintings", 11, 1), filled(folder / "half", 10, 2)
    teacher, channels = {}, 3
    for layer, filters in FILTERS.items():
        teacher[f"{layer}_kernel"] = random.normal(0, (2 / channels) ** 0.5 / 3, (3, 3, channels, filters))
        teacher[f"{layer}_bias"] = np.zeros(filters)
        channels = filters
    np.savez(folder / "teacher.npz", **{name: array.astype(np.float16) for name, array in teacher.items()})
    return folder


def command(material: Path, run: Path, *more: str) -> list[str]:
    folders = {"photos": "photos", "paintings": "paintings", "teacher": "teacher.npz"}
    given = [f"--{flag}={material / name}" for flag, name in folders.items()]
    shape = "--widths 4 5 --ranks 6 7 8 --sides 32 48 --batch-pixels 4096"
    length = "--steps 4 --checkpoint-steps 2 --precision float32"
    return [*given, f"--run={run}", *shape.split(), *length.split(), *more]


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


def student(ranks: tuple[int, ...] = SHAPE[1]) -> distill.Student:
    made = distill.Student(FILTERS, SHAPE[0], ranks, "average", dict.fromkeys(distill.TAPPED, 1.0), 0.5)
    made(np.zeros((1, 64, 64, 3), np.float32))
    return made


def teacher(material: Path) -> distill.Teacher:
    return distill.Teacher(distill.genuine(str(material / "teacher.npz"))[0], "average")


def test_the_file_is_the_network_that_was_trained(trained):
    """What training calls the student is, to the file's rounding, what the package paints with."""
    image = np.random.default_rng(3).random((1, 64, 64, 3), np.float32)
    source = weights.compact(trained / "compact.npz")
    painting = Network("compact", source)(image, distill.TAPPED, distill.MARGIN)
    seen = student()
    seen.load(source.parameters)
    around = distill.MARGIN, distill.MARGIN
    for layer, ours in seen(np.pad(image, ((0, 0), around, around, (0, 0)), "reflect")).items():
        np.testing.assert_allclose(np.asarray(ours), painting[layer], atol=1e-5, err_msg=layer)


def test_the_file_is_the_same_network_in_every_precision(trained):
    for path in (trained / "compact.npz", None):
        source = weights.compact(path) if path else weights.compact()
        for name, array in source.parameters.items():
            np.testing.assert_array_equal(array, tf.cast(tf.cast(array, tf.bfloat16), tf.float32), name)


def test_the_file_carries_its_provenance_and_no_pickle(trained):
    path = trained / "compact.npz"
    told = weights.provenance(path)
    assert told["format"] == 2 and told["steps"] == 4
    assert told["pictures"] == {"photos": 3, "paintings": 3, "half_painted": 2}  # those held out are not counted
    assert told["teacher"].startswith("VGG-16") and "CC BY 4.0" in told["teacher"]
    assert told["start"] == "random numbers"
    assert (
        "--photos=photos --paintings=paintings" in told["command"] and "--widths 4 5 --ranks 6 7 8" in told["command"]
    )
    assert set(told["held_out"]["photos"]) == set(distill.TAPPED)
    with np.load(path, allow_pickle=False) as arrays:
        assert {arrays[key].dtype for key in arrays.files} == {np.dtype(np.float16), arrays["provenance"].dtype}
    assert (trained / "report.md").read_text().count("1 − R²") == 3


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
    assert weights.provenance(tmp_path / "compact.npz")["steps"] == 2
    distill.main(options)
    once, twice = (weights.compact(run / "compact.npz").parameters for run in (trained, tmp_path))
    for key in once:
        np.testing.assert_allclose(once[key], twice[key], rtol=2e-3, atol=1e-5, err_msg=key)


def test_other_options_need_another_folder(material, trained):
    with pytest.raises(SystemExit, match="learning_rate"):
        distill.main(command(material, trained, f"--half-painted={material / 'half'}", "--learning-rate=1"))


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_training_brings_the_student_nearer(material, trained, tmp_path, optimizer):
    steps = ["--steps=60", "--checkpoint-steps=60", "--learning-rate=0.02", "--averaging=0.8"]
    distill.main(command(material, tmp_path, *steps, f"--optimizer={optimizer}"))
    told = [weights.provenance(run / "compact.npz")["held_out"]["photos"] for run in (trained, tmp_path)]
    after_4, after_60 = (sum(unexplained for unexplained, _ in figures.values()) for figures in told)
    assert after_60 < 0.75 * after_4


def test_a_layer_of_low_rank_is_found_by_least_squares():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 10, 10, 5)) @ random.normal(size=(5, 12))  # twelve channels in five dimensions
    parts = [random.normal(size=shape) for shape in ((1, 1, 12, 3), (3, 3, 3, 3), (1, 1, 3, 20))]
    y = functools.reduce(lambda x, kernel: np.asarray(tf.nn.conv2d(x, kernel, 1, "VALID")), parts, x) + 7

    def error(rank: int) -> float:
        layer = distill.Convolution(3, 20, "layer", rank)
        layer(np.zeros((1, 4, 4, 12), np.float32))
        layer.fit([(x[:20].astype(np.float32), y[:20]), (x[20:].astype(np.float32), y[20:])])
        predicted = np.asarray(layer(x.astype(np.float32)))[:, 1:-1, 1:-1]
        return np.square(predicted - np.maximum(y, 0)).mean() / y.var()

    assert error(3) < 1e-3 < 0.03 < error(2) < error(1)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_grown_layer_gives_what_the_smaller_one_gave(rank):
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 7)).astype(np.float32)
    small, large = distill.Convolution(3, 6, "layer", rank), distill.Convolution(3, 9, "layer", rank and rank + 1)
    small(x[..., :5]), large(x)
    named = {f"layer_{name}": np.asarray(kernel) for name, kernel in small.kernels().items()}
    large.load(named | {"layer_bias": np.linspace(-1, 1, 6)})
    small.load(named | {"layer_bias": np.linspace(-1, 1, 6)})
    np.testing.assert_allclose(np.asarray(large(x))[..., :6], small(x[..., :5]), rtol=1e-4, atol=1e-5)
    if not rank:
        assert np.any(np.asarray(large(x))[..., 6:])  # the new filters see something


def test_deep_layers_are_fitted_to_the_teacher_and_narrow_ones_kept(material, trained, tmp_path):
    start = trained / "compact.npz"
    distill.main(command(material, tmp_path, f"--start={start}", "--fit=4", "--steps=0"))
    before, after = (weights.compact(run / "compact.npz").parameters for run in (trained, tmp_path))
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {name for name in before if name[5] in "12" and "head" not in name}
    told = [weights.provenance(run / "compact.npz")["held_out"]["photos"] for run in (trained, tmp_path)]
    assert (
        told[1]["block1_conv1"] < told[0]["block1_conv1"] and weights.provenance(tmp_path / "compact.npz")["steps"] == 0
    )


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_teacher_sees_what_it_would_when_painting(material, pooling):
    source = distill.genuine(str(material / "teacher.npz"))[0]
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    around = distill.MARGIN, distill.MARGIN
    padded = np.pad(image, ((0, 0), around, around, (0, 0)), "symmetric")
    painting = Network("vgg16", source, pooling=pooling)(padded, distill.TAPPED)
    for layer, ours in distill.Teacher(source, pooling)(padded).items():
        margin = distill.MARGIN // distill.stride(layer)
        theirs = painting[layer][:, margin:-margin, margin:-margin]
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-3, atol=1e-2, err_msg=layer)


def test_a_layer_is_scaled_to_a_mean_of_one(material):
    crops = list(distill.fixed_crops(sorted((material / "photos").iterdir())[:8], side=48))
    made = teacher(material)
    made.measure(crops)
    for layer, x in made(crops[0]).items():
        x = np.asarray(x, np.float64)
        assert x.mean() == pytest.approx(1, rel=1e-4), layer
        assert x.var(axis=(0, 1, 2)).mean() == pytest.approx(made.variance[layer], rel=1e-3), layer


def test_a_perfect_student_has_no_error(material):
    made = teacher(material)
    crops = distill.fixed_crops(sorted((material / "photos").iterdir())[:4], side=48)
    assert all(figures == (0, 0) for figures in distill.evaluate(made, made, crops).values())


def test_covariance_error_by_hand():
    one = np.array([1, -1, 1, -1], np.float32).reshape(1, 2, 2, 1)  # variance 1, of any mean
    assert float(distill.covariance_error(one + 5, one)[0]) == pytest.approx(0, abs=1e-5)
    assert float(distill.covariance_error(2 * one, one)[0]) == pytest.approx(9, rel=1e-4)  # (4 − 1)² / 1²


def batches(material: Path, *given, sides: tuple[int, ...] = (32, 48), **named) -> distill.Batches:
    source = distill.pictures({"photos": material / "photos", "paintings": material / "paintings"})
    return distill.Batches(source, lambda x: {"all": x.sum()}, *given, sides, 4096, **named)


def test_batches_follow_from_the_seed_and_their_number(material):
    whole, later = (batches(material, 7, first, 4) for first in (0, 2))
    np.testing.assert_array_equal(whole[3][0], later[1][0])
    assert whole[0][0].shape == (4, 64, 64, 3) and whole[1][0].shape == (2, 80, 80, 3)
    mixed = batches(material, 7, 0, 3, sides=(32, 32, 48))
    assert [pictures.shape[1] for pictures, _ in map(mixed.__getitem__, range(3))] == [64, 80, 64]
    assert whole[0][0].min() >= 0 and whole[0][0].max() <= 1
    assert not np.array_equal(whole[0][0], batches(material, 8, 0, 4)[0][0])


def test_a_batch_that_comes_again_is_taught_once(material):
    twice = batches(material, 7, 0, 240, repeats=2)
    first, again = ([float(twice[start + step][1]["all"]) for step in range(80)] for start in (0, 80))
    assert first == again and len(set(first)) == 80
    assert all(twice[step] is twice[80 + step] for step in range(80))
    assert float(twice[160][1]["all"]) not in first and len(twice._kept) == 1  # those of before are forgotten


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


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_too(material, tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend}
    arguments = [sys.executable, str(TRAINING / "distill.py"), *command(material, tmp_path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.dumps(weights.provenance(tmp_path / "compact.npz")["held_out"]).count("NaN") == 0
