"""Prints a great wave in the style of the Japanese woodblock prints of about 1830: one of our own style pictures.

    python -m examples.woodcut_wave OUT.jpg [--width 960]

First it draws the design in flat areas, each for one block (`Design`): swells of bands and engraved lines, foam of
curling claws, spray.  Then it prints the blocks one after another on cream paper (`impression`).  Each is slightly out
of register, its ink uneven like wood grain, and fading where the printer wiped the block (bokashi).

All lengths are in units of the picture's width; curves are in thousandths of it, "x,y x,y ...", y downward.
"""

import argparse
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, maximum_filter

from examples.starry_night import curve, spiral

HEIGHT = 0.69
MARGIN = 0.009
SUPERSAMPLING = 3
POINTS = 80  # along a swell's lines
CREAM = "#f4ebd5"
PAPER, SKY, SUN, PALE, MIDDLE, DEEP, KEY = range(7)
PRINTING = (  # block, ink, how much of it stays at which heights (0 top, 1 foot)
    (SKY, "#d9d0bd", "0,1 0.3,0.6 0.5,0.7 0.72,1.6 1,1.6"),
    (SKY, "#87a2c6", "0,1.4 0.06,1.1 0.24,0 1,0"),
    (SUN, "#d8583c", "0,1.1 0.3,1.05 0.52,0.55 1,0.5"),
    (PALE, "#8ab6bd", "0,0.9 1,1"),
    (MIDDLE, "#3d73a5", "0,0.9 1,1"),
    (DEEP, "#1f4079", "0,0.9 1,1"),
    (KEY, "#14244c", "0,1 1,1"),
)
SUNSET = (0.17, 0.29)
BANDS = (DEEP, MIDDLE, DEEP, PALE)
HOLLOW = "250,700 390,625 520,545 605,455 638,365 622,285 575,232 512,212 452,226 415,268 398,320"
BACK = "1080,720 1040,540 985,410 905,285 805,175 690,105 575,78 475,98 405,152 368,230 366,300"
FAR = (
    "-20,455 60,470 150,500 260,512 380,500 640,520",
    "-20,560 60,560 150,560 260,580 380,600 640,610",
)
NEAR = (
    "-40,520 40,470 110,430 175,445 240,510 320,575 430,610 560,600 700,560 850,520 1040,500",
    "-40,780 40,770 110,750 175,720 240,710 320,715 430,735 560,740 700,735 850,720 1040,700",
)
Finger = tuple[np.ndarray, np.ndarray]  # balls that touch: centers (N, 2) and radii (N,)


def color(code: str) -> np.ndarray:
    """(3,) float32, 0..1, from "#rrggbb"."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def resample(line: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) points evenly along a line of (N, 2) points."""
    distance = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    along = np.linspace(0, distance[-1], count)
    return np.stack([np.interp(along, distance, line[:, axis]) for axis in (0, 1)], axis=1)


class Design:
    """The drawing, SUPERSAMPLING times the size of the print; each pixel holds the number of its block."""

    def __init__(self, width: int, seed: int):
        self.random = np.random.default_rng(seed)
        self.size = (width, round(width * HEIGHT))
        self.scale = width * SUPERSAMPLING
        self.image = Image.new("L", (self.scale, self.size[1] * SUPERSAMPLING), SKY)
        self.draw = ImageDraw.Draw(self.image)

    def area(self, outline: np.ndarray, block: int) -> None:
        """Fills an outline, (N, 2) corners."""
        self.draw.polygon((outline * self.scale).ravel().tolist(), block)

    def line(self, path: np.ndarray, width: float, block: int = KEY, start: float = 0.0, end: float = 0.0) -> None:
        """Draws a line along (N, 2) points that tapers to the shares `start` and `end` of its width."""
        t = np.linspace(0, 3, len(path))
        swelling = np.minimum(1, np.minimum(start + t, end + 3 - t))
        x, y = np.gradient(path, axis=0).T
        side = np.stack([-y, x], axis=1) * (width / 2 * swelling / (np.hypot(x, y) + 1e-9))[:, None]
        self.area(np.vstack([path + side, (path - side)[::-1]]), block)

    def balls(self, centers: np.ndarray, radii: np.ndarray, block: int) -> None:
        """Fills disks."""
        corners = np.hstack([centers - radii[:, None], centers + radii[:, None]]) * self.scale
        for corner in corners.tolist():
            self.draw.ellipse(corner, block)

    def foam(self, fingers: list[Finger], block: int = PAPER) -> None:
        """Draws foam as the union of its fingers: contour, shadow, light."""
        centers, radii = (np.concatenate(parts) for parts in zip(*fingers))
        self.balls(centers + (0.0004, 0.0008), radii + 0.0026, KEY)
        self.balls(centers, radii, PALE)
        if block == PAPER:
            self.balls(centers - (0.06, 0.16) * radii[:, None], radii * 0.83, PAPER)

    def swell(self, first: str, last: str, count: int) -> Callable[[float], np.ndarray]:
        """Draws a body of water: bands with engraved lines that blend from one curve into another.

        Returns:
            A function that gives the (POINTS, 2) curve at 0 (first) .. 1 (last).
        """
        start, end = (resample(curve(text), POINTS) for text in (first, last))
        random, edges = self.random, np.linspace(0, 1, count + 1) ** 1.15

        def along(t: float) -> np.ndarray:
            return start + (end - start) * t

        for k, (left, right) in enumerate(zip(edges, edges[1:])):
            self.area(np.vstack([along(left), along(right)[::-1]]), BANDS[k % 4])
            for part in (0.3, 0.65):
                point = random.integers(0, 25)
                self.line(along(left + part * (right - left))[point : point + random.integers(30, 55)], 0.0025)
            self.line(along(left), 0.004, start=1, end=0.2)
        self.line(start, 0.006, start=1, end=0.4)
        return along


def claw(
    root: np.ndarray, heading: float, size: float, curl: float, random: np.random.Generator, branching: int = 2
) -> Finger:
    """A finger of foam that curls by `curl` radians, with smaller fingers on its back."""
    t = np.linspace(0, 1, 24)
    angle = heading + curl * t**1.6
    centers = root + size / len(t) * np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0)
    parts = [(centers, size * (0.14 if branching else 0.17) * (1 - t) ** 0.6 + 0.0005)]
    for k in (6, 11, 16) if branching else ():
        turn = angle[k] - np.sign(curl) * random.uniform(0.8, 1.3)
        smaller = size * random.uniform(0.45, 0.6) * (1.1 - 0.4 * t[k])
        parts.append(claw(centers[k], turn, smaller, curl * random.uniform(0.9, 1.3), random, branching - 1))
    return np.vstack([centers for centers, _ in parts]), np.concatenate([radii for _, radii in parts])


def fringe(
    line: np.ndarray, spacing: float, size: float, lean: float, curl: float, random: np.random.Generator
) -> list[Finger]:
    """Claws that grow from a line of (N, 2) points, turned from its direction by `lean` radians."""
    roots = resample(line, max(2, int(np.hypot(*np.diff(line, axis=0).T).sum() / spacing)))
    headings = np.arctan2(*np.gradient(roots, axis=0).T[::-1]) + lean + random.normal(0, 0.3, len(roots))
    roots = roots + random.normal(0, 0.25 * spacing, roots.shape)
    sizes, curls = size * random.uniform(0.6, 1.4, len(roots)), curl * random.uniform(0.8, 1.2, len(roots))
    return [claw(*finger, random) for finger in zip(roots, headings, sizes, curls)]


def great_wave(design: Design) -> None:
    """Draws the breaking wave: its hollow face and its foam."""
    random, wave = design.random, design.swell(HOLLOW, BACK, 18)
    back, under = wave(1.0), wave(0.0)

    def reach(t: float) -> int:
        """From which point on a curve of the wave is white."""
        return int(POINTS * (0.80 - 0.26 * t**1.5 - 0.14 * t**6 + 0.03 * np.sin(t * 20)))

    def tips(count: int, size: float) -> list[Finger]:
        roots = back[-3] + random.normal(0, 0.008, (count, 2))
        return [claw(root, angle, size, -2, random) for root, angle in zip(roots, np.linspace(1.2, 4, count))]

    hem = np.array([wave(t)[reach(t)] for t in np.linspace(0, 1, 60)])
    mass = np.vstack([hem, back[reach(1) :], under[: reach(0) : -1]])
    design.foam(fringe(under[60:], 0.03, 0.08, -0.8, -1.8, random), PALE)
    design.foam(fringe(back[54:], 0.045, 0.075, 0.8, -2, random) + tips(4, 0.13), PALE)
    design.foam(fringe(hem[3:-6], 0.045, 0.09, 1.5, 1.8, random), PALE)
    foam = [(resample(np.vstack([mass, mass[:1]]), 900), np.full(900, 0.004))]
    foam += fringe(hem[2:-6], 0.05, 0.085, 1.6, 1.8, random) + fringe(under[64:], 0.035, 0.07, -0.8, -1.8, random)
    design.foam(foam + fringe(back[56:], 0.04, 0.06, 0.8, -2, random) + tips(5, 0.11))
    design.area(mass, PAPER)
    for t in random.uniform(0.1, 0.95, 34):  # the water's pull, seen through the foam
        start = reach(t) + random.integers(-2, 12)
        streak = wave(t)[start : min(start + random.integers(8, 16), POINTS - 1)]
        design.line(streak, random.uniform(0.006, 0.011), PALE)
        design.line(streak + (0, 0.003), 0.0026)
    design.line(back[:60], 0.007, start=1)


def near_wave(design: Design) -> None:
    """Draws the smaller wave in front, and the sea along the bottom."""
    random, wave = design.random, design.swell(*NEAR, 13)
    design.foam(fringe(wave(0.14)[4:33], 0.03, 0.06, 1.2, 1.8, random), PALE)
    t = np.linspace(0, 1, 200)[:, None]
    cap = resample(wave(0.02)[3:34], 200) + (0, 0.008) * np.sin(9 * t)
    foam = [(cap, 0.004 + 0.011 * np.sin(np.pi * t[:, 0] ** 0.7) ** 2)]
    design.foam(foam + fringe(wave(0.06)[4:34], 0.034, 0.065, 1.0, 1.8, random))


def spray(design: Design) -> None:
    """Draws flying drops."""
    count = 700
    centers = design.random.normal((0.36, 0.36), (0.13, 0.13), (count, 2))
    design.balls(centers, design.random.exponential(0.0016, count).clip(0.0008, 0.006), PAPER)


def grain(design: Design, *clouds: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 1) smooth noise of mean 1, the sum of layers (amount, size down, size across)."""
    (width, height), field = design.size, np.ones((1, 1))
    for amount, *size in clouds:
        cloud = gaussian_filter(design.random.normal(size=(height, width)), np.multiply(size, width))
        field = field + amount / cloud.std() * cloud
    return field[..., None]


def impression(design: Design, block: int, wiping: str) -> np.ndarray:
    """(H, W, 1) amount of ink that a block leaves on the paper; 1 gives its full color."""
    cut = (np.asarray(design.image) == block).astype(np.uint8) * 255
    if block != KEY:  # cut a little too large, lest paper shows between a color and its contour
        cut = maximum_filter(cut, 2 * round(design.scale / 1500) + 1)
    right, down = design.random.normal(0, 0.0007, 2) * design.scale
    image = Image.fromarray(cut).transform(design.image.size, Image.Transform.AFFINE, (1, 0, right, 0, 1, down))
    touching = np.asarray(image.resize(design.size, Image.Resampling.BOX)) / 255
    heights, amounts = np.array([stop.split(",") for stop in wiping.split()], float).T
    y = np.linspace(0, 1, len(touching))[:, None, None] + grain(design, (0.012, 0.006, 0.06)) - 1
    ink = np.interp(y, heights, amounts)
    return touching[..., None] * ink * grain(design, (0.05, 0.001, 0.03), (0.05, 0.0012, 0.0012), (0.06, 0.02, 0.03))


def paint(width: int = 960, seed: int = 1831) -> Image.Image:
    """Prints the picture.

    Args:
        width: pixels across; the height follows from the design's proportions.
        seed: of the claws, the spray, the paper and the printer's hand.

    Returns:
        RGB, `width` x 0.69 `width` pixels; the same pixels for the same arguments.
    """
    design = Design(width, seed)
    design.area(spiral(SUNSET, 0.075), SUN)
    design.swell(*FAR, 7)
    for passage in (great_wave, spray, near_wave):
        passage(design)
    design.draw.rectangle((0, 0, *design.image.size), outline=PAPER, width=round(MARGIN * design.scale))
    sheet = color(CREAM) * grain(design, (0.012, 0.0006, 0.0012), (0.012, 0.05, 0.05), (0.006, 0.0006, 0.006))
    for block, ink, wiping in PRINTING:
        sheet = sheet * color(ink) ** impression(design, block, wiping)
    return Image.fromarray((255 * sheet.clip(0, 1)).astype(np.uint8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print a great wave.")
    parser.add_argument("out", help="the picture to write, for example woodcut_wave.jpg")
    parser.add_argument("--width", type=int, default=960, help="pixels across (default: %(default)s)")
    arguments = parser.parse_args()
    paint(arguments.width).save(arguments.out, quality=88, optimize=True)
