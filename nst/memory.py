"""Before a run: how much memory it will take, how much there is, and the size that fits.  TensorFlow is not needed."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst import images
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.features import Network

SHARE = 0.85  # of the memory that is free: the estimate may be wrong, and others want some too
SMALLEST, SIZE_STEP = 128, 32  # pixels: sizes that one too large is lowered to
COMPILED = 60 << 20  # bytes that the compiled step and the libraries' scratch take at any size
# What is held for a moment beside the layers that are kept, while a painting is looked at and during a step with its
# gradient: layers like the largest, and float32 pictures (iterates, moments, checkpoints).  Fitted to measurements.
LOOKING, STEPPING = (4, 4), (2, 16)

Shape = tuple[int, int]  # height, width in pixels

_before = 0  # bytes that this process held when it was about to run for the first time
_most = 0  # the largest estimate of its runs


def estimate(network: "Network", shape: Shape, paintings: Sequence[Shape], settings: Settings) -> int:
    """The most bytes that a run will hold, beyond what this process holds with the network loaded.

    Within a quarter of what has been measured on CPUs, for the whole process; see tests/test_memory.py.

    Args:
        shape: of the finished picture.
        paintings: the shapes of the paintings, before they are shrunk.
        settings: padding, style scale and layers count.
    """
    margin, side = 2 * settings.padding, round(max(shape) * settings.style_scale)
    bytes_each = 4 if network.precision == "float32" else 2
    strides = {layer: 4 ** (int(layer[5]) - 1) for layer in network.filters}  # positions of the image for one of these
    deepest = max((layer for layer in strides if layer in _looked_at(settings)), default="")
    inside = sum(trunk / strides[layer] for layer, (trunk, _) in network.filters.items() if layer <= deepest)
    seen = sum(seen / strides[layer] for layer, (_, seen) in network.filters.items() if layer in _looked_at(settings))
    largest = max((max(filters) / strides[layer] for layer, filters in network.filters.items()), default=0.0)

    def held(shape: Shape, kept: float, layers: int, pictures: int) -> float:
        each = (kept + layers * largest) * bytes_each + pictures * 12
        return (shape[0] + margin) * (shape[1] + margin) * each

    shrunk = [images.fit(*painting, min(side, max(painting))) for painting in paintings]  # never enlarged
    looking = max((held(painting, seen, *LOOKING) for painting in shrunk), default=0.0)
    return COMPILED + round(max(looking, held(shape, inside + seen, *STEPPING)))


def _looked_at(settings: Settings) -> set[str]:
    return {*settings.content_layers, *settings.style_layers}


def fitted(
    network: "Network", content: Shape, paintings: Sequence[Shape], settings: Settings, room: int | None = None
) -> tuple[Settings, str]:
    """The settings with the largest size that fits, not above the asked one, and a sentence if it is lower.

    Args:
        content, paintings: shapes of the pictures.
        room: bytes that may be held; None: `SHARE` of those available, and the run is about to begin.

    Raises:
        MemoryError: not even the smallest size fits; one sentence.
    """
    global _most
    about_to_run = room is None
    if about_to_run and (free := available()) is not None:
        room = round(SHARE * free) + _kept()
    asked = settings.size
    if room is None:
        return settings, ""
    for size in (asked, *range((asked - 1) // SIZE_STEP * SIZE_STEP, SMALLEST - 1, -SIZE_STEP)):
        if (held := estimate(network, images.fit(*content, size), paintings, settings)) <= room:
            _most = max(_most, held) if about_to_run else _most
            return replace(settings, size=size), lowered(asked, size) if size < asked else ""
    raise MemoryError(f"This machine has too little memory left to paint: {room >> 20} MB.")


def _kept() -> int:
    """Bytes that earlier runs leave to the next one: TensorFlow gives nothing back to the machine."""
    global _before
    if _gpus():
        return 0
    try:
        held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0
    _before = _before or held
    return max(0, min(held - _before, _most))  # the rest of what has grown are visitors' pictures


def lowered(asked: int, painted: int) -> str:
    """A sentence for a person on a size, in pixels, that is lower than the one asked for."""
    return f"{asked} pixels do not fit into this machine's memory: painted at {painted}."


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still have, by the machine and by the control groups (containers) it is in.

    None where nobody says: on Windows, and on a GPU unless TensorFlow was given a limit.

    Args:
        root: where `proc` and `sys` are.
    """
    if gpus := _gpus():
        config = sys.modules["tensorflow"].config
        parts = config.get_logical_device_configuration(gpus[0])
        if not parts or not parts[0].memory_limit:
            return None
        return parts[0].memory_limit * 2**20 - config.experimental.get_memory_info("GPU:0")["current"]
    return min(_machine(root) + _groups(root), default=None)


def _gpus() -> list[Any]:
    """Without TensorFlow there is no network yet, and nothing on a GPU."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow.config.list_physical_devices("GPU") if tensorflow else []


def _machine(root: Path) -> list[int]:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:  # macOS tells only how much it has in all
        known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if known else []


def _groups(root: Path) -> list[int]:
    """What is left to each control group that this process is in, and to those around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for _, kinds, path in (line.split(":", 2) for line in lines):
        if kinds in ("", "memory"):  # version 2 and 1
            # Inside a container the path may be what it is outside: its own group is at the top then.
            folders = [Path(path), *Path(path).parents]
            left += [_left(root / "sys/fs/cgroup" / kinds / str(folder).strip("/"), kinds == "") for folder in folders]
    return [free for free in left if free is not None]


def _left(folder: Path, second: bool) -> int | None:
    """What is left to one control group of version 2 or 1; None if there is no limit, or no such group."""
    names = ("max", "current") if second else ("limit_in_bytes", "usage_in_bytes")
    try:
        limit, used = ((folder / f"memory.{name}").read_text().strip() for name in names)
        if limit == "max":
            return None
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    read = statistics["inactive_file" if second else "total_inactive_file"]  # files: dropped when memory is short
    return int(limit) - int(used) + int(read)
