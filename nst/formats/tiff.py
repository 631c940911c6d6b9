"""TIFF files that Pillow refuses or misreads: deep, float, planar, signed, or with channels beyond the color.

libtiff, through Pillow, only unpacks the bytes here; NumPy makes numbers of them.  Source: TIFF 6.0 (Adobe, 1992).
"""

import contextlib
import io
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from nst.formats.deep import Deep, Rows

MAX_PAGES = 10_000  # counted, at most
MAX_SAMPLES = 16  # channels
MAX_TAGS = 65_535  # as many as a TIFF can have; a BigTIFF can say more
MAX_PARTS = 200_000  # strips or tiles, of which Pillow makes an object each
MAX_TAG_BYTES = 1 << 20  # of another tag, as a palette of 16 bits
_TYPES = {1: "u1", 7: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # of the integers in tags
# Tags by their names in the specification.
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
CFA_PATTERN, DNG_VERSION, ORIENTATION, ICC_PROFILE = 33422, 50706, 274, 34675

UINT, INT, FLOAT, UNDEFINED = 1, 2, 3, 4  # sample formats
_FORMATS = (UINT, INT, FLOAT, UNDEFINED)
# Compressions of plain bytes: none, LZW, deflate, PackBits, deflate again, LZMA and Zstandard.
_PACKED = {1, 5, 8, 32773, 32946, 34925, 50000}
_COMPRESSED = {2, 3, 4, 6, 7, 32771}  # by fax machines' methods and JPEG, which Pillow undoes
_PILLOW_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # photometric interpretation -> channels
_MODELS = {0: "L", 1: "L", 2: "RGB", 5: "CMYK", 8: "LAB"}  # photometric interpretation -> Pillow's mode for the color
# What libtiff needs to decode: the tags above and those of fax machines, palettes, inks and JPEG, old and new.
_FOR_LIBTIFF = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR}
_FOR_LIBTIFF |= {STRIP_OFFSETS, STRIP_COUNTS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT}
_FOR_LIBTIFF |= {292, 293, 320, 332, 334, 347, *range(512, 522), *range(529, 533)}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_RAW = {32803, 34892}  # photometric interpretations of a sensor's values


class Tiff:
    """The first directory of a TIFF: what it says of the layout of its picture.

    Attributes:
        pages: directories in the file, counted to MAX_PAGES.
    """

    def __init__(self, data: bytes):
        """Raises a ValueError if the directory is cut off."""
        self._data, self._order = data, "<" if data[:2] == b"II" else ">"
        self._big = data[2:4] in (b"+\0", b"\0+")
        offset = self._number(8 if self._big else 4, 8 if self._big else 4)
        self._tags, following = self._directory(offset)
        seen = {offset}
        while following and following not in seen and len(seen) < MAX_PAGES:
            seen.add(following)
            following = self._next(following)
        self.pages = len(seen)
        get = self._get
        self.width, self.height, self.photometric = get(WIDTH), get(HEIGHT), get(PHOTOMETRIC, 1)
        self.compression, self.samples = get(COMPRESSION, 1), get(SAMPLES, 1)
        self.bits = tuple(np.unique(self._all(BITS, 1)[:MAX_SAMPLES]).tolist())  # the different ones
        self.formats = set(self._all(FORMAT, UINT)[:MAX_SAMPLES].tolist())
        self.tile = get(TILE_WIDTH), get(TILE_HEIGHT)
        self._planar = get(PLANAR, 1) == 2 and self.samples > 1

    @property
    def is_raw(self) -> bool:
        """Whether the first directory is a sensor's values or a small preview of a photo elsewhere in the file."""
        raw = self._data[8:10] == b"CR" or self.photometric in _RAW or {CFA_PATTERN, DNG_VERSION} & self._tags.keys()
        return bool(raw or self._get(SUBFILE) & 1)

    @property
    def for_pillow(self) -> bool:
        """Whether Pillow reads this layout rightly."""
        if self.photometric not in _PILLOW_SAMPLES or self.compression not in _PACKED | _COMPRESSED:
            return False
        if self._data[:4] == b"MM\0+" or (self.photometric == 6 and self.compression == 1):
            return False
        shallow = self.bits == (8,) or (self.samples == 1 and self.bits[0] in (1, 2, 4))
        plain = self.samples == _PILLOW_SAMPLES[self.photometric] or self.compression in _COMPRESSED
        return shallow and plain and self.formats <= {UINT, UNDEFINED}

    def for_decoder(self) -> bytes:
        """The file with one directory, of the tags that libtiff needs: Pillow reads the bytes of all tags at once.

        Raises a ValueError if there is too much in one of them.
        """
        head, entry, inline = (8, 20, 8) if self._big else (2, 12, 4)
        table = b""
        for tag in sorted(_FOR_LIBTIFF & self._tags.keys()):
            kind, count, position = self._tags[tag]
            parts = tag in (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS)
            if count > MAX_PARTS if parts else count * _SIZES.get(kind, 0) > MAX_TAG_BYTES:
                raise ValueError("a tag is too large")
            table += self._data[position - entry + inline : position + inline]
        order = "little" if self._order == "<" else "big"
        start = (len(self._data) + 7) // 8 * 8
        directory = (len(table) // entry).to_bytes(head, order) + table + bytes(inline)
        place = 8 if self._big else 4  # of the directory's offset
        first = self._data[:place] + start.to_bytes(place, order)
        return first + self._data[2 * place :].ljust(start - 2 * place, b"\0") + directory

    @property
    def layout(self) -> str:
        """In words, for a person: "16-bit LAB"."""
        kind = "float " if FLOAT in self.formats else ""
        model = {3: "palette", 6: "YCbCr", **_MODELS}.get(self.photometric, f"color model {self.photometric}")
        packing = "" if self.compression in _PACKED else f", compression {self.compression}"
        names = {"L": "gray"}
        channels = f" in {self.samples} channels" if self.samples > 1 else ""
        return f"{'/'.join(map(str, self.bits))}-bit {kind}{names.get(model, model)}{channels}{packing}"

    @property
    def icc_profile(self) -> bytes:
        return self._all(ICC_PROFILE).astype(np.uint8).tobytes()

    @property
    def orientation(self) -> int:
        return self._get(ORIENTATION, 1)

    @property
    def bytes_per_pixel(self) -> int:
        return math.ceil(self.samples * max(self.bits) / 8)

    def open(self) -> Deep | None:
        """The picture, not decoded yet; None for a layout that is not read here."""
        model = _MODELS.get(self.photometric)
        color = len(model) if model else 0
        bits, extras = self.bits[0], self._all(EXTRA, 0)[:MAX_SAMPLES].tolist()
        number_format = next(iter(self.formats))
        widths = {FLOAT: (16, 32, 64), INT: (8, 16, 32)}.get(number_format, (*range(1, 33), 64))
        if (
            model is None
            or self.compression not in _PACKED
            or len(self.bits) > 1
            or len(self.formats) > 1
            or number_format not in _FORMATS
            or bits not in widths
            or not color <= self.samples <= MAX_SAMPLES
            or (model == "L" and self.samples > 2)  # channels of an unknown color
            or (model == "LAB" and (bits not in (8, 16) or number_format in (INT, FLOAT)))
            or self._get(PREDICTOR, 1) not in (1, 2, 3)
            or (self._get(PREDICTOR, 1) == 2 and bits not in (8, 16, 32, 64))
            or (self._get(PREDICTOR, 1) == 3 and number_format != FLOAT)
        ):
            return None
        alpha = next((i for i, kind in enumerate(extras[: self.samples - color]) if kind in (1, 2)), None)
        return Deep(
            size=(self.width, self.height),
            model=model,
            load=self._load,
            white=2.0**bits - 1 if number_format in (UINT, UNDEFINED) else None,
            inverted=self.photometric == 0,
            signed_bits=bits if model == "LAB" else 0,
            alpha=None if alpha is None else color + alpha,
            premultiplied=alpha is not None and extras[alpha] == 1,
        )

    def _load(self) -> Rows:
        """Unpack the picture; returns a function (top, bottom) -> numbers (bottom - top, W, channels)."""
        tiled = TILE_OFFSETS in self._tags
        tags = (TILE_OFFSETS, TILE_COUNTS) if tiled else (STRIP_OFFSETS, STRIP_COUNTS)
        offsets, counts = (self._all(tag) for tag in tags)
        if not len(counts) and len(offsets) == 1:
            counts = np.array([len(self._data) - offsets[0]])
        planes = self.samples if self._planar else 1
        down = math.ceil(self.height / (self.tile[1] if tiled else self._strip))
        each = down * math.ceil(self.width / self.tile[0]) if tiled else down
        parts = [slice(plane * each, (plane + 1) * each) for plane in range(planes)]
        unpacked = [self._bytes(tiled, offsets[part], counts[part]) for part in parts]

        def rows(top: int, bottom: int) -> np.ndarray:
            return np.concatenate([self._numbers(plane[top:bottom], tiled) for plane in unpacked], axis=-1)

        return rows

    def _bytes(self, tiled: bool, offsets: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The unpacked bytes of a plane, uint8 (H, bytes of a row), read as a TIFF of 8-bit gray."""
        row = self._row_bytes(tiled)
        fill_order = self._get(FILL_ORDER, 1)
        tags: dict[int, Any] = {HEIGHT: [self.height], BITS: [8], SAMPLES: [1], PHOTOMETRIC: [1]}
        tags |= {COMPRESSION: [self.compression], FILL_ORDER: [fill_order]}
        if tiled:
            across = math.ceil(self.width / self.tile[0])
            tags |= {WIDTH: [row * across], TILE_WIDTH: [row], TILE_HEIGHT: [self.tile[1]]}
            tags |= {TILE_OFFSETS: offsets, TILE_COUNTS: counts}
        else:
            tags |= {WIDTH: [row], ROWS_PER_STRIP: [self._strip], STRIP_OFFSETS: offsets, STRIP_COUNTS: counts}
        with TiffImagePlugin.TiffImageFile(io.BytesIO(_with_directory(self._data, tags))) as image:
            return np.asarray(image)

    @property
    def _strip(self) -> int:
        """Rows of a strip."""
        return min(self._get(ROWS_PER_STRIP, self.height) or self.height, self.height)

    def _row_bytes(self, tiled: bool) -> int:
        samples = 1 if self._planar else self.samples
        return math.ceil((self.tile[0] if tiled else self.width) * samples * self.bits[0] / 8)

    def _numbers(self, rows: np.ndarray, tiled: bool) -> np.ndarray:
        """uint8 (h, bytes of a row) of a plane -> numbers (h, W, its channels), the prediction undone."""
        samples, bits, predictor = 1 if self._planar else self.samples, self.bits[0], self._get(PREDICTOR, 1)
        across = self.tile[0] if tiled else self.width  # pixels of a row of a tile, with which prediction starts anew
        rows = rows.reshape(len(rows), -1, self._row_bytes(tiled))
        if bits % 8:
            digits = np.unpackbits(rows, axis=-1)[..., : across * samples * bits].reshape(*rows.shape[:2], -1, bits)
            numbers = np.zeros(digits.shape[:3], np.uint32)
            for position in range(bits):
                numbers = numbers << 1 | digits[..., position]
            numbers = numbers.reshape(*rows.shape[:2], across, samples)
        else:
            size, kind, order = bits // 8, {INT: "i", FLOAT: "f"}.get(next(iter(self.formats)), "u"), self._order
            if predictor == 3:  # differences of bytes, the first ones of all numbers first
                rows = rows.reshape(*rows.shape[:2], -1, samples).cumsum(axis=2, dtype=np.uint8)
                rows, order = rows.reshape(*rows.shape[:2], size, -1).swapaxes(2, 3), ">"
            rows = rows.reshape(*rows.shape[:2], across, samples, size)
            if size == 3:
                spare = np.zeros_like(rows[..., :1])
                parts = [rows, spare] if order == "<" else [spare, rows]
                rows, size = np.concatenate(parts, axis=-1), 4
            numbers = np.ascontiguousarray(rows).view(f"{order}{kind}{size}")[..., 0]
            if predictor == 2:
                whole = numbers.view(f"{order}u{size}").astype(f"u{size}").cumsum(axis=2, dtype=f"u{size}")
                numbers = whole.view(f"{kind}{size}")
        return numbers.reshape(len(rows), -1, samples)[:, : self.width]

    def _directory(self, offset: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """{tag: (type, count, position of its value)} and the offset of the next directory."""
        head, entry, inline = (8, 20, 8) if self._big else (2, 12, 4)
        count = min(self._number(offset, head), MAX_TAGS)
        table = self._data[offset + head : offset + head + count * entry]
        form = self._order + ("HHQ8x" if self._big else "HHI4x")
        tags = {}
        for index, (tag, kind, length) in enumerate(struct.iter_unpack(form, table[: len(table) // entry * entry])):
            position = offset + head + index * entry + entry - inline
            tags.setdefault(tag, (kind, length, position))
        return tags, self._next(offset)

    def _next(self, offset: int) -> int:
        head, entry, inline = (8, 20, 8) if self._big else (2, 12, 4)
        try:
            return self._number(offset + head + self._number(offset, head) * entry, inline)
        except ValueError:  # the last directory's link is sometimes missing
            return 0

    def _number(self, offset: int, size: int) -> int:
        raw = self._data[offset : offset + size]
        if len(raw) < size:
            raise ValueError("the directory is cut off")
        return int.from_bytes(raw, "little" if self._order == "<" else "big")

    def _all(self, tag: int, default: int | None = None) -> np.ndarray:
        """The integers of a tag."""
        kind, count, position = self._tags.get(tag, (0, 0, 0))
        if kind not in _TYPES or not count:
            return np.array([] if default is None else [default], np.int64)
        dtype = np.dtype(self._order + _TYPES[kind])
        if count * dtype.itemsize > (8 if self._big else 4):
            position = self._number(position, 8 if self._big else 4)
        if position + count * dtype.itemsize > len(self._data):
            raise ValueError("a tag is cut off")
        return np.frombuffer(self._data, dtype, count, position)

    def _get(self, tag: int, default: int = 0) -> int:
        return int(self._all(tag, default)[0])


def exif_orientation(exif: bytes) -> int:
    """Of an EXIF block, which is a TIFF without a picture; 1, upright, if it is damaged or does not say."""
    with contextlib.suppress(ValueError, IndexError):
        return Tiff(exif.removeprefix(b"Exif\0\0")).orientation
    return 1


def _with_directory(data: bytes, tags: Mapping[int, Sequence[int] | np.ndarray]) -> bytes:
    """A TIFF of the same bytes with another directory, at its end."""
    start = len(data) + len(data) % 2
    table, values = struct.pack("<H", len(tags)), b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        packed = np.array(numbers, "<u4").tobytes()
        inline = packed if len(numbers) == 1 else struct.pack("<I", after + len(values))
        values += packed if len(numbers) > 1 else b""
        table += struct.pack("<HHI", tag, 4, len(numbers)) + inline
    return b"".join([b"II*\0", struct.pack("<I", start), data[8:], bytes(len(data) % 2), table, bytes(4), values])
