"""Before a run: how much memory it will take, how much is available, and the size that fits.  Needs no TensorFlow."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst import images
from nst.settings import Settings
from nst.weights import stride_of

if TYPE_CHECKING:
    from nst.features import Network

SHARE = 0.85  # of the available memory that a run may use: the estimate may be off, and other programs need some
SMALLEST, SIZE_STEP = (
    128,
    32,
)  # pixels: too large a size is reduced to a multiple of SIZE_STEP, at least SMALLEST
OVERHEAD = 60 << 20  # bytes of the compiled step and the libraries' scratch space, at any size
# Temporary memory while the painting's statistics are computed and during a step with its gradient: (layers as large as
# the largest, float32 images such as iterates, moments and checkpoints).  Fitted to measurements.
STYLE_PASS, STEP = (4, 4), (2, 16)
TILES = 3072, 2048, 1536, 1024, 768, 512  # `Settings.tile` where a picture does not fit: smaller ones take longer
SURROUNDINGS = 160  # pixels by which a tile with what VGG-19 sees around it is larger
TILED_PICTURES = 11  # float32 images held while one is painted in tiles, likewise fitted

Shape = tuple[int, int]  # height, width in pixels

_initial_bytes = 0  # held by this process before its first run
_largest_estimate = 0  # of its runs


def estimate(network: "Network", shape: Shape, paintings: Sequence[Shape], settings: Settings, batch: int = 1) -> int:
    """The peak memory of a run in bytes, beyond what this process holds once the network is loaded.

    On CPUs, this plus the memory held before is within 25 % of the measured peak; see tests/test_memory.py.

    Args:
        shape: of the finished picture.
        paintings: shapes of the paintings before they are downscaled.
        settings: only padding, style scale, layers and `tile` matter.
        batch: pictures painted side by side.
    """
    margin, side = 2 * settings.padding, settings.style_side(max(shape))
    bytes_each = 4 if network.precision == "float32" else 2
    area = {layer: stride_of(layer) ** 2 for layer in network.filters}  # pixels of the image per position
    used = {*settings.content_layers, *settings.style_layers}
    deepest = max((layer for layer in area if layer in used), default="")
    trunk = sum(own / area[layer] for layer, (own, _) in network.filters.items() if layer <= deepest)
    heads = sum(head / area[layer] for layer, (_, head) in network.filters.items() if layer in used)
    largest = max((max(filters) / area[layer] for layer, filters in network.filters.items()), default=0.0)

    def held(shape: Shape, kept: float, layers: int, pictures: int) -> float:
        bytes_per_pixel = (kept + layers * largest) * bytes_each + pictures * 12
        return (shape[0] + margin) * (shape[1] + margin) * bytes_per_pixel

    def seen(shape: Shape) -> Shape:
        """What passes through the network at once."""
        if not 0 < settings.tile < max(shape):
            return shape
        return min(shape[0], settings.tile + SURROUNDINGS), min(shape[1], settings.tile + SURROUNDINGS)

    downscaled = [images.fit(*painting, min(side, max(painting))) for painting in paintings]  # never upscaled
    style_pass = max((held(seen(painting), heads, *STYLE_PASS) for painting in downscaled), default=0.0)
    step = batch * held(seen(shape), trunk + heads, *STEP)
    if seen(shape) != shape:
        content = sum(
            head / area[layer] for layer, (_, head) in network.filters.items() if layer in settings.content_layers
        )
        step += shape[0] * shape[1] * (content * bytes_each + TILED_PICTURES * 12)
    return OVERHEAD + round(max(style_pass, step))


def fit_size(
    network: "Network",
    content: Shape,
    paintings: Sequence[Shape],
    settings: Settings,
    room: int | None = None,
    tiled: bool = True,
) -> tuple[Settings, str]:
    """The settings with which the run fits into memory, and a sentence if the size was reduced for that.

    What does not fit at once is painted in the largest tiles that fit; only if none do, the size is reduced.

    Args:
        content, paintings: shapes of the pictures.
        room: bytes that may be used.  None: `SHARE` of those available, and the estimate is recorded, since the run is
            about to start and later runs reuse its memory.
        tiled: whether tiles may be chosen.

    Raises:
        MemoryError: not even the smallest size fits; one sentence.
    """
    global _largest_estimate
    about_to_run = room is None
    room = _room() if about_to_run else room
    asked = settings.size
    if room is None:
        return settings, ""
    for size in (asked, *range((asked - 1) // SIZE_STEP * SIZE_STEP, SMALLEST - 1, -SIZE_STEP)):
        shape, given = images.fit(*content, size), settings.tile or size
        for tile in (settings.tile, *(tile for tile in TILES if tiled and tile < given)):
            chosen = replace(settings, size=size, tile=tile)
            if (held := estimate(network, shape, paintings, chosen)) <= room:
                _largest_estimate = max(_largest_estimate, held) if about_to_run else _largest_estimate
                return chosen, size_note(asked, size) if size < asked else ""
    raise MemoryError(f"This machine has too little memory left to paint: {room >> 20} MB.")


def check_batch(network: "Network", shape: Shape, paintings: Sequence[Shape], settings: Settings, batch: int) -> None:
    """Raise a MemoryError, with one sentence, unless a batch fits; arguments as for `estimate`."""
    global _largest_estimate
    held = estimate(network, shape, paintings, settings, batch)
    if (room := _room()) is not None:
        if held > room:
            raise MemoryError(f"This machine has too little memory left for {batch} pictures at once: {room >> 20} MB.")
        _largest_estimate = max(_largest_estimate, held)


def _room() -> int | None:
    """Bytes that a run may use now; None if unknown."""
    free = available()
    return None if free is None else round(SHARE * free) + _reusable()


def _reusable() -> int:
    """Bytes that this process keeps from earlier runs: TensorFlow reuses them but returns nothing to the system."""
    global _initial_bytes
    if _gpus():
        return 0
    try:
        held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0
    _initial_bytes = _initial_bytes or held
    return max(0, min(held - _initial_bytes, _largest_estimate))  # beyond that it is something else, such as pictures


def size_note(asked: int, painted: int) -> str:
    """One sentence for the user about a reduced size; both sizes in pixels."""
    return f"{asked} pixels do not fit into this machine's memory: painted at {painted}."


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still allocate, given the machine and the control groups (containers) it is in.

    None if unknown: on Windows, and on a GPU unless TensorFlow has a memory limit.

    Args:
        root: the folder with `proc` and `sys`.
    """
    if gpus := _gpus():
        config = sys.modules["tensorflow"].config
        parts = config.get_logical_device_configuration(gpus[0])
        if not parts or not parts[0].memory_limit:
            return None
        return parts[0].memory_limit * 2**20 - config.experimental.get_memory_info("GPU:0")["current"]
    return min(_system_memory(root) + _cgroup_memory(root), default=None)


def _gpus() -> list[Any]:
    """TensorFlow's GPUs; none unless it is imported, since nothing is on a GPU then."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow.config.list_physical_devices("GPU") if tensorflow else []


def _system_memory(root: Path) -> list[int]:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:  # macOS reports only the total
        known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if known else []


def _cgroup_memory(root: Path) -> list[int]:
    """Bytes left to each control group of this process and to their ancestors, where there is a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for _, kinds, path in (line.split(":", 2) for line in lines):
        if kinds in ("", "memory"):  # versions 2 and 1
            # Inside a container the path may be the one outside; its own group is then at the root.
            folders = [Path(path), *Path(path).parents]
            left += [_left(root / "sys/fs/cgroup" / kinds / str(folder).strip("/"), kinds == "") for folder in folders]
    return [free for free in left if free is not None]


def _left(folder: Path, version_2: bool) -> int | None:
    """Bytes left to one control group; None if it has no limit or does not exist."""
    names = ("max", "current") if version_2 else ("limit_in_bytes", "usage_in_bytes")
    try:
        limit, used = ((folder / f"memory.{name}").read_text().strip() for name in names)
        if limit == "max":
            return None
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    cache = statistics["inactive_file" if version_2 else "total_inactive_file"]  # of files; freed when memory is short
    return int(limit) - int(used) + int(cache)
