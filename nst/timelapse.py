"""The pictures of a run as a film: .mp4 with PyAV, .webp and .gif with Pillow."""

import itertools
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst import images
from nst.images import ImageError

SUFFIXES = (".mp4", ".webp", ".gif")
HOLD = 2.0  # seconds that the last frame stays
FILM_FRAMES = 240
FILM_SIDE = 768  # pixels: a .webp or .gif is in memory as a whole when it is written


class Film:
    """The last picture of a run and every nth one before, as JPEG; n doubles whenever `frames` are kept.

    It takes some 100 KB a frame, reduced to FILM_SIDE, and never more than `frames` of them, however long the run.
    """

    def __init__(self, frames: int = FILM_FRAMES):
        self._most = frames
        self._kept: list[bytes] = []
        self._last: np.ndarray | None = None
        self._passed, self._every = 0, 1

    def append(self, pixels: np.ndarray) -> None:
        """Add uint8 (H, W, 3) of any size."""
        # What is smaller than MIN_SIDE could not be read back.
        if self._last is not None and min(self._last.shape[:2]) >= images.MIN_SIDE:
            if self._passed % self._every == 0:
                self._kept.append(images.encode_jpeg(_reduced(self._last), quality=92))
            self._passed += 1
        if len(self._kept) >= self._most:
            self._kept, self._every = self._kept[::2], 2 * self._every
        self._last = pixels

    def write(self, path: str | os.PathLike, max_bytes: int | None = None) -> None:
        """Write what was added, reduced to FILM_SIDE; raises as the function `write`."""
        if self._last is None:
            raise ValueError("a film needs at least one picture")
        write([*map(_decoded, self._kept), _reduced(self._last)], path, max_bytes=max_bytes)

    def stills(self, count: int = 60, max_bytes: int = 60_000) -> list[bytes]:
        """At most `count` of the pictures as JPEG files of at most `max_bytes`, evenly chosen; the last one is last.

        They have the sizes they were added in, FILM_SIDE at most: a page shows them all in one.
        """
        if self._last is None:
            return []
        chosen = _evenly([*self._kept, _reduced(self._last)], count)
        return [_small_jpeg(still if isinstance(still, np.ndarray) else _decoded(still), max_bytes) for still in chosen]


def _reduced(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    if max(height, width) <= FILM_SIDE:
        return pixels
    height, width = images.fit(height, width, FILM_SIDE)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _decoded(jpeg: bytes) -> np.ndarray:
    return images.to_uint8(images.load(jpeg))


def _small_jpeg(pixels: np.ndarray, max_bytes: int) -> bytes:
    jpeg = b""
    for quality in range(80, 0, -15):
        jpeg = images.encode_jpeg(pixels, quality)
        if len(jpeg) <= max_bytes:
            break
    return jpeg


def _evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly chosen, the last one among them."""
    count = min(count, len(items))
    return [items[-1 - index * len(items) // count] for index in range(count)][::-1]


def suffix() -> str:
    """What a browser can play and can be written here: .mp4, or without PyAV .webp."""
    return ".mp4" if find_spec("av") else ".webp"


def check_writable(path: str | os.PathLike) -> None:
    """Raise now the `ImageError` that `write` would raise at the end of a long run."""
    images.check_writable(path, SUFFIXES)
    if Path(path).suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise ImageError("Writing .mp4 needs the package av (pip install av); .webp and .gif do not.") from error


def write(
    frames: Sequence[np.ndarray], path: str | os.PathLike, seconds: float = 8.0, max_bytes: int | None = None
) -> None:
    """Write an animated picture in which every frame has the size of the last one, which is held for two seconds.

    Args:
        frames: uint8 (H, W, 3) sRGB, sizes may differ.
        path: the suffix chooses .mp4 (H.264), .webp or .gif; a failure leaves what was there as it was.
        seconds: wished length without the hold; the rate stays between 4 and 30 frames a second.
        max_bytes: of the file; it has fewer frames, evenly chosen, or an .mp4 coarser ones, if it would be larger.

    Raises:
        ImageError: an unknown suffix, a missing folder, a full disk, or no PyAV for .mp4.
        ValueError: no frames, or no time for them.
    """
    if not frames:
        raise ValueError("frames: at least one picture is needed")
    if seconds <= 0:
        raise ValueError(f"seconds: {seconds} is not above 0")
    check_writable(path)
    with images.atomic_write(path) as temporary:
        while True:
            _write(frames, temporary, round(min(30, max(4, len(frames) / seconds))), max_bytes)
            excess = temporary.stat().st_size / max_bytes if max_bytes else 0
            if excess <= 1 or len(frames) == 1:
                break
            frames = _evenly(frames, max(1, int(0.9 * len(frames) / excess)))


def _write(frames: Sequence[np.ndarray], path: Path, rate: int, max_bytes: int | None) -> None:
    if path.suffix.lower() == ".mp4":
        _write_mp4(frames, path, rate, max_bytes)
    else:
        first, *rest = _enlarged(frames)
        durations = [round(1000 / rate)] * len(rest) + [round(1000 * HOLD)]
        first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)


def _enlarged(frames: Sequence[np.ndarray]) -> Iterator[Image.Image]:
    height, width = frames[-1].shape[:2]
    for frame in frames:
        yield Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)


def _write_mp4(frames: Sequence[np.ndarray], path: Path, rate: int, max_bytes: int | None) -> None:
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    height, width = frames[-1].shape[:2]
    options = {"crf": "18", "preset": "veryfast"}
    if max_bytes:  # the encoder holds each second to its rate, and has a second's more to begin with
        bits = str(int(0.95 * 8 * max_bytes / (len(frames) / rate + 1)))
        options |= {"maxrate": bits, "bufsize": bits}
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"  # the one layout every player shows; its sides are even
        stream.width, stream.height = width + width % 2, height + height % 2
        # Without these labels players guess the matrix from the height, and the colors shift.
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.IEC61966_2_1
        hold = [Image.fromarray(frames[-1])] * (round(rate * HOLD) - 1)
        for index, picture in enumerate(itertools.chain(_enlarged(frames), hold)):
            pixels = np.pad(np.asarray(picture), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
