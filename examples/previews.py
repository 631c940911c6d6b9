"""Paints the small pictures that the page shows before anything is painted: one of each pair, and one of each look.

    python -m examples.previews [NAME ...]

NAME is a pair's or a look's; without one all are painted, which takes some ten minutes on two cores.  Pairs whose
painting is not in this folder are left out.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nst import Settings, StyleTransfer, catalogue, images, load_network
from nst.page import presets

PAIR = Settings(size=512, network="compact")
LOOK = Settings(size=384, network="compact")
LOOK_PAIR = "lion", "starry-night"
DETAIL = slice(30, 270), slice(66, 306)  # rows and columns of it: the lion's head
LIMITS = {"painted": (360, 35_000), "looks": (160, 12_000)}  # folder: longest side in pixels, bytes


def preview(transfer: StyleTransfer, content: str, style: str, settings: Settings) -> np.ndarray:
    """uint8 (H, W, 3): two examples' finished picture; of The Starry Night, our own version is taken."""
    photo = images.load(catalogue.find(content).path, settings.size)
    painting = images.load(catalogue.find(style).path, round(settings.size * settings.style_scale))
    *_, frame = transfer.stylize(photo, [painting], settings)
    return frame.image


def write(pixels: np.ndarray, path: Path) -> None:
    """Reduce and save as the best JPEG within the folder's limits."""
    side, most = LIMITS[path.parent.name]
    height, width = pixels.shape[:2]
    small = images.rescale(pixels, *images.fit(height, width, side))
    qualities = range(85, 25, -1)
    data = next(data for quality in qualities if len(data := images.encode_jpeg(small, quality)) <= most)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    print(f"{path.name}: {small.shape[1]} x {small.shape[0]} pixels, {len(data)} bytes", flush=True)


def main(names: Sequence[str]) -> None:
    """Paint the previews of those names; of all if there are none."""
    transfer = StyleTransfer(load_network(PAIR))
    ours = {example.name for example in catalogue.examples() if example.path.parent == catalogue.FOLDER}
    for pair in catalogue.PAIRS:
        if pair.style in ours and (not names or pair.name in names):
            write(preview(transfer, pair.content, pair.style, PAIR), catalogue.FOLDER / "painted" / f"{pair.name}.jpg")
    for name, look in {**presets.PRESETS, **presets.LOOKS}.items():
        if not names or name in names:
            write(preview(transfer, *LOOK_PAIR, replace(LOOK, **look.values))[DETAIL], presets.picture(name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Paint the page's previews.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="a pair or a look, for example starry-night or Bold")
    main(parser.parse_args().names)
