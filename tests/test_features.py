"""The network: layers, shapes, borders, precision, and which one is chosen."""

import socket

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst import weights
from nst.features import Network, choose_network, load_network
from nst.settings import STYLE_LAYERS, Settings
from nst.weights import CONVOLUTIONS, WeightsError
from tests import toy

CHANNELS = dict(zip(STYLE_LAYERS, (64, 128, 256, 512, 512), strict=True))


@pytest.fixture
def no_internet(monkeypatch, tmp_path):
    """No download, no cache: every look-up of a host fails at once."""

    def refuse(*_args, **_kwargs):
        raise socket.gaierror("no internet in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(weights, "KERAS_CACHE", str(tmp_path / "none.h5"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path))


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_compact_network_has_vgg16s_layers_and_channels(pooling):
    network = load_network(Settings(network="compact", pooling=pooling, precision="float32"))
    assert network.layers == tuple(layer for layer in CONVOLUTIONS if not layer.endswith("conv4"))[:11]
    activations = network(tf.constant(toy.picture(50, 70)), set(STYLE_LAYERS), margin=16)
    for block, (layer, channels) in enumerate(CHANNELS.items()):
        assert activations[layer].shape == (1, -(-50 // 2**block), -(-70 // 2**block), channels)
        # Heads predict filters scaled to a mean of one; a smooth ramp excites some less, but none is dead or wild.
        assert 0.05 < float(tf.reduce_mean(activations[layer])) < 5


def test_vgg19_agrees_with_keras():
    model = keras.applications.VGG19(include_top=False, weights=None)
    network = Network("vgg19", weights._caffe_weights(weights._keras_parameters(model)), pooling="max")
    assert network.layers == tuple(CONVOLUTIONS) == tuple(layer.name for layer in model.layers if "_conv" in layer.name)
    image = toy.picture(128, 128)
    outputs = [model.get_layer(layer).output for layer in ("block1_conv1", "block3_conv2")]
    expected = keras.Model(model.input, outputs)(keras.applications.vgg19.preprocess_input(255 * image.copy()))
    ours = network(tf.constant(image), {"block1_conv1", "block3_conv2"})
    # Away from the border, where Keras sees zeros: 1 pixel of block 1; up to 6 of block 3.
    np.testing.assert_allclose(ours["block1_conv1"][:, 1:-1, 1:-1], expected[0][:, 1:-1, 1:-1], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ours["block3_conv2"][:, 6:-6, 6:-6], expected[1][:, 6:-6, 6:-6], rtol=1e-2, atol=1e-1)


def test_nothing_after_the_deepest_layer_is_computed():
    network = toy.network()
    network._convolutions["block1_conv2"] = None  # would fail if used
    assert list(network(tf.constant(toy.picture(8, 8)), {"block1_conv1"})) == ["block1_conv1"]


@pytest.mark.parametrize("margin", [16, 17, 23, 24, 40, 48, 63, 120, 250])
@pytest.mark.parametrize("size", [(48, 64), (1, 20)])
def test_a_flat_picture_has_no_border(size, margin):
    # Zeros outside the picture would make other activations at its edge.
    network = load_network(Settings(network="compact", precision="float32"))
    for layer, activations in network(tf.fill((1, *size, 3), 0.6), set(network.layers), margin).items():
        spread = tf.math.reduce_std(activations, axis=(1, 2)) / (tf.reduce_mean(activations) + 1e-6)
        assert float(tf.reduce_max(spread)) < 1e-3, layer


@pytest.mark.parametrize("margin", [16, 48])
def test_the_margin_leaves_the_middle_as_it_is(margin):
    network, image = load_network(Settings(network="compact", precision="float32")), tf.constant(toy.picture(208, 224))
    layers = ("block1_conv2", "block2_conv2", "block3_conv1", "block4_conv2", "block5_conv1")
    with_margin, without = (network(image, set(layers), pixels) for pixels in (margin, 0))
    for layer, reached in zip(layers, (2, 3, 3, 5, 5), strict=True):  # by the zeros around the picture
        middle = slice(None), slice(reached, -reached), slice(reached, -reached)
        assert with_margin[layer].shape == without[layer].shape
        np.testing.assert_allclose(with_margin[layer][middle], without[layer][middle], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("parameters", [toy.weights, toy.with_head])
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 2)])
def test_four_phases_take_every_position_once(size, parameters):
    network, image = Network("toy", parameters()), tf.constant(toy.picture(*size))
    every = network(image, {"block1_conv1"}, margin=3)["block1_conv1"].numpy()
    taken = np.zeros_like(every)
    for phase, (down, across) in enumerate([(0, 0), (1, 1), (0, 1), (1, 0)]):
        seen = network(image, {"block1_conv1"}, 3, {"block1_conv1"}, phase)["block1_conv1"]
        assert seen.shape[1:3] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
        rows, columns = taken[0, down::2, across::2, 0].shape  # one more is of the margin
        taken[:, down::2, across::2] = seen[:, :rows, :columns]
    np.testing.assert_allclose(taken, every, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_small_network_is_compiled_in_and_computes_the_same(monkeypatch, precision):
    def outcome() -> tuple[np.ndarray, np.ndarray]:
        network, image = Network("toy", toy.with_head(), precision=precision), tf.constant(toy.picture(9, 12))

        @tf.function
        def step(image):
            with tf.GradientTape() as tape:
                tape.watch(image)
                seen = network(image, {"block1_conv1", "block1_conv2"}, margin=3)
                total = sum(tf.reduce_sum(tf.square(tf.cast(x, tf.float32))) for x in seen.values())
            return total, tape.gradient(total, image)

        captured.append(len(step.get_concrete_function(image).captured_inputs))
        return tuple(tensor.numpy() for tensor in step(image))

    captured: list[int] = []
    ours = outcome()
    monkeypatch.setattr("nst.features.SMALL", 0)
    for one, other in zip(ours, outcome(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5 if precision == "float32" else 0.02, atol=1e-3)
    assert captured[1] - captured[0] == 8  # kernels and biases


def test_the_picture_is_not_rounded_to_bfloat16():
    kernel = np.zeros((3, 3, 3, 1), np.float32)
    kernel[1, 1, :, 0] = 1, -1, 0  # red − green
    parameters = {"block1_conv1_kernel": kernel, "block1_conv1_bias": np.zeros(1, np.float32)}
    network = Network("toy", weights.Weights(parameters, (0.0, 0.0, 0.0), 1.0), precision="bfloat16")
    image = tf.fill((1, 4, 4, 3), 0.6) + tf.constant((4e-4, 0, 0))  # bfloat16 has nothing between 0.598 and 0.602
    with tf.GradientTape() as tape:
        tape.watch(image)
        activations = tf.cast(network(image, {"block1_conv1"})["block1_conv1"], tf.float32)
    np.testing.assert_allclose(activations, 4e-4, rtol=0.05)
    np.testing.assert_array_equal(tape.gradient(activations, image), np.broadcast_to((1, -1, 0), image.shape))


def test_bfloat16_is_near_float32():
    image = tf.constant(toy.picture(64, 64))
    exact, rounded = (
        load_network(Settings(network="compact", precision=precision))(image, {"block4_conv1"})["block4_conv1"]
        for precision in ("float32", "bfloat16")
    )
    assert rounded.dtype == tf.bfloat16
    error = tf.norm(tf.cast(rounded, tf.float32) - exact) / tf.norm(exact)
    assert 0 < float(error) < 0.03


@pytest.mark.parametrize(
    ("cached", "gpus", "name", "because"),
    [
        (False, [], "compact", "not on this machine"),
        (False, ["GPU"], "compact", "not on this machine"),
        (True, [], "compact", "without a GPU"),
        (True, ["GPU"], "vgg19", "available"),
    ],
)
def test_auto_chooses_and_says_why(monkeypatch, tmp_path, cached, gpus, name, because):
    monkeypatch.delenv("NST_NETWORK", raising=False)
    cache = tmp_path / "vgg19.h5"
    if cached:
        cache.touch()
    monkeypatch.setattr(weights, "KERAS_CACHE", str(cache))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    chosen, reason = choose_network(Settings())
    assert chosen == name and because in reason


@pytest.mark.parametrize(
    ("variable", "asked", "name"),
    [
        ("vgg19", "auto", "vgg19"),
        ("compact", "auto", "compact"),
        ("vgg19", "compact", "compact"),
        ("VGG-19 ", "auto", "vgg19"),
        ("x", "auto", "compact"),
    ],
)
def test_what_automatic_is_can_be_said_by_the_environment(monkeypatch, no_internet, variable, asked, name):
    monkeypatch.setenv("NST_NETWORK", variable)
    assert choose_network(Settings(network=asked))[0] == name


def test_a_misspelt_nst_network_is_part_of_the_reason(monkeypatch, no_internet):
    monkeypatch.setenv("NST_NETWORK", "vgg20")
    assert "NST_NETWORK is 'vgg20'" in load_network(Settings()).reason


def test_a_weights_file_means_a_genuine_network():
    assert choose_network(Settings(weights="some/vgg.npz")) == ("vgg19", "Weights from vgg.npz.")


def test_a_failed_download_falls_to_the_compact_network_and_says_so(no_internet):
    network = load_network(Settings(network="vgg19"))
    assert network.name == "compact"
    assert "could not be downloaded" in network.reason and "\n" not in network.reason


def test_a_missing_weights_file_is_the_users_to_mend():
    with pytest.raises(WeightsError, match=r"there is no file .*gone\.npz"):
        load_network(Settings(weights="gone.npz"))


@pytest.mark.parametrize("error", [None, RuntimeError("It runs already."), ValueError("It has a limit.")])
def test_a_gpus_memory_is_taken_as_it_is_needed(monkeypatch, error):
    told = []

    def tell(gpu, growth):
        told.append((gpu, growth))
        if error:
            raise error

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", tell)
    assert load_network(Settings(network="compact", precision="float32")).name == "compact"
    assert told == [("GPU", True)]
