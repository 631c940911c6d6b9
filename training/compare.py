"""Which compact network paints better: a contact sheet and a table, the same pairs by several weight files.

    python training/compare.py OLD.npz NEW.npz --pictures FOLDER --out sheet.png --teacher imagenet

A network is a poor judge of its own work: the table's losses are what the teacher sees in the finished pictures.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from distill import teachers
from PIL import Image, ImageDraw, ImageFont, ImageOps

from nst import Settings, StyleTransfer, catalogue, images, weights
from nst.features import Network
from nst.losses import content_loss, content_spread, style_loss, style_statistics
from nst.machine import has_fast_bfloat16
from nst.settings import STYLE_LAYERS

PAIRS = (  # examples by name, or files in the folder of pictures
    ("tower", "starry-night"),
    ("lion", "woodcut-wave"),
    ("tower", "pointillist-shore"),
    ("cheetah", "starry-night"),
    ("tubingen.jpg", "starry_night_google.jpg"),
    ("tubingen.jpg", "shipwreck.jpg"),
    ("lion.jpg", "vg_la_cafe.jpg"),
    ("taj_mahal.jpg", "wave_crop.jpg"),
    ("taj_mahal.jpg", "monet_sainte_adresse.jpg"),
    ("lion.jpg", "seurat_grande_jatte_sketch.jpg"),
)


class Painted(NamedTuple):
    """One picture of the sheet, and how it is judged."""

    image: np.ndarray  # uint8 (H, W, 3)
    content: float  # relative loss at block4_conv2 and at the style layers, as the teacher sees it
    style: float
    grain: float  # share of the finest details in the luminance's energy; a photo has 0.6 %, speckle more
    seconds: float  # of the whole run


def located(name: str, folder: Path | None) -> Path | None:
    """The file of an example, or of a picture in the folder; None where it is not on this machine."""
    if "." not in name:
        return next((example.path for example in catalogue.examples() if example.name == name), None)
    path = folder / name if folder else None
    return path if path and path.is_file() else None


def grain(image: np.ndarray) -> float:
    """Energy of the 2 × 2 diagonal differences in that of the luminance around its mean; image uint8 (H, W, 3)."""
    luminance = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    height, width = (side // 2 * 2 for side in luminance.shape)
    a, b, c, d = (luminance[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    return float(np.sum(np.square((a - b - c + d) / 2)) / np.sum(np.square(luminance - luminance.mean())))


class Judge:
    """The losses of finished pictures as the teachers see them."""

    def __init__(self, teacher: str):
        self._trunks, _ = teachers(teacher)

    def __call__(self, image: np.ndarray, content: np.ndarray, style: np.ndarray) -> tuple[float, float]:
        """(content loss, style loss), relative, of a picture; all three float32 (1, H, W, 3) in [0, 1]."""
        ours, photo, painting = (self._see(x) for x in (image, content, style))
        for layer in ours:  # each filter's mean over photo and painting is one, as in training: otherwise a few rule
            mean = (tf.reduce_mean(photo[layer], (0, 1, 2)) + tf.reduce_mean(painting[layer], (0, 1, 2))) / 2
            scale = 1 / tf.maximum(mean, 0.01 * tf.reduce_mean(mean))
            ours[layer], photo[layer], painting[layer] = (x[layer] * scale for x in (ours, photo, painting))
        target = photo["block4_conv2"]
        contents = content_loss(ours["block4_conv2"], target, content_spread(target, "relative"))
        styles = []
        for layer in STYLE_LAYERS:
            picture, target = (style_statistics(x[layer], "covariance") for x in (ours, painting))
            styles.append(style_loss(picture, target, "relative"))
        return float(contents), float(np.mean(styles))

    def _see(self, image: np.ndarray) -> dict[str, Any]:
        return {layer: x for trunk in self._trunks for layer, x in trunk(image).items()}


def paint(files: Iterable[Path], content: Path, style: Path, settings: Settings, judge: Judge) -> list[Painted]:
    """The pair painted by each of the files, at equal settings."""
    photo, painting = images.load(content), images.load(style, settings.size)
    made = []
    for file in files:
        network = Network(file.stem, weights.compact(file), pooling=settings.pooling, precision=settings.precision)
        began = time.perf_counter()
        *_, last = StyleTransfer(network).stylize(photo, [painting], settings)
        seconds = time.perf_counter() - began
        image = last.image[np.newaxis] / np.float32(255)
        scaled = images.resize(photo, *last.image.shape[:2])
        made.append(Painted(last.image, *judge(image, scaled, painting), grain(last.image), seconds))
    return made


def sheet(rows: list[tuple[Path, Path, list[Painted]]], names: list[str], height: int = 360) -> Image.Image:
    """A row for each pair: photo above painting, then the picture of each file, in their order."""
    strips = []
    for content, style, painted in rows:
        pair = Image.new("RGB", (height * 2 // 3, height), "white")
        for top, path in ((0, content), (height // 2, style)):
            with Image.open(path) as picture:
                pair.paste(ImageOps.contain(picture.convert("RGB"), (pair.width, height // 2 - 4)), (0, top))
        made = [Image.fromarray(picture.image) for picture in painted]
        strips.append([pair, *(ImageOps.contain(picture, (2 * height, height)) for picture in made)])
    width = max(sum(tile.width + 8 for tile in tiles) for tiles in strips)
    whole = Image.new("RGB", (width, 28 + (height + 8) * len(strips)), "white")
    caption = "photo and painting; then painted by " + ", ".join(names)
    ImageDraw.Draw(whole).text((4, 4), caption, "black", ImageFont.load_default(16))
    for row, tiles in enumerate(strips):
        left = 0
        for tile in tiles:
            whole.paste(tile, (left, 28 + (height + 8) * row))
            left += tile.width + 8
    return whole


def table(rows: list[tuple[Path, Path, list[Painted]]], names: list[str]) -> str:
    """Markdown: a row for each picture."""
    lines = [
        "| photo × painting | network | style loss | content loss | grain | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for content, style, painted in rows:
        for name, picture in zip(names, painted):
            figures = f"{picture.style:.3f} | {picture.content:.3f} | {picture.grain:.2%} | {picture.seconds:.1f}"
            lines.append(f"| {content.stem} × {style.stem} | {name} | {figures} |")
    for index, name in enumerate(names):
        means = np.mean([painted[index][1:] for _, _, painted in rows], axis=0)
        lines.append(f"| mean | {name} | {means[0 + 1]:.3f} | {means[0]:.3f} | {means[2]:.2%} | {means[3]:.1f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Paint the same pairs with several weight files.")
    add = parser.add_argument
    add("files", type=Path, nargs="+", help="compact networks, .npz")
    add("--pictures", type=Path, help="folder of further pictures; pairs that it lacks are left out")
    add("--teacher", default="imagenet", help="the judge: imagenet, or the folder with the two teachers' files")
    add("--out", type=Path, required=True, help="the contact sheet, a PNG; the table goes beside it, as .md")
    add("--size", type=int, default=512, help="longest side of the pictures in pixels")
    add("--pairs", type=int, nargs="*", help="numbers of the pairs to paint, from 0; all of them unless told")
    options = parser.parse_args(argv)
    precision = "bfloat16" if has_fast_bfloat16() else "float32"
    settings, judge = Settings(size=options.size, precision=precision), Judge(options.teacher)
    names = [file.stem for file in options.files]
    rows = []
    for number, pair in enumerate(PAIRS):
        content, style = (located(name, options.pictures) for name in pair)
        if content and style and (options.pairs is None or number in options.pairs):
            rows.append((content, style, paint(options.files, content, style, settings, judge)))
            sheet(rows, names).save(options.out)
            options.out.with_suffix(".md").write_text(table(rows, names) + "\n")
            print(table(rows[-1:], names).splitlines()[2 : 2 + len(names)])


if __name__ == "__main__":
    main()
