"""Make training pictures that look like the optimizer's: photos on their way to becoming paintings.

    python training/half_painted.py --photos FOLDER --paintings FOLDER --out FOLDER --count 300

Skips the pictures that `distill.py` holds out.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from distill import pictures
from PIL import Image
from tqdm import tqdm

from nst import Settings, StyleTransfer, images
from nst.features import load_network


def half_painted(photos: list[Path], paintings: list[Path], size: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, uint8 (H, W, 3)) forever: two random pictures of the last scale of each run."""
    random = np.random.default_rng(seed)
    transfer = StyleTransfer(load_network(Settings(network="compact")))
    for number in itertools.count():
        content, style = (images.load(files[random.integers(len(files))]) for files in (photos, paintings))
        settings = Settings(
            size=size,
            steps=(int(random.integers(20, 80)), 24),
            strength=float(random.uniform(30, 75)),
            init=str(random.choice(["content", "content", "noise", "mix"])),
            seed=number,
            learning_rate=0.02,  # this and the next: as when the network in the package was trained
            averaging=0.97,
            frames_per_second=60,
        )
        frames = [frame.image for frame in transfer.stylize(content, [style], settings) if frame.scale == size]
        early, later = random.integers(0, len(frames), 2)
        for index in sorted({int(early), int(later)}):
            yield f"{number:05d}_{index:03d}.png", frames[index]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Paint pictures half.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    source = pictures({"photos": options.photos, "paintings": options.paintings}).training()
    options.out.mkdir(parents=True, exist_ok=True)
    made = half_painted(source["photos"], source["paintings"], options.size, options.seed)
    for name, picture in tqdm(itertools.islice(made, options.count), total=options.count, unit="picture"):
        Image.fromarray(picture).save(options.out / name)


if __name__ == "__main__":
    main()
