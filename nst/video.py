"""Films: each frame is painted from the one before, moved along with what it shows, so that strokes do not flicker.

Painted frames are kept in a folder beside the film until it is finished, each under a fingerprint of all that it is
made of.  So a film that was stopped goes on where it ended.  Needs PyAV and OpenCV.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from nst import __version__, flow, images, memory, timelapse
from nst.images import ImageError
from nst.settings import Settings

if TYPE_CHECKING:
    from nst.transfer import StyleTransfer

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")  # of the films that are written
FRAME_STEPS = 20  # steps of a frame that follows another
_KINDS_OF_PICTURES = ("image2", "_pipe", "webp")  # how the names of PyAV's formats for pictures begin or end


@dataclass(frozen=True)
class Source:
    """A film to paint."""

    path: Path
    shape: tuple[int, int]  # (height, width) as it is shown: upright, with square pixels
    frames: int  # about how many; 0 if unknown
    rate: Fraction  # frames per second, on average


class Painted(NamedTuple):
    """A frame of the film is done."""

    index: int  # 0 is the first
    frames: int  # of the film, estimated
    image: np.ndarray  # uint8 (H, W, 3)
    is_new: bool  # painted now, not found from before
    is_cut: bool  # starts from the photo
    flicker: float  # `flow.flicker` from the frame before; 0 for the first one and those found


class Film:
    """A film being painted."""

    def __init__(
        self,
        content: str | os.PathLike[str],
        styles: Sequence[str | os.PathLike[str]],
        output: str | os.PathLike[str],
        settings: Settings,
        frame_steps: int = FRAME_STEPS,
    ):
        """Checks the files; paints nothing yet.

        Args:
            content: the film.
            styles: the paintings.
            output: the film to write; its suffix chooses the format.
            frame_steps: steps of each frame, but for those that start from the photo: the first one, and after cuts.

        Raises:
            ValueError: a file cannot be read or written, or a package is missing; one sentence for a person.
        """
        if not 1 <= frame_steps <= 10000:
            raise ValueError(f"frame_steps: {frame_steps} should be a whole number from 1 to 10000")
        check_writable(output)
        self.output, self.notes, self.painted, self.found = Path(output), [], 0, 0
        self.source, self._frame_steps = probe(Path(content)), frame_steps
        if self.output.exists() and os.path.samefile(content, output):
            raise ValueError(f"{self.output.name} is the film to paint from; write to another file.")
        self.folder = self.output.with_name(f"{self.output.name}.frames")
        self.settings, self._styles = settings, [Path(style) for style in styles]
        self._paintings = [images.load(style, settings.style_side(settings.size)) for style in styles]
        images.check_strip(*self.source.shape, settings.size, self.source.path.name)

    def paint(self, load: "Callable[[Settings], StyleTransfer]") -> Generator[Painted, None, None]:
        """Paint all frames that are not done yet, and write the film.

        Yields:
            each frame, when it is done.

        Raises:
            ValueError, FloatingPointError, MemoryError: as `StyleTransfer.stylize` does; what is done is kept.
        """
        engine = load(self.settings)
        shapes = [painting.shape[1:3] for painting in self._paintings]
        self.settings, note = memory.fit_size(engine.network, self.source.shape, shapes, self.settings, tiled=False)
        self.notes += [note] if note else []
        shape = images.fit(*self.source.shape, self.settings.size)
        images.make_folder(self.folder)
        try:
            yield from self._paint_all(engine, shape)
        finally:
            with contextlib.suppress(OSError):  # it holds frames, or something of somebody else
                self.folder.rmdir()

    def _paint_all(self, engine: "StyleTransfer", shape: tuple[int, int]) -> Generator[Painted, None, None]:
        # The fingerprint of a frame is one of all frames so far: each depends on those before.
        fingerprint, files = hashlib.sha256(self._description(engine).encode()), []
        before: tuple[np.ndarray, np.ndarray] | None = None  # the frame of the film, and as it is painted
        for index, photo in enumerate(frames(self.source.path, shape)):
            fingerprint.update(photo.tobytes())
            files.append(self.folder / f"{index:06}-{fingerprint.hexdigest()[:16]}.png")
            if (image := _kept(files[-1], shape)) is not None:
                self.found += 1
                yield Painted(index, self._count(index), image, False, False, 0.0)
            else:
                done = self._paint(engine, photo, before, index)
                image = done.image
                images.save(image, files[-1])
                self.painted += 1
                yield done
            before = photo, image
        if not files:
            raise ImageError(f"{self.source.path.name} is damaged: none of its frames can be read.")
        self._write(files, shape)

    def _paint(
        self, engine: "StyleTransfer", photo: np.ndarray, before: tuple[np.ndarray, np.ndarray] | None, index: int
    ) -> Painted:
        settings, options = replace(self.settings, frames_per_second=0.01), {}
        motion = flow.motion(before[0], photo) if before else None
        if motion and motion.is_cut:
            motion = None
        if before and motion:
            settings = replace(settings, steps=(self._frame_steps,))
            options["previous"] = flow.previous(before[1], photo, motion)
        content = photo[np.newaxis] / np.float32(255)
        *_, frame = engine.stylize(content, self._paintings, settings, **options)
        if frame.image.shape != photo.shape:  # the memory did not suffice
            raise MemoryError(frame.note)
        flicker = flow.flicker(before[1], frame.image, motion) if before and motion else 0.0
        return Painted(index, self._count(index), frame.image, True, motion is None, flicker)

    def _count(self, index: int) -> int:
        return max(self.source.frames, index + 1)

    def _description(self, engine: "StyleTransfer") -> str:
        """Of all that every frame depends on, besides the film."""
        network = engine.network
        paintings = [hashlib.sha256(painting.tobytes()).hexdigest() for painting in self._paintings]
        settings = asdict(replace(self.settings, frames_per_second=1.0, weights=""))
        used = (__version__, network.name, network.weights_hash, network.precision, self._frame_steps)
        return json.dumps([used, settings, paintings])

    def _write(self, files: list[Path], shape: tuple[int, int]) -> None:
        """Write the film from its painted frames, with the sound; then remove them."""
        temporary = self.folder / f"film{self.output.suffix}"
        try:
            damaged = assemble(self.source, files, temporary, shape)
            os.replace(temporary, self.output)
        except OSError as error:  # av.FFmpegError is one
            raise ImageError(f"{self.output} could not be written: {error.strerror or error}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        self.notes += [damaged] if damaged else []
        for file in (*self.folder.glob("[0-9]*-*.png"), *self.folder.glob(".*.png")):
            file.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise an ImageError, with one sentence, if no film can be written there."""
    images.check_writable(path, SUFFIXES)
    if obstacle := timelapse.mp4_obstacle():
        raise ImageError(f"Films need the package av, 17 or later (pip install 'av>=17'): {obstacle}.")
    if obstacle := flow.obstacle():
        raise ImageError(obstacle)


def probe(path: Path) -> Source:
    """What is known of a film before it is read.

    Raises:
        ImageError: it is no film, or has no frame that can be read; one sentence for a person.
    """
    import av

    name = path.name
    if not path.is_file():
        raise ImageError(f"There is no file {name}; check its name and folder.")
    try:
        with av.open(str(path)) as container:
            kinds = container.format.name.split(",")
            if path.suffix.lower() in images.SUFFIXES - {".gif"} or any(
                kind.startswith(_KINDS_OF_PICTURES) or kind.endswith(_KINDS_OF_PICTURES) for kind in kinds
            ):
                raise ImageError(f"{name} is a picture, not a film; the command paint repaints pictures.")
            stream = _video(container)
            if stream is None:
                raise ImageError(f"{name} has no video in it; name a film.")
            first = next((frame for _, frame in _read(container, [stream]) if frame is not None), None)
            if first is None:
                raise ImageError(f"{name} has no frame that can be read: it is empty or damaged.")
            ratio = stream.sample_aspect_ratio or Fraction(1)
            height, width = first.height, max(1, round(first.width * ratio))
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            seconds = (container.duration or 0) / 1_000_000
            shape = (width, height) if _quarters(first) % 2 else (height, width)
            return Source(path, shape, stream.frames or round(seconds * rate), rate)
    except OSError as error:  # av.FFmpegError is one
        raise ImageError(f"{name} cannot be read as a film: {error.strerror or error}.") from error
    except (ValueError, IndexError, RuntimeError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name} cannot be read as a film; it is of an unknown kind or damaged.") from error


def frames(path: Path, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames of a film, one at a time, upright: uint8 (height, width, 3) of the shape given."""
    import av

    with av.open(str(path)) as container:
        for _, frame in _read(container, [_video(container)]):
            if frame is not None:
                yield _upright(frame, shape)


def assemble(source: Source, files: Sequence[Path], path: Path, shape: tuple[int, int]) -> str:
    """Write a film of painted frames, with the times and the sound of the one they were painted from.

    Returns:
        One sentence if a part of the sound could not be read, or "".
    """
    import av

    options = {"movflags": "faststart"} if path.suffix.lower() in (".mp4", ".mov") else {}
    with av.open(str(source.path)) as container, av.open(str(path), "w", options=options) as film:
        video = _video(container)
        codec = "libvpx-vp9" if path.suffix.lower() == ".webm" else "libx264"
        stream = timelapse.add_video(film, codec, source.rate, *shape)
        stream.codec_context.time_base = video.time_base
        sounds = {track.index: _Sound(film, track) for track in container.streams.audio if track.codec_context}
        waiting, latest = iter(files), None
        for packet, frame in _read(container, [video, *(container.streams[index] for index in sounds)]):
            if frame is None:
                sounds[packet.stream.index].write(film, packet)
            elif file := next(waiting, None):
                time = frame.pts if frame.pts is not None else (latest if latest is not None else -1) + 1
                latest = time if latest is None else max(time, latest + 1)  # damaged films repeat times
                with Image.open(file) as picture:
                    painted = timelapse.video_frame(np.asarray(picture.convert("RGB")))
                painted.pts, painted.time_base = latest, video.time_base
                film.mux(stream.encode(painted))
        film.mux(stream.encode())
        for sound in sounds.values():
            sound.end(film)
        damaged = any(sound.is_damaged for sound in sounds.values())
    return f"A part of the sound of {source.path.name} is damaged, and left out." * damaged


class _Sound:
    """A track of sound: copied where the film's format takes its codec, else encoded anew."""

    def __init__(self, film: Any, track: Any):
        self.is_damaged, self._is_copied = False, track.codec_context.name in film.supported_codecs
        if self._is_copied:
            self._stream = film.add_stream_from_template(track)
            return
        codec = "libopus" if film.format.name == "webm" else "aac"
        rate = 48000 if codec == "libopus" else min(track.codec_context.sample_rate, 48000)
        layout = "stereo" if track.codec_context.layout.nb_channels > 1 else "mono"
        self._stream = film.add_stream(codec, rate=rate, layout=layout)

    def write(self, film: Any, packet: Any) -> None:
        from av.error import InvalidDataError

        if self._is_copied:
            if packet.dts is not None:  # the last one is empty
                packet.stream = self._stream
                film.mux(packet)
            return
        try:
            decoded = packet.decode()
        except InvalidDataError:
            self.is_damaged = True
            return
        for frame in decoded:
            film.mux(self._stream.encode(frame))

    def end(self, film: Any) -> None:
        if not self._is_copied:
            film.mux(self._stream.encode())


def _video(container: Any) -> Any:
    """The stream of moving pictures, None if there is none: the cover of a song is not."""
    cover = 1 << 10  # AV_DISPOSITION_ATTACHED_PIC
    return next((stream for stream in container.streams.video if not stream.disposition.value & cover), None)


def _read(container: Any, streams: list[Any]) -> Iterator[tuple[Any, Any]]:
    """(packet, frame of video), or (packet, None) for sound.  What is damaged is left out, as players do."""
    from av.error import FFmpegError, InvalidDataError

    video, packets = streams[0], container.demux(streams)
    video.thread_type = "AUTO"
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:  # the file breaks off
            packet = None
        if packet is None:
            break
        if packet.stream is not video:
            yield packet, None
            continue
        with contextlib.suppress(InvalidDataError):
            for frame in packet.decode():
                yield packet, frame


def _quarters(frame: Any) -> int:
    """By how many quarter turns, counterclockwise, a frame is to be turned."""
    return round(frame.rotation / 90) % 4


def _upright(frame: Any, shape: tuple[int, int]) -> np.ndarray:
    from av.video.reformatter import Colorspace

    guess = {}  # 2: the film does not tell
    if frame.colorspace == 2 and frame.height >= 720 and not frame.format.is_rgb:
        guess = {"src_colorspace": Colorspace.ITU709}  # as players do
    pixels = np.rot90(frame.to_ndarray(format="rgb24", **guess), _quarters(frame))
    return images.rescale(np.ascontiguousarray(pixels), *shape)


def _kept(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """A frame painted before; None if there is none."""
    try:
        image = images.to_uint8(images.load(path))
    except ImageError:
        return None
    return image if image.shape[:2] == shape else None
