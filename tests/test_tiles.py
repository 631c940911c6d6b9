"""nst.tiles: what is computed tile by tile equals what is computed at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from nst import machine
from nst.controls import Controls
from nst.features import Network, load_network
from nst.masks import Masks
from nst.objective import Objective, style_targets
from nst.settings import Settings
from nst.tiles import Tiles, divide, reach
from nst.transfer import StyleTransfer
from nst.weights import CONVOLUTIONS, Weights
from tests import toy

WHOLE = Settings(network="compact", precision="float32", size=448)
HALF = Masks((np.tile(np.array([1, 0.6, 0.2, 0], np.float32), (3, 1)),), None)
PROTECTED = Masks((), np.tile(np.array([[1], [0.5], [0], [0], [0]], np.float32), (1, 3)))


def narrow(pooling: str = "average", precision: str = "float32") -> Network:
    """A network of VGG-19's shape, with few channels and random weights."""
    random, parameters, before = np.random.default_rng(0), {}, 3
    for layer in list(CONVOLUTIONS)[:13]:
        channels = (4, 6, 8, 8, 8)[int(layer[5]) - 1]
        scale = (2 / (9 * before)) ** 0.5
        parameters[f"{layer}_kernel"] = random.normal(0, scale, (3, 3, before, channels)).astype(np.float32)
        parameters[f"{layer}_bias"] = np.full(channels, 0.1, np.float32)
        before = channels
    return Network("vgg19", Weights(parameters, (0.5, 0.5, 0.5), 2.0), pooling=pooling, precision=precision)


def wavy(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """float32 (1, height, width, channels): coarse and fine patterns, unlike from place to place."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:height, :width] / 40
    waves = [np.sin(random.uniform(0.5, 2) * down + random.uniform(0.5, 3) * across**1.3) for _ in range(channels)]
    picture = 0.5 + 0.3 * np.stack(waves, axis=-1) + 0.2 * (random.random((height, width, channels)) - 0.5)
    return picture[np.newaxis].clip(0, 1).astype(np.float32)


def both(tiles: Tiles, shape: tuple[int, int], settings: Settings, paintings: int = 1, step: int = 0, **options):
    """The losses and the gradient at once, and tile by tile."""
    network = tiles._network
    photo, image = wavy(*shape, channels=options.pop("channels", 3)), tf.constant(wavy(*shape, seed=1))
    styles = [wavy(300 + 50 * index, 260, seed=2 + index) for index in range(paintings)]
    settings = replace(settings, size=max(shape))
    whole = Objective.of(network, photo, styles, replace(settings, tile=0), **options)
    tiled = Objective.of(network, photo, styles, settings, **options, tiles=tiles)
    found = tiles.losses_and_gradient(tiled, settings.at_scale(max(shape)), image.numpy(), step)
    return (
        whole.losses_and_gradient(network, image, step),
        found,
        len(tiles.plan(shape, settings, network.layers).tiles),
    )


def check(tiles: Tiles, shape: tuple[int, int], settings: Settings, error: float = 3e-5, **options: Any) -> None:
    (losses, gradient), (tiled_losses, tiled), count = both(tiles, shape, settings, **options)
    assert count > 1
    for name, loss in losses.items():
        np.testing.assert_allclose(tiled_losses[name][0], loss, rtol=error, err_msg=name)
    assert np.abs(tiled - gradient.numpy()).max() < error * np.abs(gradient).max()


@pytest.fixture(scope="module")
def compact():
    return load_network(WHOLE)


@pytest.fixture(scope="module")
def exact():
    """Tiles of both networks without Winograd's rounding, traced in the tests that are `smooth`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "is_compute_bound", lambda dtype: False)
        return [Tiles(load_network(WHOLE)), Tiles(narrow())]


TILED, SHAPE = replace(WHOLE, tile=128), (263, 390)
CASES: dict[str, tuple[tuple[int, int], dict[str, Any], dict[str, Any]]] = {
    "neither the tile nor 16 divides it": ((389, 451), {}, {}),
    "covariance": (SHAPE, {"style_statistics": "covariance"}, {}),
    "the formulas of the paper": (SHAPE, {"normalization": "paper"}, {}),
    "without padding": (SHAPE, {"padding": 0}, {}),
    "little padding": (SHAPE, {"padding": 7}, {}),
    "much padding": (SHAPE, {"padding": 40}, {}),
    "less high than the padding": ((11, 501), {}, {}),
    "another subsampling": (SHAPE, {}, {"step": 3}),
    "masks": (SHAPE, {}, {"paintings": 2, "where": HALF}),
    "masks and covariance": (SHAPE, {"style_statistics": "covariance"}, {"paintings": 2, "where": HALF, "step": 1}),
    "two paintings": (SHAPE, {"style_blend": (1, 3)}, {"paintings": 2}),
    "what is protected": (SHAPE, {}, {"where": PROTECTED}),
    "what is transparent": (SHAPE, {"style_statistics": "covariance"}, {"channels": 4}),
    "L-BFGS": (SHAPE, {"optimizer": "lbfgs"}, {}),
}


@pytest.fixture
def smooth(monkeypatch):
    """Softplus in place of ReLU, whose gradient jumps where rounding moves an activation across zero."""

    @tf.custom_gradient
    def softplus(x: tf.Tensor) -> Any:
        return tf.nn.softplus(x), lambda dy: tf.ensure_shape(dy * tf.sigmoid(x), x.shape)

    monkeypatch.setattr(tf.nn, "relu", softplus)


@pytest.mark.parametrize("case", CASES)
def test_tiles_change_nothing_but_rounding(exact, smooth, case):
    shape, changes, options = CASES[case]
    check(exact[1], shape, replace(TILED, **changes), **options)


@pytest.mark.parametrize("case", ["neither the tile nor 16 divides it", "masks and covariance", "what is protected"])
def test_nor_do_they_for_the_compact_network(exact, smooth, case):
    shape, changes, options = CASES[case]
    check(exact[0], shape, replace(TILED, **changes), **options)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_nor_do_they_with_relu_and_either_pooling(pooling):
    check(Tiles(narrow(pooling)), SHAPE, replace(TILED, tile=200, style_statistics="covariance"), 1e-4)


def test_bfloat16_is_off_by_its_rounding(compact):
    half = load_network(replace(WHOLE, precision="bfloat16"))
    (_, exact), _, _ = both(Tiles(compact), SHAPE, TILED)
    (losses, whole), (tiled_losses, tiled), _ = both(Tiles(half), SHAPE, TILED)
    rounding, difference = (np.linalg.norm(gradient - exact) for gradient in (whole, tiled))
    assert difference < 1.1 * rounding
    for name, loss in losses.items():
        np.testing.assert_allclose(tiled_losses[name][0], loss, rtol=0.01, err_msg=name)


@pytest.mark.parametrize("kind", ["gram", "covariance"])
def test_statistics_of_paintings(compact, kind):
    pictures = [wavy(389, 270), wavy(250, 320, channels=4)]
    settings = replace(TILED, style_statistics=kind)
    whole, tiled = (style_targets(compact, pictures, 448, settings, *tiles) for tiles in ((), (Tiles(compact),)))
    for layer, paintings in whole.items():
        for index, statistics in enumerate(paintings):
            for one, other in zip(statistics, tiled[layer][index], strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max(), err_msg=layer)


@pytest.mark.parametrize("length", [1, 15, 448, 1000])
@pytest.mark.parametrize("margin", [0, 16, 256])
def test_tiles_divide_an_axis_and_see_enough(length, margin):
    spans = divide(length, margin, 256, 80)
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[0].borders[0] == spans[-1].borders[1] == 1
    for before, after in zip(spans, spans[1:]):
        assert before.borders[1] == after.borders[0] == after.first % 16 == 0
        assert after.first - after.start == 80 == before.start + len(before.indices) - before.last
    owned = [pixel for span in spans for pixel in range(*span.own(margin, length))]
    assert owned == list(range(length))


def test_how_far_a_layer_sees():
    assert reach(list(CONVOLUTIONS), ["block1_conv2"]) == 16
    assert reach(list(CONVOLUTIONS), ["block5_conv1", "block1_conv1"]) == 80  # 2·1 + 2·2 + 4·4 + 4·8 + 16 = 70


@pytest.mark.parametrize("changes", [{}, {"optimizer": "lbfgs"}, {"color": "luminance"}, {"init": "mix"}])
def test_a_picture_in_tiles_is_the_same(changes):
    network = toy.network()
    settings = replace(toy.SETTINGS, size=160, min_scale=80, tile=48, padding=4, steps=(3, 3), **changes)
    pictures = wavy(120, 160), [wavy(100, 90, seed=1)]
    *_, whole = StyleTransfer(network).stylize(*pictures, replace(settings, tile=0))
    first, *_, tiled = StyleTransfer(network).stylize(*pictures, settings)
    assert first.step == 0 and tiled.image.shape == (120, 160, 3)
    assert np.abs(np.int16(tiled.image) - whole.image).max() <= 1
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-4)


def test_a_run_in_tiles_resumes_where_it_stopped():
    network = toy.network()
    settings = replace(toy.SETTINGS, size=160, min_scale=160, tile=48, steps=(6,))
    pictures = wavy(120, 160), [wavy(100, 90, seed=1)]
    *_, through = StyleTransfer(network).stylize(*pictures, settings)
    *_, half = StyleTransfer(network).stylize(*pictures, replace(settings, steps=(3,)), checkpoints=True)
    assert half.checkpoint
    before = half.checkpoint.image.copy()
    *_, resumed = StyleTransfer(network).stylize(*pictures, settings, resume=half.checkpoint, more_steps=3)
    np.testing.assert_array_equal(resumed.image, through.image)
    np.testing.assert_array_equal(half.checkpoint.image, before)


def test_a_run_in_tiles_can_be_steered():
    settings = replace(toy.SETTINGS, size=160, min_scale=160, tile=48, steps=(4,), frames_per_second=60.0)
    content, styles = wavy(120, 160), [wavy(100, 90, seed=1)]
    controls = Controls()
    frames = StyleTransfer(toy.network()).stylize(content, styles, settings, controls=controls)
    while next(frames).step < 2:
        pass
    controls.wanted = replace(settings, strength=90), styles
    *_, last = frames
    assert last.settings.strength == 90 and last.step == last.steps > 4


def test_a_run_in_tiles_ends_early_only_when_it_has_converged():
    settings = replace(toy.SETTINGS, size=160, min_scale=160, tile=48, steps=(60,), tolerance=0.01)
    *_, last = StyleTransfer(toy.network()).stylize(wavy(120, 160), [wavy(100, 90, seed=1)], settings)
    assert last.step == 60
    *_, last = StyleTransfer(toy.network()).stylize(
        wavy(120, 160), [wavy(100, 90, seed=1)], replace(settings, tolerance=200)
    )
    assert last.step == 40


def test_an_overflow_in_tiles_ends_the_run():
    settings = replace(toy.SETTINGS, size=160, min_scale=160, tile=48, steps=(4,))
    transfer = StyleTransfer(toy.network())
    losses = dict.fromkeys(("content", "style", "total_variation", "total"), tf.constant([np.nan]))
    transfer._tiles.losses_and_gradient = lambda *_: (losses, np.zeros((1, 120, 160, 3), np.float32))
    with pytest.raises(FloatingPointError, match="overflowed at step 1; try a lower learning rate"):
        list(transfer.stylize(wavy(120, 160), [wavy(100, 90, seed=1)], settings))


def test_passes_are_compiled_once_for_all_sizes():
    network = toy.network()
    transfer, settings = StyleTransfer(network), replace(toy.SETTINGS, size=160, min_scale=80, tile=48, steps=(2,))
    for shape in ((120, 160), (97, 131)):
        list(transfer.stylize(wavy(*shape), [wavy(100, 90, seed=1)], settings))
    for passes in ("_sum", "_propagate", "_change"):
        assert getattr(transfer._tiles, passes).experimental_get_tracing_count() <= 2, passes  # paintings and images
