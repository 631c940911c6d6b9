"""Weight files, written here and read back: order of the kernels' axes, BGR, means, damage."""

from functools import partial

import keras
import numpy as np
import pytest
import scipy.io
from huggingface_hub import try_to_load_from_cache

from nst import weights
from nst.features import load_network
from nst.settings import Settings
from nst.transfer import StyleTransfer
from nst.weights import CONVOLUTIONS, WeightsError
from tests import toy


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.applications.VGG19(include_top=False, weights=None)


@pytest.fixture(scope="module")
def kernels(model):
    """What every file format must come to: as Keras has it, but the first kernel for RGB."""
    parameters = weights._keras_parameters(model)
    return parameters | {"block1_conv1_kernel": parameters["block1_conv1_kernel"][:, :, ::-1]}


def assert_same(read: weights.Weights, kernels) -> None:
    assert {key for key in read.parameters if "_conv" in key} == set(kernels)
    for key, expected in kernels.items():
        np.testing.assert_array_equal(read.parameters[key], expected, err_msg=key)
    np.testing.assert_allclose(np.multiply(read.mean, 255), (123.68, 116.779, 103.939), rtol=1e-5)
    assert read.scale == 255


@pytest.mark.parametrize("name", ["vgg.weights.h5", "vgg.h5"])
def test_keras_files(model, kernels, tmp_path, name):
    path = tmp_path / name
    model.save_weights(path) if name.endswith(".weights.h5") else model.save(path)
    assert_same(weights.read(path), kernels)


@pytest.mark.parametrize("names", ["keras", "caffe"])
def test_npz_files(model, kernels, tmp_path, names):
    arrays = weights._keras_parameters(model)
    if names == "caffe":
        short = {"kernel": "W", "bias": "b"}
        arrays = {f"conv{key[5]}_{key[11]}_{short[key.split('_')[-1]]}": array for key, array in arrays.items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    assert_same(weights.read(tmp_path / "vgg.npz"), kernels)


def matconvnet(kernels, fields=("weights",), mean_image=False):
    """The structure of imagenet-vgg-verydeep-19.mat: one cell a layer, kernels (height, width, in, out) for RGB."""
    layers = []
    for name in CONVOLUTIONS:
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
def test_matconvnet_files(kernels, tmp_path, old):
    content = matconvnet(kernels, ("filters", "biases"), True) if old else matconvnet(kernels)
    scipy.io.savemat(tmp_path / "imagenet-vgg-verydeep-19.mat", content)
    assert_same(weights.read(tmp_path / "imagenet-vgg-verydeep-19.mat"), kernels)


@pytest.mark.parametrize("name", ["vgg.h5", "vgg.npz", "vgg.mat"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n cut"])
def test_damaged_files_get_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as error:
        weights.read(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_other_networks_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", block1_conv1_kernel=np.zeros((5, 5, 1, 8)), block1_conv1_bias=np.zeros(8))
    with pytest.raises(WeightsError, match=r"VGG-19's is \(3, 3, 3, 64\)"):
        weights.read(tmp_path / "other.npz")
    np.savez(tmp_path / "foreign.npz", something=np.zeros(3))
    with pytest.raises(WeightsError, match=r"does not hold the convolutions"):
        weights.read(tmp_path / "foreign.npz")


def test_a_layer_in_between_is_missing_or_wrong(kernels, tmp_path):
    gap = {key: array for key, array in kernels.items() if not key.startswith("block1_conv2")}
    narrow = kernels | {"block3_conv1_kernel": kernels["block3_conv1_kernel"][..., :100]}
    for arrays, sentence in (
        (gap, "has block2_conv1 but not block1_conv2"),
        (narrow, r"is \(3, 3, 128, 100\); VGG-19"),
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
    assert weights.at_hand() is None
    (bare / "keras.h5").touch()
    assert weights.at_hand() == bare / "keras.h5"
    monkeypatch.setenv("NST_VGG19", str(bare / "mine.npz"))
    assert weights.at_hand() is None  # what was named is not here: a person is to know
    np.savez(bare / "mine.npz", **weights._keras_parameters(model))
    assert weights.at_hand() == bare / "mine.npz"
    assert_same(weights.imagenet(), kernels)


def test_a_file_that_a_space_preloads_is_found_in_the_hubs_cache(bare, monkeypatch):
    snapshot = bare / "models--me--eyes" / "snapshots" / ("a" * 40)
    (snapshot / "keras").mkdir(parents=True)
    (snapshot / "keras" / "vgg19.npz").touch()
    (bare / "models--me--eyes" / "refs").mkdir()
    (bare / "models--me--eyes" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", partial(try_to_load_from_cache, cache_dir=bare))
    monkeypatch.setenv("NST_VGG19", "me/eyes/keras/vgg19.npz")
    assert weights.at_hand() == snapshot / "keras" / "vgg19.npz"
    monkeypatch.setenv("NST_VGG19", "me/eyes/other.npz")
    assert weights.at_hand() is None


@pytest.mark.parametrize(("name", "download"), [("NST_OFFLINE", None), ("NST_OFFLINE", True), ("SPACE_ID", None)])
def test_where_nothing_may_be_downloaded_it_is_said(bare, monkeypatch, name, download):
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match="are not on this machine, which is not to download them"):
        weights.imagenet(download)
