"""The engine with a two-layer network: frames, gradient, scales, determinism, errors."""

import contextlib
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from nst import images
from nst import transfer as transfer_module
from nst.canvas import Canvas
from nst.features import Network, load_network
from nst.objective import Objective, blended, style_targets
from nst.progress import Progress
from nst.settings import Settings
from nst.transfer import COMPACT_COST, Frame, StyleTransfer
from tests import toy

CONTENT, STYLE = toy.picture(40, 64), toy.picture(50, 45, seed=1)


@pytest.fixture(scope="module")
def transfer():
    return StyleTransfer(toy.network())


@pytest.fixture
def every_step(monkeypatch):
    """Frames come at every step, however fast."""
    monkeypatch.setattr(Progress, "steps_until_frame", 1)
    monkeypatch.setattr(Progress, "frame_is_due", True)


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


@pytest.mark.parametrize("changes", [{}, {"tile": 48}, {"color": "luminance"}])
def test_frames_carry_sixteen_bits_if_asked_to(changes, transfer):
    settings = replace(toy.SETTINGS, **changes)
    plain, deep = (list(transfer.stylize(CONTENT, [STYLE], settings, deep=wanted))[-1] for wanted in (False, True))
    assert plain.deep is None
    assert (deep.deep.dtype, deep.deep.shape) == (np.uint16, (40, 64, 3))
    assert np.abs(deep.deep / 257 - deep.image).max() < 0.51
    assert len(np.unique(deep.deep)) > 1000  # and not the 256 of the picture with 8 bits
    np.testing.assert_array_equal(deep.image, plain.image)


def test_the_first_frame_is_the_start_picture(transfer):
    expected = images.to_uint8(images.resize(CONTENT, 20, 32))
    np.testing.assert_array_equal(paint(transfer)[0].image, expected)


def test_the_loss_falls(transfer):
    frames = paint(transfer, size=64, min_scale=64, steps=(60,))
    assert frames[-1].losses["style"] < 0.5 * frames[0].losses["style"]
    assert frames[-1].losses["total"] < frames[0].losses["total"]


def test_lbfgs_gets_further_than_adam_in_as_many_steps(transfer):
    by = {optimizer: paint(transfer, optimizer=optimizer, steps=(30, 30), size=64) for optimizer in ("adam", "lbfgs")}
    assert by["lbfgs"][-1].losses["total"] < by["adam"][-1].losses["total"]
    assert by["lbfgs"][-1].step == by["adam"][-1].step == 60


def test_total_is_the_weighted_sum(transfer):
    weights = {"content_weight": 2, "style_weight": 3, "total_variation_weight": 5, "composition": 1}
    last = paint(transfer, **weights)[-1]
    alpha = replace(toy.SETTINGS, **weights).at_scale(last.scale).content_weight
    assert alpha > 2  # the picture is small
    expected = alpha * last.losses["content"] + 3 * last.losses["style"] + 5 * last.losses["total_variation"]
    assert last.losses["total"] == pytest.approx(expected, rel=1e-5)


def test_step_times_of_the_sketcher_predict_how_long_a_vgg_takes():
    sketcher = StyleTransfer(Network("compact", toy.weights()))
    finest = StyleTransfer(Network("vgg19", toy.weights()), lambda _: sketcher)
    shape, settings = CONTENT.shape[1:3], replace(toy.SETTINGS, sketch="compact")
    assert finest.expected_seconds(*shape, settings) == 0
    sketcher._step_times = {1000: 0.01, 2000: 0.02}
    quick, sketched = (engine.expected_seconds(*shape, settings) for engine in (sketcher, finest))
    assert 0 < quick < sketched < quick / COMPACT_COST


@pytest.mark.parametrize(
    ("name", "changes", "sketched"),
    [
        ("vgg19", {}, [32]),
        ("vgg16", {"size": 128}, [32, 64]),
        ("vgg19", {"sketch": "itself"}, []),
        ("vgg19", {"min_scale": 64}, []),  # one scale is no sketch
        ("vgg19", {"style_statistics": "gram", "normalization": "paper"}, []),
        ("vgg19", {"content_layers": {"block1_conv2": 1}}, []),  # which the other one lacks
        ("compact", {}, []),
    ],
)
def test_the_compact_network_sketches_for_a_vgg(monkeypatch, name, changes, sketched):
    def loaded(settings):
        assert (settings.network, settings.weights) == ("compact", "")
        shallow = {key: value for key, value in toy.weights().parameters.items() if key.startswith("block1_conv1")}
        return Network("compact", toy.weights()._replace(parameters=shallow))

    looks = []
    objective = Objective.of

    def watched(network, photo, *others):
        looks.append((max(photo.shape[1:3]), network.name))
        return objective(network, photo, *others)

    monkeypatch.setattr("nst.transfer.load_network", loaded)
    monkeypatch.setattr(Objective, "of", watched)
    layers = {"content_layers": {"block1_conv1": 1}, "style_layers": {"block1_conv1": 1}}
    paint(StyleTransfer(Network(name, toy.weights())), **layers | {"weights": "a.npz"} | changes)
    sides = sorted({side for side, _ in looks})
    assert sides[-1] == changes.get("size", 64)
    assert looks == [(side, "compact" if side in sketched else name) for side in sides]


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
    objective = Objective.of(transfer.network, photo, [STYLE], settings)
    image = toy.picture(10, 16, seed=2)
    gradient = objective.losses_and_gradient(transfer.network, tf.constant(image))[1].numpy()

    def total(image):
        return float(objective.losses_and_gradient(transfer.network, tf.constant(image, tf.float32))[0]["total"])

    # Along the gradient itself, and along random signs, where most of it cancels.
    signs = [np.random.default_rng(seed).choice([-1.0, 1.0], image.shape) for seed in range(4)]
    for direction in (np.sign(gradient), *signs):
        ahead, behind = (total(image + e * direction) for e in (1e-3, -1e-3))
        tolerance = 0.005 * float(np.abs(gradient).sum())
        assert (ahead - behind) / 2e-3 == pytest.approx(float(np.sum(gradient * direction)), abs=tolerance)


def subsampling(monkeypatch, precision):
    monkeypatch.setattr("nst.objective.SUBSAMPLE_ABOVE", 0)
    return StyleTransfer(Network("toy", toy.with_head(), precision=precision))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_steps_look_at_other_quarters(monkeypatch, precision):
    transfer = subsampling(monkeypatch, precision)

    def seen(objective, step):
        return float(objective.losses_and_gradient(transfer.network, tf.constant(CONTENT), step)[0]["style"])

    objective = Objective.of(transfer.network, CONTENT, [STYLE], toy.SETTINGS)
    steps = [seen(objective, step) for step in range(8)]
    assert steps[:4] == steps[4:] and len(set(steps)) == 4
    # L-BFGS compares the gradients of two steps.
    lbfgs = replace(toy.SETTINGS, optimizer="lbfgs")
    exact = [seen(Objective.of(transfer.network, CONTENT, [STYLE], lbfgs), 1)] * 8
    assert steps == pytest.approx(exact, rel=0.5) and exact[0] not in steps
    assert seen(objective._replace(subsamples=False), 1) == exact[0]


def test_a_run_that_looks_at_quarters_goes_on_with_the_next(monkeypatch, every_step):
    transfer = subsampling(monkeypatch, "bfloat16")
    resumed = go_on(transfer, stopped(transfer, 3).checkpoint)
    for one, other in zip(resumed, paint(transfer)[4:], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.losses == other.losses


def test_the_time_left_is_told_from_the_second_runs_first_frame_on():
    transfer = StyleTransfer(toy.network())
    assert transfer.expected_seconds(*CONTENT.shape[1:3], toy.SETTINGS) == 0
    first, second = paint(transfer)[0], paint(transfer)[0]
    assert first.remaining == 0 < second.remaining < 60
    expected = transfer.expected_seconds(*CONTENT.shape[1:3], toy.SETTINGS)
    assert 0 < expected < transfer.expected_seconds(*CONTENT.shape[1:3], replace(toy.SETTINGS, steps=(60, 40))) < 60


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

    collected = style_targets(transfer.network, [STYLE, other], 64, toy.SETTINGS)
    mixed = blended(collected, (3, 1))["block1_conv1"]
    for both, one, two in zip(mixed, *collected["block1_conv1"], strict=True):
        np.testing.assert_allclose(both, 0.75 * one + 0.25 * two, rtol=1e-5, atol=1e-7)
    assert (paint(transfer, styles=(STYLE, other), style_blend=(3, 1))[-1].image != paint(transfer)[-1].image).any()


def test_a_style_is_never_enlarged(transfer, monkeypatch):
    sizes = []
    resize = images.resize
    monkeypatch.setattr(images, "resize", lambda image, h, w: sizes.append((h, w)) or resize(image, h, w))
    style_targets(transfer.network, [STYLE], 4000, toy.SETTINGS)
    assert sizes == [(50, 45)]


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (3, 10), (17, 19)])
def test_any_proportions_that_leave_16_pixels(transfer, shape):
    last = paint(transfer, content=toy.picture(*shape))[-1]
    assert max(last.image.shape) == 64


@pytest.mark.parametrize(("shape", "enough"), [((3, 64), 342), ((64, 15), 69), ((1, 50), 800)])
def test_a_strip_is_refused_with_the_size_that_would_do(transfer, shape, enough):
    with pytest.raises(ValueError, match=rf"size: 64 would make content .* at least {enough},"):
        paint(transfer, content=toy.picture(*shape))
    images.check_strip(*shape, enough, "content")


def test_weights_are_tensors_so_that_new_ones_do_not_compile_anew():
    transfer = StyleTransfer(toy.network())
    for run in range(4):
        paint(transfer, strength=40 + run, seed=run, content=toy.picture(40 + run, 64))
    assert transfer._compiled_steps.experimental_get_tracing_count() <= 2


@pytest.mark.parametrize(
    ("changes", "styles", "sentence"),
    [
        ({"style_layers": {"block5_conv1": 1}}, 1, "style_layers: the toy network has no block5_conv1"),
        ({"content_layers": {"conv4_2": 1}}, 1, "content_layers: the toy network has no conv4_2"),
        ({"style_blend": (1, 2)}, 1, "style_blend: (1.0, 2.0) should have one number for each style, 1 in all"),
        ({"style_blend": (0, 0)}, 2, "style_blend"),
        ({}, 0, "styles"),
    ],
)
def test_what_does_not_fit_is_refused_before_painting(transfer, changes, styles, sentence):
    with pytest.raises(ValueError) as error:
        paint(transfer, styles=(STYLE,) * styles, **changes)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "asked", "layer", "remedy"),
    [
        (
            "compact",
            "auto",
            "block5_conv4",
            '; for block5_conv4 use --network vgg19 ("Finest" on the page), which downloads 80 MB if VGG-19 is missing',
        ),
        ("compact", "vgg19", "block5_conv4", ". VGG-19 is not here."),
        ("compact", "auto", "conv5_4", ""),
        (
            "vgg19",
            "vgg19",
            "block5_conv4",
            "; for block5_conv4 use a file with all of VGG-19, or no file: Keras' VGG-19 has it",
        ),
    ],
)
def test_how_to_get_a_layer_that_the_network_lacks(name, asked, layer, remedy):
    transfer = StyleTransfer(Network(name, toy.weights(), reason="VGG-19 is not here."))
    with pytest.raises(ValueError) as error:
        paint(transfer, network=asked, content_layers={layer: 1})
    sentence = f"content_layers: the {name} network has no {layer}; it has block1_conv1 … block1_conv2"
    assert str(error.value) == sentence + remedy


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_an_overflow_is_told_after_the_good_frames(optimizer):
    broken = toy.weights()
    broken.parameters["block1_conv2_kernel"][:] = 1e30
    frames = StyleTransfer(type(toy.network())("toy", broken)).stylize(
        CONTENT, [STYLE], replace(toy.SETTINGS, optimizer=optimizer, style_statistics="gram", normalization="paper")
    )
    assert next(frames).step == 0
    with pytest.raises(FloatingPointError, match="learning rate"):
        list(frames)


def counted(transfer, monkeypatch) -> list[int]:
    """How many steps each call of the compiled ones will take."""
    counts, compiled = [], transfer._compiled_steps

    def steps(*given):
        counts.append(int(given[-1]))
        return compiled(*given)

    steps.get_concrete_function = compiled.get_concrete_function
    monkeypatch.setattr(transfer, "_compiled_steps", steps)
    return counts


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_steps_that_nobody_looks_at_are_taken_in_one_call(transfer, monkeypatch, every_step, optimizer):
    one_by_one = paint(transfer, optimizer=optimizer)[-1]
    monkeypatch.undo()
    monkeypatch.setattr("nst.progress.MAX_CALL_SECONDS", 1e9)
    changes = {"optimizer": optimizer, "frames_per_second": 0.01}
    paint(transfer, **changes)  # now the step times are known
    counts = counted(transfer, monkeypatch)
    last = paint(transfer, **changes)[-1]
    assert counts == [1, 1, 5, 1, 3]  # the losses at the start, and of each scale the first by itself
    np.testing.assert_array_equal(last.image, one_by_one.image)
    assert last.losses == one_by_one.losses


def test_a_still_picture_is_looked_for_between_calls(transfer, monkeypatch):
    monkeypatch.setattr("nst.progress.MAX_CALL_SECONDS", 1e9)
    changes = {"steps": (50, 30), "tolerance": 1e-6, "frames_per_second": 0.01}
    paint(transfer, **changes)
    counts = counted(transfer, monkeypatch)
    paint(transfer, **changes)
    assert counts == [1, 1, 19, 20, 10, 1, 19, 10]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.001), ("bfloat16", 0.1)])
def test_xla_paints_the_same(monkeypatch, precision, tolerance):
    monkeypatch.setattr("nst.objective.SUBSAMPLE_ABOVE", 900)  # the second scale is subsampled

    def painted() -> list[Frame]:
        transfer = StyleTransfer(Network("toy", toy.with_head(), precision=precision))
        return paint(transfer, content=CONTENT[:, :, :39], frames_per_second=0.01)

    plain = painted()
    monkeypatch.setenv("NST_XLA", "1")
    for ours, theirs in zip(plain, painted(), strict=True):
        # XLA rounds less often to bfloat16, which in a toy of some hundred numbers shows.
        assert theirs.losses == pytest.approx(ours.losses, rel=tolerance, abs=1e-3)
        assert np.abs(theirs.image.astype(int) - ours.image).mean() < 255 * tolerance / 10


def exhausted(*_):
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def failing(error):
    """A compiled step that can be compiled, and no more."""

    def step(*given):
        return error(*given)

    step.get_concrete_function = lambda *_: None
    return step


@pytest.mark.parametrize(
    "steps", [0, 3, 6, 8]
)  # the start, within a scale, before one when the last is tiny, within it
def test_memory_that_runs_out_within_a_scale_is_told_after_the_good_frames(transfer, monkeypatch, every_step, steps):
    frames = transfer.stylize(CONTENT, [STYLE], toy.SETTINGS)
    for step in range(steps + 1):
        assert next(frames).step == step
    monkeypatch.setattr(transfer, "_compiled_steps", failing(exhausted))
    with pytest.raises(MemoryError, match=f"^{64 if steps >= 6 else 32} pixels are too many for this machine's memory"):
        list(frames)


@pytest.mark.parametrize("part", ["network", "of", "_compiled_steps", "upscaled"])
@pytest.mark.parametrize("error", [exhausted, lambda *_: bytes(2**62)])  # TensorFlow's, and Python's
def test_a_scale_that_does_not_fit_is_left_out(transfer, monkeypatch, every_step, part, error):
    monkeypatch.setattr(transfer, "network", transfer.network)  # put back at the end, as are the others
    frames = transfer.stylize(CONTENT, [STYLE], replace(toy.SETTINGS, size=256), checkpoints=True)
    before = next(frame for frame in frames if frame.step == 14)
    broken = failing(error) if part == "_compiled_steps" else error
    homes = {"upscaled": Canvas, "of": Objective}
    monkeypatch.setattr(homes.get(part, transfer), part, broken)
    (last,) = frames
    assert (last.step, last.steps, last.scale, last.remaining) == (14, 14, 128, 0)
    assert last.note == "256 pixels do not fit into this machine's memory: painted at 128."
    np.testing.assert_array_equal(last.image, before.image)
    assert last.losses == before.losses
    monkeypatch.undo()
    np.testing.assert_array_equal(last.image, paint(transfer, size=128)[-1].image)
    assert go_on(transfer, last.checkpoint, more_steps=2, size=128)[-1].step == 16


def test_a_scale_ends_when_the_picture_is_still(transfer):
    changes = {"learning_rate": 1e-4, "steps": (100, 50)}  # so small that 20 steps change it by less than 20/255 · 0.03
    patient = paint(transfer, **changes)[-1]
    assert (patient.step, patient.steps) == (150, 150)
    impatient = paint(transfer, **changes, tolerance=0.6)
    assert (impatient[-1].step, impatient[-1].steps, impatient[-1].remaining) == (80, 80, 0)  # two looks at each
    assert impatient[-1].image.shape == (40, 64, 3)
    assert paint(transfer, **changes, tolerance=1e-6)[-1].step == 150


# --- Going on ---------------------------------------------------------------------------------------------------------


def go_on(transfer, resume, more_steps=0, content=CONTENT, styles=(STYLE,), **changes):
    settings = replace(toy.SETTINGS, **changes)
    return list(transfer.stylize(content, styles, settings, resume=resume, more_steps=more_steps, checkpoints=True))


def stopped(transfer, step, **changes):
    """The frame of a run that was stopped after so many steps."""
    with contextlib.closing(
        transfer.stylize(CONTENT, [STYLE], replace(toy.SETTINGS, **changes), checkpoints=True)
    ) as frames:
        return next(frame for frame in frames if frame.step == step)


@pytest.mark.parametrize("step", [0, 3, 6, 8])  # the start, within a scale, at its end, within the last
def test_a_stopped_run_goes_on_as_if_it_had_not_been(transfer, every_step, step):
    straight = paint(transfer)
    resumed = go_on(transfer, stopped(transfer, step).checkpoint)
    assert [(frame.step, frame.steps) for frame in resumed] == [(later, 10) for later in range(step + 1, 11)]
    for one, other in zip(resumed, straight[step + 1 :], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.losses == other.losses


def test_a_checkpoint_survives_another_thread_and_a_pickle(transfer, every_step):
    stopped_there: list[Frame] = []
    thread = threading.Thread(target=lambda: stopped_there.append(stopped(transfer, 3)))
    thread.start()
    thread.join()
    checkpoint = pickle.loads(pickle.dumps(stopped_there[0].checkpoint))
    np.testing.assert_array_equal(go_on(transfer, checkpoint)[-1].image, paint(transfer)[-1].image)


def test_a_finished_run_goes_on_at_its_last_scale(transfer, every_step):
    finished = go_on(transfer, None)[-1]
    more = go_on(transfer, finished.checkpoint, more_steps=3)
    assert [(frame.step, frame.steps, frame.scale) for frame in more] == [(11, 13, 64), (12, 13, 64), (13, 13, 64)]
    np.testing.assert_array_equal(more[-1].image, paint(transfer, steps=(6, 7))[-1].image)
    elapsed = [frame.elapsed for frame in (finished, *more)]
    assert elapsed == sorted(elapsed) and more[-1].remaining == 0
    np.testing.assert_array_equal(
        go_on(transfer, stopped(transfer, 3).checkpoint, more_steps=3)[-1].image, more[-1].image
    )


def test_only_the_frames_that_are_asked_for_carry_checkpoints(transfer):
    assert all(frame.checkpoint is None for frame in paint(transfer))
    assert all(frame.checkpoint for frame in go_on(transfer, None))


def test_strength_and_pictures_may_change_in_between(transfer):
    resume = go_on(transfer, None)[-1].checkpoint
    same = go_on(transfer, resume, more_steps=20)[-1]
    weaker = go_on(transfer, resume, more_steps=20, strength=10, averaging=0.5)[-1]
    assert weaker.losses["style"] > same.losses["style"] and weaker.losses["content"] < same.losses["content"]
    assert (go_on(transfer, resume, more_steps=20, styles=[STYLE[:, ::-1] ** 3])[-1].image != same.image).any()


@pytest.mark.parametrize("step", [0, 3, 6, 8])
@pytest.mark.parametrize(("before", "after"), [("lbfgs", "lbfgs"), ("adam", "lbfgs"), ("lbfgs", "adam")])
def test_optimizers_take_over_from_each_other(transfer, every_step, before, after, step):
    checkpoint = stopped(transfer, step, optimizer=before).checkpoint
    resumed = go_on(transfer, checkpoint, optimizer=after, learning_rate=0.003)
    assert [(frame.step, frame.steps) for frame in resumed] == [(later, 10) for later in range(step + 1, 11)]
    if step < 6:  # then comes another scale, and with it another loss
        assert resumed[5 - step].losses["total"] < resumed[0].losses["total"]
    assert bool(resumed[-1].checkpoint.state) == (after == "adam")


def test_a_resumed_run_adds_scales(transfer):
    small = go_on(transfer, None, size=64, min_scale=64)[-1]
    larger = go_on(transfer, small.checkpoint, size=128, min_scale=64)
    assert (larger[-1].step, larger[-1].steps, larger[-1].image.shape) == (10, 10, (80, 128, 3))
    np.testing.assert_array_equal(larger[-1].image, paint(transfer, size=128, min_scale=64)[-1].image)


def test_a_checkpoint_that_does_not_fit_is_refused(transfer):
    finished = go_on(transfer, None)[-1].checkpoint
    with pytest.raises(ValueError, match="^resume: a picture of 64 x 40 pixels should have 64 x 64 at most, and the"):
        go_on(transfer, finished, content=toy.picture(64, 64))
    larger = go_on(transfer, None, size=80)[-1].checkpoint
    with pytest.raises(ValueError, match="^resume: a picture of 80 x 50 pixels should have 64 x 40 at most"):
        go_on(transfer, larger)
    for more_steps, right in ((0, "above 0"), (-1, "at least 0")):
        with pytest.raises(ValueError, match=f"^more_steps: {more_steps} should be {right}"):
            go_on(transfer, finished, more_steps)


def test_going_on_compiles_nothing_anew():
    transfer = StyleTransfer(toy.network())
    frame = go_on(transfer, None)[-1]
    for strength in (10, 60, 90):
        frame = go_on(transfer, frame.checkpoint, more_steps=2, strength=strength)[-1]
    assert transfer._compiled_steps.experimental_get_tracing_count() <= 2


@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="There is no GPU.")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.05), ("bfloat16", 0.2)])
def test_a_gpu_agrees_with_the_cpu(precision, tolerance):
    # A GPU's float32 convolutions have TF32's ten bits; and bfloat16's gradient is a tenth off anywhere.
    (total, gradient), (expected_total, expected) = (step_on(device, precision) for device in ("/GPU:0", "/CPU:0"))
    assert total == pytest.approx(expected_total, rel=0.02)
    assert np.linalg.norm(gradient - expected) < tolerance * np.linalg.norm(expected)


def step_on(device, precision):
    """The loss of a picture by the compact network, and its gradient."""
    settings = Settings(network="compact", precision=precision, size=128, min_scale=128)
    with tf.device(device):
        transfer = StyleTransfer(load_network(settings))
        painting = toy.picture(128, 96, seed=1)
        objective = Objective.of(transfer.network, toy.picture(96, 128), [painting], settings)
        losses, gradient = objective.losses_and_gradient(transfer.network, tf.constant(toy.picture(96, 128, seed=2)))
    return float(losses["total"]), gradient.numpy()


# --- Tries ------------------------------------------------------------------------------------------------------------


VARIANTS = [
    replace(toy.SETTINGS, strength=strength, style_scale=scale) for scale in (0.5, 1.0) for strength in (30, 70)
]


@pytest.fixture
def small_tries(monkeypatch):
    """As large as the coarsest of the toy's scales."""
    monkeypatch.setattr(transfer_module, "TRY_SIDE", 32)


def test_each_try_is_what_a_run_of_its_settings_would_paint(transfer, every_step, small_tries):
    grids = list(transfer.tries(CONTENT, [STYLE], VARIANTS, 4))
    assert [frame.step for frame in grids[-1]] == [4] * 4 and grids[-1][0].steps == 10
    for settings, shown in zip(VARIANTS, grids[-1], strict=True):
        alone = list(transfer.stylize(CONTENT, [STYLE], settings))
        assert shown.settings == settings
        np.testing.assert_allclose(shown.image, np.float32(alone[4].image), atol=1)
        assert shown.losses == pytest.approx(alone[4].losses, rel=1e-4)
        later = list(transfer.stylize(CONTENT, [STYLE], settings, resume=shown.checkpoint))
        assert [frame.step for frame in later] == list(range(5, 11))
        np.testing.assert_allclose(later[-1].image, np.float32(alone[-1].image), atol=1)


def test_a_try_is_gone_on_with_at_the_next_larger_scale(transfer, monkeypatch):
    monkeypatch.setattr(transfer_module, "TRY_SIDE", 48)
    *_, grid = transfer.tries(CONTENT, [STYLE], VARIANTS[:2], 5)
    assert [(frame.step, frame.steps, frame.scale) for frame in grid] == [(5, 9, 48)] * 2
    *_, last = transfer.stylize(CONTENT, [STYLE], VARIANTS[1], resume=grid[1].checkpoint)
    assert (last.step, last.steps, last.scale) == (9, 9, 64)


def test_tries_of_a_vgg_are_sketched(small_tries):
    vgg, compact = StyleTransfer(Network("vgg19", toy.weights())), StyleTransfer(toy.network())
    vgg._load_sketcher = lambda _: compact
    *_, sketched = vgg.tries(CONTENT, [STYLE], VARIANTS, 3)
    *_, expected = compact.tries(CONTENT, [STYLE], VARIANTS, 3)
    for one, other in zip(sketched, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
