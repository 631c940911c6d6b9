"""The pictures of a run as a film: .mp4 with PyAV, .webp and .gif with Pillow."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nst import images
from nst.images import ImageError

SUFFIXES = (".mp4", ".webp", ".gif")
HOLD = 2.0  # seconds that the last frame stays
FILM_FRAMES = 240
FILM_SIDE = 768  # pixels: a .webp or .gif is in memory as a whole when it is written


class Film:
    """The last picture of a run and every nth one before, as JPEG; n doubles whenever FILM_FRAMES are kept."""

    def __init__(self):
        self._kept: list[bytes] = []
        self._last: np.ndarray | None = None
        self._passed, self._every = 0, 1

    def append(self, pixels: np.ndarray) -> None:
        """Add uint8 (H, W, 3) of any size."""
        # What is smaller than MIN_SIDE could not be read back.
        if self._last is not None and min(self._last.shape[:2]) >= images.MIN_SIDE:
            if self._passed % self._every == 0:
                self._kept.append(images.encode_jpeg(self._last, quality=92))
            self._passed += 1
        if len(self._kept) == FILM_FRAMES:
            self._kept, self._every = self._kept[::2], 2 * self._every
        self._last = pixels

    def write(self, path: str | os.PathLike) -> None:
        """Write what was added, reduced to FILM_SIDE; raises as the function `write`."""
        if self._last is None:
            raise ValueError("a film needs at least one picture")
        height, width, _ = self._last.shape
        last = images.rescale(self._last, *images.fit(height, width, min(FILM_SIDE, max(height, width))))
        write([*(images.to_uint8(images.load(jpeg, FILM_SIDE)) for jpeg in self._kept), last], path)


def check_writable(path: str | os.PathLike) -> None:
    """Raise now the `ImageError` that `write` would raise at the end of a long run."""
    images.check_writable(path, SUFFIXES)
    if Path(path).suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise ImageError("Writing .mp4 needs the package av (pip install av); .webp and .gif do not.") from error


def write(frames: Sequence[np.ndarray], path: str | os.PathLike, seconds: float = 8.0) -> None:
    """Write an animated picture in which every frame has the size of the last one, which is held for two seconds.

    Args:
        frames: uint8 (H, W, 3) sRGB, sizes may differ.
        path: the suffix chooses .mp4 (H.264), .webp or .gif; a failure leaves what was there as it was.
        seconds: wished length without the hold; the rate stays between 4 and 30 frames a second.

    Raises:
        ImageError: an unknown suffix, a missing folder, a full disk, or no PyAV for .mp4.
        ValueError: no frames, or no time for them.
    """
    if not frames:
        raise ValueError("frames: at least one picture is needed")
    if seconds <= 0:
        raise ValueError(f"seconds: {seconds} is not above 0")
    check_writable(path)
    rate = round(min(30, max(4, len(frames) / seconds)))
    with images.replacing(path) as temporary:
        if temporary.suffix.lower() == ".mp4":
            _write_mp4(frames, temporary, rate)
        else:
            first, *rest = _enlarged(frames)
            durations = [round(1000 / rate)] * len(rest) + [round(1000 * HOLD)]
            first.save(temporary, save_all=True, append_images=rest, duration=durations, loop=0)


def _enlarged(frames: Sequence[np.ndarray]) -> Iterator[Image.Image]:
    height, width = frames[-1].shape[:2]
    for frame in frames:
        yield Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)


def _write_mp4(frames: Sequence[np.ndarray], path: Path, rate: int) -> None:
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    height, width = frames[-1].shape[:2]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
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
