"""Train the compact VGG-19: a trunk a sixteenth as costly, whose heads predict a VGG-19's activations.

    python training/distill.py --photos FOLDER --paintings FOLDER --teacher imagenet --run RUN

trains, or goes on with what is in the folder RUN, and leaves there `compact_vgg19.npz`, `report.md` and the checkpoint.
Any Keras backend will do (`KERAS_BACKEND=jax`, `torch`, `tensorflow`).  README.md here tells what was tried.
"""

import argparse
import datetime
import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image, ImageEnhance

from nst import weights

ops: Any = keras.ops  # declared with the types of every backend at once
TAPPED = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block4_conv2", "block5_conv1")
LAYERS = tuple(weights.CONVOLUTIONS)[: tuple(weights.CONVOLUTIONS).index(TAPPED[-1]) + 1]
HELD_OUT = {"photos": 24, "paintings": 8, "half_painted": 8}  # the first of each folder, by name, are never trained on
MARGIN = 16  # pixels around each crop that the networks see and the loss does not, as when painting
FORMAT = 2  # of the file: 1 had no provenance


def stride(layer: str) -> int:
    return 2 ** (int(layer[5]) - 1)


# ------------------------------------------------------------------------------------------------------------ pictures


class Pictures(NamedTuple):
    """The pictures of each kind, sorted by name, and how often each kind is shown."""

    files: dict[str, list[Path]]
    shares: dict[str, float]

    def held_out(self) -> dict[str, list[Path]]:
        return {kind: files[: HELD_OUT[kind]] for kind, files in self.files.items()}

    def training(self) -> dict[str, list[Path]]:
        return {kind: files[HELD_OUT[kind] :] for kind, files in self.files.items()}


def pictures(folders: Mapping[str, Path | None], shares: Iterable[float] = (1, 1, 1)) -> Pictures:
    """The JPEG and PNG pictures in the folders of "photos", "paintings" and, where there are some, "half_painted".

    Raises:
        ValueError: a folder has no more pictures than are held out.
    """
    files = {}
    for kind, folder in folders.items():
        if folder is None:
            continue
        files[kind] = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if len(files[kind]) <= HELD_OUT[kind]:
            raise ValueError(
                f"{kind}: {folder} holds {len(files[kind])} JPEG or PNG pictures; more than {HELD_OUT[kind]} are needed"
            )
    return Pictures(files, dict(zip(folders, shares)))


@functools.lru_cache(maxsize=4096)  # about 0.35 MB each at 288 pixels
def _picture(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def crop(path: Path, side: int, random: np.random.Generator, smallest: float) -> Image.Image:
    """A random square of the picture, between `smallest` and all of its shorter side, as `side` × `side` pixels."""
    image = _picture(path)
    length = min(image.size) * random.uniform(smallest, 1)
    left, top = (random.uniform(0, extent - length) for extent in image.size)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + length, top + length))


def augmented(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """Mirrored, turned, brighter or paler, tinted; one in eight is noisy, as a picture is when painting begins."""
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(random.uniform(0.7, 1.3))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.25:
        image = image.transpose(random.choice([Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270]))
    x = np.asarray(image, np.float32) / 255 * random.uniform(0.9, 1.1, 3).astype(np.float32)
    if random.random() < 0.125:
        ratio = random.uniform(0, 0.6)
        x = (1 - ratio) * x + ratio * random.uniform(0, 1, x.shape).astype(np.float32)
    return np.clip(x, 0, 1)


class Batches(keras.utils.PyDataset):
    """Batches `first` … `first + count` − 1 of the run; what they hold follows from the seed and these numbers alone.

    Each holds about `pixels` pixels: many small crops or a few large ones, by turns.
    """

    def __init__(self, source: Pictures, seed: int, first: int, count: int, sides: tuple[int, ...], pixels: int):
        super().__init__(workers=2, max_queue_size=4)
        self._files = source.training()
        shares = np.array([source.shares[kind] for kind in self._files])
        self._kinds, self._shares = list(self._files), shares / shares.sum()
        self._seed, self._first, self._count, self._pixels = seed, first, count, pixels
        # Keras takes for fixed what the first two batches have in common: they must have different sides.
        smallest, *others = sorted(sides)
        self._sides = [smallest, *reversed(others)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        random = np.random.default_rng([self._seed, self._first + index])
        side = self._sides[index % len(self._sides)]
        crops = []
        for _ in range(max(1, round(self._pixels / side**2))):
            files = self._files[self._kinds[random.choice(len(self._kinds), p=self._shares)]]
            path = files[random.integers(len(files))]
            crops.append(augmented(crop(path, side + 2 * MARGIN, random, 0.4), random))
        return (np.stack(crops),)


def fixed_crops(files: Iterable[Path], side: int = 144) -> Iterable[np.ndarray]:
    """One crop of each picture, always the same, float32 (8, side + 2 MARGIN, side + 2 MARGIN, 3) at a time."""
    random = np.random.default_rng(0)
    crops = [np.asarray(crop(path, side + 2 * MARGIN, random, 0.45), np.float32) / 255 for path in files]
    return (np.stack(crops[first : first + 8]) for first in range(0, len(crops), 8))


# ------------------------------------------------------------------------------------------------------------ networks


class Trunk(keras.layers.Layer):
    """The convolutions of a teacher, frozen: float32 (B, H, W, 3) RGB in [0, 1] -> {layer: (B, h, w, C)}.

    Args:
        source: the parameters, with a (1, 1, in, out) head where the layer is seen through one.
        taps: the layers to return, after their ReLU.
        padding: "zeros" or "reflect", by one pixel.
    """

    def __init__(self, source: weights.Weights, taps: tuple[str, ...], padding: str):
        super().__init__(trainable=False, autocast=False)
        self._source, self._taps, self._padding = source, taps, padding
        self._arrays = {}
        for key, value in source.parameters.items():
            if key.startswith(LAYERS):
                self._arrays[key] = self.add_weight(shape=value.shape, name=key, trainable=False)
                self._arrays[key].assign(value)

    def call(self, image: Any) -> dict[str, Any]:
        x = ops.cast((image - ops.array(self._source.mean, image.dtype)) * self._source.scale, self.compute_dtype)
        seen = {}
        for layer in LAYERS:
            if layer.endswith("conv1") and stride(layer) > 1:
                x = ops.max_pool(x, 2, 2)
            if self._padding == "reflect":
                x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
            x = self._convolve(x, layer)
            if layer in self._taps:
                headed = f"{layer}_head_kernel" in self._source.parameters
                seen[layer] = self._convolve(x, f"{layer}_head") if headed else x
            if layer == self._taps[-1]:
                break
        return seen

    def _convolve(self, x: Any, name: str) -> Any:
        kernel, bias = (ops.cast(self._arrays[f"{name}_{part}"], x.dtype) for part in ("kernel", "bias"))
        return ops.relu(ops.conv(x, kernel, padding="same" if self._padding == "zeros" else "valid") + bias)


def teachers(source: str) -> tuple[list[Trunk], str]:
    """What the student learns from, and whose it is.

    Args:
        source: "imagenet", for Keras' VGG-19; or a folder with `vgg19_conv1_1_to_conv3_1.npz`, genuine VGG-19, and
            `vgg19_16x_distilled.npz`, a published small one (Wang et al., CVPR 2020) for what is deeper.
    """
    if source == "imagenet":
        rights = "VGG-19 (Simonyan and Zisserman 2015), ImageNet weights as Keras distributes them, CC BY 4.0"
        return [Trunk(weights.imagenet(), TAPPED, "zeros")], rights
    genuine = weights.read(Path(source) / "vgg19_conv1_1_to_conv3_1.npz")
    rights = (
        "block1 to block3_conv1: VGG-19 (Simonyan and Zisserman 2015), CC BY 4.0; "
        "block4 and block5: VGG-19 distilled sixteen-fold (Wang et al., CVPR 2020), MIT"
    )
    distilled = _collaborative_distillation(Path(source) / "vgg19_16x_distilled.npz")
    return [Trunk(genuine, TAPPED[:3], "zeros"), Trunk(distilled, TAPPED[3:], "reflect")], rights


def _collaborative_distillation(path: Path) -> weights.Weights:
    """That file's names in ours; its first convolution, of one pixel, is folded into the next."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    parameters = {}
    for layer in LAYERS:
        name = f"conv{layer[5]}_{layer[-1]}"
        for ours, theirs in ((layer, name), (f"{layer}_head", f"{name}_aux")):
            if f"{theirs}_W" in arrays and ours != "block4_conv2_head":
                parameters[f"{ours}_kernel"] = arrays[f"{theirs}_W"]
                parameters[f"{ours}_bias"] = arrays[f"{theirs}_b"]
    mix, shift = arrays["conv0_W"][0, 0], arrays["conv0_b"]
    first = parameters["block1_conv1_kernel"]
    parameters["block1_conv1_bias"] = parameters["block1_conv1_bias"] + np.einsum("hwio,i->o", first, shift)
    parameters["block1_conv1_kernel"] = np.einsum("ci,hwio->hwco", mix, first)
    return weights.Weights(parameters, (0, 0, 0), 1.0)


class Convolution(keras.layers.Layer):
    """A convolution and its ReLU, its kernel kept as a (side² · in, out) matrix: what Muon wants."""

    def __init__(self, side: int, filters: int, name: str):
        super().__init__(name=name)
        self._side, self._filters = side, filters

    def build(self, shape: tuple[int | None, ...]) -> None:
        rows = self._side**2 * int(shape[-1] or 0)
        self.kernel = self.add_weight(shape=(rows, self._filters), initializer="he_normal", name="kernel")
        self.bias = self.add_weight(shape=(self._filters,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        kernel = ops.reshape(self.kernel, (self._side, self._side, -1, self._filters))
        return ops.relu(ops.conv(x, kernel, padding="same") + self.bias)


class Student(keras.Model):
    """The network being trained, and what it is compared with.

    `student(image)` with an image float32 (B, H, W, 3) in [0, 1] gives {layer: (B, h, w, C)} without the margin.

    Args:
        widths: filters in each of the five blocks of the trunk.
        pooling: "average" or "max".
        teachers: what to imitate; the heads have as many channels as they.
        covariance_weight: of the covariances' error, beside the activations'.
    """

    def __init__(self, widths: tuple[int, ...], pooling: str, teachers: list[Trunk], covariance_weight: float):
        super().__init__(name="student", autocast=False)
        self._pool = ops.max_pool if pooling == "max" else ops.average_pool
        self._teachers, self._covariance_weight = teachers, covariance_weight
        channels = {layer: x.shape[-1] for layer, x in self._taught(np.zeros((1, 64, 64, 3), np.float32)).items()}
        self._trunk = {layer: Convolution(3, widths[int(layer[5]) - 1], layer) for layer in LAYERS}
        self._heads = {layer: Convolution(1, channels[layer], f"{layer}_head") for layer in TAPPED}
        # Each of the teachers' filters is scaled to a mean of one; their variance is then the measure of an error.
        self._scale = {layer: self._constant(channels[layer], f"{layer}_scale") for layer in TAPPED}
        self._variance = {layer: self._constant(channels[layer], f"{layer}_variance") for layer in TAPPED}

    def _constant(self, size: int, name: str) -> Any:
        return self.add_weight(shape=(size,), initializer="ones", name=name, trainable=False)

    def call(self, image: Any, training: bool = False) -> dict[str, Any]:
        x = ops.cast((image - ops.array(weights.COMPACT_MEAN, image.dtype)) * weights.COMPACT_SCALE, self.compute_dtype)
        seen, spoiled = {}, 0
        for layer in LAYERS:
            if layer.endswith("conv1") and stride(layer) > 1:
                x, spoiled = self._pool(x, 2, 2), (spoiled + 1) // 2
            if layer == "block3_conv1" or spoiled >= MARGIN // stride(layer):  # when `nst.features` does
                x, spoiled = _renewed(x, MARGIN // stride(layer)), 0
            x, spoiled = self._trunk[layer](x), spoiled + 1
            if layer in TAPPED:
                seen[layer] = self._heads[layer](_inside(x, layer, training))
        return seen

    def targets(self, image: Any, training: bool = False) -> dict[str, Any]:
        """What the heads should give: the teachers' activations, each filter's mean over the training pictures one."""
        return {layer: x * ops.cast(self._scale[layer], x.dtype) for layer, x in self._taught(image, training).items()}

    def _taught(self, image: Any, training: bool = False) -> dict[str, Any]:
        seen = {layer: x for teacher in self._teachers for layer, x in teacher(image).items()}
        return {layer: _inside(ops.stop_gradient(x), layer, training) for layer, x in seen.items()}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over the filters of the squared error by the variance, and the covariances' error, over all layers."""
        targets, total = self.targets(x, training), 0.0
        for layer in TAPPED:
            ours, theirs = ops.cast(y_pred[layer], "float32"), ops.cast(targets[layer], "float32")
            error = ops.mean(ops.square(ours - theirs), axis=(0, 1, 2))
            total += ops.mean(error / self._variance[layer])
            if self._covariance_weight:
                total += self._covariance_weight * ops.mean(covariance_error(y_pred[layer], targets[layer]))
        return total

    def calibrate(self, batches: Iterable[np.ndarray]) -> None:
        """Measure the scale and variance of the teachers' filters on these pictures."""
        count = 0
        sums: dict[str, Any] = dict.fromkeys(TAPPED, 0)
        squares: dict[str, Any] = dict.fromkeys(TAPPED, 0)
        for batch in batches:
            for layer, x in self._taught(batch).items():
                rows = ops.convert_to_numpy(ops.cast(x, "float32")).astype(np.float64)
                sums[layer] += rows.mean(axis=(0, 1, 2))
                squares[layer] += np.square(rows).mean(axis=(0, 1, 2))
            count += 1
        for layer in TAPPED:
            mean, square = sums[layer] / count, squares[layer] / count
            scale = 1 / np.maximum(mean, 0.01 * mean.mean())  # a filter that hardly ever fires stays small
            self._scale[layer].assign(scale)
            self._variance[layer].assign(np.maximum((square - mean**2) * scale**2, 0.01))

    def load(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Begin from a file's parameters; a narrower file's fill the first channels of each kernel."""
        for name, convolution in self._convolutions().items():
            kernel, bias = (np.array(ops.convert_to_numpy(v)) for v in (convolution.kernel, convolution.bias))
            theirs = parameters[f"{name}_kernel"]
            side, _, channels, filters = theirs.shape
            kernel = kernel.reshape(side, side, -1, kernel.shape[-1])
            kernel[..., channels:, :filters] = 0  # new filters do not disturb what the old ones have learned
            kernel[..., :channels, :filters] = theirs
            bias[:filters] = parameters[f"{name}_bias"]
            convolution.kernel.assign(kernel.reshape(convolution.kernel.shape))
            convolution.bias.assign(bias)

    def exported(self) -> dict[str, np.ndarray]:
        """The trained network as the package reads it: float16 kernels (h, w, in, out) and biases by name.

        They are rounded to bfloat16 before, so that the network is the same one in every precision.
        """
        arrays = {}
        for name, convolution in self._convolutions().items():
            side = 1 if name.endswith("head") else 3
            kernel = ops.reshape(convolution.kernel, (side, side, -1, convolution.kernel.shape[-1]))
            for part, value in (("kernel", kernel), ("bias", convolution.bias)):
                rounded = ops.cast(ops.cast(value, "bfloat16"), "float32")
                arrays[f"{name}_{part}"] = ops.convert_to_numpy(rounded).astype(np.float16)
        return arrays

    def _convolutions(self) -> dict[str, Convolution]:
        return {layer.name: layer for layer in (*self._trunk.values(), *self._heads.values())}


def _renewed(x: Any, margin: int) -> Any:
    """(B, H, W, C), its margin, which zeros have reached, replaced by the mirror image of the rest."""
    batch, height, width, channels = ops.shape(x)
    size = batch, height - 2 * margin, width - 2 * margin, channels
    around = margin, margin
    return ops.pad(ops.slice(x, (0, margin, margin, 0), size), ((0, 0), around, around, (0, 0)), "symmetric")


def _inside(x: Any, layer: str, training: bool) -> Any:
    """Without the margin; when training, of blocks 1 and 2 the middle quarter and half of the rows and columns."""
    batch, height, width, channels = ops.shape(x)
    margin = MARGIN // stride(layer)
    if training:
        margin += (height - 2 * margin) * max(0, 4 - stride(layer)) // 8  # of the shallow layers there is plenty
    # Not x[:, margin:-margin]: on the CPU TensorFlow takes ten times as long for that one's gradient.
    return ops.slice(x, (0, margin, margin, 0), (batch, height - 2 * margin, width - 2 * margin, channels))


def covariance_error(ours: Any, theirs: Any) -> Any:
    """‖Σ − Σₜ‖² / ‖Σₜ‖² of the covariances over positions; activations (B, h, w, C) -> float32 (B,)."""
    ours, theirs = _covariance(ours), _covariance(theirs)
    error = ops.sum(ops.square(ours - theirs), axis=(1, 2))
    return error / (ops.sum(ops.square(theirs), axis=(1, 2)) + 1e-6)


def _covariance(x: Any) -> Any:
    batch, height, width, channels = ops.shape(x)
    rows = ops.reshape(x, (batch, height * width, channels))
    rows = rows - ops.mean(rows, axis=1, keepdims=True)
    product = ops.matmul(ops.transpose(rows, (0, 2, 1)), rows)
    return ops.cast(product, "float32") / ops.cast(height * width, "float32")


def evaluate(student: Student, batches: Iterable[np.ndarray]) -> dict[str, tuple[float, float]]:
    """For each layer (1 − R², relative squared error of the covariance) on held-out pictures.

    1 − R² is a filter's squared error by its variance, both over all the pictures, averaged over the filters; one that
    never fires (50 of the distilled teacher's 128 at block4_conv2) counts as 0.
    """
    count = 0
    totals: dict[str, list[Any]] = {layer: [0] * 4 for layer in TAPPED}  # Σ error, Σ x, Σ x², Σ covariance error
    for batch in batches:
        seen, targets = student(batch), student.targets(batch)
        for layer in TAPPED:
            ours, theirs = (ops.cast(x[layer], "float32") for x in (seen, targets))
            rows = (ops.square(ours - theirs), theirs, ops.square(theirs))
            means = [ops.convert_to_numpy(ops.mean(x, axis=(1, 2))).astype(np.float64).sum(axis=0) for x in rows]
            means.append(float(ops.sum(covariance_error(ours, theirs))))
            totals[layer] = [total + value for total, value in zip(totals[layer], means)]
        count += len(batch)
    figures = {}
    for layer, (error, mean, square, covariance) in totals.items():
        variance = square / count - (mean / count) ** 2
        unexplained = np.where(variance > 1e-6, error / count / np.maximum(variance, 1e-6), 0)
        figures[layer] = float(np.mean(unexplained)), covariance / count
    return figures


# ------------------------------------------------------------------------------------------------------------ training


def save(path: Path, student: Student, provenance: Mapping[str, Any]) -> None:
    """The network as NumPy arrays, without pickle, with where it comes from as JSON in the array `provenance`."""
    text = json.dumps({"format": FORMAT, **provenance}, ensure_ascii=False, indent=1)
    arrays: dict[str, Any] = student.exported() | {"provenance": np.array(text)}
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    os.replace(partial, path)


def table(figures: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """Markdown: 1 − R² and covariance error by layer, a row for each kind of held-out picture."""
    lines = ["| held out | figure | " + " | ".join(TAPPED) + " |", "|---" * (len(TAPPED) + 2) + "|"]
    for kind, layers in figures.items():
        for index, figure in enumerate(("1 − R²", "covariance")):
            values = " | ".join(f"{layers[layer][index]:.3f}" for layer in TAPPED)
            lines.append(f"| {kind} | {figure} | {values} |")
    return "\n".join(lines)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the compact VGG-19.", allow_abbrev=False)
    add = parser.add_argument
    add("--photos", type=Path, required=True, help="folder of photos, JPEG or PNG")
    add("--paintings", type=Path, required=True, help="folder of paintings")
    add("--half-painted", type=Path, help="folder of pictures that training/half_painted.py made")
    add("--shares", type=float, nargs=3, default=(50, 40, 10), help="crops in a hundred from each of the three")
    add("--teacher", default="imagenet", help="imagenet, or the folder with the two teachers' files")
    add("--run", type=Path, required=True, help="folder for checkpoint, network and report; goes on where it stopped")
    add("--start", type=Path, help="begin with this network's parameters instead of random ones")
    add("--widths", type=int, nargs=5, default=(16, 32, 64, 128, 128), help="filters in each block of the trunk")
    add("--pooling", choices=("average", "max"), default="average", help="of the student; the teacher's is max")
    add("--covariance-weight", type=float, default=0.5, help="of the covariances' error beside the activations'")
    add(
        "--sides",
        type=int,
        nargs="+",
        default=(144, 144, 256),
        help="of the crops, by turns, in pixels: multiples of 16",
    )
    add("--batch-pixels", type=int, default=12 * 144**2, help="pixels in a batch")
    add("--steps", type=int, default=8000, help="optimizer steps of the whole run")
    add("--learning-rate", type=float, default=3e-3, help="the peak; falls to 0 by a cosine")
    add("--optimizer", choices=("adam", "muon"), default="muon", help="Muon learns more in as many steps")
    add("--averaging", type=float, default=0.998, help="decay of the average of the weights, which is what is saved")
    add("--checkpoint-steps", type=int, default=500, help="steps between checkpoints")
    add("--precision", choices=("float32", "mixed_bfloat16"), default="mixed_bfloat16")
    add("--seed", type=int, default=0)
    return parser.parse_args(argv)


def optimizer(options: argparse.Namespace) -> keras.optimizers.Optimizer:
    warmup = min(100, options.steps // 10)
    rate: Any = keras.optimizers.schedules.CosineDecay(
        0.0, options.steps - warmup, alpha=0.0, warmup_target=options.learning_rate, warmup_steps=warmup
    )
    common: dict[str, Any] = {"clipnorm": 1.0, "use_ema": True, "ema_momentum": options.averaging}
    if options.optimizer == "muon":
        return keras.optimizers.Muon(rate, adam_beta_2=0.99, weight_decay=0.0, adam_weight_decay=0.0, **common)
    return keras.optimizers.Adam(rate, beta_2=0.99, **common)


def _check_same(options: argparse.Namespace) -> None:
    """A run that goes on must go on as it began."""
    ours = {name: str(value) for name, value in vars(options).items() if name != "run"}
    file = options.run / "options.json"
    began = json.loads(file.read_text()) if file.exists() else ours
    if changed := ", ".join(name for name in ours if ours[name] != began.get(name)):
        raise SystemExit(f"{options.run} was begun with another {changed}; name another folder with --run.")
    file.write_text(json.dumps(ours, indent=1))


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    # Of files and folders only the names: where they lay is nobody's business.
    words = [re.sub(r"(^|=)[^=]*/", r"\1", word) for word in (sys.argv[1:] if argv is None else argv)]
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision)
    folders = {"photos": options.photos, "paintings": options.paintings, "half_painted": options.half_painted}
    source = pictures(folders, options.shares)
    trunks, rights = teachers(options.teacher)

    student = Student(tuple(options.widths), options.pooling, trunks, options.covariance_weight)
    student(np.zeros((1, 64, 64, 3), np.float32))
    descent = optimizer(options)
    descent.build(student.trainable_variables)
    student.compile(descent)

    def batches(first: int, count: int) -> Batches:
        return Batches(source, options.seed, first, count, tuple(options.sides), options.batch_pixels)

    options.run.mkdir(parents=True, exist_ok=True)
    _check_same(options)
    checkpoint = options.run / "checkpoint.weights.h5"
    if checkpoint.exists():
        student.load_weights(checkpoint)
    else:
        some = [path for files in source.training().values() for path in files[:100]]
        student.calibrate(fixed_crops(some))
        if options.start:
            student.load(weights.compact(options.start).parameters)

    while (done := int(descent.iterations)) < options.steps:
        count = min(options.checkpoint_steps, options.steps - done)
        print(f"steps {done + 1} to {done + count} of {options.steps}")
        history = student.fit(batches(done, count), shuffle=False)
        partial = options.run / "partial.weights.h5"
        student.save_weights(partial)
        os.replace(partial, checkpoint)
        descent.finalize_variable_values(student.trainable_variables)  # the averaged weights
        figures = {kind: evaluate(student, fixed_crops(files)) for kind, files in source.held_out().items()}
        pooled = [path for kind in ("photos", "paintings") for path in source.held_out()[kind]]
        figures = {"photos and paintings": evaluate(student, fixed_crops(pooled)), **figures}
        provenance = {
            "made": datetime.date.today().isoformat(),
            "command": shlex.join(["python", "training/distill.py", *words]),
            "start": options.start.name if options.start else "random numbers",
            "teachers": rights,
            "pictures": {kind: len(files) for kind, files in source.training().items()},
            "steps": done + count,
            "training_loss": history.history["loss"][-1],
            "held_out": figures,
        }
        save(options.run / "compact_vgg19.npz", student, provenance)
        report = f"{provenance['command']}\n\nStep {done + count} of {options.steps}\n\n{table(figures)}\n"
        (options.run / "report.md").write_text(report)
        print(report)
        student.load_weights(checkpoint)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # pictures or weights that are not there or not what they should be
        sys.exit(str(error))
