"""Paints the page's preview pictures: one for each pair and one for each strength and brush size.

    python -m examples.previews [NAME ...]

NAME is a pair or a look.  Without one it paints all, which takes about ten minutes on two cores.  Skips pairs whose
painting is not in this folder.
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
DETAIL = slice(30, 270), slice(66, 306)  # rows and columns of the lion's head
LIMITS = {"painted": (360, 35_000), "looks": (160, 12_000)}  # folder: longest side in pixels, bytes


def preview(transfer: StyleTransfer, content: str, style: str, settings: Settings) -> np.ndarray:
    """Paint two examples, uint8 (H, W, 3); uses our own version of The Starry Night."""
    photo = images.load(catalogue.find(content).path, settings.size)
    painting = images.load(catalogue.find(style).path, round(settings.size * settings.style_scale))
    *_, frame = transfer.stylize(photo, [painting], settings)
    return frame.image


def write(pixels: np.ndarray, path: Path) -> None:
    """Shrink and save as the best JPEG within the folder's limits."""
    side, most = LIMITS[path.parent.name]
    height, width = pixels.shape[:2]
    small = images.rescale(pixels, *images.fit(height, width, side))
    qualities = range(85, 25, -1)
    data = next(data for quality in qualities if len(data := images.encode_jpeg(small, quality)) <= most)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    print(f"{path.name}: {small.shape[1]} x {small.shape[0]} pixels, {len(data)} bytes", flush=True)


def main(names: Sequence[str]) -> None:
    """Paint the previews with those names, or all if there are none."""
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
