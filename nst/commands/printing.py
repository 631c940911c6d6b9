"""Prints: the pixels that a sheet of paper needs, and the size that pixels have on paper."""

import argparse
import math
import re
from dataclasses import dataclass

from nst.settings import Settings

LOW, HIGH = (Settings.__dataclass_fields__["size"].metadata[end] for end in ("low", "high"))  # pixels
CENTIMETERS = {"cm": 1.0, "in": 2.54}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the flags of prints."""
    group = parser.add_argument_group("prints")
    paper = "size the picture for this paper, as in 60x40cm or 24x16in, however it is turned; in place of --size"
    group.add_argument("--print", metavar="PAPER", dest="paper", help=paper)
    group.add_argument("--dpi", metavar="N", help="resolution, which the file states (with --print: 300; 50 to 1200)")
    group.add_argument("--depth", metavar="{8,16}", default="8", help="bits a channel; 16 in .png and .tiff only")


@dataclass(frozen=True)
class Paper:
    """A sheet of paper, and the resolution to print at."""

    name: str  # as it was given
    sides: tuple[float, float]  # the long and the short one
    unit: str  # of the sides: "cm" or "in"
    dpi: int

    def size(self, height: int, width: int) -> int:
        """The longest side in pixels with which a picture of these proportions fills the paper.

        Raises:
            ValueError: it is out of range; one sentence with what would be right.
        """
        inches = self._inches(height, width)
        pixels = round(inches * self.dpi)
        if LOW <= pixels <= HIGH:
            return pixels
        bound, fitting = (
            (f"{HIGH} at most", math.floor(HIGH / inches))
            if pixels > HIGH
            else (f"{LOW} at least", math.ceil(LOW / inches))
        )
        right = f"--dpi {fitting}" if 50 <= fitting <= 1200 else f"{'smaller' if pixels > HIGH else 'larger'} paper"
        found = f"{self.name} at {self.dpi} dpi would be {pixels} pixels"
        raise ValueError(f"--print: {found}; it should be {bound}, as with {right}.")

    def resolution(self, height: int, width: int) -> float:
        """The dpi with which a picture of this size in pixels fills the paper: `dpi` unless its size was reduced."""
        inches, longest = self._inches(height, width), max(height, width)
        return float(self.dpi) if abs(inches * self.dpi - longest) < 1 else longest / inches

    def note(self, height: int, width: int) -> str:
        """One sentence if a picture of this size in pixels does not fill the paper, or not with `dpi`; else ""."""
        dpi = self.resolution(height, width)
        longest = self._inches(height, width) * 2.54 / CENTIMETERS[self.unit]
        printed = [round(side * longest / max(height, width), 1) for side in (width, height)]
        fills = max(abs(ours - side) for ours, side in zip(sorted(printed)[::-1], self.sides)) < 0.15
        if fills and dpi == self.dpi:
            return ""
        return f"The picture prints at {printed[0]:g} x {printed[1]:g} {self.unit}" + (
            f" with {dpi:.0f} dpi." if dpi != self.dpi else "."
        )

    def _inches(self, height: int, width: int) -> float:
        """Of a picture's longest side."""
        fitted = min(self.sides[0], self.sides[1] * max(height, width) / min(height, width))
        return fitted * CENTIMETERS[self.unit] / 2.54


def paper(options: argparse.Namespace) -> Paper | None:
    """The paper that the flags name; `options.dpi` becomes a number, or stays None.

    Raises:
        ValueError: a flag is no good; one sentence.
    """
    if options.depth not in ("8", "16"):
        raise ValueError(f"--depth: {options.depth!r} should be 8 or 16")
    if options.dpi is not None:
        if not re.fullmatch(r"\d{2,4}", options.dpi, re.ASCII) or not 50 <= int(options.dpi) <= 1200:
            raise ValueError(f"--dpi: {options.dpi!r} should be a whole number from 50 to 1200")
        options.dpi = int(options.dpi)
    if options.paper is None:
        return None
    if "size" in options:
        raise ValueError("--print gives the size in pixels; leave out --size.")
    number = r"(\d{1,5}(?:\.\d{1,5})?)"
    found = re.fullmatch(rf"{number}\s*[x×]\s*{number}\s*(cm|in|)", options.paper.strip().lower(), re.ASCII)
    sides = sorted(map(float, found.groups()[:2]), reverse=True) if found else [0.0]
    if not found or not sides[-1]:
        raise ValueError(f"--print: {options.paper!r} should be the sides of the paper, as in 60x40cm or 24x16in")
    return Paper(options.paper, (sides[0], sides[1]), found[3] or "cm", options.dpi or 300)
