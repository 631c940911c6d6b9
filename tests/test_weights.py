"""Weight files, written here and read back: order of the kernels' axes, BGR, means, damage."""

import contextlib
import io
import json
import sys
from functools import partial

import keras
import numpy as np
import pytest
import scipy.io
from huggingface_hub import try_to_load_from_cache

from nst import recipe, weights
from nst.commands import main
from nst.features import load_network
from nst.settings import Settings
from nst.transfer import StyleTransfer
from nst.weights import CONVOLUTIONS, WeightsError
from tests import toy


def built(name: str):
    """A network of that name in `keras.applications`, of random weights."""
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(include_top=False, weights=None)


def kernels_of(model):
    """What every file format must come to: as Keras has it, but the first kernel for RGB."""
    parameters = weights._keras_parameters(model)
    return parameters | {"block1_conv1_kernel": parameters["block1_conv1_kernel"][:, :, ::-1]}


@pytest.fixture(scope="module")
def model():
    return built("VGG19")


@pytest.fixture(scope="module")
def kernels(model):
    return kernels_of(model)


@pytest.fixture(scope="module", params=["VGG19", "VGG16"])
def vgg(request):
    """Each of the two networks that a file may hold, and its kernels."""
    network = request.getfixturevalue("model") if request.param == "VGG19" else built(request.param)
    return network, kernels_of(network)


def assert_same(read: weights.Weights, kernels) -> None:
    assert {key for key in read.parameters if "_conv" in key} == set(kernels)
    for key, expected in kernels.items():
        np.testing.assert_array_equal(read.parameters[key], expected, err_msg=key)
    np.testing.assert_allclose(np.multiply(read.mean, 255), (123.68, 116.779, 103.939), rtol=1e-5)
    assert read.scale == 255


@pytest.mark.parametrize("name", ["vgg.weights.h5", "vgg.h5"])
def test_keras_files(vgg, tmp_path, name):
    (model, kernels), path = vgg, tmp_path / name
    model.save_weights(path) if name.endswith(".weights.h5") else model.save(path)
    assert_same(weights.read(path), kernels)


@pytest.mark.parametrize("names", ["keras", "caffe"])
def test_npz_files(vgg, tmp_path, names):
    model, kernels = vgg
    arrays = weights._keras_parameters(model)
    if names == "caffe":
        short = {"kernel": "W", "bias": "b"}
        arrays = {f"conv{key[5]}_{key[11]}_{short[key.split('_')[-1]]}": array for key, array in arrays.items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    assert_same(weights.read(tmp_path / "vgg.npz"), kernels)
    assert load_network(Settings(weights=str(tmp_path / "vgg.npz"))).name == model.name


def matconvnet(kernels, fields=("weights",), mean_image=False):
    """Of imagenet-vgg-verydeep-19.mat or -16.mat: one cell a layer, kernels (height, width, in, out) for RGB."""
    layers = []
    for name in filter(lambda name: f"{name}_bias" in kernels, CONVOLUTIONS):
        kernel, bias = kernels[f"{name}_kernel"], kernels[f"{name}_bias"]
        pair = np.empty((1, 2), object)
        pair[0, 0], pair[0, 1] = kernel, bias[None]
        named = {"weights": pair, "filters": kernel, "biases": bias[None]}
        layers.append({"name": f"conv{name[5]}_{name[11]}", "type": "conv"} | {field: named[field] for field in fields})
        layers.append({"name": f"relu{name[5]}_{name[11]}", "type": "relu"})
    cells = np.empty((1, len(layers)), object)
    cells[0] = layers
    mean = np.array(weights.IMAGENET_MEAN)
    normalization = {"averageImage": np.broadcast_to(mean, (224, 224, 3)) if mean_image else mean[None]}
    inside = {"normalization": normalization}
    return {"layers": cells} | (inside if mean_image else {"meta": inside})


@pytest.mark.parametrize("old", [False, True], ids=["since 2015", "before 2015"])
def test_matconvnet_files(vgg, tmp_path, old):
    _, kernels = vgg
    content = matconvnet(kernels, ("filters", "biases"), True) if old else matconvnet(kernels)
    scipy.io.savemat(tmp_path / "vgg.mat", content)
    assert_same(weights.read(tmp_path / "vgg.mat"), kernels)


def test_the_two_are_told_apart(vgg):
    model, kernels = vgg
    assert weights.Weights(kernels, (0, 0, 0), 1).architecture() == f"VGG-{model.name[-2:]}"


@pytest.mark.parametrize("name", ["vgg.h5", "vgg.npz", "vgg.mat"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n cut"])
def test_damaged_files_get_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as error:
        weights.read(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_other_networks_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", block1_conv1_kernel=np.zeros((5, 5, 1, 8)), block1_conv1_bias=np.zeros(8))
    with pytest.raises(WeightsError, match=r"a VGG's is \(3, 3, 3, 64\)"):
        weights.read(tmp_path / "other.npz")
    np.savez(tmp_path / "foreign.npz", something=np.zeros(3))
    with pytest.raises(WeightsError, match=r"does not hold the convolutions"):
        weights.read(tmp_path / "foreign.npz")


def test_a_layer_in_between_is_missing_or_wrong(kernels, tmp_path):
    gap = {key: array for key, array in kernels.items() if not key.startswith("block1_conv2")}
    fourth = {key: array for key, array in kernels.items() if not key.startswith("block3_conv4")}
    narrow = kernels | {"block3_conv1_kernel": kernels["block3_conv1_kernel"][..., :100]}
    for arrays, sentence in (
        (gap, "has block2_conv1 but not block1_conv2"),
        (fourth, "has block4_conv1 but not block3_conv4"),
        (narrow, r"is \(3, 3, 128, 100\); a VGG"),
    ):
        np.savez(tmp_path / "vgg.npz", **arrays)
        with pytest.raises(WeightsError, match=sentence):
            weights.read(tmp_path / "vgg.npz")


def test_the_deepest_layers_may_be_missing(kernels, tmp_path):
    np.savez(tmp_path / "shallow.npz", **{key: array for key, array in kernels.items() if key < "block3_conv2"})
    assert load_network(Settings(weights=str(tmp_path / "shallow.npz"))).layers == tuple(CONVOLUTIONS)[:5]


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "evil.npz", block1_conv1_kernel=np.array([print], object), allow_pickle=True)
    with pytest.raises(WeightsError):
        weights.read(tmp_path / "evil.npz")


@pytest.mark.parametrize("name", ["VGG.H5", "My.Vgg.Weights.H5", "VGG.NPZ", "VGG.MAT"])
def test_suffixes_may_be_in_capitals(model, kernels, tmp_path, name):
    lower, path = tmp_path / f"saved{name[name.lower().index('vgg') + 3 :].lower()}", tmp_path / name
    if path.suffix == ".MAT":
        scipy.io.savemat(lower, matconvnet(kernels))
    elif path.suffix == ".NPZ":
        np.savez(lower, **weights._keras_parameters(model))
    else:
        model.save_weights(lower) if "Weights" in name else model.save(lower)
    lower.rename(path)
    assert_same(weights.read(path), kernels)


def test_kerass_settings_do_not_round_the_weights(model, kernels, tmp_path):
    model.save_weights(tmp_path / "vgg.weights.h5")
    keras.config.set_dtype_policy("float16")
    try:
        assert_same(weights.read(tmp_path / "vgg.weights.h5"), kernels)
        assert keras.config.dtype_policy().name == "float16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("name", "missing", "sentence"),
    [
        ("vgg.h5", "keras", r"Keras does not start: .*; KERAS_BACKEND or .*keras\.json may name"),
        ("vgg.mat", "scipy.io", r"vgg\.mat cannot be read without a package: .*scipy"),
    ],
)
def test_a_missing_reader_is_not_blamed_on_the_file(tmp_path, monkeypatch, name, missing, sentence):
    (tmp_path / name).write_bytes(b"not looked at")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(WeightsError, match=sentence):
        weights.read(tmp_path / name)


def test_an_unreadable_file_is_not_called_another_network(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "vgg.npz").touch()
    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(WeightsError, match=r"vgg\.npz cannot be read: Permission denied"):
        weights.read(tmp_path / "vgg.npz")


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"weights.pkl should be"):
        weights.read(tmp_path / "weights.pkl")


def test_vgg19_from_a_file_paints(model, tmp_path):
    # Random weights make no pretty picture, but the loss must fall.
    model.save_weights(tmp_path / "random.weights.h5")
    file = str(tmp_path / "random.weights.h5")
    settings = Settings(
        weights=file, size=64, steps=(8,), min_scale=64, learning_rate=0.02, frames_per_second=60, padding=8
    )
    network = load_network(settings)
    assert network.name == "vgg19" and "random.weights.h5" in network.reason
    transfer = StyleTransfer(network)
    frames = list(transfer.stylize(toy.picture(48, 64), [toy.picture(64, 64, seed=1)], settings))
    assert frames[-1].losses["total"] < 0.7 * frames[0].losses["total"]


@pytest.mark.skipif(not toy.GENUINE_VGG16.is_file(), reason="the genuine VGG-16 is not at hand")
def test_a_genuine_vgg16_paints_by_the_command_line(photo, painting, tmp_path):
    out = tmp_path / "out.png"
    command = ["paint", photo, painting, "-o", str(out), "--weights", str(toy.GENUINE_VGG16), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        main([*command, "--size", "96", "--min-scale", "96", "--steps", "12"])
    losses = [json.loads(line)["losses"]["total"] for line in told.getvalue().splitlines() if "losses" in line]
    assert losses[-1] < 0.85 * losses[0]
    assert recipe.read(out).network == "vgg16"


# --- where VGG-19's are -----------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without them, and without the internet."""
    for name in ("NST_VGG19", "NST_OFFLINE", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "KERAS_CACHE", str(tmp_path / "keras.h5"))
    monkeypatch.setattr("keras.applications.VGG19", lambda **_: pytest.fail("a download"))
    return tmp_path


def test_keras_download_is_found_and_a_named_file_comes_first(model, kernels, bare, monkeypatch):
    assert weights.find_vgg19() is None
    (bare / "keras.h5").touch()
    assert weights.find_vgg19() == bare / "keras.h5"
    monkeypatch.setenv("NST_VGG19", str(bare / "mine.npz"))
    assert weights.find_vgg19() is None  # no fallback to Keras' file when the named one is missing
    np.savez(bare / "mine.npz", **weights._keras_parameters(model))
    assert weights.find_vgg19() == bare / "mine.npz"
    assert_same(weights.imagenet(), kernels)


def test_keras_download_is_looked_for_where_keras_puts_it(bare, monkeypatch):
    monkeypatch.setattr(weights, "KERAS_CACHE", "models/vgg19.h5")
    monkeypatch.setenv("KERAS_HOME", str(bare))
    (bare / "models").mkdir()
    (bare / "models" / "vgg19.h5").touch()
    assert weights.find_vgg19() == bare / "models" / "vgg19.h5"


@pytest.mark.parametrize(
    ("cached", "sentence"), [(False, "could not be downloaded: No room"), (True, "read from .*h5")]
)
def test_why_kerass_weights_are_not_had_is_told(bare, monkeypatch, cached, sentence):
    def fail(**_):
        raise OSError("No room.\nReally.")

    if cached:
        (bare / "keras.h5").touch()
    monkeypatch.setattr("keras.applications.VGG19", fail)
    with pytest.raises(WeightsError, match=sentence) as error:
        weights.imagenet()
    assert str(error.value).endswith("No room")


@pytest.mark.parametrize(
    ("variable", "network"),
    [("", "auto"), ("VGG19", "vgg19"), (" vgg-19 ", "vgg19"), ("Compact", "compact"), ("AUTO", "auto")],
)
def test_nst_network_may_be_written_as_people_do(monkeypatch, variable, network):
    monkeypatch.setenv("NST_NETWORK", variable)
    assert weights.preferred() == (network, "")


def test_a_misspelt_nst_network_is_told(monkeypatch):
    monkeypatch.setenv("NST_NETWORK", "vgg20")
    network, complaint = weights.preferred()
    assert network == "auto" and "'vgg20'" in complaint


def test_a_file_that_a_space_preloads_is_found_in_the_hubs_cache(bare, monkeypatch):
    snapshot = bare / "models--me--eyes" / "snapshots" / ("a" * 40)
    (snapshot / "keras").mkdir(parents=True)
    (snapshot / "keras" / "vgg19.npz").touch()
    (bare / "models--me--eyes" / "refs").mkdir()
    (bare / "models--me--eyes" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", partial(try_to_load_from_cache, cache_dir=bare))
    monkeypatch.setenv("NST_VGG19", "me/eyes/keras/vgg19.npz")
    assert weights.find_vgg19() == snapshot / "keras" / "vgg19.npz"
    monkeypatch.setenv("NST_VGG19", "me/eyes/other.npz")
    assert weights.find_vgg19() is None


@pytest.mark.parametrize(("name", "download"), [("NST_OFFLINE", None), ("NST_OFFLINE", True), ("SPACE_ID", None)])
def test_where_nothing_may_be_downloaded_it_is_said(bare, monkeypatch, name, download):
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match="are not on this machine, and downloading them is turned off"):
        weights.imagenet(download)
