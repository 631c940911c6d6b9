"""benchmarks/pictures.py: pairs painted by several contestants, judged, and put on a sheet."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import weights
from tests.toy import GENUINE_VGG16

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import pictures  # noqa: E402

pytestmark = pytest.mark.apart

QUICK = "compact:steps=(2,):min_scale=64"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a photo, a painting and a published picture of the two are; a second pair has no painting."""
    random = np.random.default_rng(0)
    for name in ("photo.png", "painting.png", "published.png"):
        Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(tmp_path / name)
    pairs = (("photo.png", "painting.png", "published.png"), ("photo.png", "missing.png", ""))
    monkeypatch.setattr(pictures, "PAIRS", pairs)
    return tmp_path


def rows(out: Path, head: str) -> list[list[str]]:
    """The cells of the table that begins with this one."""
    lines = (out / "table.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {head}"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[first:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_pair_is_painted_by_every_contestant(folder, capsys):
    out = folder / "out"
    file = folder / "mine.npz"
    file.write_bytes(weights.COMPACT_FILE.read_bytes())
    same = str(file) + QUICK.removeprefix("compact")
    options = [f"--pictures={folder}", f"--published={folder}", f"--out={out}", "--size=64"]
    pictures.main([QUICK, same, f"{QUICK}:strength=90", *options])
    head, _, first, second, third, *ends = rows(out, "pair")
    assert len(head) == len(first) and len(ends) == 6  # mean and worst of three
    assert first[2:5] == ["–"] * 3  # ratios are to the picture of the judge, who has painted none
    assert first[5:-1] == second[5:-1] != third[5:-1]  # the same network at the same settings
    assert "knows no better" in (out / "table.md").read_text()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height == 28 + pictures.HEIGHT + 8
        assert sheet.width == 240 + 4 * 480 + 5 * 8  # the pair, three painted and a published one of 4 : 3
    capsys.readouterr()
    pictures.main([QUICK, *options])
    assert capsys.readouterr().out.strip().endswith("– |")  # painted already: no seconds


def test_a_network_is_as_good_as_itself(folder, monkeypatch):
    monkeypatch.setattr(pictures, "SIDES", (64,))
    out = folder / "out"
    quick = QUICK.replace("compact", "judge")
    pictures.main([quick, "judge", f"--pictures={folder}", f"--out={out}", "--size=64", "--gradients", "--pairs=0"])
    ratios = {row[1]: [float(cell) for cell in row[2:5]] for row in rows(out, "pair")[2:4]}
    assert ratios["judge"] == [1, 1, 1]
    assert ratios[quick][0] > 1  # of two steps
    likeness = rows(out, "pair | network")[2:]
    assert len(likeness) == 2 * 3 and [row[4] for row in likeness] == ["–"] * 2 + ["1.000"] * 4
    assert all(cell == "1.000" for row in likeness for cell in row[5:])


@pytest.mark.skipif(not GENUINE_VGG16.is_file(), reason="the genuine VGG-16 is not at hand")
def test_a_genuine_vgg16_paints_and_judges(folder):
    out = folder / "out"
    pictures.main([QUICK, f"{GENUINE_VGG16}:steps=(2,)", "judge", f"--judge={GENUINE_VGG16}", f"--pictures={folder}",
                   f"--out={out}", "--size=64"])  # fmt: skip
    assert "judged by vgg16: a genuine network" in (out / "table.md").read_text()
    ratios = {row[1]: float(row[2]) for row in rows(out, "pair")[2:5]}
    assert ratios["judge"] == 1 < min(ratio for name, ratio in ratios.items() if name != "judge")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("compact:strenth=3", "there is no setting strenth"), ("compact:strength=300", "strength: 300"),
     ("absent.npz", "there is no file"), ("compact:steps=many", "steps")],
)  # fmt: skip
def test_what_is_wrong_is_named(folder, words, sentence):
    with pytest.raises(ValueError, match=sentence):
        pictures.main([words, f"--pictures={folder}", f"--out={folder / 'out'}"])


def test_no_pair_at_hand(folder):
    with pytest.raises(ValueError, match="none of the pairs"):
        pictures.main([QUICK, f"--out={folder / 'out'}"])


def test_finest_detail_by_hand():
    checkerboard = np.indices((8, 8)).sum(axis=0) % 2 * 255
    assert pictures.finest_detail(np.repeat(checkerboard[..., np.newaxis], 3, axis=2).astype(np.uint8)) == 1
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2).repeat(8, axis=0)
    assert pictures.finest_detail(ramp) == pytest.approx(0, abs=1e-12)


def test_color_distance_by_hand():
    picture = np.random.default_rng(0).random((1, 16, 16, 3))
    mirrored = picture[:, ::-1]
    assert pictures.color_distance(picture, mirrored) == pytest.approx(0, abs=1e-12)  # colors, not places
    # A shift of every color by d along an axis is |d · axis| on it, on average |d| / 2.
    assert pictures.color_distance(picture, picture + (0.1, 0, 0)) == pytest.approx(0.05, rel=0.15)
