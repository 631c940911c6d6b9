"""nst.bench: counted operations, baselines with the same losses, rows and messages.  Asserts no times."""

import json
import re
import subprocess
import sys
import types
from dataclasses import asdict, fields
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst import machine
from nst.bench import contenders, run
from nst.bench.plain import KerasPlain, keras_model
from nst.commands import _parser, main
from nst.features import Network
from nst.objective import Objective
from nst.settings import STYLE_LAYERS, Settings
from nst.transfer import StyleTransfer
from nst.weights import Weights
from tests.toy import picture

ROOT = Path(__file__).parents[2]
SHAPES = {
    "block1_conv1_kernel": (3, 3, 3, 4),
    "block1_conv2_reduce_kernel": (1, 1, 4, 3),
    "block1_conv2_kernel": (3, 3, 3, 2),
    "block1_conv2_expand_kernel": (1, 1, 2, 5),
    "block2_conv1_kernel": (3, 3, 5, 6),
    "block2_conv1_head_kernel": (1, 1, 6, 7),
}
BIASES = {"block1_conv1": 4, "block1_conv2": 5, "block2_conv1": 6, "block2_conv1_head": 7}
CONTENT, STYLE = {"block1_conv2": 1.0}, {"block1_conv1": 0.25, "block2_conv1": 0.75}
WEIGHTS = 1e-5, 3.0, 2.0  # α, β, γ


def weights() -> Weights:
    """Kernels that look at their middle only: how a border is padded makes no difference."""
    random, parameters = np.random.default_rng(0), {}
    for name, shape in SHAPES.items():
        kernel = random.uniform(-0.5, 1, shape).astype(np.float32)
        if shape[0] == 3:
            kernel[[0, 2]] = kernel[:, [0, 2]] = 0
        parameters[name] = kernel
    parameters |= {f"{name}_bias": np.full(count, 0.1, np.float32) for name, count in BIASES.items()}
    return Weights(parameters, (0.5, 0.4, 0.3), 20.0)


# --- counted work -----------------------------------------------------------------------------------------------------


def test_flops_of_a_network_counted_by_hand():
    # Pixels 10 x 6, then 5 x 3; products of positions, inputs and outputs, a multiply-add being two operations.
    convolutions = 60 * (27 * 4 + 4 * 3 + 27 * 2 + 2 * 5) + 15 * (45 * 6 + 6 * 7)
    statistics = 60 * 4 * 4 + 15 * 7 * 7
    assert contenders.step_flops(SHAPES, CONTENT, STYLE, 10, 6) == 2 * 2 * (convolutions + statistics)


def test_flops_with_a_margin_and_down_to_the_deepest_layer_only():
    # The margin of 1 makes 12 x 8 of 10 x 6, for the convolutions but not for the statistics.
    forward = 2 * (96 * 27 * 4 + 60 * 4 * 4)
    assert contenders.step_flops(SHAPES, (), ("block1_conv1",), 10, 6, 1) == 2 * forward


def test_flops_of_vgg19():
    shapes = {name: array.shape for name, array in contenders.random_weights().parameters.items()}
    statistics = sum(2 * (224 // 2**block) ** 2 * filters**2 for block, filters in enumerate((64, 128, 256, 512, 512)))
    step = contenders.step_flops(shapes, ("block4_conv2",), STYLE_LAYERS, 224, 224)
    assert step / 2 - statistics == pytest.approx(36.3e9, rel=0.002)  # forward, to block5_conv1


# --- fair baselines ---------------------------------------------------------------------------------------------------


def our_losses(content: np.ndarray, style: np.ndarray, image: np.ndarray) -> dict[str, float]:
    settings = Settings(
        size=64, min_scale=64, steps=(1,), padding=0, style_statistics="gram", normalization="paper",
        content_weight=WEIGHTS[0], style_weight=WEIGHTS[1], total_variation_weight=WEIGHTS[2],
        content_layers=CONTENT, style_layers=STYLE,
    )  # fmt: skip
    transfer = StyleTransfer(Network("toy", weights(), pooling="max"))
    objective = Objective.of(transfer.network, content, [style], settings)
    losses = objective.losses(transfer.network, tf.constant(image))
    return {name: float(loss) for name, loss in losses.items()}


def test_the_keras_baseline_has_our_losses():
    content, style, image = picture(48, 64, 0), 1 - picture(48, 64, 1), picture(48, 64, 2)
    plain = KerasPlain(weights(), content, style, CONTENT, STYLE, WEIGHTS)
    ours, theirs = our_losses(content, style, image), plain.losses(tf.constant(image))
    assert set(ours) == set(theirs)
    for name, loss in ours.items():
        assert loss > 1e-6
        assert float(theirs[name]) == pytest.approx(loss, rel=1e-4), name


def test_the_keras_baseline_takes_steps_of_adam():
    content, style = picture(48, 64, 0), 1 - picture(48, 64, 1)
    plain = KerasPlain(weights(), content, style, CONTENT, STYLE, WEIGHTS)
    assert float(plain.step()["total"]) == pytest.approx(our_losses(content, style, content)["total"], rel=1e-4)
    image = plain.image.numpy()
    assert np.abs(image - content).max() == pytest.approx(0.02, rel=1e-3)  # Adam's first step is the learning rate
    assert 0 <= image.min() <= image.max() <= 1
    assert float(plain.step()["total"]) == pytest.approx(our_losses(content, style, image)["total"], rel=1e-3)


def test_the_keras_baseline_is_the_vgg19_of_keras_applications():
    source = contenders.random_weights()
    ours = keras_model(source, dict.fromkeys(STYLE_LAYERS, 1.0))
    theirs = keras.applications.VGG19(include_top=False, weights=None)  # pyright: ignore[reportArgumentType]
    for layer in theirs.layers:
        if f"{layer.name}_kernel" in source.parameters:
            layer.set_weights([source.parameters[f"{layer.name}_{part}"] for part in ("kernel", "bias")])
    deepest = keras.Model(theirs.input, [theirs.get_layer(layer).output for layer in STYLE_LAYERS])
    noise = np.random.default_rng(0).normal(size=(1, 32, 48, 3)).astype(np.float32)
    for layer, activations in zip(STYLE_LAYERS, deepest(noise), strict=True):
        np.testing.assert_array_equal(ours(noise)[layer], activations)


def test_the_torch_baseline_has_our_losses():
    pytest.importorskip("torch", exc_type=ImportError)
    code = f"""if True:
        from nst.bench.plain_torch import make_step
        from tests.bench.test_bench import CONTENT, STYLE, WEIGHTS, picture, weights
        content, style = picture(48, 64, 0), 1 - picture(48, 64, 1)
        for precision in {run.PRECISIONS}:
            step = make_step(weights(), content, style, CONTENT, STYLE, WEIGHTS, precision)
            print([step(), step()])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    exact, rounded = map(json.loads, done.stdout.splitlines())
    content, style = picture(48, 64, 0), 1 - picture(48, 64, 1)
    loss = our_losses(content, style, content)["total"]
    assert exact[0] == pytest.approx(loss, rel=1e-4)
    assert rounded[0] == pytest.approx(loss, rel=0.05)
    plain = KerasPlain(weights(), content, style, CONTENT, STYLE, WEIGHTS)
    assert exact == pytest.approx([float(plain.step()["total"]) for _ in range(2)], rel=1e-2)


# --- contenders and rows ----------------------------------------------------------------------------------------------


class FakeContender:
    """A contender with given times."""

    def __init__(self, kind, network, precision, size):
        self.error = "MemoryError: too large" if (kind, precision) == ("ours", "float32") else None
        self.turn = {"ours": 0.5, "keras": 2.0, "torch": 1.0}[kind]
        self.turns: list[float] = []

    def info(self):
        return {} if self.error else {"flops": 10**9, "weights": "random"}

    def take_turn(self, record=True):
        if record and not self.error:
            self.turns.append(self.turn + 1 - len(self.turns) / 8)

    def finish(self):
        return None if self.error else 2 * 10**9

    def kill(self):
        pass


def rows(torch: bool) -> list[run.Row]:
    given = {"turns": 9, "peaks": {"bfloat16": 8e9}, "torch": torch, "host": "A machine.", "start": FakeContender}
    return list(run.measure("vgg19", run.PRECISIONS, 512, **given))


def test_a_row():
    failed, row = rows(torch=True)
    assert (row.network, row.precision, row.size, row.weights) == ("vgg19", "bfloat16", 512, "random")
    assert (row.seconds_per_step, row.median_seconds_per_step) == (0.5, 1.0)
    assert row.peak_memory_bytes == 2 * 10**9
    assert row.fraction_of_peak == pytest.approx(1e9 / 0.5 / 8e9)
    assert (row.ratio_to_baseline, row.ratio_to_torch) == (4.0, 2.0)
    assert run.cells(row) == ("vgg19", "bfloat16", "512", "0.500", "2.00", "25%", "2.000", "4.0", "1.000", "2.0")
    assert (failed.seconds_per_step, failed.ratio_to_baseline, failed.fraction_of_peak) == (None, None, None)
    assert failed.baseline_seconds_per_step == 2.0
    assert run.cells(failed)[3:6] == ("–", "–", "–")


def test_what_was_not_measured_is_null_and_said():
    _, row = measured = rows(torch=False)
    written = json.loads(json.dumps(asdict(row)))
    assert list(written) == [field.name for field in fields(run.Row)]
    assert (written["torch_seconds_per_step"], written["ratio_to_torch"]) == (None, None)
    words = run.legend(measured, {"bfloat16": 8e9}, 9, torch=False)
    assert "PyTorch is not installed" in words
    assert "weights of vgg19: random." in words
    assert "vgg19 float32 512: ours: MemoryError: too large" in words


def test_a_contender_that_fails_says_why():
    contender = run.Contender(kind="ours", network="compact", precision="float16x", size=64)
    assert contender.info() == {} or contender.error
    contender.take_turn()
    assert contender.finish() is None
    assert contender.turns == []
    assert "float16x" in str(contender.error)


def test_a_real_run_in_json(capfd, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # a run without PyTorch
    arguments = ["--json", "--sizes", "64", "--networks", "compact", "--precisions", "float32", "--turns", "1"]
    assert main(["bench", *arguments]) == 0
    out, err = capfd.readouterr()
    (row,) = map(json.loads, out.splitlines())
    assert err == ""
    assert (row["network"], row["precision"], row["size"], row["error"]) == ("compact", "float32", 64, None)
    assert row["seconds_per_step"] > 0
    assert row["baseline_seconds_per_step"] > 0
    assert row["ratio_to_baseline"] == pytest.approx(row["baseline_seconds_per_step"] / row["seconds_per_step"])
    assert row["fraction_of_peak"] > 0
    assert 1e8 < row["peak_memory_bytes"] < 1e11
    assert row["ratio_to_torch"] is None
    assert re.search(r"cores .*; Python [\d.]+, tensorflow [\d.]+, keras [\d.]+, .*load", row["machine"])


def test_turns_are_taken_until_the_input_ends(monkeypatch, capfd):
    turns = iter((0.5, 0.25))
    fake = types.SimpleNamespace(info={"weights": "random"}, turn=lambda: next(turns))
    monkeypatch.setattr(contenders, "contender", lambda **spec: fake)
    monkeypatch.setattr(sys, "stdin", iter("\n\n"))
    monkeypatch.setattr("os.dup2", lambda *_: None)
    contenders.main('{"kind": "ours"}')
    messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert messages[:3] == [{"weights": "random"}, {"turn": 0.5}, {"turn": 0.25}]
    assert messages[3]["memory"] > 1e7


# --- words ------------------------------------------------------------------------------------------------------------


def test_options():
    options = _parser().parse_args(["bench", "--quick"])
    assert (options.quick, options.json, options.sizes, options.networks) == (True, False, (), ())
    assert options.turns is None
    options = _parser().parse_args(["bench", "--sizes", "128, 96", "--precisions", "bfloat16", "--turns", "7"])
    assert (options.sizes, options.precisions, options.turns) == ((128, 96), ("bfloat16",), 7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "12"], "--sizes: '12' should be whole numbers from 64 to 8192"),
        (["--sizes", "128,large"], "'128,large' should be"),
        (["--networks", "vgg16"], "'vgg16' should be compact or vgg19"),
        (["--precisions", ""], "'' should be float32 or bfloat16"),
        (["--turns", "0"], "'0' should be a whole number from 1 to 100"),
        (["--fast"], "--fast"),
    ],
)
def test_bad_arguments(capsys, arguments, words):
    with pytest.raises(SystemExit) as refused:
        main(["bench", *arguments])
    out, err = capsys.readouterr()
    assert (refused.value.code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_help_and_the_measuring_process_import_nothing_heavy():
    code = """if True:
        import sys
        from nst import machine
        from nst.bench import run
        machine.describe(("tensorflow",)), run.legend([], {}, 4, torch=False)
        print([name for name in ("tensorflow", "keras", "numpy", "torch") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "[]\n"


def test_the_machine_is_described():
    words = machine.describe(("numpy", "no-such-package"))
    assert f"numpy {np.__version__}" in words
    assert words.endswith("no no-such-package")
