"""The engine with a two-layer network: frames, gradient, scales, determinism, errors."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from nst import images
from nst.transfer import StyleTransfer
from tests import toy

CONTENT, STYLE = toy.picture(40, 64), toy.picture(50, 45, seed=1)


@pytest.fixture(scope="module")
def transfer():
    return StyleTransfer(toy.network())


def paint(transfer, content=CONTENT, styles=(STYLE,), **changes):
    return list(transfer.stylize(content, styles, replace(toy.SETTINGS, **changes)))


def test_frames_say_where_the_run_stands(transfer):
    frames = paint(transfer)
    first, last = frames[0], frames[-1]
    assert (first.step, first.scale, first.elapsed >= 0) == (0, 32, True)
    assert (last.step, last.steps, last.scale, last.remaining) == (10, 10, 64, 0)
    assert last.image.shape == (40, 64, 3) and last.image.dtype == np.uint8
    assert [frame.step for frame in frames] == sorted({frame.step for frame in frames})
    assert set(last.losses) == {"content", "style", "total_variation", "total"}
    assert all(isinstance(loss, float) for loss in last.losses.values())


def test_the_first_frame_is_the_start_picture(transfer):
    expected = images.to_uint8(images.resize(CONTENT, 20, 32))
    np.testing.assert_array_equal(paint(transfer)[0].image, expected)


def test_the_loss_falls(transfer):
    frames = paint(transfer, size=64, min_scale=64, steps=(60,))
    assert frames[-1].losses["style"] < 0.5 * frames[0].losses["style"]
    assert frames[-1].losses["total"] < frames[0].losses["total"]


def test_total_is_the_weighted_sum(transfer):
    losses = paint(transfer, content_weight=2, style_weight=3, total_variation_weight=5)[-1].losses
    expected = 2 * losses["content"] + 3 * losses["style"] + 5 * losses["total_variation"]
    assert losses["total"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("statistics", "normalization"), [("covariance", "relative"), ("gram", "relative"), ("gram", "paper")]
)
def test_gradient_against_finite_differences(transfer, statistics, normalization):
    settings = replace(
        toy.SETTINGS,
        content_weight=1,
        style_statistics=statistics,
        normalization=normalization,
    )
    photo = images.resize(CONTENT, 10, 16)
    objective = transfer._objective(photo, transfer._style_targets([STYLE], 16, settings), settings)
    image = toy.picture(10, 16, seed=2)
    gradient = objective(tf.constant(image))[1].numpy()

    def total(image):
        return float(objective(tf.constant(image, tf.float32))[0]["total"])

    # Along the gradient itself, and along random signs, where most of it cancels.
    signs = [np.random.default_rng(seed).choice([-1.0, 1.0], image.shape) for seed in range(4)]
    for direction in (np.sign(gradient), *signs):
        ahead, behind = (total(image + e * direction) for e in (1e-3, -1e-3))
        tolerance = 0.005 * float(np.abs(gradient).sum())
        assert (ahead - behind) / 2e-3 == pytest.approx(float(np.sum(gradient * direction)), abs=tolerance)


def test_same_seed_same_picture(transfer):
    changes = {"init": "noise", "frames_per_second": 0.01}
    one, two, other = (paint(transfer, **changes, seed=seed)[-1].image for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_frames_do_not_change_the_picture(transfer):
    np.testing.assert_array_equal(
        paint(transfer, frames_per_second=60)[-1].image, paint(transfer, frames_per_second=0.01)[-1].image
    )


def test_few_frames_are_still_first_and_last(transfer):
    assert [frame.step for frame in paint(transfer, frames_per_second=0.01)] == [0, 10]


@pytest.mark.parametrize("init", ["content", "noise", "style", "mix"])
def test_start_pictures(transfer, init):
    start = paint(transfer, init=init, noise_ratio=0.5)[0].image.astype(float)
    noise = np.random.default_rng(0).random((1, 20, 32, 3), np.float32)
    photo, style = images.resize(CONTENT, 20, 32), images.resize(STYLE, 20, 32)
    expected = {"content": photo, "noise": noise, "style": style, "mix": (noise + photo) / 2}[init]
    np.testing.assert_allclose(start, 255 * expected[0], atol=0.51)


def test_styles_blend_by_their_shares(transfer):
    other = toy.picture(40, 40, seed=3) ** 3

    def statistics(styles, blend):
        return transfer._style_targets(styles, 64, replace(toy.SETTINGS, style_blend=blend))["block1_conv1"]

    blended = statistics([STYLE, other], (3, 1))
    for both, one, two in zip(blended, statistics([STYLE], ()), statistics([other], ()), strict=True):
        np.testing.assert_allclose(both, 0.75 * one + 0.25 * two, rtol=1e-5, atol=1e-7)
    assert (paint(transfer, styles=(STYLE, other), style_blend=(3, 1))[-1].image != paint(transfer)[-1].image).any()


def test_a_style_is_never_enlarged(transfer, monkeypatch):
    sizes = []
    resize = images.resize
    monkeypatch.setattr(images, "resize", lambda image, h, w: sizes.append((h, w)) or resize(image, h, w))
    transfer._style_targets([STYLE], 4000, toy.SETTINGS)
    assert sizes == [(50, 45)]


@pytest.mark.parametrize("shape", [(3, 64), (64, 3), (1, 50), (17, 19)])
def test_any_proportions(transfer, shape):
    last = paint(transfer, content=toy.picture(*shape))[-1]
    assert max(last.image.shape) == 64


def test_weights_are_tensors_so_that_new_ones_do_not_compile_anew():
    transfer = StyleTransfer(toy.network())
    for run in range(4):
        paint(transfer, strength=40 + run, seed=run, content=toy.picture(40 + run, 64))
    assert transfer._compiled_step.experimental_get_tracing_count() <= 2


@pytest.mark.parametrize(
    ("changes", "styles", "sentence"),
    [
        ({"style_layers": {"block5_conv1": 1}}, 1, "style_layers: the toy network has no block5_conv1"),
        ({"content_layers": {"conv4_2": 1}}, 1, "content_layers: the toy network has no conv4_2"),
        ({"style_blend": (1, 2)}, 1, "style_blend: (1.0, 2.0) should have one number for each style, 1 in all"),
        ({"style_blend": (0, 0)}, 2, "style_blend"),
        ({}, 0, "style_blend"),
    ],
)
def test_what_does_not_fit_is_refused_before_painting(transfer, changes, styles, sentence):
    with pytest.raises(ValueError) as error:
        paint(transfer, styles=(STYLE,) * styles, **changes)
    assert sentence in str(error.value)


def test_an_overflow_is_told_after_the_good_frames():
    broken = toy.weights()
    broken.parameters["block1_conv2_kernel"][:] = 1e30
    frames = StyleTransfer(type(toy.network())("toy", broken)).stylize(
        CONTENT, [STYLE], replace(toy.SETTINGS, style_statistics="gram", normalization="paper")
    )
    assert next(frames).step == 0
    with pytest.raises(FloatingPointError, match="learning rate"):
        list(frames)


def test_too_little_memory_is_told_after_the_good_frames(transfer, monkeypatch):
    frames = transfer.stylize(CONTENT, [STYLE], toy.SETTINGS)
    assert next(frames).step == 0

    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(transfer, "_compiled_step", exhausted)
    with pytest.raises(MemoryError, match="pixels are too many"):
        list(frames)
