"""Time-lapse films of a run: .mp4 with PyAV, .webp and .gif with Pillow."""

import functools
import itertools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst import images
from nst.images import ImageError

SUFFIXES = (".mp4", ".webp", ".gif")
HOLD = 2.0  # seconds that the last frame is shown
FILM_FRAMES = 240
FILM_SIDE = 768  # pixels of the longest side: Pillow holds all frames of a .webp or .gif in memory
_CODECS = {  # options of a quality that hardly differs from the frames
    "libx264": {"crf": "18", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4"},
}


class Film:
    """Every nth frame of a run and the last one, downscaled to FILM_SIDE and stored as JPEG of about 100 KB.

    Never stores more than `frames`: n doubles whenever there are that many.
    """

    def __init__(self, frames: int = FILM_FRAMES):
        self._max_frames = frames
        self._jpegs: list[bytes] = []
        self._last: np.ndarray | None = None
        self._count, self._stride = 0, 1

    def append(self, pixels: np.ndarray) -> None:
        """Add a frame, uint8 (H, W, 3) of any size."""
        # `images.load` cannot read back a frame smaller than MIN_SIDE.
        if self._last is not None and min(self._last.shape[:2]) >= images.MIN_SIDE:
            if self._count % self._stride == 0:
                self._jpegs.append(images.encode_jpeg(_downscale(self._last), quality=92))
            self._count += 1
        if len(self._jpegs) >= self._max_frames:
            self._jpegs, self._stride = self._jpegs[::2], 2 * self._stride
        self._last = pixels

    def write(self, path: str | os.PathLike, max_bytes: int | None = None) -> None:
        """Write the stored frames, downscaled to FILM_SIDE; raises as the function `write`."""
        if self._last is None:
            raise ValueError("a film needs at least one frame")
        write([*map(_decode, self._jpegs), _downscale(self._last)], path, max_bytes=max_bytes)


def _downscale(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    if max(height, width) <= FILM_SIDE:
        return pixels
    height, width = images.fit(height, width, FILM_SIDE)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _decode(jpeg: bytes) -> np.ndarray:
    return images.to_uint8(images.load(jpeg))


def _subsample(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` evenly spaced items, including the last."""
    count = min(count, len(items))
    return [items[-1 - index * len(items) // count] for index in range(count)][::-1]


def suffix() -> str:
    """File suffix of the best format that browsers play: ".mp4" if PyAV can write it, else ".webp"."""
    return ".webp" if mp4_obstacle() else ".mp4"


@functools.cache
def mp4_obstacle() -> str:
    """Why no .mp4 can be written here, or "".  Writes a small one: PyAV may be missing, too old, or without H.264."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            _write_mp4([np.zeros((16, 16, 3), np.uint8)], Path(folder, "film.mp4"), 4, None)
    except Exception as error:  # of any of PyAV's types
        return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return ""


def check_writable(path: str | os.PathLike) -> None:
    """Raise `ImageError` if `path` cannot be written; for use before a long run."""
    images.check_writable(path, SUFFIXES)
    if Path(path).suffix.lower() == ".mp4" and (obstacle := mp4_obstacle()):
        needed = "Writing .mp4 needs the package av, 17 or later (pip install 'av>=17'); .webp and .gif do not"
        raise ImageError(f"{needed}: {obstacle}.")


def write(
    frames: Sequence[np.ndarray], path: str | os.PathLike, seconds: float = 8.0, max_bytes: int | None = None
) -> None:
    """Write a film with all frames resized to the last one, which is shown for two seconds.

    Args:
        frames: uint8 (H, W, 3) sRGB, sizes may differ.
        path: the suffix chooses .mp4 (H.264), .webp or .gif; if writing fails, an existing file is unchanged.
        seconds: target length without the hold; the frame rate is limited to 4 to 30 per second.
        max_bytes: file size limit, met by a lower bitrate (.mp4) and by leaving out frames; the last frame stays.

    Raises:
        ImageError: unknown suffix, missing folder, full disk, or .mp4 without PyAV 17 or later.
        ValueError: no frames, or `seconds` is not above 0.
    """
    if not frames:
        raise ValueError("frames: at least one is needed")
    if seconds <= 0:
        raise ValueError(f"seconds: {seconds} should be above 0")
    check_writable(path)
    with images.atomic_write(path) as temporary:
        while True:
            _write(frames, temporary, round(min(30, max(4, len(frames) / seconds))), max_bytes)
            excess = temporary.stat().st_size / max_bytes if max_bytes else 0
            if excess <= 1 or len(frames) == 1:
                break
            frames = _subsample(frames, max(1, int(0.9 * len(frames) / excess)))


def _write(frames: Sequence[np.ndarray], path: Path, rate: int, max_bytes: int | None) -> None:
    if path.suffix.lower() == ".mp4":
        _write_mp4(frames, path, rate, max_bytes)
    else:
        first, *rest = _resize_to_last(frames)
        durations = [round(1000 / rate)] * len(rest) + [round(1000 * HOLD)]
        first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)


def _resize_to_last(frames: Sequence[np.ndarray]) -> Iterator[Image.Image]:
    height, width = frames[-1].shape[:2]
    for frame in frames:
        yield Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)


def _write_mp4(frames: Sequence[np.ndarray], path: Path, rate: int, max_bytes: int | None) -> None:
    import av

    height, width = frames[-1].shape[:2]
    options = {}
    if max_bytes:  # the one-second buffer (VBV) allows one second's worth of bits more
        bitrate = str(int(0.95 * 8 * max_bytes / (len(frames) / rate + 1)))
        options = {"maxrate": bitrate, "bufsize": bitrate}
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = add_video(container, "libx264", rate, height, width, options)
        hold = [Image.fromarray(frames[-1])] * (round(rate * HOLD) - 1)
        for index, image in enumerate(itertools.chain(_resize_to_last(frames), hold)):
            frame = video_frame(np.asarray(image))
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def add_video(
    container: Any, codec: str, rate: int | Fraction, height: int, width: int, options: Mapping[str, str] | None = None
) -> Any:
    """Add a stream of video in sRGB to a PyAV container that is written; `video_frame` makes its frames."""
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    stream = container.add_stream(codec, rate=rate, options={**_CODECS[codec], **(options or {})})
    stream.pix_fmt = "yuv420p"  # the only format that every player supports; needs even sides
    stream.width, stream.height = width + width % 2, height + height % 2
    # Without this metadata, players guess the color matrix from the height and colors shift.
    stream.codec_context.colorspace = Colorspace.ITU709
    stream.codec_context.color_range = ColorRange.MPEG
    stream.codec_context.color_primaries = ColorPrimaries.BT709
    stream.codec_context.color_trc = ColorTrc.IEC61966_2_1
    return stream


def video_frame(pixels: np.ndarray) -> Any:
    """The PyAV frame of a picture, uint8 (H, W, 3) sRGB; an odd side is a pixel longer."""
    import av
    from av.video.reformatter import Colorspace

    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
