"""Train the compact network: a VGG with narrow first blocks and low-rank others, at a fifth of VGG-19's cost.

    python training/distill.py --photos FOLDER --paintings FOLDER --teacher imagenet --run RUN

Trains, or resumes the run in the folder RUN, and writes `compact.npz`, `report.md` and the checkpoint there.  Works on
any Keras backend (`KERAS_BACKEND=jax`, `torch`, `tensorflow`).  README.md in this folder says what was tried.
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
NARROW_BLOCKS = 2  # their layers have few filters, and heads; later layers have the teacher's filters, at low rank
HELD_OUT = {"photos": 24, "paintings": 8, "half_painted": 8}  # the first of each folder, by name: never trained on
MARGIN = 16  # pixels around each crop that the networks see and the loss ignores, as when painting
FORMAT = 2  # of the file; format 1 had no provenance


def block(layer: str) -> int:
    return int(layer[5])


def stride(layer: str) -> int:
    return 2 ** (block(layer) - 1)


# ------------------------------------------------------------------------------------------------------------ pictures


class Pictures(NamedTuple):
    """The picture files of each kind, sorted by name, and each kind's share of the crops."""

    files: dict[str, list[Path]]
    shares: dict[str, float]

    def held_out(self) -> dict[str, list[Path]]:
        return {kind: files[: HELD_OUT[kind]] for kind, files in self.files.items()}

    def training(self) -> dict[str, list[Path]]:
        return {kind: files[HELD_OUT[kind] :] for kind, files in self.files.items()}


def pictures(folders: Mapping[str, Path | None], shares: Iterable[float] = (1, 1, 1)) -> Pictures:
    """Find the JPEG and PNG files in the folders of "photos", "paintings" and optionally "half_painted".

    Raises:
        ValueError: a folder has no pictures beyond those held out.
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
    """A random square, `smallest` to 1 times the picture's shorter side, resized to `side` × `side` pixels."""
    image = _picture(path)
    length = min(image.size) * random.uniform(smallest, 1)
    left, top = (random.uniform(0, extent - length) for extent in image.size)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + length, top + length))


def augmented(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """Flip, rotate, tint, vary brightness, contrast and saturation; noise on one in eight, as when painting begins."""
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
    """The batches of steps `first` … `first + count` − 1 of the run, determined by the seed and these numbers alone.

    A batch is crops and the targets that `teach` computes from them, {layer: (B, h, w, C)}.  It holds about `pixels`
    pixels; batches alternate between many small crops and a few large ones.  Each batch comes `repeats` times, with
    many others between, and `teach` is called once for it.
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
        # Keras takes dimensions that the first two batches share for fixed: their sides must differ.
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
        """The crops of one batch, float32 (B, H, W, 3) in [0, 1]."""
        random = np.random.default_rng([self._seed, number])
        side = self._sides[number % len(self._sides)]
        crops = []
        for _ in range(max(1, round(self._pixels / side**2))):
            files = self._files[self._kinds[random.choice(len(self._kinds), p=self._shares)]]
            path = files[random.integers(len(files))]
            crops.append(augmented(crop(path, side + 2 * MARGIN, random, 0.4), random))
        return np.stack(crops)


def fixed_crops(files: Iterable[Path], side: int = 144) -> Iterable[np.ndarray]:
    """One fixed crop of each picture, in batches of float32 (8, side + 2 MARGIN, side + 2 MARGIN, 3)."""
    random = np.random.default_rng(0)
    crops = [np.asarray(crop(path, side + 2 * MARGIN, random, 0.45), np.float32) / 255 for path in files]
    return (np.stack(crops[first : first + 8]) for first in range(0, len(crops), 8))


# ------------------------------------------------------------------------------------------------------------ networks


class Teacher(keras.Model):
    """The frozen convolutions of a VGG: `teacher(image)` gives the student's targets in the student's own format.

    Attributes:
        scale: factor for each layer's activations, set by `measure`.
        variance: mean variance of each layer's filters after scaling, set by `measure`.
    """

    def __init__(self, source: weights.Weights, pooling: str):
        super().__init__(trainable=False, name="teacher", autocast=False)
        self._source, self._pool = source, _pooling(pooling)
        self.down = tuple(weights.layers_up_to(source.parameters, TAPPED))
        self.filters = {layer: len(source.parameters[f"{layer}_bias"]) for layer in self.down}
        self._arrays = {}
        for layer in self.down:
            for name in (f"{layer}_kernel", f"{layer}_bias"):
                value = source.parameters[name]
                self._arrays[name] = self.add_weight(shape=value.shape, name=name, trainable=False)
                self._arrays[name].assign(value)
        constant = {"shape": (), "initializer": "ones", "trainable": False}
        self.scale = {layer: self.add_weight(name=f"{layer}_scale", **constant) for layer in self.down}
        self.variance: dict[str, float] = dict.fromkeys(self.down, 1.0)

    def call(self, image: Any, linear: bool = False) -> dict[str, Any]:
        """Activations of the tapped layers; with `linear`, of all layers before their ReLU."""
        x = ops.cast((image - ops.array(self._source.mean, image.dtype)) * self._source.scale, self.compute_dtype)
        seen = {}
        for layer in self.down:
            if layer.endswith("conv1") and stride(layer) > 1:
                x = self._pool(x, 2, 2)
            kernel, bias = (ops.cast(self._arrays[f"{layer}_{part}"], x.dtype) for part in ("kernel", "bias"))
            y = ops.conv(x, kernel, padding="same") + bias
            x = ops.relu(y)
            if linear or layer in TAPPED:
                seen[layer] = ops.cast(self.scale[layer], x.dtype) * _inside(y if linear else x, layer)
        return seen

    def measure(self, batches: Iterable[np.ndarray]) -> None:
        """Scale each layer to a mean of one over these pictures, and measure its variance."""
        moments: dict[str, list[np.ndarray]] = {layer: [] for layer in self.down}  # of each filter, by batches
        for batch in batches:
            for layer, y in self(batch, linear=True).items():
                x = ops.relu(ops.cast(y, "float32"))
                means = (ops.convert_to_numpy(ops.mean(values, axis=(0, 1, 2))) for values in (x, ops.square(x)))
                moments[layer].append(np.stack([mean.astype(np.float64) for mean in means]))
        for layer in self.down:
            mean, square = np.mean(moments[layer], axis=0)
            self.scale[layer].assign(self.scale[layer] / mean.mean())
            self.variance[layer] = np.mean(square - mean**2) / mean.mean() ** 2

    def teach(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Targets for the student in training, as float16: `Batches` keeps many of them."""
        seen = {}
        for layer, x in self.predict_on_batch(pictures).items():
            cut = _aside(x.shape[1], layer)
            seen[layer] = np.float16(x[:, cut : x.shape[1] - cut, cut : x.shape[2] - cut])
        return seen


def _pooling(kind: str) -> Any:
    return ops.max_pool if kind == "max" else ops.average_pool


def genuine(source: str) -> tuple[weights.Weights, str]:
    """The teacher's weights, and who made them.

    Args:
        source: "imagenet" for Keras' VGG-19, or a file with a VGG's weights that `nst.weights.read` accepts.
    """
    made = weights.imagenet() if source == "imagenet" else weights.read(source)
    return made, f"{made.architecture()} (Simonyan and Zisserman 2015), ImageNet weights, CC BY 4.0"


class Convolution(keras.layers.Layer):
    """A convolution and its ReLU.

    With a rank it is three convolutions, 1×1, `side` × `side` and 1×1, with `rank` channels between them.  The first is
    omitted if the input has no more channels than that.  Kernels are stored as (side² · in, out) matrices, for Muon.
    """

    def __init__(self, side: int, filters: int, name: str, rank: int = 0):
        super().__init__(name=name)
        self._side, self._filters, self._rank = side, filters, rank
        self._kernels: dict[str, Any] = {}  # by the suffix of their names in the file
        self._sides = {"reduce_kernel": 1, "kernel": side, "expand_kernel": 1}

    def build(self, shape: tuple[int | None, ...]) -> None:
        channels = int(shape[-1] or 0)
        outputs = {"kernel": self._filters}
        if self._rank:
            outputs = {"reduce_kernel": self._rank, "kernel": self._rank, "expand_kernel": self._filters}
            if channels <= self._rank:
                del outputs["reduce_kernel"]
        for name, filters in outputs.items():
            rows = self._sides[name] ** 2 * channels
            self._kernels[name] = self.add_weight(shape=(rows, filters), initializer="he_normal", name=name)
            channels = filters
        self.bias = self.add_weight(shape=(self._filters,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        for kernel in self.kernels().values():
            x = ops.conv(x, ops.cast(kernel, x.dtype), padding="same")
        return ops.relu(x + self.bias)

    def kernels(self) -> dict[str, Any]:
        """Name to (h, w, in, out), in the order in which they are applied."""
        return {
            name: ops.reshape(kernel, (self._sides[name], self._sides[name], -1, kernel.shape[-1]))
            for name, kernel in self._kernels.items()
        }

    def load(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Take what a file has for this layer; of fewer channels where the file's network is narrower.

        The channels that it lacks keep their random filters, and nothing listens to them yet: the network gives what
        the narrower one gave, and training begins there (as Chen et al., "Net2Net", 2016).
        """
        for name, kernel in self.kernels().items():
            theirs = parameters[f"{self.name}_{name}"]
            inputs, outputs = theirs.shape[2:]
            ours = ops.convert_to_numpy(kernel).copy()
            ours[:, :, inputs:, :outputs] = 0
            ours[:, :, :inputs, :outputs] = theirs
            self._kernels[name].assign(ours.reshape(self._kernels[name].shape))
        theirs = parameters[f"{self.name}_bias"]
        self.bias.assign(np.pad(theirs, (0, self._filters - len(theirs))))

    def fit(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Set the kernels and the bias by least squares.

        Args:
            pairs: inputs (B, h + side − 1, w + side − 1, in) and targets (B, h, w, filters) before the ReLU.
        """
        basis = np.eye(pairs[0][0].shape[-1], dtype=np.float32)
        if "reduce_kernel" in self._kernels:
            basis = self._directions_that_count(pairs)
            self._kernels["reduce_kernel"].assign(basis)
        kernel, bias, mean, covariance = _least_squares(pairs, basis, self._side)
        if self._rank:  # keep the directions in which the predictions vary most
            main = _leading(kernel.T @ covariance @ kernel, self._rank)
            bias = bias + mean @ kernel - mean @ kernel @ main @ main.T
            kernel = kernel @ main
            self._kernels["expand_kernel"].assign(main.T)
        self._kernels["kernel"].assign(kernel)
        self.bias.assign(bias)

    def _directions_that_count(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """(in, rank) directions that contribute most to the prediction, from twice as many principal components."""
        rows = [x.reshape(-1, x.shape[-1]) for x, _ in pairs[:: max(1, len(pairs) // 32)]]
        covariance = np.cov(np.concatenate(rows), rowvar=False)
        components = _leading(covariance, 2 * self._rank)
        kernel, *_ = _least_squares(pairs, components.astype(np.float32), self._side)
        taps = kernel.reshape(self._side**2, components.shape[1], -1)
        deviation = np.sqrt(np.diag(components.T @ covariance @ components))  # the components are uncorrelated
        effect = np.tensordot(taps, taps, ((0, 2), (0, 2))) * np.outer(deviation, deviation)
        basis = components @ (_leading(effect, self._rank) / deviation[:, np.newaxis])
        return (basis / np.linalg.norm(basis, axis=0)).astype(np.float32)


def _leading(matrix: np.ndarray, count: int) -> np.ndarray:
    """The eigenvectors of the `count` largest eigenvalues of a symmetric matrix, as columns."""
    return np.linalg.eigh(matrix)[1][:, : -count - 1 : -1]


def _least_squares(
    pairs: list[tuple[np.ndarray, np.ndarray]], basis: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The best linear prediction of the targets from inputs · basis, with a small ridge.

    Returns:
        kernel (side² · columns of the basis, out), bias, and the mean and covariance of the patches it is applied to.
    """
    total: Any = 0  # Σ over positions of [patch, 1]ᵀ [patch, 1, targets]
    for x, y in pairs:
        around = np.lib.stride_tricks.sliding_window_view(x @ basis, (side, side), axis=(1, 2))
        known = around.transpose(0, 1, 2, 4, 5, 3).reshape(-1, side**2 * basis.shape[1])
        known = np.hstack([known, np.ones_like(known[:, :1])])
        total = total + (known.T @ np.hstack([known, y.reshape(len(known), -1)])).astype(np.float64)
    square, product = np.split(total, [len(total)], axis=1)
    ridge = 1e-4 * np.trace(square) / len(square) * np.eye(len(square))
    *kernel, bias = np.linalg.solve(square + ridge, product)
    mean = square[-1, :-1] / square[-1, -1]
    return np.stack(kernel), bias, mean, square[:-1, :-1] / square[-1, -1] - np.outer(mean, mean)


class Student(keras.Model):
    """The network being trained.

    `student(image)`, with a float32 image (B, H, W, 3) in [0, 1], gives {layer: (B, h, w, C)} without the margin.

    Args:
        filters: filters of the teacher's layers, first to deepest; the student has the same layers.
        widths: filters in each of the first `NARROW_BLOCKS` blocks, whose tapped layers have heads.
        ranks: rank of the layers in each later block, which have the teacher's number of filters.
        pooling: "average" or "max".
        variance: the teacher's variance, by tapped layer.
        covariance_weight: weight of the covariance error beside the activation error.
    """

    def __init__(
        self,
        filters: Mapping[str, int],
        widths: tuple[int, ...],
        ranks: tuple[int, ...],
        pooling: str,
        variance: Mapping[str, float],
        covariance_weight: float,
    ):
        super().__init__(name="student", autocast=False)
        self._pool = _pooling(pooling)
        self._variance, self._covariance_weight = dict(variance), covariance_weight
        narrow = [layer for layer in filters if block(layer) <= NARROW_BLOCKS]
        self._trunk = {layer: Convolution(3, widths[block(layer) - 1], layer) for layer in narrow}
        self._heads = {layer: Convolution(1, filters[layer], f"{layer}_head") for layer in narrow if layer in TAPPED}
        for layer in filters:
            if layer not in narrow:
                self._trunk[layer] = Convolution(3, filters[layer], layer, ranks[block(layer) - NARROW_BLOCKS - 1])

    def call(self, image: Any, training: bool = False) -> dict[str, Any]:
        x, spoiled, seen = self._normalized(image), 0, {}
        for layer, convolution in self._trunk.items():
            x, spoiled = self._prepared(x, spoiled, layer)
            x, spoiled = convolution(x), spoiled + 1
            if layer in TAPPED:
                inside = _inside(x, layer, training)
                seen[layer] = self._heads[layer](inside) if layer in self._heads else inside
        return seen

    def _normalized(self, image: Any) -> Any:
        return ops.cast(
            (image - ops.array(weights.COMPACT_MEAN, image.dtype)) * weights.COMPACT_SCALE, self.compute_dtype
        )

    def _prepared(self, x: Any, spoiled: int, layer: str) -> tuple[Any, int]:
        """Input of the layer's convolution, and how many of its outer rows zero padding has contaminated."""
        if layer.endswith("conv1") and stride(layer) > 1:
            x, spoiled = self._pool(x, 2, 2), (spoiled + 1) // 2
        if spoiled >= MARGIN // stride(layer):  # as in `nst.features`
            x, spoiled = _renewed(x, MARGIN // stride(layer)), 0
        return x, spoiled

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Sum over layers of the squared error divided by the variance, plus the weighted covariance error."""
        total = 0.0
        for layer in TAPPED:
            ours, theirs = ops.cast(y_pred[layer], "float32"), ops.cast(y[layer], "float32")
            total += ops.mean(ops.square(ours - theirs)) / self._variance[layer]
            if self._covariance_weight:
                theirs = ops.cast(theirs, y_pred[layer].dtype)
                total += self._covariance_weight * ops.mean(covariance_error(y_pred[layer], theirs))
        return total

    def fit_layers(self, teacher: "Teacher", batches: Iterable[np.ndarray]) -> None:
        """Fit the heads and all layers after the narrow blocks to the teacher, one after another by least squares.

        Each is fitted on the student's own activations, and so corrects errors of the layers before it.
        """
        targets, inputs = [], []
        for pictures in batches:
            linear = teacher(pictures, linear=True)
            wanted = [layer for layer in linear if layer in self._heads or block(layer) > NARROW_BLOCKS]
            targets.append({layer: np.float16(ops.convert_to_numpy(linear[layer])) for layer in wanted})
            inputs.append((self._normalized(pictures), 0))

        def fit(convolution: Convolution, layer: str, ring: int) -> None:
            cut = slice(MARGIN // stride(layer) - ring, ring - MARGIN // stride(layer) or None)
            xs = (ops.convert_to_numpy(x)[:, cut, cut] for x, _ in inputs)
            pairs = [(x, target[layer].astype(np.float32)) for x, target in zip(xs, targets)]
            convolution.fit(pairs)

        for layer, convolution in self._trunk.items():
            inputs = [self._prepared(x, spoiled, layer) for x, spoiled in inputs]
            if block(layer) > NARROW_BLOCKS:
                fit(convolution, layer, 1)
            inputs = [(convolution(x), spoiled + 1) for x, spoiled in inputs]
            if layer in self._heads:
                fit(self._heads[layer], layer, 0)

    def load(self, parameters: Mapping[str, np.ndarray], narrow_only: bool = False) -> None:
        """Start from a file's parameters, or only from those of its narrow blocks."""
        for name, convolution in self._convolutions().items():
            if not narrow_only or block(name) <= NARROW_BLOCKS:
                convolution.load(parameters)

    def exported(self) -> dict[str, np.ndarray]:
        """The trained network in the package's format: float16 kernels (h, w, in, out) and biases by name.

        They are rounded to bfloat16 first, so that the network is the same in every precision.
        """
        arrays = {}
        for name, convolution in self._convolutions().items():
            for part, value in (*convolution.kernels().items(), ("bias", convolution.bias)):
                rounded = ops.cast(ops.cast(value, "bfloat16"), "float32")
                arrays[f"{name}_{part}"] = ops.convert_to_numpy(rounded).astype(np.float16)
        return arrays

    def _convolutions(self) -> dict[str, Convolution]:
        return {layer.name: layer for layer in (*self._trunk.values(), *self._heads.values())}


def _renewed(x: Any, margin: int) -> Any:
    """Replace the margin of (B, H, W, C), contaminated by zero padding, with a reflection of the interior."""
    batch, height, width, channels = ops.shape(x)
    size = batch, height - 2 * margin, width - 2 * margin, channels
    around = margin, margin
    return ops.pad(ops.slice(x, (0, margin, margin, 0), size), ((0, 0), around, around, (0, 0)), "symmetric")


def _aside(height: int, layer: str) -> int:
    """Rows at each end that the training loss skips: it uses the middle quarter in block 1, half in block 2."""
    return height * max(0, 4 - stride(layer)) // 8


def _inside(x: Any, layer: str, training: bool = False) -> Any:
    """Crop the margin and, in training, the rows and columns that the loss skips."""
    batch, height, width, channels = ops.shape(x)
    margin = MARGIN // stride(layer)
    if training:
        margin += _aside(height - 2 * margin, layer)
    # Not x[:, margin:-margin], whose gradient takes TensorFlow ten times as long on a CPU.
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
    """(1 − R², relative squared error of the covariance) by layer.

    1 − R² is the squared error divided by the variance, both summed over all filters and pictures, so filters that
    vary most count most, as in the style loss.
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
    """Write the network as NumPy arrays, without pickle; the array `provenance` is JSON that says how it was made."""
    text = json.dumps({"format": FORMAT, **provenance}, ensure_ascii=False, indent=1)
    arrays: dict[str, Any] = student.exported() | {"provenance": np.array(text)}
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    os.replace(partial, path)


def table(figures: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """Markdown table of 1 − R² and covariance error by layer, for each kind of held-out picture."""
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
    add("--fit", type=int, default=0, metavar="BATCHES", help="but of its deep layers: these by least squares")
    add("--widths", type=int, nargs=2, default=(16, 32), help="filters in blocks 1 and 2")
    add("--ranks", type=int, nargs=3, default=(80, 160, 256), help="of the layers in blocks 3, 4 and 5")
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
        0.0, max(1, options.steps - warmup), alpha=0.0, warmup_target=options.learning_rate, warmup_steps=warmup
    )
    common: dict[str, Any] = {"clipnorm": 1.0, "use_ema": True, "ema_momentum": options.averaging}
    if options.optimizer == "muon":
        return keras.optimizers.Muon(rate, adam_beta_2=0.99, weight_decay=0.0, adam_weight_decay=0.0, **common)
    return keras.optimizers.Adam(rate, beta_2=0.99, **common)


def _check_same(options: argparse.Namespace) -> None:
    """Refuse to resume a run with other options than it began with."""
    ours = {name: str(value) for name, value in vars(options).items() if name != "run"}
    file = options.run / "options.json"
    began = json.loads(file.read_text()) if file.exists() else ours
    if changed := ", ".join(name for name in ours if ours[name] != began.get(name)):
        raise SystemExit(f"{options.run} was begun with another {changed}; name another folder with --run.")
    file.write_text(json.dumps(ours, indent=1))


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    # Record names of files and folders, not their paths, which are private.
    words = [re.sub(r"(^|=)[^=]*/", r"\1", word) for word in (sys.argv[1:] if argv is None else argv)]
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision)
    folders = {"photos": options.photos, "paintings": options.paintings, "half_painted": options.half_painted}
    source = pictures(folders, options.shares)
    learned, rights = genuine(options.teacher)
    teacher = Teacher(learned, options.teacher_pooling)
    teacher.measure(fixed_crops(path for files in source.training().values() for path in files[:100]))
    sides, shape = tuple(options.sides), (tuple(options.widths), tuple(options.ranks))
    student = Student(teacher.filters, *shape, options.pooling, teacher.variance, options.covariance_weight)
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

    def leave(step: int, loss: float | None) -> None:
        """Write checkpoint, network and report of this step to the folder."""
        partial = options.run / "partial.weights.h5"
        student.save_weights(partial)
        os.replace(partial, checkpoint)
        if step:
            descent.finalize_variable_values(student.trainable_variables)  # the averaged weights
        figures = {kind: evaluate(student, teacher, fixed_crops(files)) for kind, files in source.held_out().items()}
        provenance = {
            "made": datetime.date.today().isoformat(),
            "command": shlex.join(["python", "training/distill.py", *words]),
            "start": options.start.name if options.start else "random numbers",
            "teacher": rights,
            "pictures": {kind: len(files) for kind, files in source.training().items()},
            "steps": step,
            "training_loss": loss,
            "held_out": figures,
        }
        save(options.run / "compact.npz", student, provenance)
        report = f"{provenance['command']}\n\nStep {step} of {options.steps}\n\n{table(figures)}\n"
        (options.run / "report.md").write_text(report)
        print(report)
        student.load_weights(checkpoint)

    if checkpoint.exists():
        student.load_weights(checkpoint)
    elif options.start:
        student.load(weights.compact(options.start).parameters, narrow_only=options.fit > 0)
        if options.fit:
            some = batches(0, 0)
            student.fit_layers(teacher, (some.pictures(number) for number in range(options.fit)))
        leave(0, None)

    every = -(-options.checkpoint_steps // len(sides)) * len(sides)  # each part begins with the same side
    while (done := int(descent.iterations)) < options.steps:
        count = min(every, options.steps - done)
        print(f"steps {done + 1} to {done + count} of {options.steps}")
        history = student.fit(batches(done, count), shuffle=False)
        leave(done + count, history.history["loss"][-1])


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # missing or unusable pictures or weights
        sys.exit(str(error))
