"""Paints a bay in the evening sun in the style of the pointillists of about 1890: one of our own style pictures.

    python -m examples.pointillist_shore OUT.jpg [--width 900]

The picture is round dabs of two dozen unmixed pigments on a warm ground, which approximate a hidden motif in soft local
colors (`Motif`).  Before each layer, the picture so far is blurred, as if seen from a distance, and compared with the
motif.  Each dab gets the pigment that moves the blurred picture toward the motif, or sometimes toward its complement.

All lengths are in units of the picture's width; outlines are in thousandths of it, "x,y x,y ...", y downward.
"""

import argparse
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from examples.starry_night import HEIGHT, Canvas, curve, numbers


def colors(codes: str) -> np.ndarray:
    """(N, 3) colors, 0..1, from "#rrggbb #rrggbb ..."."""
    return np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in codes.split()]) / 255


GRID = 500  # cells of the motif across the picture
Y, X = np.mgrid[0 : round(GRID * HEIGHT), 0:GRID] / GRID
SUN = (0.40, 0.315)
DAB = 0.01  # distance between dabs of a layer
SIZES = (0.0124, 0.0096, 0.0090, 0.0085)  # of the dabs in each layer
CORNERS = 12  # of a dab
GROUND = (226, 178, 128, 60)
PIGMENTS = colors(
    "#f7cb25 #fbe98f #f49a2a #ef6f2e #d9402f #b93458 #ea96a6 #f9c3b4 #8350a6 #ae98d2 #d6cae6 #2b379a #2e62c2 #3e97d2 "
    "#9bcbea #157a70 #35a583 #9cc746 #cfe4a6 #fdf4de #f9d39a #3b2170 #123f4a #1d5a34"
)
CLIFF = "1010,130 930,150 850,178 800,205 772,262 752,330 712,372 690,392 1010,460"
TURF = "1010,120 930,141 850,172 800,202 840,228 900,220 1010,250"
CLEFTS = ("850,235 832,300 800,392 872,405 884,300", "950,240 926,300 914,415 1000,430 1000,260")
SHORE = "1010,470 940,446 880,430 850,444 872,490 850,550 780,610 660,668 520,712 380,742 250,760"
SURF = "870,486 850,550 780,610 660,668 520,712 380,742 250,760 250,770 390,753 530,723 668,680 790,621 862,555"
SHADOWS = ("1010,560 900,600 800,650 860,660 1010,610", "1010,720 850,730 700,770 800,780 1010,770")
KNOLL = "-10,610 60,612 140,640 220,700 300,770 330,820 -10,820"
TRUNK = "62,830 92,700 96,560 124,420 150,330 196,230 206,236 168,345 148,440 128,570 130,700 128,830"
BRANCH = "126,440 90,360 40,290 46,286 104,345 140,400"
CROWNS = (
    "-20,200 40,150 120,150 160,190 150,230 80,250 -20,255",
    "60,120 130,70 220,60 300,90 330,130 290,160 200,165 110,160",
    "150,210 220,170 310,180 350,215 320,245 230,250 170,245",
    "-20,300 30,270 80,280 100,305 60,330 -20,335",
)
BOATS = ("560,490,1000", "660,410,400", "270,395,350", "310,385,200", "600,390,250")  # x, y, size


class Motif:
    """The hidden target, GRID cells across: local colors, and the angle, size and stretch of the dabs."""

    def __init__(self):
        self.random = np.random.default_rng(1890)
        self.color = np.zeros((*X.shape, 3))
        self.angle = np.arctan2(Y - SUN[1], X - SUN[0]) + np.pi / 2  # around the sun
        self.size = np.ones(X.shape)
        self.stretch = np.full(X.shape, 1.2)

    def noise(self, down: float, across: float) -> np.ndarray:
        """Smooth noise with features of about that size; mean 0, variance 1."""
        field = gaussian_filter(self.random.normal(size=X.shape), (down * GRID, across * GRID))
        return field / field.std()

    def tint(self, share: np.ndarray, code: str) -> None:
        """Mixes in a color by its share, 0..1, in each cell."""
        self.color += np.clip(share, 0, 1)[..., None] * (colors(code) - self.color)

    def area(
        self, outline, codes: str, angle: Any = 0.0, stretch=1.4, size=1.0, soft=0.001, rough=0.0, along=Y
    ) -> np.ndarray:
        """Fills an area with a gradient of colors.

        Args:
            outline: "x,y x,y ..." of a smooth curve, or (N, 2) corners.
            codes: colors, evenly spaced from top to bottom, or from left to right if `along` is X.
            angle, stretch, size: of the dabs there; the angle in radians.
            soft: width of the edge.
            rough: how much the edge is frayed.

        Returns:
            (H, W) share of each cell that is inside.
        """
        corners = curve(outline) if isinstance(outline, str) else outline
        mask = Image.new("L", (GRID * 4, X.shape[0] * 4))
        ImageDraw.Draw(mask).polygon((corners * GRID * 4).ravel().tolist(), 255)
        share = gaussian_filter(np.asarray(mask.resize(X.shape[::-1], Image.Resampling.BOX)) / 255, soft * GRID)
        if rough:
            places = [(axis + rough * self.noise(0.008, 0.012)) * GRID for axis in (Y, X)]
            share = map_coordinates(share, places, order=1, mode="nearest")
        stops, inside = colors(codes), along[share > 0.5]
        at = np.linspace(inside.min(), inside.max(), len(stops))
        tones = np.stack([np.interp(along, at, stop) for stop in stops.T], axis=-1)
        self.color += share[..., None] * (tones - self.color)
        for field, value in ((self.angle, angle), (self.size, size), (self.stretch, stretch)):
            field += share * (value - field)
        return share


def sky(motif: Motif) -> None:
    """Lays out the sky, its clouds and the sun."""
    corners = numbers("-10,-10 1010,-10 1010,372 -10,372")
    motif.area(corners, "#5b88c4 #7ba8d0 #a9c9d6 #d9ddca #f6dcaa #f6be8e", angle=motif.angle, stretch=1.3)
    distance = np.hypot(X - SUN[0], (Y - SUN[1]) * 1.2)
    motif.tint(0.85 * np.exp(-((distance / 0.11) ** 2)), "#fbd978")
    cloud = (motif.noise(0.010, 0.06) + 0.7 * motif.noise(0.006, 0.03)) * np.exp(-(((Y - 0.18) / 0.11) ** 2))
    motif.tint(0.8 * cloud, "#f8c8b4")
    motif.tint(0.6 * (np.roll(cloud, 7, axis=0) - 0.5), "#9f90c8")
    motif.tint((0.028 - distance) / 0.004, "#fffbe0")


def sea(motif: Motif) -> None:
    """Lays out the far shore, the sea with the sun's path on it, and the boats."""
    motif.area("560,374 610,358 650,340 690,346 740,356 800,350 1000,345 1000,374", "#8a80c4 #b0a0cc", size=0.8)
    corners = numbers("-10,370 1010,370 1010,810 -10,810")
    stops = "#d8c0b0 #a3c2cc #6aa8c2 #4a8db8 #427fb0 #4f93b0 #7fb8b0"
    water = motif.area(corners, stops, stretch=2, size=0.95)
    motif.tint(0.4 * water * motif.noise(0.004, 0.03), "#3453a4")
    motif.tint(water * 0.7 * np.exp(-(((X - 0.6) / 0.4) ** 2) - ((Y - 0.74) / 0.08) ** 2), "#8fcbb8")
    path = np.exp(-(((X - SUN[0]) / (0.02 + 0.2 * (Y - 0.36))) ** 2))
    motif.tint(water * path * (0.6 + 0.6 * motif.noise(0.004, 0.015)), "#fccf70")
    motif.area("690,392 1000,400 1000,470 900,452 780,430", "#4b55a4 #4f78b4 #4f8fc0", soft=0.01, stretch=2)
    for x, y, size in numbers(" ".join(BOATS)):
        for outline, stops, angle in (
            ("-4,2 -46,8 -30,80 4,60", "#c9744a #5f7fb8", 0),
            ("-2,-130 -40,-50 -56,-14 -4,-10", "#fff0c8 #fbc080 #f09a62", 1.2),
            ("2,-120 3,-12 46,-14 30,-50", "#f4a884 #c9708a #8a64a8", 1.2),
            ("-54,-8 50,-10 38,7 -40,8", "#5a2f6a #2b2b70", 0),
        ):
            motif.area(numbers(outline) * size + (x, y), stops, angle, size=0.75)


def headland(motif: Motif) -> None:
    """Lays out the headland, in shade below its turf."""
    motif.area(CLIFF, "#d4a878 #f2b48c #d094a8 #8468b4 #4c4a9c", angle=1.3, stretch=1.6, rough=0.003)
    for outline in CLEFTS:
        motif.area(outline, "#9068b4 #4a4498 #2c2f78", angle=1.4, stretch=1.6, soft=0.006)
    turf = motif.area(TURF, "#ccc65c #8fae50 #4f8a5c", angle=0.2, rough=0.005)
    motif.tint(0.6 * turf * motif.noise(0.006, 0.012), "#3f6a78")


def beach(motif: Motif) -> None:
    """Lays out the beach, the surf and two who walk there, one under a parasol."""
    sand = motif.area(SHORE + " 200,820 1010,820", "#d2b49c #ecca92 #f4d492 #f0c084 #dca284", angle=-0.4, rough=0.003)
    motif.tint(0.3 * sand * motif.noise(0.01, 0.03), "#b890ac")
    motif.area(SURF, "#fff4dc #fff4dc", angle=-0.4, size=0.8, soft=0.002, rough=0.003)
    for outline in SHADOWS:
        motif.area(outline, "#c08cb4 #a684c0", angle=-0.3, soft=0.012)
    for x in (800, 855):
        for outline, stops, angle in (
            ("0,0 80,18 96,26 4,8", "#7a62ac #8a74b8", 0.2),
            ("-17,0 -11,-40 -6,-60 7,-60 11,-40 18,0", "#3f3a90 #6a3a78", 1.5),
            ("-7,-58 -8,-72 8,-72 7,-58", "#e8a080 #c86a50", 0),
        ):
            motif.area(numbers(outline) + (x / 1000, 0.655), stops, angle, size=0.6)
    motif.area(numbers("-36,-70 -26,-88 0,-98 26,-88 36,-70") + (0.79, 0.655), "#fbc050 #e05a34", size=0.65)


def pine(motif: Motif) -> None:
    """Lays out the knoll in front and the pine on it."""
    grass = motif.area(KNOLL, "#b4b850 #6c9450 #34684e #243c6c", angle=-0.9, stretch=1.6, rough=0.006)
    motif.tint(0.5 * grass * motif.noise(0.008, 0.012), "#2f5a70")
    trunk = motif.area(TRUNK, "#6a2f6a #8a4060 #e08a5a", angle=1.5, size=0.85, stretch=1.8, along=X, rough=0.002)
    motif.tint(trunk - np.roll(trunk, -5, axis=1), "#f4a85c")
    motif.area(BRANCH, "#8a4066 #5a2f6a", angle=0.9, size=0.8)
    for outline in CROWNS:
        crown = motif.area(outline, "#b0b450 #4f8a56 #1c5450 #1c2f62", angle=-0.3, soft=0.003, rough=0.014)
        motif.tint(0.7 * crown * motif.noise(0.01, 0.018), "#b8b048")
        motif.tint(0.7 * crown * motif.noise(0.01, 0.018), "#1f4a62")


PASSAGES = (sky, sea, headland, beach, pine)  # from back to front


def lay(canvas: Canvas, motif: Motif, size: float) -> None:
    """Lays a layer of dabs, on average `size` wide, in the pigments that the picture lacks most."""
    random, blur = canvas.random, 0.6 * DAB * GRID
    x, y = np.meshgrid(np.arange(0, 1, DAB), np.arange(0, HEIGHT, DAB))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points = random.permutation(points + random.uniform(0, DAB, points.shape))
    count = len(points)

    def there(field: np.ndarray) -> np.ndarray:
        return map_coordinates(field, points.T[::-1] * GRID, order=1, mode="nearest")

    seen = np.asarray(canvas.image.convert("RGB").resize(X.shape[::-1], Image.Resampling.BOX)) / 255
    lacking = motif.color - gaussian_filter(seen, (blur, blur, 0))
    wanted = np.stack([there(channel) for channel in np.moveaxis(motif.color + 0.9 * lacking, -1, 0)], axis=1)
    wanted += random.normal(0, 0.11, wanted.shape) * there(motif.size)[:, None] ** 3
    complements = random.random(count) < 0.05
    wanted[complements] = 1.6 * wanted[complements].mean(axis=1, keepdims=True) - 0.6 * wanted[complements]
    chosen = ((wanted[:, None] - PIGMENTS) ** 2 @ (0.9, 1.3, 0.8)).argmin(axis=1)  # the eye knows greens best
    inks = np.hstack([255 * PIGMENTS[chosen] + random.normal(0, 6, (count, 3)), random.uniform(110, 220, (count, 1))])

    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    radius = size / 2 * (there(motif.size) * random.uniform(0.75, 1.25, count))[:, None]
    radius = radius * random.normal(1, 0.06, (count, CORNERS))  # nobody's dab is round
    stretch = np.sqrt(there(motif.stretch))[:, None]
    shape = radius * stretch * np.cos(turn) + 1j * radius / stretch * np.sin(turn)
    shape = shape * np.exp(1j * (there(motif.angle) + random.normal(0, 0.3, count)))[:, None]
    corners = (points[:, None] + np.stack([shape.real, shape.imag], axis=-1)) * canvas.scale
    draw = ImageDraw.Draw(canvas.image)
    for dab, ink in zip(corners.reshape(count, -1).tolist(), inks.clip(0, 255).astype(int).tolist()):
        draw.polygon(dab, tuple(ink))
    canvas.strokes += count


def paint(width: int = 900, seed: int = 1890) -> Image.Image:
    """Paints the picture.

    Args:
        width: pixels across; the height follows from the painting's proportions.
        seed: of the dabs' positions and pigments; the motif stays the same.

    Returns:
        RGB, `width` x 0.8 `width` pixels; the same pixels for the same arguments.
    """
    motif, canvas = Motif(), Canvas(width, seed)
    for passage in PASSAGES:
        passage(motif)
    canvas.image.paste(GROUND, (0, 0, *canvas.image.size))
    for size in SIZES:
        lay(canvas, motif, size)
    return canvas.finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Paint a pointillist shore.")
    parser.add_argument("out", help="the picture to write, for example pointillist_shore.jpg")
    parser.add_argument("--width", type=int, default=900, help="pixels across (default: %(default)s)")
    arguments = parser.parse_args()
    paint(arguments.width).save(arguments.out, quality=88, optimize=True)
