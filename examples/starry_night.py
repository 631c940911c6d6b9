"""Paints Van Gogh's "The Starry Night" (1889) in 24,000 brush strokes: one of our own style pictures.

    python examples/starry_night.py OUT.jpg [--width 1280]

The composition is a set of hand-drawn guides: curves, each with a palette, that give the brush's direction and color
near them.  Between guides, both are blended by distance (`Flow`).  A part of the painting (sky, hill, cypress, wall) is
an outline filled with strokes that follow its flow (`fill`).  A star is arcs around a center (`halo`); a tree is commas
over a dark disk (`trees`).  `Canvas.lay` draws each stroke bristle by bristle, with the color and thickness of the
paint, so that the finished canvas can be lit from the upper left like an impasto.

All lengths are in units of the picture's width, so that every width gives the same composition; the drawing itself is
written in thousandths of it, "x,y x,y ...", y downward.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HEIGHT = 1024 / 1280  # the canvas is 921 x 737 mm
SUPERSAMPLING = 3
BRISTLES = 7
GRID = 128  # cells of a flow field across the picture
STEPS = 8  # points along a stroke
ACROSS = np.linspace(-0.5, 0.5, BRISTLES)

PALETTES = {
    "night": "#141b45 #1b2760 #223382 #28409c #2e4aa6 #3a5cb0 #4a6fb8 #2a3f8e #6f93c9",
    "dark": "#0d1330 #131b42 #1a2558 #243682 #35509c #1c2a4c",
    "blue": "#1f3178 #2b4699 #3559ae #4470bb #5585c4 #6b98cb #7faad0 #3c62a8 #a9c4d4",
    "wind": "#2d4c9e #4a77bd #6493c6 #7fa6cd #9cbdd2 #b4c6cc #bcc6b0 #7d9fc0 #5d8cc4 #3a5fb0 #5580b8 #8aa9c0",
    "pale": "#7398c4 #93b4cc #a9c0c8 #bfcac2 #c9cdac #adb88c #86a8c0 #9fb4b8 #5c86bc #d4d8c8",
    "mist": "#d2d8c4 #c0cab6 #a9bdb4 #9fb8b8 #c9cc94 #bcc274 #8caab0 #8aa4aa #b4c0b0 #6f92b0",
    "cream": "#e4e6d0 #d6dcc8 #c6d2c4 #dadeb2 #b4c8c6 #ccd2b0 #8fb0c4",
    "haze": "#5a88b8 #769fc0 #93b2c0 #a9baba #4570ae #b4bc98 #84a8b4 #4c7cb4",
    "earth": "#9a7f5c #8c7658 #a88f6a",
    "hill": "#16205c #1e2d7c #2a3e98 #384fa8 #4c68b4 #2c407a #6c86b4 #222e66",
    "slope": "#24389c #3450b4 #4660bc #5a78b8 #6c8ab4 #4c6494 #7f9ab8 #2c4298",
    "ridge": "#0f1333 #181f4c #242f70 #1c2340 #303c80 #11142a",
    "field": "#10182c #1b2848 #26396c #2f4a84 #243a3c #3a4a38 #5a7480 #1a284c #141e38",
    "meadow": "#5e6c2c #7b8840 #8f9a5c #3c5a50 #a9b07c #4d6a74 #34509c",
    "olive": "#223c5c #3a5f80 #5f8a98 #86aeb4 #aacac4 #c4d8c8 #3c6a68 #4c6cb4",
    "grove": "#182640 #24466a #33606c #4f7c88 #7ba2ae #2c40a0 #2c5444",
    "bush": "#17211c #2a3c22 #4c5c26 #6c7c2c #8c9040 #2a3a90 #5c7060 #3c5630 #22305c",
    "cypress": "#090c0b #0e1411 #141c16 #18261c #1d2f24 #0b0f14 #20251c #15302a #26382a #0c100e #2c322a",
    "street": "#101830 #1a2a58 #6c86ac #8ea4b8 #30488c #141c34 #a4b4bc",
    "lichen": "#5c6a50 #78806a #3c5a48 #6a5438 #8c8c74 #2e5040",
    "bark": "#3c2516 #4a2e1a #2c1d12 #5a3a22 #26301c",
    "wall": "#8799a2 #9cacb0 #647c9a #b0bcb8 #54699a #8c9a94",
    "shade": "#0b0f1c #12182a #1a2440 #0a0c12 #22305c",
    "slate": "#27407c #3c5a94 #54749c #1e2c50 #7c98ac #2c4848",
    "tile": "#7c3a24 #8c5240 #59402c #4c5a48 #a48c74 #3c2a20",
    "timber": "#5c4a34 #4a3c2c #76624a #3a3430",
    "window": "#ecd23c #f0da58 #d8b01c",
    "gold": "#c8a41c #d0ac20 #c09818 #d6b42c #b88e14 #dcbc38",
    "moon": "#dfd982 #d6d286 #e2e09c #c6ca82 #c2cea0 #decf64 #d4d8ac",
    "glow": "#ccce8e #b0c898 #98c0a8 #d4d496 #84b0b8 #a9c6ac #c6c86c",
    "aura": "#7cacb4 #5a8cc0 #98bea8 #3f68b4 #6f9fc4 #b4c490 #4a78bc #3458ac",
    "yellow": "#e8d444 #dcc838 #efe37c #c9c04c #e6b81c",
    "lime": "#c4cc60 #d9dc86 #a4b860 #8fae8c #dfe0a4 #5f8cae",
    "white": "#eff0e2 #dde5e0 #c6d4d6 #e6e4bc #a4bccc #ccd8c4",
    "orange": "#e0901c #d87c14 #eab02c",
}
COLORS = {
    name: np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in codes.split()], float)
    for name, codes in PALETTES.items()
}

SKY = [  # (palette, guide): the night, the great wave and its whirls, the wind from the left, the bands over the hills
    ("night", "0,82 60,98 130,112 200,108 280,92 360,95 440,98"),
    ("night", "0,5 60,85 150,80 230,70 300,80 370,84"),
    ("night", "150,8 190,22 260,60 300,20 300,0"),
    ("night", "0,125 40,150 90,165 140,165 190,160"),
    ("night", "440,12 500,28 560,12 620,8 660,10"),
    ("night", "450,70 500,62 550,50"),
    ("night", "380,92 460,88 540,98 600,128 645,150"),
    ("night", "675,60 690,35 730,0"),
    ("night", "690,125 705,80 740,35 775,0"),
    ("dark", "745,150 745,105 765,55 800,10"),
    ("night", "830,10 880,0 940,6 1000,40"),
    ("blue", "0,105 30,150 70,183 120,203 170,210"),
    ("pale", "0,120 30,168 75,200 130,220 190,225 240,215 290,190 340,160"),
    ("wind", "10,165 40,195 90,222 150,240 220,243 280,222 330,187 390,153"),
    ("dark", "20,225 60,252 110,268 150,270"),
    ("blue", "0,200 60,235 130,258 200,268 265,258 315,228 360,196 410,172 470,162"),
    ("wind", "240,205 290,178 340,148 400,124 460,114 530,119 590,143 630,183 648,235 638,285 612,320"),
    ("pale", "300,205 345,170 400,143 460,130 525,135 580,158"),
    ("pale", "390,153 450,145 520,150 575,172 608,205 620,245 608,282 578,306 545,312 515,305"),
    ("pale", "480,165 525,170 568,190 592,235 582,272 552,294 520,292 500,275"),
    ("wind", "420,195 465,185 510,187 548,202 567,230 562,260 543,278 520,276 507,258 512,235"),
    ("blue", "530,222 542,238 538,256 526,258 522,244"),
    ("dark", "640,180 660,225 655,275 630,315"),
    ("dark", "350,268 375,238 405,216 440,205"),
    ("blue", "375,262 395,235 422,222 446,228 462,245"),
    ("wind", "448,238 468,262 488,290 515,312 555,325 595,325 630,308 665,292"),
    ("pale", "446,242 456,280 478,315 518,338 562,343 605,332 645,306 685,292"),
    ("blue", "436,240 436,285 456,326 498,354 550,362 600,352 642,328 675,312"),
    ("wind", "415,240 408,285 422,332 456,366 505,384 560,386 610,374 640,354"),
    ("blue", "392,250 382,300 392,345 425,382 475,404 540,410 600,402 636,396"),
    ("dark", "370,285 362,325 378,365"),
    ("wind", "640,335 665,303 700,291 732,308 750,342 750,380 733,410 700,424 666,416 645,398 638,374"),
    ("blue", "625,290 690,268 745,280 775,320 778,372 757,420 715,442 660,432"),
    ("night", "650,128 640,150 660,210 690,245 745,262 800,262"),
    ("blue", "700,128 750,140 772,180 790,225 840,262 900,275"),
    ("blue", "780,285 850,292 920,288 1000,270"),
    ("wind", "800,320 860,312 930,300 1000,285"),
    ("night", "770,268 850,274 930,280 1000,262"),
    ("blue", "800,365 840,335 900,312 1000,292"),
    ("blue", "420,425 490,436 560,444 605,428 640,402"),
    ("blue", "560,470 610,452 650,438 710,450 765,425 800,385"),
    ("night", "430,450 500,456 560,460 610,444 650,425"),
    ("mist", "420,482 480,472 560,462 640,458 715,458 775,430 825,385 880,352 940,328 1000,308"),
    ("mist", "370,508 440,494 520,484 600,476 690,470 760,455 820,415 880,378 940,350 1000,335"),
    ("cream", "800,452 850,418 900,385 950,358 1000,345"),
    ("cream", "760,475 830,440 880,408 930,385 1000,365"),
    ("cream", "800,482 860,455 900,425 950,398 1000,385"),
    ("haze", "330,530 400,520 470,510 540,500 600,490 700,485 780,485"),
    ("haze", "380,560 430,540 490,540 550,515 620,495"),
    ("dark", "225,330 265,312 305,285 345,235"),
    ("blue", "220,290 270,275 310,245 350,215"),
    ("dark", "240,375 280,350 315,318 360,290"),
    ("blue", "240,430 270,410 300,370 340,345 375,385"),
    ("dark", "250,480 290,470 310,490"),
    ("blue", "0,290 60,305 120,320 180,330"),
    ("wind", "0,262 60,285 130,295 180,300"),
    ("blue", "0,405 60,410 110,425 150,430"),
    ("dark", "0,425 50,432 100,440 150,455"),
    ("mist", "0,472 45,458 85,475 140,512"),
    ("wind", "0,505 50,498 100,515 160,545"),
    ("haze", "0,545 60,548 150,570"),
]
STARS = {  # "x,y,radius": palettes from the heart outward
    "105,37,46": "yellow yellow lime lime aura",
    "231,28,24": "orange lime aura blue",
    "345,33,36": "yellow lime aura wind aura",
    "413,53,26": "orange yellow lime aura",
    "236,138,37": "yellow yellow lime white aura",
    "327,260,27": "white lime lime aura",
    "614,69,50": "yellow lime lime aura wind",
    "706,185,46": "white white lime aura wind",
    "135,380,36": "white yellow lime lime aura",
    "46,360,24": "white white aura wind",
    "355,422,62": "yellow white white lime white white",
}
MOON = np.array([0.908, 0.138])
WHIRL = np.array([0.688, 0.372])  # the smaller one; the great whirl is drawn by hand, above
UMBER = "22,150 65,193 105,212;395,166 450,156 495,164;655,302 690,290 728,302;735,395 752,365 746,340"
HILLS = {  # palette: its crest, then the lines its brush follows; far to near
    "hill": "0,570 30,562 60,576 100,585 150,572 250,590 370,588 400,566 430,548 455,545 478,556 492,560 520,546 "
    "560,526 600,507 640,496 670,496 702,506 735,530 800,600;0,600 60,590 150,600;400,590 450,565 500,580;"
    "520,580 590,545 650,520 700,525",
    "ridge": "700,534 740,522 775,513 805,492 835,484 862,474 876,446 905,442 920,430 910,416 930,408 965,401 1000,406;"
    "740,530 830,500 900,470 1000,440;900,480 930,430 950,420;960,480 985,420 1000,400",
    "slope": "540,606 600,596 650,572 700,540 740,525 790,508 850,492 920,484 1000,486;"
    "560,610 640,590 700,555;700,590 760,535 790,515;800,600 850,530 870,495;900,600 960,500",
}
FURROWS = "0,646 60,626 150,598;0,668 70,650 150,642;0,700 60,694 150,702;370,600 420,590 470,606"
TREES = [  # (palette, "x,y,radius ..."), back to front
    ("olive", " ".join(f"{x},{574 + x % 4},15" for x in range(700, 925, 17))),
    ("olive", " ".join(f"{460 + 19 * k},{598 + 0.7 * k + 5 * (k % 2)},17" for k in range(18))),
    ("olive", "600,622,20 790,612,18 815,618,22 845,622,22 905,634,22 940,622,30 1000,640,28"),
    ("meadow", "975,618,26"),
    ("grove", "622,632,18 640,644,22 760,640,20 875,628,24 785,652,22 815,656,23 850,655,24 900,665,22 985,674,24"),
    ("olive", "830,640,18 950,664,26"),
]
BUSHES = [
    ("grove", "690,724,18 720,735,16 770,748,26 790,775,28"),
    ("field", "880,765,26"),
    ("bush", "915,740,34 960,745,38 925,780,36 985,780,40"),
    ("bush", "20,735,28 75,725,30 115,735,28 45,765,30 95,770,32 140,770,28 10,792,26"),
]
# Walls and roofs: (palette, corners, slope of the hatching), back to front.
# fmt: off
HOUSES = [
    ("tile", "432,655 476,655 472,672 428,672", (1, 0.1)), ("street", "430,672 470,672 470,688 428,690", (1, 0)),
    ("timber", "478,664 500,660 500,694 474,692", (0, 1)), ("street", "596,640 660,644 650,660 596,662", (1, 0)),
    ("slate", "596,664 640,662 632,676 598,678", (1, 0)), ("street", "600,678 640,676 640,696 600,698", (1, 0)),
    ("slate", "684,655 724,650 730,678 672,680", (0.3, -1)), ("street", "672,680 728,680 728,702 674,702", (1, 0)),
    ("street", "735,652 786,650 790,664 734,667", (1, 0.05)), ("wall", "732,667 792,666 794,680 732,680", (1, 0.05)),
    ("wall", "742,682 797,681 797,701 742,702", (1, 0)), ("tile", "800,682 840,681 842,695 800,696", (1, 0)),
    ("wall", "800,696 838,696 838,709 800,709", (1, 0)), ("wall", "798,713 838,712 838,731 798,732", (1, 0)),
    ("slate", "844,690 884,690 888,702 844,704", (1, 0)), ("shade", "846,704 886,704 886,732 846,732", (1, 0)),
    ("street", "890,688 1010,686 1010,704 888,705", (1, 0)), ("street", "840,736 900,734 900,774 836,776", (1, 0)),
    ("slate", "510,702 566,702 566,716 506,718", (1, 0)), ("wall", "506,718 566,716 566,732 506,732", (1, 0)),
    ("street", "470,735 566,735 566,805 470,805", (1, 0)),
    ("wall", "500,664 529,634 551,668 551,697 500,697", (0.05, 1)),
    ("wall", "551,668 572,642 594,668 594,697 551,697", (0, 1)),
    ("slate", "500,645 527,631 516,652 500,672", (0.6, -0.6)), ("slate", "531,632 560,640 551,666", (0.4, 1)),
    ("wall", "558,624 581,624 583,650 574,642 557,648", (0, 1)),
    ("timber", "566,705 640,695 645,716 562,722", (1, -0.1)), ("timber", "566,722 614,718 614,772 568,774", (0, 1)),
    ("slate", "640,695 660,716 645,724 628,716", (0.5, 1)), ("tile", "625,730 707,728 668,771 604,771", (0.4, -1)),
    ("tile", "707,728 726,748 704,752 688,748", (0.5, 1)), ("timber", "608,771 668,771 668,805 606,805", (0, 1)),
    ("wall", "696,754 762,743 753,782 672,786", (0.5, -1)), ("shade", "676,786 755,782 755,805 674,805", (0, 1)),
    ("wall", "762,743 782,770 784,805 756,805", (0, 1)),
]
# fmt: on
SPIRE = "556,628 561,580 562.5,545 564.5,502 566.5,545 569.5,580 581,628"
WINDOWS = [(486, 677), (686, 690), (734, 655), (767, 691), (789, 691), (606, 735), (584, 734), (817, 722), (868, 720)]
DOORS = [(528, 681), (575, 681), (570, 638), (771, 780)]
CYPRESS = (
    "195,42 189,90 187,150 191,200 188,225 180,250 176,300 171,312 160,285 152,252 153,300 158,350 160,390 149,420 "
    "145,470 148,530 152,580 136,620 130,670 136,720 152,805 466,805 462,740 442,702 412,682 394,664 404,646 425,630 "
    "433,614 412,624 390,645 382,655 382,612 370,576 345,546 320,520 302,492 296,462 288,490 284,530 285,562 276,556 "
    "271,520 266,464 260,500 255,530 250,500 250,450 245,400 240,335 232,332 223,290 222,240 212,215 199,190 202,140 "
    "206,90 203,58"
)
FLAMES = [
    "197,60 195,140 200,210 207,290 203,360 208,430 198,500 208,560 222,620 206,690 214,750 204,805",
    "190,260 180,330 182,390 166,450 160,510 176,560 178,610 152,660 148,710 168,760 186,805",
    "155,286 163,360 165,420 152,480 152,540 160,590 146,640 138,680 148,740 172,805",
    "222,300 226,370 238,440 226,500 228,550 250,600 268,650 252,710 236,760 246,805",
    "238,400 248,470 246,530 270,590 302,640 310,690 284,740 278,780 284,805",
    "266,500 268,560 292,600 334,640 348,690 322,740 314,780 322,805",
    "298,490 297,530 322,570 358,615 374,670 360,720 342,760 346,805",
    "312,520 346,558 374,605 376,655 402,700 412,745 384,785 380,805",
    "425,628 398,652 386,672 408,697 438,722 450,760 438,805",
]


def numbers(text: str) -> np.ndarray:
    """(N, K) numbers "a,b a,b ..." given in thousandths, in units of the width."""
    return np.array([entry.split(",") for entry in text.split()], float) / 1000


def curve(text: str, spacing: float = 0.01) -> np.ndarray:
    """(N, 2) points about `spacing` apart on the smooth (Catmull-Rom) curve through "x,y x,y ..." in thousandths."""
    knots = numbers(text)
    knots = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    pieces = []
    for before, start, end, after in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        t = np.linspace(0, 1, max(2, int(np.hypot(*(end - start)) / spacing)), endpoint=False)[:, None]
        bend = 2 * before - 5 * start + 4 * end - after
        pieces.append(start + t / 2 * (end - before + t * (bend + t * (3 * start - before - 3 * end + after))))
    return np.vstack([*pieces, knots[-2]])


def spiral(center, radius: float, first: float = 0.0, turns: float = 1.0, shrink: float = 0.0) -> np.ndarray:
    """(N, 2) points clockwise around a center: a circle, an arc; angles in turns, the radius shrinking by a part."""
    turn = np.linspace(0, turns, 60)[:, None]
    reach = radius * (1 - shrink * turn / turns)
    angle = 2 * np.pi * (first + turn)
    return np.asarray(center) + reach * np.hstack([np.cos(angle), np.sin(angle)])


def pick(palettes: list[str], random: np.random.Generator) -> np.ndarray:
    """(N, 3) colors, one at random from each named palette, each mixed a little differently."""
    drawn = np.array([COLORS[name][random.integers(len(COLORS[name]))] for name in palettes]).reshape(-1, 3)
    return drawn * random.normal(1, 0.06, (len(drawn), 1)) + random.normal(0, 4, drawn.shape)


def bristle_paths(paths: np.ndarray, widths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(N, BRISTLES, STEPS, 2) paths of the bristles of brushes, `widths` (N,) wide, drawn along (N, STEPS, 2) paths."""
    count, row = len(paths), np.arange(len(paths))[:, None, None]
    tangents = np.gradient(paths, axis=1)
    normals = np.stack([-tangents[..., 1], tangents[..., 0]], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    # Outer bristles leave the canvas before those in the middle, each at its own place: a rounded, ragged end.
    trim = 0.5 * ACROSS**2 + random.exponential(0.06, (2, count, BRISTLES)).clip(0, 0.32)
    along = np.linspace(trim[0], 1 - trim[1], STEPS, axis=-1) * (STEPS - 1)
    left = along.astype(int).clip(0, STEPS - 2)
    part = (along - left)[..., None]
    middle = paths[row, left] * (1 - part) + paths[row, left + 1] * part
    taper = np.sqrt(np.sin(np.pi * (0.1 + 0.8 * along / (STEPS - 1))))
    return middle + normals[row, left] * (0.86 * ACROSS[:, None] * widths[:, None, None] * taper)[..., None]


class Canvas:
    """The picture being painted: its colors, with the thickness of the paint as a fourth channel.

    Args:
        width: pixels across.
        seed: of every random choice.
    """

    def __init__(self, width: int, seed: int):
        self.size = (width, round(width * HEIGHT))
        self.scale = width * SUPERSAMPLING
        self.random = np.random.default_rng(seed)
        self.image = Image.new("RGBA", (self.size[0] * SUPERSAMPLING, self.size[1] * SUPERSAMPLING), (20, 27, 62, 0))
        self.strokes = 0

    def lay(self, paths: np.ndarray, widths: np.ndarray, colors: np.ndarray) -> None:
        """Lays strokes over what is there: paths (N, STEPS, 2) and widths (N,) in picture widths, colors (N, 3)."""
        count, random, draw = len(paths), self.random, ImageDraw.Draw(self.image)
        bristles = (bristle_paths(paths, widths, random) * self.scale).astype(int).reshape(count, BRISTLES, -1).tolist()
        shade = random.normal(0, 14, (count, BRISTLES, 1)) + random.normal(0, 3, (count, BRISTLES, 3))
        thickness = random.uniform(90, 190, (count, BRISTLES, 1)) + 130 * np.abs(ACROSS)[:, None]  # ridges at the sides
        inks = np.concatenate([colors[:, None] + shade, thickness], axis=-1).clip(0, 255).tolist()
        shadows = ((paths[:, 1:-1] + 0.0005) * self.scale).reshape(count, -1).tolist()
        pixel: Any = self.image.getpixel
        darks = np.concatenate([colors * 0.62, np.full((count, 1), 60)], axis=1).clip(0, 255).astype(int).tolist()
        wet = (0.75 * random.random((count, BRISTLES)) ** 3).tolist()
        right, bottom = self.image.size[0] - 1, self.image.size[1] - 1
        for i, pixels in enumerate((widths * self.scale).tolist()):
            x, y = bristles[i][BRISTLES // 2][:2]
            below = pixel((min(max(x, 0), right), min(max(y, 0), bottom)))
            draw.line(shadows[i], tuple(darks[i]), max(1, round(pixels)))
            used = range(BRISTLES) if pixels > BRISTLES else (1, 5) if pixels > 2 else (3,)  # none finer than a pixel
            for k in used:  # each bristle drags along some of the wet paint that it was set down in
                ink = tuple([int(new + (old - new) * wet[i][k]) for new, old in zip(inks[i][k], below, strict=True)])
                draw.line(bristles[i][k], ink, max(1, round(1.35 * pixels / len(used))))
        self.strokes += count

    def block(self, outline: np.ndarray, palette: str) -> None:
        """Fills an outline, (N, 2) corners, with the darkest color of a palette."""
        darkest = COLORS[palette][COLORS[palette].sum(axis=1).argmin()].astype(int).tolist()
        ImageDraw.Draw(self.image).polygon((outline * self.scale).ravel().tolist(), (*darkest, 60))

    def finish(self) -> Image.Image:
        """The picture lit from the upper left, RGB at its final size."""
        thickness = self.image.getchannel("A").filter(ImageFilter.GaussianBlur(0.0006 * self.scale))
        height = np.pad(np.asarray(thickness, np.float32), ((1, 0), (1, 0)), mode="edge")
        relief = (height[1:, 1:] - height[:-1, :-1])[..., None] * (self.scale / 2560)
        lit = np.asarray(self.image.convert("RGB")) * (1 + 0.0055 * relief) + 0.25 * relief
        return Image.fromarray(lit.clip(0, 255).astype(np.uint8)).resize(self.size, Image.Resampling.LANCZOS)


class Flow:
    """The brush's direction and palette at every position: guides blended by distance.

    Args:
        guides: (palette, (N, 2) points) pairs.
    """

    def __init__(self, guides: list[tuple[str, np.ndarray]]):
        self.palettes = [palette for palette, _ in guides]
        points = np.vstack([points for _, points in guides]).astype(np.float32)
        tangents = np.vstack([np.gradient(points, axis=0) for _, points in guides])
        angle = 2 * np.arctan2(tangents[:, 1], tangents[:, 0])  # doubled: a stroke has no front and back
        axes = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        starts = np.cumsum([0] + [len(points) for _, points in guides[:-1]])
        x = np.arange(GRID + 1, dtype=np.float32)[:, None] / GRID
        self.axes = np.empty((round(GRID * HEIGHT) + 1, GRID + 1, 2), np.float32)
        self.shares = np.empty((*self.axes.shape[:2], len(guides)), np.float32)  # of each guide, accumulated
        for row in range(len(self.axes)):
            nearness = ((x - points[:, 0]) ** 2 + (row / GRID - points[:, 1]) ** 2 + 1.2e-4) ** -2
            self.axes[row] = nearness @ axes
            self.shares[row] = np.cumsum(np.add.reduceat(nearness, starts, axis=1), axis=1)
        self.axes /= np.linalg.norm(self.axes, axis=-1, keepdims=True) + 1e-9

    def direction(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) unit vectors along the flow at (N, 2) points."""
        x, y = np.clip(points * GRID, 0, np.array(self.axes.shape[1::-1]) - 1.001).T
        column, row = x.astype(int), y.astype(int)
        right, down = (x - column)[:, None], (y - row)[:, None]
        above = self.axes[row, column] * (1 - right) + self.axes[row, column + 1] * right
        below = self.axes[row + 1, column] * (1 - right) + self.axes[row + 1, column + 1] * right
        axes = above * (1 - down) + below * down
        angle = np.arctan2(axes[:, 1], axes[:, 0]) / 2
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def colors(self, points: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(N, 3) colors for strokes at (N, 2) points, from the palette of a random guide, nearer ones more likely."""
        column, row = np.clip(np.rint(points * GRID), 0, np.array(self.axes.shape[1::-1]) - 1).astype(int).T
        shares = self.shares[row, column]
        chosen = (shares < random.random((len(points), 1)) * shares[:, -1:]).sum(axis=1)
        return pick([self.palettes[guide] for guide in chosen], random)


def inside(outline: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that says which of (N, 2) points are inside an outline, (N, 2) corners."""
    mask = Image.new("1", (1024, 1024))
    ImageDraw.Draw(mask).polygon((outline * 1023).ravel().tolist(), 1)
    cells = np.asarray(mask)
    return lambda points: cells[tuple(np.clip(points * 1023, 0, 1023).astype(int).T[::-1])]


def fill(canvas: Canvas, outline, guides, length: float, width: float, coverage: float, tint: float = 1.0) -> None:
    """Fills an outline with strokes along its guides.

    Args:
        canvas: painted on.
        outline: (N, 2) corners.
        guides: (palette, (N, 2) points) pairs, or a `Flow` made from them.
        length: of a stroke, on average.
        width: of a stroke, on average.
        coverage: how many times over the outline's area is painted.
        tint: multiplies the colors; below 1 for an underpainting.
    """
    flow, random, within = guides if isinstance(guides, Flow) else Flow(guides), canvas.random, inside(outline)
    spacing = np.sqrt(length * width / coverage)
    x, y = (np.arange(low, high, spacing) for low, high in zip(outline.min(axis=0), outline.max(axis=0), strict=True))
    seeds = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    seeds = seeds + random.uniform(0, spacing, seeds.shape)
    seeds = random.permutation(seeds[within(seeds)])
    step = length / STEPS * np.exp(random.normal(0, 0.4, (len(seeds), 1))).clip(0.4, 2.2)
    slip = random.normal(0, 0.09, (len(seeds), 1))  # the hand is a few degrees off the flow
    path = [seeds]
    for half in range(2):  # first forward from the seed, then backward
        here, heading = path[-1], flow.direction(seeds) * (1 - 2 * half)
        for _ in range(STEPS // 2 - half):
            ahead = flow.direction(here)
            heading = np.where((ahead * heading).sum(axis=1, keepdims=True) < 0, -ahead, ahead)
            there = here + step * (heading + slip * heading[:, ::-1] * (-1, 1))
            here = np.where(within(there)[:, None], there, here + 0.05 * step * heading)  # stops at the outline
            path.append(here)
        path.reverse()
    widths = width * random.uniform(0.7, 1.35, len(seeds))
    canvas.lay(np.stack(path, axis=1), widths, flow.colors(seeds, random) * tint)


def trace(canvas: Canvas, line: np.ndarray, width: float, palette: str, dash: float = 0.04) -> None:
    """Draws a line, (N, 2) points, as overlapping strokes `dash` long: contours, stems, rims."""
    distance = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    along = np.arange(0, distance[-1], dash * 0.8)[:, None] + np.linspace(0, dash, STEPS)
    paths = np.stack([np.interp(along, distance, line[:, axis]) for axis in (0, 1)], axis=-1)
    widths = width * canvas.random.uniform(0.8, 1.2, len(paths))
    canvas.lay(paths, widths, pick([palette] * len(paths), canvas.random))


def halo(canvas: Canvas, center, inner: float, outer: float, palettes: str, width: float, dash: float, coverage: float):
    """Lays arcs `dash` long around a center, outermost first; the named palettes go from the inside out."""
    random, names = canvas.random, palettes.split()
    count = max(4, round(np.pi * (outer**2 - inner**2) / (width * dash) * coverage))
    radius = np.sqrt(random.uniform(inner**2, outer**2, count))
    radius = radius[np.argsort(-radius + random.normal(0, 1.5 * width, count))]
    band = (radius - inner) / (outer - inner) * len(names) + random.normal(0, 0.22, count)
    sweep = np.minimum(dash * random.uniform(0.6, 1.5, count) / radius, 2.5)
    angle = random.uniform(0, 2 * np.pi, count)[:, None] + np.linspace(0, 1, STEPS) * sweep[:, None]
    reach = radius[:, None] * np.linspace(0.98, 1.02, STEPS)
    paths = np.stack([center[0] + reach * np.cos(angle), center[1] + reach * np.sin(angle)], axis=-1)
    chosen = [names[k] for k in band.astype(int).clip(0, len(names) - 1)]
    canvas.lay(paths, width * random.uniform(0.7, 1.3, count), pick(chosen, random))


def star(canvas: Canvas, x: float, y: float, radius: float, heart: str, rings: str) -> None:
    """Paints a star: a bright center in rings of short strokes that thin out into the night."""
    center = (x, y)
    halo(canvas, center, radius * 0.75, radius * 1.1, rings.split()[-1], 0.0052, 0.02, 0.8)
    halo(canvas, center, radius * 0.2, radius, f"{heart} {rings}", 0.0056, 0.02, 1.7)
    canvas.block(spiral(center, radius * 0.24), heart)
    halo(canvas, center, 0.0, radius * 0.26, heart, 0.0056, 0.014, 2.5)
    halo(canvas, center, radius * 0.3, radius * 1.05, rings, 0.0042, 0.016, 0.35)


def moon(canvas: Canvas) -> None:
    """Paints the moon: a golden crescent around a pale disk, in a wide halo."""
    heart = MOON + (0.018, -0.011)
    halo(canvas, MOON, 0.1, 0.14, "aura", 0.0068, 0.03, 0.6)
    halo(canvas, MOON, 0.04, 0.125, "moon moon moon glow aura", 0.0072, 0.036, 2.2)
    halo(canvas, MOON, 0.05, 0.13, "moon moon glow glow", 0.0045, 0.03, 0.5)
    halo(canvas, MOON, 0.02, 0.055, "gold", 0.0052, 0.04, 5)
    canvas.block(spiral(heart, 0.041), "moon")
    grain = [("moon", spiral(heart + (reach, 0), 0.045, 0.37, 0.27)) for reach in (0, 0.03, 0.06)]
    fill(canvas, spiral(heart, 0.041), grain, 0.03, 0.0045, 2)
    trace(canvas, spiral(heart, 0.041, 0.37, 0.35), 0.0020, "orange", 0.03)
    trace(canvas, spiral(MOON, 0.055, -0.02, 0.17), 0.0032, "orange", 0.03)


def trees(canvas: Canvas, rows: list[tuple[str, str]]) -> None:
    """Paints rows of round trees, (palette, "x,y,radius ..."): commas curling over a dark ball, lighter on top."""
    random = canvas.random
    for palette, (x, y, radius) in [(palette, place) for palette, text in rows for place in numbers(text)]:
        canvas.block(spiral((x, y), radius), palette)
        count = max(10, round((radius / 0.0030) ** 1.6))
        side = np.sort(random.uniform(-0.7, 0.8, count))
        height = random.uniform(-0.8, 0.8, count) * np.sqrt(1 - 0.8 * side**2)
        middle = np.stack([x + radius * side, y + radius * (0.85 * height + 0.4)], axis=-1)[:, None]
        angle = np.linspace(-0.7, -2.9, STEPS) + random.normal(0, 0.25, (count, 1))
        curl = radius * random.uniform(0.35, 0.65, (count, 1, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        light = (1.08 - 0.25 * height) * np.where(random.random(count) < 0.3, 0.45, 1)
        colors = pick([palette] * count, random) * light[:, None]
        canvas.lay(middle + curl, random.uniform(0.0028, 0.0048, count), colors)
        rim = spiral((x, y + 0.1 * radius), radius * 1.02, 0.44, random.uniform(0.2, 0.4))
        trace(canvas, rim, 0.003, "shade", 0.03)


def facet(canvas: Canvas, palette: str, text: str, slope, width: float = 0.004, edge: float = 0.003) -> None:
    """Paints one flat piece of a building: corners in thousandths, hatched along `slope`, with a dark contour."""
    outline = numbers(text)
    guide = outline.mean(axis=0) + np.linspace(-0.05, 0.05, 9)[:, None] * slope
    canvas.block(outline, palette)
    fill(canvas, outline, [(palette, guide)], 0.02, width, 1.6)
    if edge:
        trace(canvas, np.vstack([outline, outline[:1]]), edge, "shade", 0.03)


def sky(canvas: Canvas) -> None:
    """Paints the sky, broad and dark first, then in finer and lighter strokes, then its stars and the moon."""
    guides = [(palette, curve(text)) for palette, text in SKY]
    guides += [("pale", spiral(WHIRL, 0.050, 0.45, 1.6, 0.9)), ("blue", spiral(WHIRL, 0.045, 0.0, 1.2, 0.9))]
    guides += [("blue", spiral(MOON, radius)) for radius in (0.06, 0.1, 0.145, 0.16)]
    stars = [(*numbers(place)[0].tolist(), rings) for place, rings in STARS.items()]
    guides += [("blue", spiral((x, y), radius * part)) for x, y, radius, _ in stars for part in (0.5, 1.0)]
    flow, frame = Flow(guides), numbers("-10,-10 1010,-10 1010,620 -10,620")
    fill(canvas, frame, flow, 0.060, 0.0110, 2.0, tint=0.62)
    fill(canvas, frame, flow, 0.040, 0.0058, 1.35)
    fill(canvas, frame, flow, 0.030, 0.0044, 0.7)
    fill(canvas, frame, flow, 0.034, 0.0030, 0.25)
    for text in UMBER.split(";"):
        trace(canvas, curve(text), 0.0045, "earth", 0.045)
    for x, y, radius, rings in stars:
        star(canvas, x, y, radius, *rings.split(maxsplit=1))
    moon(canvas)


def hills(canvas: Canvas) -> None:
    """Paints the Alpilles, far to near, each with its dark contour, and the fields below them."""
    for palette, text in HILLS.items():
        crest, *hatching = [curve(line) for line in text.split(";")]
        outline = np.vstack([crest, [crest[-1, 0], 0.64], [crest[0, 0], 0.64]])
        flow = Flow([(palette, line) for line in hatching] + [(palette, crest + (0, 0.004))])
        canvas.block(outline, palette)
        fill(canvas, outline, flow, 0.05, 0.009, 1.6, tint=0.6)
        fill(canvas, outline, flow, 0.03, 0.0052, 1.7)
        trace(canvas, crest, 0.0062, "dark")
    rows = [("field", curve(f"-20,{y} 300,{y + 4} 600,{y - 4} 1020,{y}")) for y in range(600, 820, 25)]
    rows += [("field", curve("0,660 60,636 150,605")), ("dark", curve("0,625 60,618 150,592"))]
    rows += [("meadow", curve("640,606 800,598 1010,590")), ("meadow", curve("0,640 60,630 130,628"))]
    ground = numbers("-10,600 150,598 460,590 700,604 1010,590 1010,810 -10,810")
    fill(canvas, ground, rows, 0.04, 0.0055, 2.6)
    for text in FURROWS.split(";"):
        trace(canvas, curve(text), 0.004, "dark")


def village(canvas: Canvas) -> None:
    """Paints the olive groves, the houses with their lit windows, and the church with its thin spire."""
    trees(canvas, TREES[:1])
    clearing = numbers("690,592 1005,580 1005,612 720,606")
    fill(canvas, clearing, [("meadow", curve("690,600 850,592 1005,594"))], 0.03, 0.005, 2)
    trees(canvas, TREES[1:])
    for palette, text, slope in HOUSES:
        facet(canvas, palette, text, slope)
    facet(canvas, "wall", SPIRE, (0.02, 1), 0.0034, 0.0014)
    for x, y in WINDOWS:
        facet(canvas, "window", f"{x - 4},{y - 5} {x + 4},{y - 6} {x + 4},{y + 5} {x - 5},{y + 6}", (0, 1), edge=0)
    for x, y in DOORS:
        arch = f"{x - 4},{y + 12} {x - 4},{y - 6} {x},{y - 11} {x + 4},{y - 6} {x + 4},{y + 12}"
        facet(canvas, "shade", arch, (0, 1))
    trees(canvas, BUSHES)


def cypress(canvas: Canvas) -> None:
    """Paints the cypress, a dark flame that reaches nearly to the top of the picture."""
    outline, flames = curve(CYPRESS, 0.004), [curve(text) for text in FLAMES]
    flow = Flow([("cypress", flame) for flame in flames])
    canvas.block(outline, "cypress")
    fill(canvas, outline, flow, 0.05, 0.0055, 2.5, tint=0.75)
    fill(canvas, outline, flow, 0.05, 0.0036, 2.0)
    fill(canvas, outline, [("lichen", flame) for flame in flames], 0.024, 0.0018, 0.06)
    for flame in flames:
        first, last = canvas.random.integers(3, 25), canvas.random.integers(35, 60)
        trace(canvas, flame[first:last] + (0.01, 0), 0.0036, "bark")
    roots = outline[::6]  # of tongues that lick up over the outline
    upward = flow.direction(roots)
    upward *= -np.sign(upward[:, 1:])
    reach = np.linspace(-0.5, 1, STEPS) * canvas.random.uniform(0.01, 0.024, (len(roots), 1))
    tongues = roots[:, None] + reach[..., None] * upward[:, None]
    canvas.lay(tongues, np.full(len(roots), 0.0046), pick(["cypress"] * len(roots), canvas.random))


def paint(width: int = 1280, seed: int = 1889) -> Image.Image:
    """Paints the picture.

    Args:
        width: pixels across; the height follows from the painting's proportions.
        seed: of the strokes' positions and colors; the composition stays the same.

    Returns:
        RGB, `width` x 0.8 `width` pixels; the same pixels for the same arguments.
    """
    canvas = Canvas(width, seed)
    for passage in (sky, hills, village, cypress):
        passage(canvas)
    return canvas.finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description='Paint "The Starry Night".')
    parser.add_argument("out", help="the picture to write, for example starry_night.jpg")
    parser.add_argument("--width", type=int, default=1280, help="pixels across (default: %(default)s)")
    arguments = parser.parse_args()
    paint(arguments.width).save(arguments.out, quality=90, subsampling=0, optimize=True)
