"""Train the compact network: a trunk an eighth as costly as VGG-19's, whose heads predict a VGG's activations.

    python training/distill.py --photos FOLDER --paintings FOLDER --teacher imagenet --run RUN

trains, or goes on with what is in the folder RUN, and leaves there `compact.npz`, `report.md` and the checkpoint.
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
from collections.abc import Callable, Iterable, Mapping
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
    """What the run sees at its steps `first` … `first + count` − 1; it follows from the seed and these numbers alone.

    Pictures and what `teach` makes of them, {layer: (B, h, w, C)}.  A batch holds about `pixels` pixels, many small
    crops or a few large ones by turns, and comes `repeats` times, with many others between: `teach` is called once.
    """

    def __init__(
        self,
        source: Pictures,
        teach: Callable[[np.ndarray], dict[str, np.ndarray]],
        seed: int,
        first: int,
        count: int,
        sides: tuple[int, ...],
        pixels: int,
        repeats: int = 1,
    ):
        super().__init__(workers=1, max_queue_size=4)
        self._files = source.training()
        shares = np.array([source.shares[kind] for kind in self._files])
        self._kinds, self._shares = list(self._files), shares / shares.sum()
        self._teach, self._seed, self._first, self._count, self._pixels = teach, seed, first, count, pixels
        # Keras takes for fixed what the first two batches have in common: they must have different sides.
        smallest, *others = sorted(sides)
        self._sides = [smallest, *reversed(others)]
        self._loop, self._repeats = 40 * len(sides), repeats
        self._kept: dict[int, tuple[np.ndarray, dict[str, np.ndarray]]] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        loop, place = divmod(self._first + index, self._loop * self._repeats)
        number = loop * self._loop + place % self._loop
        if number not in self._kept:
            self._kept = {key: kept for key, kept in self._kept.items() if key >= loop * self._loop}
            pictures = self.pictures(number)
            self._kept[number] = pictures, self._teach(pictures)
        return self._kept[number]

    def pictures(self, number: int) -> np.ndarray:
        """The batch of this number, float32 (B, H, W, 3) in [0, 1]."""
        random = np.random.default_rng([self._seed, number])
        side = self._sides[number % len(self._sides)]
        crops = []
        for _ in range(max(1, round(self._pixels / side**2))):
            files = self._files[self._kinds[random.choice(len(self._kinds), p=self._shares)]]
            path = files[random.integers(len(files))]
            crops.append(augmented(crop(path, side + 2 * MARGIN, random, 0.4), random))
        return np.stack(crops)


def fixed_crops(files: Iterable[Path], side: int = 144) -> Iterable[np.ndarray]:
    """One crop of each picture, always the same, float32 (8, side + 2 MARGIN, side + 2 MARGIN, 3) at a time."""
    random = np.random.default_rng(0)
    crops = [np.asarray(crop(path, side + 2 * MARGIN, random, 0.45), np.float32) / 255 for path in files]
    return (np.stack(crops[first : first + 8]) for first in range(0, len(crops), 8))


# ------------------------------------------------------------------------------------------------------------ networks


class Teacher(keras.Model):
    """The convolutions of a VGG, frozen: `teacher(image)` gives what a student is to predict, as the student gives it.

    Attributes:
        scale: of each layer, by which its activations are multiplied; from `measure`, as `variance` is.
        variance: of each layer's filters, after that, on average.
    """

    def __init__(self, source: weights.Weights, pooling: str):
        super().__init__(trainable=False, name="teacher", autocast=False)
        self._source, self._pool = source, _pooling(pooling)
        self._down = weights.down_to(source.parameters, TAPPED)
        self._arrays = {}
        for layer in self._down:
            for name in (f"{layer}_kernel", f"{layer}_bias"):
                value = source.parameters[name]
                self._arrays[name] = self.add_weight(shape=value.shape, name=name, trainable=False)
                self._arrays[name].assign(value)
        constant = {"shape": (), "initializer": "ones", "trainable": False}
        self.scale = {layer: self.add_weight(name=f"{layer}_scale", **constant) for layer in TAPPED}
        self.variance: dict[str, float] = dict.fromkeys(TAPPED, 1.0)

    def call(self, image: Any) -> dict[str, Any]:
        x = ops.cast((image - ops.array(self._source.mean, image.dtype)) * self._source.scale, self.compute_dtype)
        seen = {}
        for layer in self._down:
            if layer.endswith("conv1") and stride(layer) > 1:
                x = self._pool(x, 2, 2)
            kernel, bias = (ops.cast(self._arrays[f"{layer}_{part}"], x.dtype) for part in ("kernel", "bias"))
            x = ops.relu(ops.conv(x, kernel, padding="same") + bias)
            if layer in TAPPED:
                seen[layer] = ops.cast(self.scale[layer], x.dtype) * _inside(x, layer)
        return seen

    def measure(self, batches: Iterable[np.ndarray]) -> None:
        """Scale each layer to a mean of one over these pictures, and measure its variance."""
        moments: dict[str, list[np.ndarray]] = {layer: [] for layer in TAPPED}  # of each filter, by batches
        for batch in batches:
            for layer, x in self.predict_on_batch(batch).items():
                rows = np.asarray(x, np.float64)
                moments[layer].append(np.stack([rows.mean(axis=(0, 1, 2)), np.square(rows).mean(axis=(0, 1, 2))]))
        for layer in TAPPED:
            mean, square = np.mean(moments[layer], axis=0)
            self.scale[layer].assign(self.scale[layer] / mean.mean())
            self.variance[layer] = np.mean(square - mean**2) / mean.mean() ** 2

    def teach(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """What a student in training is to predict, float16: it is kept for many pictures."""
        seen = {}
        for layer, x in self.predict_on_batch(pictures).items():
            cut = _aside(x.shape[1], layer)
            seen[layer] = np.float16(x[:, cut : x.shape[1] - cut, cut : x.shape[2] - cut])
        return seen


def _pooling(kind: str) -> Any:
    return ops.max_pool if kind == "max" else ops.average_pool


def genuine(source: str) -> tuple[weights.Weights, str]:
    """What the student learns from, and whose it is.

    Args:
        source: "imagenet", for Keras' VGG-19; or a file with the weights of a VGG, as `nst.weights.read` takes it.
    """
    made = weights.imagenet() if source == "imagenet" else weights.read(source)
    return made, f"{made.architecture()} (Simonyan and Zisserman 2015), ImageNet weights, CC BY 4.0"


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
    """The network being trained.

    `student(image)` with an image float32 (B, H, W, 3) in [0, 1] gives {layer: (B, h, w, C)} without the margin.

    Args:
        widths: filters in each of the five blocks of the trunk.
        pooling: "average" or "max".
        channels: of each tapped layer's head.
        variance: of the filters that each is to predict.
        covariance_weight: of the covariances' error, beside the activations'.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        pooling: str,
        channels: Mapping[str, int],
        variance: Mapping[str, float],
        covariance_weight: float,
    ):
        super().__init__(name="student", autocast=False)
        self._pool = _pooling(pooling)
        self._variance, self._covariance_weight = dict(variance), covariance_weight
        self._trunk = {layer: Convolution(3, widths[int(layer[5]) - 1], layer) for layer in LAYERS}
        self._heads = {layer: Convolution(1, channels[layer], f"{layer}_head") for layer in TAPPED}

    def call(self, image: Any, training: bool = False) -> dict[str, Any]:
        return {layer: self._heads[layer](x) for layer, x in self._below_heads(image, training).items()}

    def _below_heads(self, image: Any, training: bool) -> dict[str, Any]:
        x = ops.cast((image - ops.array(weights.COMPACT_MEAN, image.dtype)) * weights.COMPACT_SCALE, self.compute_dtype)
        seen, spoiled = {}, 0
        for layer in LAYERS:
            if layer.endswith("conv1") and stride(layer) > 1:
                x, spoiled = self._pool(x, 2, 2), (spoiled + 1) // 2
            if layer == "block3_conv1" or spoiled >= MARGIN // stride(layer):  # when `nst.features` does
                x, spoiled = _renewed(x, MARGIN // stride(layer)), 0
            x, spoiled = self._trunk[layer](x), spoiled + 1
            if layer in TAPPED:
                seen[layer] = _inside(x, layer, training)
        return seen

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Squared error by the variance, and the covariances' error, over all layers."""
        total = 0.0
        for layer in TAPPED:
            ours, theirs = ops.cast(y_pred[layer], "float32"), ops.cast(y[layer], "float32")
            total += ops.mean(ops.square(ours - theirs)) / self._variance[layer]
            if self._covariance_weight:
                theirs = ops.cast(theirs, y_pred[layer].dtype)
                total += self._covariance_weight * ops.mean(covariance_error(y_pred[layer], theirs))
        return total

    def fit_heads(self, batches: Iterable[tuple[np.ndarray, dict[str, np.ndarray]]]) -> None:
        """Heads that predict the targets best from the trunk as it is, by least squares: another teacher's will not."""
        sums: dict[str, Any] = dict.fromkeys(TAPPED, 0)  # of the products of each position's [x, 1] with [x, 1, target]
        for pictures, targets in batches:
            for layer, x in self._below_heads(pictures, training=True).items():
                x = ops.convert_to_numpy(ops.cast(x, "float32")).reshape(-1, x.shape[-1])
                known = np.hstack([x, np.ones_like(x[:, :1])])
                wanted = targets[layer].reshape(len(x), -1).astype(np.float32)
                sums[layer] += (known.T @ np.hstack([known, wanted])).astype(np.float64) / len(x)
        for layer, total in sums.items():
            square, product = np.split(total, [len(total)], axis=1)
            ridge = 1e-4 * np.trace(square) / len(square) * np.eye(len(square))
            *kernel, bias = np.linalg.solve(square + ridge, product)
            self._heads[layer].kernel.assign(np.stack(kernel))
            self._heads[layer].bias.assign(bias)

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


def _aside(height: int, layer: str) -> int:
    """Rows at each end that training leaves aside: of the shallow layers' many it takes the middle quarter and half."""
    return height * max(0, 4 - stride(layer)) // 8


def _inside(x: Any, layer: str, training: bool = False) -> Any:
    """Without the margin, and what training leaves aside."""
    batch, height, width, channels = ops.shape(x)
    margin = MARGIN // stride(layer)
    if training:
        margin += _aside(height - 2 * margin, layer)
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


def evaluate(student: Student, teacher: Teacher, batches: Iterable[np.ndarray]) -> dict[str, tuple[float, float]]:
    """For each layer (1 − R², relative squared error of the covariance) on held-out pictures.

    1 − R² is the filters' squared error by their variance, both summed over all filters and pictures: those that vary
    most count most, as they do in the losses of a painting.
    """
    count = 0
    totals: dict[str, list[Any]] = {layer: [0] * 4 for layer in TAPPED}  # Σ error, Σ x, Σ x², Σ covariance error
    for batch in batches:
        seen, targets = student(batch), teacher.predict_on_batch(batch)
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
        figures[layer] = float(np.sum(error / count) / np.sum(variance)), covariance / count
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
    parser = argparse.ArgumentParser(description="Train the compact network.", allow_abbrev=False)
    add = parser.add_argument
    add("--photos", type=Path, required=True, help="folder of photos, JPEG or PNG")
    add("--paintings", type=Path, required=True, help="folder of paintings")
    add("--half-painted", type=Path, help="folder of pictures that training/half_painted.py made")
    add("--shares", type=float, nargs=3, default=(50, 40, 10), help="crops in a hundred from each of the three")
    add("--teacher", default="imagenet", help="imagenet, or a file with a VGG's weights")
    add("--teacher-pooling", choices=("average", "max"), default="average", help="as the teacher would paint")
    add("--run", type=Path, required=True, help="folder for checkpoint, network and report; goes on where it stopped")
    add("--start", type=Path, help="begin with this network's parameters instead of random ones")
    add("--fit-heads", action="store_true", help="and with heads for this teacher, which had another")
    add("--widths", type=int, nargs=5, default=(16, 32, 64, 128, 128), help="filters in each block of the trunk")
    add("--pooling", choices=("average", "max"), default="average", help="of the student")
    add("--covariance-weight", type=float, default=0.5, help="of the covariances' error beside the activations'")
    add(
        "--sides",
        type=int,
        nargs="+",
        default=(144, 144, 256),
        help="of the crops, by turns, in pixels: multiples of 16",
    )
    add("--batch-pixels", type=int, default=12 * 144**2, help="pixels in a batch")
    add("--repeats", type=int, default=1, help="how often a batch is used: more where the teacher takes long")
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
    learned, rights = genuine(options.teacher)
    teacher = Teacher(learned, options.teacher_pooling)
    teacher.measure(fixed_crops(path for files in source.training().values() for path in files[:100]))
    channels = {layer: len(learned.parameters[f"{layer}_bias"]) for layer in TAPPED}
    widths, sides = tuple(options.widths), tuple(options.sides)
    student = Student(widths, options.pooling, channels, teacher.variance, options.covariance_weight)
    student(np.zeros((1, 64, 64, 3), np.float32))
    descent = optimizer(options)
    descent.build(student.trainable_variables)
    student.compile(descent)

    def batches(first: int, count: int) -> Batches:
        given = options.seed, first, count, sides, options.batch_pixels, options.repeats
        return Batches(source, teacher.teach, *given)

    options.run.mkdir(parents=True, exist_ok=True)
    _check_same(options)
    checkpoint = options.run / "checkpoint.weights.h5"
    if checkpoint.exists():
        student.load_weights(checkpoint)
    elif options.start:
        student.load(weights.compact(options.start).parameters)
        if options.fit_heads:
            some = batches(0, 30)
            student.fit_heads(some[number] for number in range(len(some)))

    every = -(-options.checkpoint_steps // len(sides)) * len(sides)  # so that each part begins with the same side
    while (done := int(descent.iterations)) < options.steps:
        count = min(every, options.steps - done)
        print(f"steps {done + 1} to {done + count} of {options.steps}")
        history = student.fit(batches(done, count), shuffle=False)
        partial = options.run / "partial.weights.h5"
        student.save_weights(partial)
        os.replace(partial, checkpoint)
        descent.finalize_variable_values(student.trainable_variables)  # the averaged weights
        figures = {kind: evaluate(student, teacher, fixed_crops(files)) for kind, files in source.held_out().items()}
        provenance = {
            "made": datetime.date.today().isoformat(),
            "command": shlex.join(["python", "training/distill.py", *words]),
            "start": options.start.name if options.start else "random numbers",
            "teacher": rights,
            "pictures": {kind: len(files) for kind, files in source.training().items()},
            "steps": done + count,
            "training_loss": history.history["loss"][-1],
            "held_out": figures,
        }
        save(options.run / "compact.npz", student, provenance)
        report = f"{provenance['command']}\n\nStep {done + count} of {options.steps}\n\n{table(figures)}\n"
        (options.run / "report.md").write_text(report)
        print(report)
        student.load_weights(checkpoint)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # pictures or weights that are not there or not what they should be
        sys.exit(str(error))
