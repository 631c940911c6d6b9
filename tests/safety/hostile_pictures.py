"""Some thousand hostile picture files, made here, and what `images.load` makes of each: result, time and memory.

`python -m tests.safety.hostile_pictures STEP SIZE` prints one line of JSON for each trick and each STEPth mutation.
"""

import io
import itertools
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, features

from nst import images
from nst.formats import colors

TRUNCATIONS, FLIPS, INSERTIONS, SPLICES = 24, 20, 12, 8  # of each picture


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(pairs: int = 1, values: int = 4, order: str = "<", orientation: int = 6) -> bytes:
    """EXIF with an orientation and further tags, which share `values` bytes."""
    start = 8 + 2 + 12 * (pairs + 1) + 4
    table = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    table += b"".join(struct.pack(order + "HHII", 40000 + tag, 7, values, start) for tag in range(pairs))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, pairs + 1)
    return b"Exif\0\0" + head + table + bytes(4) + bytes(values)


def unturned(exif: bytes) -> bytes:
    """Without the orientation, or Pillow would write the whole anew into an AVIF."""
    return exif.replace(struct.pack("<H", 274), struct.pack("<H", 275), 1)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, color: int = 2, rows: bytes | None = None, depth: int = 8) -> bytes:
    rows = (b"\0" + bytes(3) * width) * height if rows is None else rows
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + head + body


def tiff(entries: list[tuple[int, int, int, bytes]], data: bytes = b"", order: str = "<", big: bool = False) -> bytes:
    """Entries of (tag, type, count, value or offset); `data` begins at byte 16."""
    start, long = 16 + len(data), "Q" if big else "I"
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, start) if big else struct.pack(order + "I", start) + bytes(8)
    table = b"".join(struct.pack(order + "HH" + long, *entry[:3]) + entry[3] for entry in sorted(entries))
    return head + data + struct.pack(order + ("Q" if big else "H"), len(entries)) + table + bytes(8 if big else 4)


def tags(order: str = "<", big: bool = False, **values: int) -> list[tuple[int, int, int, bytes]]:
    """Those of 64 x 64 gray pixels, but for `values` by names as t256=…."""
    plain = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 278: 64, 279: 4096}
    plain |= {int(name[1:]): value for name, value in values.items()}
    return [(tag, 4, 1, struct.pack(order + ("Q" if big else "I"), value)) for tag, value in plain.items()]


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def box(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(data) + 8, kind) + data


def riff(kind: bytes, data: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def codestream(size: int, tile: int, channels: int = 3, blocks: bytes = b"\5\4\4\0\1", style: int = 0) -> bytes:
    """The head of a JPEG 2000 picture and one empty tile."""
    head = struct.pack(">H8IH", 0, size, size, 0, 0, tile, tile, 0, 0, channels) + b"\7\1\1" * channels
    head = b"\xff\x4f" + segment(0x51, head) + segment(0x52, bytes([style, 0, 0, 1, 0]) + blocks)
    head += segment(0x5C, b"\x20" + b"\x48" * (3 * blocks[0] + 1))
    return head + segment(0x90, struct.pack(">HIBB", 0, 14, 0, 1)) + b"\xff\x93\xff\xd9"


def profile(tables: dict[bytes, bytes], count: int | None = None) -> bytes:
    """An ICC profile of RGB."""
    offset, table, body = 132 + 12 * len(tables), b"", b""
    for name, data in tables.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tables) if count is None else count) + table + body


def profiles() -> dict[str, bytes]:
    matrix = b"matf\0\0\0\0" + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    many = 30_000
    elements = b"mpet\0\0\0\0" + struct.pack(">HHI", 3, 3, many)
    elements += struct.pack(">II", 16 + 8 * many, len(matrix)) * many + matrix
    table = b"mft2\0\0\0\0\3\3\xff\0" + struct.pack(">9i", *[65536, 0, 0, 0] * 2, 65536) + struct.pack(">HH", 2, 2)
    wide = b"mft1\0\0\0\0\x0f\x0f\xff\0" + bytes(36) + bytes(4000)
    return {
        "of many elements": profile({b"D2B0": elements, b"A2B0": elements, b"wtpt": b"XYZ " + bytes(16)}),
        "of a huge table": profile({b"A2B0": table + bytes(1000), b"wtpt": b"XYZ " + bytes(16)}),
        "of fifteen channels": profile({b"A2B0": wide, b"wtpt": b"XYZ " + bytes(16)}),
        "of a long curve": profile({b"%cTRC" % c: b"curv" + bytes(4) + b"\xff" * 4 for c in b"rgb"}),
        "of many tags": profile({b"wtpt": b"XYZ " + bytes(16)}, 2**32 - 1),
        "of 3 MB": colors.SRGB_BYTES + bytes(3_000_000),
    }


def _pictures() -> dict[str, bytes]:
    noise = Image.effect_noise((48, 40), 60)
    photo = Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180)))
    further = {"save_all": True, "append_images": [photo.rotate(180)], "duration": 50}
    notes = {"exif": exif(orientation=6), "icc_profile": colors.SRGB_BYTES}
    found = {
        "jpeg": encoded(photo, "JPEG", comment=b"a comment", **notes),
        "progressive jpeg": encoded(photo, "JPEG", progressive=True),
        "cmyk jpeg": encoded(photo.convert("CMYK"), "JPEG"),
        "mpo": encoded(photo, "MPO", save_all=True, append_images=[photo]),
        "png": encoded(photo, "PNG", **notes),
        "palette png": encoded(photo.quantize(16), "PNG", transparency=3),
        "deep png": png(24, 20, rows=(b"\0" + bytes(range(48)) * 3) * 20, depth=16),
        "apng": encoded(photo, "PNG", **further),
        "webp": encoded(photo, "WEBP", **notes),
        "lossless webp": encoded(photo.convert("RGBA"), "WEBP", lossless=True),
        "animated webp": encoded(photo, "WEBP", **further),
        "gif": encoded(photo.quantize(32), "GIF", comment=b"a comment", transparency=2),
        "animated gif": encoded(photo, "GIF", **further),
        "tiff": encoded(photo, "TIFF", **notes),
        "tiff lzw": encoded(photo, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(photo, "TIFF", compression="jpeg"),
        "tiff group 4": encoded(photo.convert("1"), "TIFF", compression="group4"),
        "tiff pages": encoded(photo, "TIFF", save_all=True, append_images=[photo]),
        "deep tiff": encoded(Image.fromarray(np.asarray(noise, np.uint16) * 257), "TIFF"),
        "float tiff": encoded(noise.convert("F"), "TIFF", compression="tiff_adobe_deflate"),
        "bigtiff": tiff(tags(">", big=True), np.asarray(noise.resize((64, 64))).tobytes(), ">", big=True),
        "bmp": encoded(photo, "BMP"),
        "packed bmp": bmp(48, 40, 1, b"".join(b"\x10\1\x20\7\0\0" for _ in range(40)) + b"\0\1"),
        "ppm": encoded(photo, "PPM"),
        "12-bit pgm": b"P5 48 40 4095 " + bytes(range(240)) * 16,
        "pgm in letters": b"P2 # a comment\n48 40 255\n" + b" 17 250" * 960,
    }
    if features.check("jpg_2000"):
        found["jp2"] = encoded(photo, "JPEG2000")
        found["j2k"] = encoded(photo, "JPEG2000", no_jp2=True, tile_size=(16, 16))
    if features.check("avif"):
        found["avif"] = encoded(photo, "AVIF", **notes)
        found["animated avif"] = encoded(photo, "AVIF", **further)
    try:
        import pillow_heif
    except ImportError:
        return found
    for name, pictures in (("heic", [photo]), ("heic of two", [photo, photo.rotate(180)])):
        file, buffer = pillow_heif.HeifFile(), io.BytesIO()
        for picture in pictures:
            file.add_from_pillow(picture).info.update(notes)
        file.save(buffer, exif=notes["exif"])
        found[name] = buffer.getvalue()
    return found


def bmp(width: int, height: int, packing: int, data: bytes, bits: int = 8) -> bytes:
    palette = bytes(range(256)) * 4
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<III", 0, 0, 54 + 1024) + head + palette + data


PICTURES = _pictures()


def tricks(size: int) -> Iterator[tuple[str, bytes]]:
    """Well-formed where a reader looks first; meant to cost it time or memory.  Most have about `size` bytes."""
    block, many = 400_000, size // 100
    for order, big in (("<", False), (">", False), ("<", True)):
        data = bytes(block)
        long = order + ("Q" if big else "I")
        shared = [(40000 + tag, 7, block, struct.pack(long, 16)) for tag in range(4000)]
        yield f"tiff of shared tags {order}{big}", tiff(tags(order, big) + shared, data, order, big)
        parts = size // 4
        strips = [(273, 4, parts, struct.pack(long, 16)), (279, 4, parts, struct.pack(long, 16))]
        plain = [entry for entry in tags(order, big) if entry[0] not in (273, 279)]
        yield f"tiff of many strips {order}{big}", tiff(plain + strips, bytes(size), order, big)
        allowed = [(273, 4, 200_000, struct.pack(long, 16)), (279, 4, 200_000, struct.pack(long, 16))]
        yield f"tiff of 200,000 strips {order}{big}", tiff(plain + allowed, bytes(800_000), order, big)
        rational = [(529, 5, size // 8, struct.pack(long, 16)), (320, 3, size // 2, struct.pack(long, 16))]
        yield f"tiff of a long palette {order}{big}", tiff(tags(order, big) + rational, bytes(size), order, big)
        for word in ("Q", "I"):
            value = struct.pack(long, 16)
            subs = [(tag, 13, 1, value) for tag in (330, 34665, 34853, 40965)]
            yield f"tiff of directories in a ring {order}{big}{word}", tiff(tags(order, big) + subs, data, order, big)
    yield "tiff of samples", tiff(tags(t277=65535, t258=16))
    yield "tiff of a huge tile", tiff(tags(t322=2**31, t323=2**31, t324=16, t325=9))
    yield "deep tiff of a huge tile", tiff(tags(t258=16, t322=2**20, t323=2**20, t324=16, t325=9))
    yield "tiff of a long profile", tiff(tags() + [(34675, 4, size // 4, struct.pack("<I", 16))], bytes(size))
    yield "tiff of few rows in a strip", tiff(tags(t257=10**6, t278=1))
    for compression in (1, 2, 5, 6, 7, 8, 32773, 34925, 50000):
        yield f"tiff of 17,000 pixels a side, {compression}", tiff(tags(t256=17000, t257=17000, t259=compression))
        yield f"deep tiff of 17,000, {compression}", tiff(tags(t256=17000, t257=17000, t258=16, t259=compression))
    pages = bytearray(tiff(tags(), bytes(4096)))
    pages[-4:] = struct.pack("<I", len(pages) - 4 - 12 * 9 - 2)
    yield "tiff of pages in a ring", bytes(pages)
    ring = b"".join(struct.pack("<HI", 0, 16 + 4096 + 6 * (page + 1)) for page in range(size // 6))
    pages = bytearray(tiff(tags(), bytes(4096) + ring))
    pages[-4:] = struct.pack("<I", 16 + 4096)
    yield "tiff of many pages", bytes(pages)
    yield "bigtiff of many tags", tiff(tags(big=True), big=True)[:16] + struct.pack("<Q", 2**60) + bytes(size)

    photo = Image.new("RGB", (64, 64), "red")
    heavy = exif(2000, 30_000)
    for format in ("JPEG", "PNG", "WEBP", "AVIF"):
        if format != "AVIF" or features.check("avif"):
            yield (
                f"exif of shared tags, {format}",
                encoded(photo, format, exif=heavy if format != "AVIF" else unturned(heavy)),
            )
            yield f"exif in a ring, {format}", encoded(photo, format, exif=exif(1, 4).replace(b"\x40\x9c", b"\x69\x87"))
    for format in ("PNG", "WEBP", "AVIF"):
        if format != "AVIF" or features.check("avif"):
            yield (
                f"large exif of shared tags, {format}",
                encoded(
                    photo, format, exif=unturned(exif(4000, min(size // 2, 100_000 if format == "AVIF" else size)))
                ),
            )
    for name, data in profiles().items():
        yield f"profile {name}", png(64, 64, chunk(b"iCCP", b"a\0\0" + zlib.compress(data)))
        yield f"profile {name} in jpeg", encoded(photo, "JPEG", icc_profile=data[:60_000])
    yield "profile bomb", png(64, 64, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100 * size), 9)))
    yield "text bomb", png(64, 64, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 * size), 9)))
    yield "png of empty chunks", png(64, 64, chunk(b"teXt") * (size // 12))
    yield "png of frames", png(64, 64, chunk(b"acTL", b"\x7f\xff\xff\xff" + bytes(4)), chunk(b"fcTL", bytes(26)) * many)
    yield "png of exif chunks", png(64, 64, chunk(b"eXIf", exif(1, 4)[6:]) * many)
    yield "png of IDAT of nothing", png(64, 64, chunk(b"IDAT") * (size // 12))
    pixels = zlib.compress(bytes(193 * 64))
    yield "png of IDAT of a byte", png(64, 64, *(chunk(b"IDAT", pixels[i : i + 1]) for i in range(len(pixels))))
    for side in (2**31 - 1, 100_000, 17_000):
        yield f"png of {side} pixels a side", png(side, side, rows=b"\0")
        yield f"deep png of {side} pixels a side", png(side, side, rows=b"\0", depth=16)
    yield "png of 17,000 gray pixels a side", png(17_000, 17_000, rows=bytes(10**6), color=0)

    jpeg = PICTURES["jpeg"]
    start = encoded(photo, "JPEG")
    table = segment(0xDB, (b"\0" + bytes(range(1, 65))) * 1000)
    jpegs = {
        "comments": segment(0xFE, b"") * (size // 4),
        "long comments": segment(0xFE, bytes(65533)) * (size // 65536),
        "exif segments": segment(0xE1, heavy[:65000]) * (size // 65536),
        "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65000)) * (size // 65536),
        "photoshop blocks": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * (size // 65536),
        "quantization tables": table * (size // 65536),
        "Huffman tables": segment(0xC4, bytes(60_000)) * (size // 65536),
        "junk": b"a" * size,
        "fill bytes": b"\xff" * size,
        "stuffed bytes": b"\xff\0" * (size // 2),
        "frames": segment(0xC0, b"\x08\0\x40\0\x40\1\1\x11\0") * (size // 11),
        "profile pieces": segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65000)) * (size // 65536),
        "a directory of pictures": segment(0xE2, b"MPF\0" + heavy[6:60_000]),
        "restarts": b"\xff\xd0" * (size // 2),
    }
    for name, data in jpegs.items():
        yield f"jpeg of {name}", jpeg[:2] + data + jpeg[2:]
    yield "jpeg of scan marks", start[:-2] + b"\xff\xda\0\x0c" * (size // 4)
    yield "jpeg of scans", start[:-2] + start[start.rindex(b"\xff\xda") :] * (size // 1000)
    for kind in (b"\xc0", b"\xc1", b"\xc2", b"\xc9", b"\xca"):
        place = start.index(b"\xff\xc0")
        large = struct.pack(">HH", 65500, 65500)
        yield (
            f"jpeg of 65,500 pixels a side {kind!r}",
            start[: place + 1] + kind + start[place + 2 : place + 5] + large + (start[place + 9 :]),
        )

    canvas = struct.pack("<I", 2) + b"\xff\x3f\0" * 2
    frame = riff(b"ANMF", bytes(6) + b"\x3f\0\0" * 2 + bytes(4) + encoded(photo, "WEBP")[12:])
    webp = riff(b"VP8X", canvas) + riff(b"ANIM", bytes(6)) + frame
    for name, data in {
        "a large canvas": webp,
        "many frames": webp + frame * (size // len(frame)),
        "empty frames": webp + riff(b"ANMF", bytes(16)) * (size // 24),
        "unknown chunks": webp + riff(b"ABCD") * (size // 8),
        "XMP": webp + riff(b"XMP ", bytes(size)),
        "exif": webp + riff(b"EXIF", exif(4000, size)),
    }.items():
        yield f"webp of {name}", b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data

    gif = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0, 0, 0)
    picture = b"," + struct.pack("<4HB", 0, 0, 64, 64, 0) + b"\2\1\x44\0"
    yield "gif of a long comment", gif + b"!\xfe" + (b"\xff" + bytes(255)) * (size // 256) + b"\0" + picture + b";"
    yield "gif of a comment of bytes", gif + b"!\xfe" + b"\1a" * (size // 2) + b"\0" + picture + b";"
    yield "gif of comments", gif + b"!\xfe\1a\0" * (size // 5) + picture + b";"
    yield "gif of comments after", gif + picture + b"!\xfe\1a\0" * (size // 5) + b";"
    yield "gif of many frames", gif + picture * (size // len(picture)) + b";"
    yield "gif of controls", gif + b"!\xf9\4\0\0\0\0\0" * (size // 8) + picture + b";"
    yield "gif of junk", gif + b"a" * size + picture
    yield "gif of a large screen", gif[:6] + b"\xff" * 4 + gif[10:] + picture + b";"
    yield "gif of a large frame", gif + picture.replace(b"\x40\0", b"\xff\xff") + b";"
    yield "gif of a code a block", gif + picture[:11] + b"\1\x44" * (size // 2) + b"\0;"

    head = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    sizes = box(b"ihdr", struct.pack(">IIHBBBB", 64, 64, 3, 7, 7, 0, 0)) + box(b"colr", b"\1\0\0\0\0\0\x10")
    colors_ = box(b"pclr", struct.pack(">HB", 200, 3) + b"\7\7\7" + bytes(range(200)) * 3)
    small = box(b"jp2c", codestream(64, 64))
    for name, data in {
        "boxes": head + box(b"free") * (size // 8) + box(b"jp2h", sizes) + small,
        "boxes in its head": head + box(b"jp2h", box(b"free") * (size // 8) + sizes) + small,
        "palettes": head + box(b"jp2h", sizes.replace(b"\0\3\7", b"\0\1\7") + colors_ * (size // 600)) + small,
        "two sizes": head + box(b"jp2h", sizes) + box(b"jp2c", codestream(60_000, 60_000)),
        "tiles": codestream(65_535, 256),
        "tiles of a pixel": codestream(255, 1),
        "16,384 channels": codestream(64, 64, 16_384),
        "channels that its head hides": head + box(b"jp2h", sizes) + box(b"jp2c", codestream(64, 1, 4000)),
        "small precincts": codestream(10_000, 10_000, blocks=b"\5\0\0\0\1\x11\x11\x11\x11\x11\x11", style=1),
        "small blocks": codestream(10_000, 10_000, blocks=b"\5\0\0\0\1"),
        "many levels": codestream(64, 64, blocks=b"\x20\4\4\0\1"),
        "markers": (lambda c: c[:-2] + segment(0x64, b"") * (size // 4) + c[-2:])(codestream(64, 64)[:-16] + bytes(2)),
        "17,000 pixels a side": codestream(17_000, 17_000),
    }.items():
        yield f"jpeg 2000 of {name}", data

    yield "bmp of a long head", b"BM" + bytes(12) + struct.pack("<I", size) + bytes(size)
    yield "bmp of a head beyond its end", b"BM" + bytes(12) + b"\xff\xff\xff\x7f" + bytes(size)
    for packing in (0, 1, 2):
        yield f"bmp of 17,000 pixels a side, {packing}", bmp(17_000, 17_000, packing, b"\0\0" * 40_000)
    yield "bmp of packed rows", bmp(3000, 3000, 1, b"\0\0" * 3000)
    yield "bmp of packed nothing", bmp(3000, 3000, 1, b"\1\1" * (min(size, 9_000_000) // 2))
    yield "bmp of jumps", bmp(19_000, 500, 1, b"\0\2\xff\xff" * 1000)

    yield "ppm of a long comment", b"P6 #" + b"a" * size + b"\n64 64 255\n" + bytes(12288)
    yield "ppm of comments", b"P6 " + b"#\n" * (size // 2) + b"64 64 255\n" + bytes(12288)
    yield "ppm of spaces", b"P6" + b" " * size + b"64 64 255\n" + bytes(12288)
    yield "ppm of 17,000 pixels a side", b"P6 17000 17000 255\n" + bytes(1000)
    yield "ppm of 4,095 pixels a side", b"P6 4095 4095 4095\n" + bytes(1000)
    yield "ppm of a large size", b"P6 9999999999 9999999999 255\n" + bytes(1000)
    side = int((size / 3 / 3) ** 0.5)
    yield "ppm in letters", b"P3 %d %d 9 " % (side, side) + b"1 2 3 " * side * side
    yield "ppm in long letters", b"P3 64 64 9 " + b"1" * size
    yield "pgm of comments between", b"P2 64 64 9 " + b"1 #a\n" * (size // 5)
    yield "pbm of spaces", b"P1 64 64 " + b"1 " * (size // 2)
    yield "pgm of negative numbers", b"P2 64 64 9 " + b"-1 " * 4096
    yield "pfm of a tiny scale", b"Pf 64 64 -1e-300\n" + b"\0\0\x80\x7f" * 4096

    for brand in (b"avif", b"heic"):
        name, start = brand.decode(), box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
        handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        primary = box(b"pitm", bytes(4) + b"\0\1")
        many_items = b"".join(box(b"infe", b"\2\0\0\0\0\1\0\0av01\0") for _ in range(min(size // 21, 65_000)))
        items = box(b"iinf", struct.pack(">IH", 0, min(size // 21, 65_000)) + many_items)
        places = box(b"iloc", b"\0\0\0\0\x44\0" + struct.pack(">H", 65535) + bytes(size))
        wide = box(b"iprp", box(b"ipco", box(b"free") * (size // 8)))
        yield f"{name} of boxes", start + box(b"free") * (size // 8)
        yield f"{name} of items", start + box(b"meta", bytes(4) + handler + primary + items)
        yield f"{name} of places", start + box(b"meta", bytes(4) + handler + primary + places)
        yield f"{name} of properties", start + box(b"meta", bytes(4) + handler + primary + wide)
        for version in (0, 2):
            entry = ">HHH" if version == 0 else ">IHHH"
            rest = (0, 0) if version == 0 else (0, 0, 0)
            count = min(size // 12, 65_000)
            apart = b"".join(struct.pack(entry, item, *rest) for item in range(1, count))
            apart = bytes([version, 0, 0, 0, 0, 0]) + struct.pack(">H" if version == 0 else ">I", count - 1) + apart
            yield (
                f"{name} of places apart {version}",
                start + box(b"meta", bytes(4) + handler + primary + box(b"iloc", apart)),
            )
        names = b"".join(box(b"infe", b"\2\0\0\0" + struct.pack(">H", i) + b"\0\0av01\0") for i in range(1, 60_000))
        names = box(b"iinf", struct.pack(">IH", 0, 59_999) + names)
        yield f"{name} of items apart", start + box(b"meta", bytes(4) + handler + primary + names)
        tracks = box(b"moov", box(b"trak") * (size // 8))
        yield f"{name} of tracks", start + box(b"meta", bytes(4) + handler + primary) + tracks
        yield f"{name} of boxes in boxes", start + _nested(b"meta", 1000)
        yield f"{name} of 4 GB", start + struct.pack(">I4sQ", 1, b"meta", 2**62) + bytes(1000)
    if "heic" in PICTURES:
        heic = PICTURES["heic"]
        yield "heic of large pixels", heic.replace(b"ispe" + bytes(4), b"ispe" + bytes(4) + b"\0\0\xff\xff" * 2)
        place = heic.index(b"ispe") + 8
        yield "heic of 17,000 pixels a side", heic[:place] + struct.pack(">II", 17000, 17000) + heic[place + 8 :]
    if "avif" in PICTURES:
        avif = PICTURES["avif"]
        place = avif.index(b"ispe") + 8
        for side in (17_000, 10_000, 2**31):
            yield f"avif of {side} pixels a side", avif[:place] + struct.pack(">II", side, side) + avif[place + 8 :]
        animated = PICTURES["animated avif"]
        place = animated.index(b"stsz") + 8
        more = struct.pack(">II", 20, 2_000_000)
        yield "avif of two million frames", animated[:place] + more + animated[place + 8 :]


def _nested(kind: bytes, depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(kind, bytes(4) + data)
    return data


def posing() -> Iterator[tuple[str, bytes]]:
    """What is no picture, also after the first bytes of one."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"><script>alert(1)</script></svg>'
    others = {
        "svg": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cccc">]>' + svg,
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
        "html": b"<!doctype html><script>alert(document.cookie)</script>",
        "zip": b"PK\3\4" + bytes(26) + b"a" * 200,
        "gzip": b"\x1f\x8b\x08\0" + zlib.compress(bytes(10**6)),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(/etc/passwd) (r) file",
        "exe": b"MZ" + bytes(400),
        "elf": b"\x7fELF" + bytes(400),
        "mp4": box(b"ftyp", b"isom" + bytes(4) + b"mp42") + box(b"moov"),
        "pickle": b"\x80\4cposix\nsystem\n(S'true'\ntR.",
        "numpy": b"\x93NUMPY\1\0" + bytes(200),
        "text": b"not a picture " * 100,
        "playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "MVG": b"push graphic-context\nfill 'url(https://127.0.0.1/\"|true\")'\n",
    }
    heads = [
        data[:12] for name, data in PICTURES.items() if name in ("jpeg", "png", "gif", "webp", "tiff", "bmp", "ppm")
    ]
    for name, data in others.items():
        yield name, data
        for head in heads:
            yield f"{name} after {head[:4]!r}", head + data


def mutations() -> Iterator[tuple[str, bytes]]:
    """Pictures cut off, with other bits, with more bytes, with huge numbers, and with another's end."""
    names = list(PICTURES)
    for name, data in PICTURES.items():
        chance = random.Random(name)
        head = min(len(data), 400)  # where most harm can be done
        for index in range(TRUNCATIONS):
            yield f"{name} cut {index}", data[: chance.randrange(head if index % 2 else len(data))]
        for index in range(FLIPS):
            changed = bytearray(data)
            for _ in range(1 + index % 4):
                changed[chance.randrange(head if index % 3 else len(data))] ^= 1 << chance.randrange(8)
            yield f"{name} flipped {index}", bytes(changed)
        for index in range(INSERTIONS):
            place = chance.randrange(head if index % 2 else len(data))
            yield f"{name} inserted {index}", data[:place] + chance.randbytes(chance.randrange(1, 300)) + data[place:]
        for index in range(SPLICES):
            place = chance.randrange(4, head)
            huge = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff", bytes(4)])
            yield f"{name} huge {index}", data[:place] + huge + data[place + 4 :]
            other = PICTURES[chance.choice(names)]
            yield f"{name} spliced {index}", data[:place] + other[chance.randrange(len(other)) :]


def corpus(size: int, step: int = 1) -> Iterator[tuple[str, bytes]]:
    yield from tricks(size)
    yield from posing()
    yield from itertools.islice(mutations(), 0, None, step)
    for path in sorted((Path(__file__).parent / "found").glob("*")):
        yield f"found {path.name}", path.read_bytes()


def _memory(key: str) -> float:
    """Of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(key + ":")[1].split()[0]) / 1000


def main(step: int, size: int) -> None:
    images.load(PICTURES["jpeg"])
    for name, data in corpus(size, step):
        Path("/proc/self/clear_refs").write_text("5")
        rest, start, message, problem = _memory("VmRSS"), time.perf_counter(), "", ""
        try:
            image = images.load(data, 512)
            if image.dtype != np.float32 or image.ndim != 4 or image.shape[0] != 1 or image.shape[3] != 3:
                problem = f"{image.dtype} {image.shape}"
            elif not (0 <= image.min() <= image.max() <= 1 and image.flags.c_contiguous):
                problem = "numbers out of range"
        except images.ImageError as error:
            message = str(error)
        except BaseException as error:
            problem = repr(error)
        seconds, memory = time.perf_counter() - start, _memory("VmHWM") - rest
        line = {"name": name, "bytes": len(data), "seconds": seconds, "MB": memory, "message": message}
        print(json.dumps(line | {"problem": problem}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
