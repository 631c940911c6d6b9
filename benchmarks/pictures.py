"""Compare networks and settings: many different pairs on a contact sheet, and a table of a judge network's losses.

    python benchmarks/pictures.py compact RUN/compact.npz compact:content_weight=0.5 judge --judge VGG.npz \
        --pictures FOLDER --published FOLDER --out FOLDER

A contestant is `compact`, a file with a network, or `judge`, with settings that differ from the defaults.  The judge
is a genuine VGG; without a file of one, the compact network judges its own work.  `--gradients` compares gradients too.
Skips pairs whose pictures are missing, and reuses pictures that an earlier run painted.
"""

import argparse
import ast
import hashlib
import re
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont, ImageOps

from nst import Settings, StyleTransfer, catalogue, images, load_network, weights
from nst.features import Network, choose_precision
from nst.machine import describe
from nst.objective import Objective
from nst.optimizers import Losses

PAIRS = (  # photo, painting (an example's name, or a file in the folders of pictures), published picture of the pair
    ("tubingen.jpg", "starry_night_contrast.jpg", "tubingen_starry_neural-style.png"),
    ("golden_gate.jpg", "starry_night_contrast.jpg", "golden_gate_starry_neural-style.png"),
    ("tubingen.jpg", "shipwreck.jpg", "tubingen_shipwreck_neural-style.png"),
    ("tubingen.jpg", "the_scream.jpg", "tubingen_scream_neural-style.png"),
    ("tubingen.jpg", "seated-nude.jpg", "tubingen_seated_nude_neural-style.png"),
    ("golden_gate.jpg", "frida_kahlo.jpg", "golden_gate_kahlo_neural-style.png"),
    ("tubingen.jpg", "starry_night_google.jpg", "tubingen_starry_pytorch-lbfgs.jpg"),
    ("lion.jpg", "vg_la_cafe.jpg", "lion_cafe_pytorch-lbfgs.jpg"),
    ("taj_mahal.jpg", "wave_crop.jpg", ""),
    ("z_bsds_189080.jpg", "vg_wheat_field.jpg", ""),  # two portraits
    ("z_bsds_198004.jpg", "gauguin_why_are_you_angry.jpg", ""),
    ("lion", "starry-night", ""),
    ("tower", "woodcut-wave", ""),
    ("cheetah", "pointillist-shore", ""),
    ("z_bsds_302003.jpg", "seated-nude.jpg", ""),  # a third portrait
    ("z_bsds_135069.jpg", "vg_wheat_field.jpg", ""),  # a flat sky
    ("drawn:logo", "woodcut-wave", ""),
    ("drawn:lines", "starry-night", ""),
)
SIDES = 128, 256, 512  # longest sides, in pixels, at which pictures are judged
HEIGHT = 360  # of a row of the sheet, in pixels
TERMS = "content", "style", "total"


class Contestant(NamedTuple):
    """A network with settings."""

    name: str  # as on the command line, without folders
    network: Network
    settings: Settings


class Painted(NamedTuple):
    """One picture with its figures."""

    image: np.ndarray  # uint8 (H, W, 3)
    seconds: float  # of the whole run; NaN if an earlier run painted it
    losses: dict[int, dict[str, float]]  # side -> the judge's losses by TERMS, at default weights
    color: float  # `color_distance` to the painting
    detail: float  # `finest_detail`; a photo has 0.6 %, published results 0.2 to 0.3 %


class Judge:
    """One network's losses of pictures of a pair, at `side` pixels, default settings without `composition` or `focus`.

    Pictures are float32 (1, H, W, 3) in [0, 1], of any size.
    """

    def __init__(self, network: Network, photo: np.ndarray, painting: np.ndarray, side: int):
        self._network = network
        self._size = images.fit(*photo.shape[1:3], side)
        settings = Settings(size=side, composition=0, focus=0)  # the plain losses at each side
        objective = Objective.of(network, images.resize(photo, *self._size), [painting], settings)
        self._objective = objective._replace(subsamples=False)

    def losses(self, image: np.ndarray) -> dict[str, float]:
        """The losses, by TERMS."""
        losses, _ = self._look(image, self._objective)
        return {term: float(losses[term]) for term in TERMS}

    def gradients(self, image: np.ndarray) -> list[np.ndarray]:
        """Gradients to the image: of the content term, of style and total variation, and of J."""
        nothing, weights = tf.zeros(()), self._objective.weights
        of_content = weights | {"style": nothing, "total_variation": nothing}
        kinds = of_content, weights | {"content": nothing}, weights
        return [self._look(image, self._objective._replace(weights=kind))[1].numpy() for kind in kinds]

    def _look(self, image: np.ndarray, objective: Objective) -> tuple[Losses, tf.Tensor]:
        return objective.losses_and_gradient(self._network, tf.constant(images.resize(image, *self._size)))


def contestant(words: str, judge: Network, settings: Settings) -> Contestant:
    """Parse NETWORK or NETWORK:NAME=VALUE:NAME=VALUE.

    Raises:
        ValueError: the file or a setting is wrong.
    """
    name, *changes = re.split(r":(?=\w+=)", words)
    for change in changes:
        field, _, value = change.partition("=")
        if field not in {knob.name for knob in fields(settings)}:
            raise ValueError(f"{words}: there is no setting {field}")
        settings = replace(settings, **{field: _value(value)})
    if name == "judge":
        network = judge
    elif name == "compact":
        network = load_network(replace(settings, network="compact"))
    else:
        precision = choose_precision(settings)
        network = Network(Path(name).stem, _weights(Path(name)), pooling=settings.pooling, precision=precision)
    return Contestant(words.replace(name, Path(name).name), network, settings)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _weights(path: Path) -> weights.Weights:
    """Read a compact network, recognized by its heads, or a genuine one."""
    if path.suffix == ".npz" and path.is_file():
        source = weights.compact(path)
        if any("_head_" in name for name in source.parameters):
            return source
    return weights.read(path)


def drawn(name: str) -> Image.Image:
    """A logo with text, or a drawing of lines."""
    image = Image.new("RGB", (768, 512), "white")
    pen = ImageDraw.Draw(image)
    if name == "logo":
        pen.ellipse((60, 116, 340, 396), fill="#d02030")
        pen.polygon([(150, 186), (150, 326), (280, 256)], fill="white")
        pen.text((380, 190), "STUDIO", "black", ImageFont.load_default(96))
        pen.text((384, 300), "since 2015", "#606060", ImageFont.load_default(48))
        return image
    for offset in range(0, 768, 96):  # a street of gabled houses
        top = 180 + offset % 160
        outline = [(offset, 470), (offset, top), (offset + 48, top - 70), (offset + 96, top), (offset + 96, 470)]
        pen.line(outline, "black", 4)
        for window in range(top + 30, 420, 60):
            pen.rectangle((offset + 20, window, offset + 44, window + 32), outline="black", width=3)
            pen.rectangle((offset + 56, window, offset + 80, window + 32), outline="black", width=3)
    pen.line([(0, 470), (768, 470)], "black", 4)
    return image


def located(name: str, folders: list[Path], out: Path) -> Path | None:
    """The file of an example, of a picture in one of the folders, or of a drawing; None if it is not at hand."""
    if name.startswith("drawn:"):
        file = out / f"{name.removeprefix('drawn:')}.png"
        drawn(file.stem).save(file)
        return file
    if "." not in name:
        return next((example.path for example in catalogue.examples() if example.name == name), None)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def paint(contestant: Contestant, photo: np.ndarray, painting: np.ndarray, kept: Path) -> tuple[np.ndarray, float]:
    """Paint, or reuse an earlier run's picture; returns uint8 (H, W, 3) and seconds."""
    key = f"{contestant.network.weights_hash} {contestant.settings}".encode()
    file = kept.with_name(f"{kept.name}_{hashlib.sha256(key).hexdigest()[:8]}.png")
    if file.is_file():
        return images.to_uint8(images.load(file)), float("nan")
    began = time.perf_counter()
    *_, last = StyleTransfer(contestant.network).stylize(photo, [painting], contestant.settings)
    seconds = time.perf_counter() - began
    images.save(last.image, file)
    return last.image, seconds


def color_distance(ours: np.ndarray, theirs: np.ndarray, directions: int = 64) -> float:
    """Sliced Wasserstein distance (Rabin et al. 2012) of the colors of two pictures, float (1, H, W, 3) in [0, 1]."""
    axes = np.random.default_rng(0).normal(size=(3, directions))
    axes /= np.linalg.norm(axes, axis=0)
    quantiles = np.linspace(0, 1, 256)
    one, other = (np.quantile(picture.reshape(-1, 3) @ axes, quantiles, axis=0) for picture in (ours, theirs))
    return float(np.mean(np.abs(one - other)))


def finest_detail(image: np.ndarray) -> float:
    """Energy of 2 × 2 diagonal differences, relative to the luminance around its mean; image uint8 (H, W, 3)."""
    luminance = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    height, width = (side // 2 * 2 for side in luminance.shape)
    a, b, c, d = (luminance[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    return float(np.sum(np.square((a - b - c + d) / 2)) / np.sum(np.square(luminance - luminance.mean())))


def judged(judges: dict[int, Judge], image: np.ndarray, seconds: float, painting: np.ndarray) -> Painted:
    """Judge a picture."""
    picture = image[np.newaxis] / np.float32(255)
    losses = {side: judge.losses(picture) for side, judge in judges.items()}
    return Painted(image, seconds, losses, color_distance(picture, painting), finest_detail(image))


def sheet(rows: list[tuple[list[Image.Image], list[Image.Image]]], caption: str) -> Image.Image:
    """A contact sheet with a row for each pair: photo above painting, then the pictures."""
    strips = []
    for pair, pictures in rows:
        small = Image.new("RGB", (HEIGHT * 2 // 3, HEIGHT), "white")
        for top, picture in zip((0, HEIGHT // 2), pair):
            small.paste(ImageOps.contain(picture, (small.width, HEIGHT // 2 - 4)), (0, top))
        strips.append([small, *(ImageOps.contain(picture, (2 * HEIGHT, HEIGHT)) for picture in pictures)])
    width = max(sum(tile.width + 8 for tile in tiles) for tiles in strips)
    whole = Image.new("RGB", (width, 28 + (HEIGHT + 8) * len(strips)), "white")
    ImageDraw.Draw(whole).text((4, 4), caption, "black", ImageFont.load_default(16))
    for row, tiles in enumerate(strips):
        left = 0
        for tile in tiles:
            whole.paste(tile, (left, 28 + (HEIGHT + 8) * row))
            left += tile.width + 8
    return whole


def table(rows: dict[str, dict[str, Painted]]) -> str:
    """Markdown rows for each picture, then each contestant's mean and worst; ratios are to the picture of `judge`."""
    sides = next(iter(next(iter(rows.values())).values())).losses  # the same for all
    heads = ["pair", "painted by", "J ratio", "content ratio", "style ratio"]
    heads += [f"{term} {side}" for term in TERMS[:2] for side in sides] + ["color", "finest detail", "s"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    figures: dict[str, list[list[float]]] = {}
    for pair, painted in rows.items():
        for name, made in painted.items():
            row = [*_ratios(made, painted.get("judge")), *(made.losses[s][t] for t in TERMS[:2] for s in sides)]
            row += [made.color, made.detail, made.seconds]
            figures.setdefault(name, []).append(row)
            lines.append(_line(pair, name, row))
    for name, numbers in figures.items():
        lines.append(_line("**mean**", name, np.mean(numbers, axis=0)))
        lines.append(_line("**worst**", name, np.max(numbers, axis=0)))
    return "\n".join(lines)


def _ratios(made: Painted, judges: Painted | None) -> list[float]:
    """J, content and style of a picture divided by those of the judge's own, at the largest of SIDES."""
    ours, theirs = (list(p.losses.values())[-1] if p else {} for p in (made, judges))
    return [ours[term] / theirs[term] if theirs else float("nan") for term in ("total", "content", "style")]


def _line(pair: str, name: str, row: Any) -> str:
    *numbers, detail, seconds = row
    words = [*map(_number, numbers), f"{detail:.2%}", _number(seconds, 1)]
    return f"| {pair} | {name} | {' | '.join(words)} |"


def _number(value: float, digits: int = 3) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def on_the_way(judge: Network, photo: np.ndarray, painting: np.ndarray, side: int) -> dict[str, np.ndarray]:
    """Frames of a run by the judge, float32 (1, H, W, 3): the first, one a third of the way, and the last."""
    settings = Settings(size=side, min_scale=side, steps=(60,), frames_per_second=60)
    frames = list(StyleTransfer(judge).stylize(photo, [painting], settings))
    chosen = {"start": frames[0], "third": frames[len(frames) // 3], "done": frames[-1]}
    return {name: frame.image[np.newaxis] / np.float32(255) for name, frame in chosen.items()}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine similarity of two gradients; NaN if one is zero, as the content term's is at the photo itself."""
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.sum(one * other) / lengths) if lengths else float("nan")


def main(argv: list[str] | None = None) -> None:
    options = parsed(argv)
    settings = Settings(size=options.size, sketch="itself")  # one network paints the whole picture
    judge = load_network(
        replace(settings, weights=options.judge) if options.judge else replace(settings, network="compact")
    )
    contestants = [contestant(words, judge, settings) for words in options.contestants]
    options.out.mkdir(parents=True, exist_ok=True)
    sides = [side for side in SIDES if side <= settings.size] or [settings.size]
    told = "a genuine network" if options.judge else "the compact network, which knows no better"
    heading = f"{describe(('tensorflow', 'keras'))}\n\n{options.size} px, judged by {judge.name}: {told}\n"
    rows, strips, likeness = {}, [], []
    for number, (content, style, published) in enumerate(PAIRS):
        files = [located(name, options.pictures, options.out) for name in (content, style)]
        if None in files or (options.pairs and number not in options.pairs):
            continue
        photo, painting = images.load(files[0]), images.load(files[1], settings.size)
        stems = [Path(name.removeprefix("drawn:")).stem for name in (content, style)]
        pair, name = " × ".join(stems), "_".join(stems)
        judges = {side: Judge(judge, photo, painting, side) for side in sides}
        rows[pair] = {
            each.name: judged(judges, *paint(each, photo, painting, options.out / name), painting)
            for each in contestants
        }
        pictures = [Image.fromarray(made.image) for made in rows[pair].values()]
        if options.published and published and (options.published / published).is_file():
            pictures.append(Image.open(options.published / published).convert("RGB"))
        strips.append(([Image.open(file).convert("RGB") for file in files], pictures))
        caption = "photo and painting; by " + ", ".join(each.name for each in contestants) + "; published"
        sheet(strips, caption).save(options.out / "sheet.png")
        text = f"{heading}\n{table(rows)}\n"
        if options.gradients:
            for side in sides:
                others = {each.name: Judge(each.network, photo, painting, side) for each in contestants}
                for at, image in on_the_way(judge, photo, painting, side).items():
                    theirs = judges[side].gradients(image)
                    for each, other in others.items():
                        found = [_number(cosine(*both)) for both in zip(other.gradients(image), theirs)]
                        likeness.append(f"| {' | '.join([pair, each, str(side), at, *found])} |")
            head = "| pair | network | side | picture | content | style | J |", "|---" * 7 + "|"
            text += "\n".join(["", *head, *likeness, ""])
        (options.out / "table.md").write_text(text)
        print("\n".join(table({pair: rows[pair]}).splitlines()[2 : 2 + len(contestants)]), flush=True)
    if not rows:
        raise ValueError("none of the pairs has both its pictures in the folders given with --pictures")


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("contestants", nargs="+", help="compact, judge or a file, each with :NAME=VALUE for settings")
    add("--judge", default="", help="file with the weights of a VGG")
    add("--pictures", type=Path, nargs="*", default=[], help="folders of further pictures")
    add("--published", type=Path, help="folder of published pictures of the same pairs")
    add("--out", type=Path, required=True, help="folder for the pictures, sheet.png and table.md")
    add("--size", type=int, default=512, help="longest side of the pictures in pixels; default 512")
    add("--pairs", type=int, nargs="*", help="numbers of the pairs to paint, from 0; all of them unless told")
    add("--gradients", action="store_true", help="compare gradients with the judge's, too")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(str(error))
