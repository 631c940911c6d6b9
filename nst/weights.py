"""Loading a network's weights: from the package, from Keras' download, or from a .h5, .npz or .mat file.

Every source yields the same `Weights`, for RGB input.  Nothing is unpickled.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import tempfile
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nst import machine

CONVOLUTIONS = {  # Keras' layer name -> number of filters, first to deepest
    f"block{block}_conv{index}": filters
    for block, (count, filters) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)), start=1)
    for index in range(1, count + 1)
}
PARTS = "reduce_kernel", "kernel", "expand_kernel"  # applied in this order; all but `kernel` only at low rank
COMPACT_FILE = Path(__file__).with_name("compact.npz")
KERAS_CACHE = "models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"  # in Keras' folder
COMPACT_MEAN, COMPACT_SCALE = (0.485, 0.456, 0.406), 1 / 0.226  # RGB in [0, 1]: the compact network's normalization
IMAGENET_MEAN = (123.68, 116.779, 103.939)  # RGB in [0, 255], subtracted from every image when VGG-19 was trained
_NO_VGG = "does not hold the convolutions of a VGG; it should be a copy of VGG-19 or VGG-16"
DOWNLOAD_TIMEOUT = 10  # seconds without an answer


def stride_of(layer: str) -> int:
    """Pixels of the image for one position of a layer, along each side."""
    return 2 ** (int(layer.removeprefix("block")[0]) - 1)


def layers_up_to(parameters: Collection[str], wanted: Collection[str]) -> list[str]:
    """Layers with a kernel among the names `parameters`, from the first to the deepest of the layers `wanted`."""
    present = [layer for layer in CONVOLUTIONS if f"{layer}_kernel" in parameters]
    return present[: 1 + max(present.index(layer) for layer in wanted)]


class WeightsError(ValueError):
    """Weights cannot be loaded; the message is one sentence for the user that says what is wrong."""


class Weights(NamedTuple):
    """A network's parameters and input normalization: (image − mean) · scale for RGB images in [0, 1]."""

    parameters: Mapping[str, np.ndarray]  # "block1_conv1_kernel" (3, 3, in, out), "block1_conv1_bias" (out,), ...
    mean: tuple[float, float, float]
    scale: float

    def kernels(self, name: str) -> list[np.ndarray]:
        """Kernels of a layer, or of a head such as "block1_conv1_head", in order of application."""
        names = [f"{name}_{part}" for part in PARTS]
        return [self.parameters[name] for name in names if name in self.parameters]

    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of all convolutions; the same for every file format."""
        kinds = *PARTS, "bias", "head_kernel", "head_bias"
        names = [f"{layer}_{kind}" for layer in CONVOLUTIONS for kind in kinds]
        digest = hashlib.sha256()
        for name in names:
            if name in self.parameters:
                array = np.ascontiguousarray(self.parameters[name], "<f4")
                digest.update(f"{name} {array.shape}".encode())
                digest.update(array.data)
        return digest.hexdigest()[:16]

    def architecture(self) -> str:
        """Either "VGG-19" or "VGG-16", which has no fourth convolutions; the first five layers are the same in both."""
        deep = any(key.startswith("block4") for key in self.parameters)
        return "VGG-16" if deep and not any("_conv4_" in key for key in self.parameters) else "VGG-19"

    def filters(self) -> dict[str, tuple[int, int]]:
        """Layer -> (channels of the layer, channels after its head); both are the same where there is no head."""
        counts = {key: len(value) for key, value in self.parameters.items() if key.endswith("_bias")}
        layers = {layer: counts[f"{layer}_bias"] for layer in CONVOLUTIONS if f"{layer}_bias" in counts}
        return {layer: (count, counts.get(f"{layer}_head_bias", count)) for layer, count in layers.items()}


def compact(path: str | Path = COMPACT_FILE) -> Weights:
    """The compact network in the package, or another one written by `training/`; the file determines its shapes.

    Raises:
        WeightsError: it is damaged, or holds something else.
    """
    try:
        arrays = _read_arrays(Path(path))
        if not {"block1_conv1_kernel", "block1_conv1_bias"} <= arrays.keys():
            raise KeyError("block1_conv1")
    except MemoryError:
        raise
    except Exception as error:  # NumPy raises many types for what is no archive of arrays
        sentence = "is damaged or not a compact network; installing the program again brings its own back"
        raise WeightsError(f"weights: {Path(path).name} {sentence}") from error
    return Weights(arrays, COMPACT_MEAN, COMPACT_SCALE)


def provenance(path: str | Path = COMPACT_FILE) -> dict[str, Any]:
    """How a compact network was trained: format, date, command, teacher and its license, image counts, metrics."""
    with np.load(path, allow_pickle=False) as arrays:
        return json.loads(str(arrays["provenance"])) if "provenance" in arrays else {"format": 1}


def find_vgg19() -> Path | None:
    """Path of VGG-19's ImageNet weights on this machine; None if they are not here.

    NST_VGG19 names the file, or, as OWNER/NAME/FILE, one in the Hugging Face Hub's cache; default: Keras' download.
    """
    named = os.environ.get("NST_VGG19", "")
    path = machine.expand_home(named) if named else machine.keras_home() / KERAS_CACHE
    if not path.is_file() and (parts := re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)/(.+)", named)):
        from huggingface_hub import try_to_load_from_cache

        path = Path(str(try_to_load_from_cache(*parts.groups())))
    return path if path.is_file() else None


def preferred() -> tuple[str, str]:
    """The network that NST_NETWORK names, however it is written (VGG-19): "auto", "compact" or "vgg19".

    Returns:
        The network, and one sentence if the variable names none of them, which counts as "auto"; else "".
    """
    named = os.environ.get("NST_NETWORK", "")
    network = re.sub(r"[\W_]", "", named).lower() or "auto"
    if network in ("auto", "compact", "vgg19"):
        return network, ""
    return "auto", f"NST_NETWORK is {named!r}, which is taken for auto; it should be auto, compact or vgg19."


def requested(network: str) -> str:
    """The network that a setting asks for: with "auto", the one that NST_NETWORK names."""
    return preferred()[0] if network == "auto" else network


def imagenet(download: bool | None = None) -> Weights:
    """VGG-19's ImageNet weights, from this machine or downloaded by Keras.

    Args:
        download: whether to download missing weights; NST_OFFLINE overrides it.  None: yes, except on a Hugging Face
            Space, which downloads when it starts so that no visitor waits for it.

    Raises:
        WeightsError: the weights are missing and cannot be downloaded, or their file is unusable.
    """
    path = find_vgg19()
    if path and os.environ.get("NST_VGG19"):
        return read(path)
    if download is None:
        download = "SPACE_ID" not in os.environ
    if not path and (not download or machine.is_offline()):
        named = os.path.basename(os.environ.get("NST_VGG19", ""))
        named = f", NST_VGG19 names {named}, which is no file here," if named else ","
        raise WeightsError(f"VGG-19's weights are not on this machine{named} and downloading them is turned off")

    previous = socket.getdefaulttimeout()
    with _keras() as keras:
        keras.utils.disable_interactive_logging()  # no progress bar on the caller's standard output
        try:
            socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # Keras sets none
            model = keras.applications.VGG19(include_top=False, weights="imagenet")
        except Exception as error:  # Keras raises a bare Exception for a failed download
            done = f"read from {path}" if path else "downloaded"
            raise WeightsError(f"VGG-19's weights could not be {done}: {_first_line(error)}") from error
        finally:
            socket.setdefaulttimeout(previous)
        return _caffe_weights(_keras_parameters(model))


def read(path: str | Path) -> Weights:
    """VGG-19's or VGG-16's weights from a file.

    Args:
        path: Keras `.h5` or `.weights.h5` (with or without the top), `.npz` with keys such as `block1_conv1_kernel` or
            `conv1_1_W`, or MatConvNet's `imagenet-vgg-verydeep-19.mat` or `-16.mat`.

    Raises:
        WeightsError: the file is missing or damaged, has another format or another network, or what reads it is
            missing.
    """
    path = Path(path)
    readers = {".h5": _read_keras, ".npz": _read_npz, ".mat": _read_matconvnet}
    if path.suffix.lower() not in readers:
        raise WeightsError(f"weights: {path.name} should be a Keras .h5, a NumPy .npz or a MatConvNet .mat file")
    if not path.is_file():
        raise WeightsError(f"weights: there is no file {path}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise WeightsError(f"weights: {path.name} cannot be read: {error.strerror}") from error
    try:
        weights = readers[path.suffix.lower()](path)
    except (WeightsError, MemoryError):
        raise
    except ImportError as error:
        raise WeightsError(f"weights: {path.name} cannot be read without a package: {_first_line(error)}") from error
    except Exception as error:  # each format's library raises its own types for damaged or unrelated files
        raise WeightsError(f"weights: {path.name} is damaged, or {_NO_VGG}") from error
    _check_shapes(weights, path.name)
    return weights


def _check_shapes(weights: Weights, file: str) -> None:
    """Raise unless these are the convolutions of a VGG, in finite numbers; the deepest may be missing."""
    parameters, architecture = weights.parameters, weights.architecture()
    channels, missing = 3, ""
    for layer, filters in CONVOLUTIONS.items():
        if architecture == "VGG-16" and layer.endswith("conv4"):
            continue
        kernel, bias = parameters.get(f"{layer}_kernel"), parameters.get(f"{layer}_bias")
        if kernel is None or bias is None:
            missing = missing or layer
            continue
        if missing:
            raise WeightsError(f"weights: {file} has {layer} but not {missing}, which comes before it")
        expected = (3, 3, channels, filters)
        if (kernel.shape, bias.shape) != (expected, expected[-1:]):
            raise WeightsError(f"weights: the kernel of {layer} in {file} is {kernel.shape}; a VGG's is {expected}")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"weights: {layer} in {file} has numbers that are not finite; use another copy of it")
        channels = filters
    if missing == next(iter(CONVOLUTIONS)):
        raise WeightsError(f"weights: {file} {_NO_VGG}")


def _caffe_weights(parameters: dict[str, np.ndarray]) -> Weights:
    """Flip the first kernel to RGB: VGG-19 was trained on BGR images in [0, 255]."""
    parameters["block1_conv1_kernel"] = parameters["block1_conv1_kernel"][:, :, ::-1]
    return Weights(parameters, _to_unit_range(IMAGENET_MEAN), 255.0)


def _to_unit_range(mean: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) / 255 for value in mean)
    return red, green, blue


@contextlib.contextmanager
def _keras() -> Iterator[Any]:
    """Keras in float32, whatever its settings say."""
    try:
        import keras
    except Exception as error:  # of the backend
        named = f"KERAS_BACKEND or {machine.keras_home() / 'keras.json'}"
        raise WeightsError(f"Keras does not start: {_first_line(error)}; {named} may name what is missing") from error
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield keras
    finally:
        keras.config.set_dtype_policy(policy)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _keras_parameters(model: Any) -> dict[str, np.ndarray]:
    layers = [layer for layer in model.layers if "_conv" in layer.name]
    pairs = {layer.name: layer.get_weights() for layer in layers}
    return {f"{name}_{part}": array for name, pair in pairs.items() for part, array in zip(("kernel", "bias"), pair)}


def _read_keras(path: Path) -> Weights:
    with _keras() as keras, _lower_case(path) as file:
        for include_top, network in itertools.product((False, True), ("VGG19", "VGG16")):
            model = getattr(keras.applications, network)(include_top=include_top, weights=None)
            with contextlib.suppress(ValueError, UserWarning), warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns about layers that the file lacks
                model.load_weights(file)
                return _caffe_weights(_keras_parameters(model))
    raise ValueError("neither a VGG-19 nor a VGG-16")


@contextlib.contextmanager
def _lower_case(path: Path) -> Iterator[Path]:
    """The file, or a copy of it where its suffix has capitals, which Keras does not know."""
    if "".join(path.suffixes[-2:]).islower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(path, Path(folder, path.name.lower())))


def _read_npz(path: Path) -> Weights:
    arrays = _read_arrays(path)
    return _caffe_weights({_keras_name(key): array for key, array in arrays.items()})


def _read_matconvnet(path: Path) -> Weights:
    """MatConvNet stores kernels as (height, width, in, out), the first one already for RGB."""
    import scipy.io

    network = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    parameters = {}
    for layer in network["layers"]:
        if layer.name.startswith("conv"):
            # Files from before 2015 have `filters` and `biases` instead of `weights`.
            kernel, bias = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
            parameters[_keras_name(f"{layer.name}_W")] = kernel
            parameters[_keras_name(f"{layer.name}_b")] = bias
    normalization = network["meta"].normalization if "meta" in network else network["normalization"]
    mean = np.asarray(normalization.averageImage, np.float64).reshape(-1, 3).mean(axis=0)
    return Weights(parameters, _to_unit_range(mean), 255.0)


def _keras_name(key: str) -> str:
    """conv1_2_W -> block1_conv2_kernel; Keras' own names are returned unchanged."""
    if not key.startswith("conv"):
        return key
    block, index, part = key.removeprefix("conv").split("_")
    return f"block{block}_conv{index}_" + {"W": "kernel", "b": "bias"}[part]


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key].astype(np.float32) for key in arrays.files if key != "provenance"}
    except zipfile.BadZipFile as error:
        raise WeightsError(f"weights: {path.name} is damaged or incomplete") from error
