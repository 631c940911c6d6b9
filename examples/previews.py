"""Paints the pictures that the page shows: the opening one, and a thumbnail for each pair and for each preset.

    python -m examples.previews [NAME ...]

NAME is "opening", a pair or a preset.  Without a NAME all are painted, which takes some ten minutes on two cores.
Pairs whose painting is not in this folder are skipped.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nst import Settings, StyleTransfer, catalogue, images, load_network
from nst.page import presets

PAIR = Settings(size=512, network="compact")
PRESET = Settings(size=384, network="compact")
# Photo, painting, and rows and columns to show, pixel by pixel: a face for the strength, the sky for the strokes
STRENGTH = "lion", "starry-night", np.s_[50:200, 75:275]
BRUSH_SIZE = "tower", "starry-night", np.s_[10:160, 0:200]
LIMITS = {  # longest side in pixels, bytes
    "opening": (1024, 90_000),
    "painted": (360, 35_000),
    "looks": (200, 12_000),
    "page": (512, 82_000),
}
MESSENGERS = Path(presets.__file__).with_name("preview.jpg")  # the same picture as the pair "starry-lion"
OPENING = Settings(size=1024, network="compact")


def preview(transfer: StyleTransfer, content: str, style: str, settings: Settings) -> np.ndarray:
    """Paint two examples; return uint8 (H, W, 3).  The Starry Night is our own version of it."""
    photo = images.load(catalogue.find(content).path, settings.size)
    painting = images.load(catalogue.find(style).path, settings.style_side(settings.size))
    *_, frame = transfer.stylize(photo, [painting], settings)
    return frame.image


def write(pixels: np.ndarray, path: Path) -> None:
    """Downscale; save as the best JPEG within the folder's limits."""
    side, max_bytes = LIMITS[path.parent.name]
    height, width = pixels.shape[:2]
    small = images.rescale(pixels, *images.fit(height, width, min(side, max(height, width))))
    qualities = range(92, 25, -1)
    data = next(data for quality in qualities if len(data := images.encode_jpeg(small, quality)) <= max_bytes)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    print(f"{path.name}: {small.shape[1]} x {small.shape[0]} pixels, {len(data)} bytes", flush=True)


def write_opening(transfer: StyleTransfer) -> None:
    """Paint the first pair; save the upper part of the photo and of the result, 4:3, for the before/after slider."""
    pair = catalogue.PAIRS[0]
    photo = images.to_uint8(images.load(catalogue.find(pair.content).path))
    for pixels, path in zip(
        (photo, preview(transfer, pair.content, pair.style, OPENING)), presets.OPENING, strict=True
    ):
        height, width = pixels.shape[:2]
        top = height // 25
        write(pixels[top : top + width * 3 // 4], path)


def main(names: Sequence[str]) -> None:
    """Paint the previews with these names, or all of them."""
    transfer = StyleTransfer(load_network(PAIR))
    if not names or "opening" in names:
        write_opening(transfer)
    ours = {example.name for example in catalogue.examples() if example.path.parent == catalogue.FOLDER}
    for pair in catalogue.PAIRS:
        if pair.style in ours and (not names or pair.name in names):
            painted = preview(transfer, pair.content, pair.style, PAIR)
            write(painted, catalogue.FOLDER / "painted" / f"{pair.name}.jpg")
            if pair.name == "starry-lion":
                write(painted, MESSENGERS)
    for table, (content, style, detail) in ((presets.STRENGTHS, STRENGTH), (presets.BRUSH_SIZES, BRUSH_SIZE)):
        for name, preset in table.items():
            if not names or name in names:
                painted = preview(transfer, content, style, replace(PRESET, **preset.values))
                write(painted[detail], presets.thumbnail(name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Paint the page's previews.")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="opening, a pair or a preset, for example starry-night or Bold"
    )
    main(parser.parse_args().names)
