"""nst.images against HEIC files that pillow-heif wrote here, whole, cut off and damaged."""

import contextlib
import io
import random
import struct
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst import images
from nst.formats import decoding, opening
from nst.images import ImageError

pillow_heif = pytest.importorskip("pillow_heif")

WIDTH, HEIGHT = 96, 64
QUARTERS = {"red": (0, 0), "lime": (48, 0), "blue": (0, 32), "white": (48, 32)}


def photo(mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Red and green above blue and white."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for color, corner in QUARTERS.items():
        image.paste(color, (*corner, corner[0] + 48, corner[1] + 32))
    return image.resize(size, Image.Resampling.NEAREST).convert(mode)


def heic(*pictures: Image.Image, **options) -> bytes:
    file, buffer = pillow_heif.HeifFile(), io.BytesIO()
    for picture in pictures:
        file.add_from_pillow(picture)
    file.save(buffer, **{"quality": 95, "chroma": 444} | options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274] = orientation
    return tags.tobytes()


def centers(pixels: np.ndarray) -> np.ndarray:
    """The colors in the middle of the quarters: (2, 2, 3)."""
    _, height, width, _ = pixels.shape
    return pixels[0][height // 4 :: height // 2, width // 4 :: width // 2]


def assert_shows(pixels: np.ndarray, expected: Image.Image) -> None:
    assert pixels.shape[1:3] == expected.size[::-1]
    np.testing.assert_allclose(
        centers(pixels), centers(np.asarray(expected.convert("RGB"))[np.newaxis] / 255), atol=0.03
    )


@pytest.mark.parametrize("options", [{}, {"tile_size": 64}, {"chroma": 420}])
def test_a_photo(options):
    assert_shows(images.load(heic(photo(), **options)), photo())
    assert images.load(heic(photo(size=(960, 640)), **options), 96).shape == (1, 64, 96, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once(orientation):
    turn = decoding._TRANSPOSE.get(orientation)
    upright = photo() if turn is None else photo().transpose(turn)
    data = heic(photo(), exif=exif(orientation))
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)  # the container says so too
    assert_shows(images.load(data), upright)
    assert images.read(data).stored_shape == upright.size[::-1]


def test_exif_alone_does_not_turn_it():
    data = heic(photo(), exif=exif(1)).replace(exif(1)[6:], exif(6)[6:])
    assert exif(6)[6:] in data and b"irot" not in data
    assert_shows(images.load(data), photo())


def test_10_bits_gray_and_alpha():
    assert_shows(images.load(heic(photo("L"))), photo("L"))
    ramp = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (64, 1))
    np.testing.assert_allclose(images.load(heic(Image.fromarray(ramp)))[0, :, :, 1], ramp / 65535, atol=0.01)
    file, buffer = pillow_heif.HeifFile(), io.BytesIO()
    deep = np.asarray(photo()).astype(np.uint16) * 257
    file.add_frombytes("RGB;16", (WIDTH, HEIGHT), deep.tobytes())
    file.save(buffer, quality=95, chroma=444)
    assert pillow_heif.open_heif(buffer.getvalue()).info["bit_depth"] == 10
    assert_shows(images.load(buffer.getvalue()), photo())
    clear = photo("RGBA")
    clear.putalpha(Image.new("L", clear.size, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 48, 64))
    picture = images.read(heic(clear))
    white = Image.new("RGB", clear.size, "white")
    white.paste(clear, mask=clear)
    assert_shows(picture.pixels, white)
    assert picture.alpha is not None and picture.alpha[32, 24] < 8 and picture.alpha[32, 72] > 247


def test_the_main_one_of_several_and_no_thumbnail():
    other = Image.new("RGB", (80, 80), "black")
    picture = images.read(heic(other, photo(), primary_index=1))
    assert_shows(picture.pixels, photo())
    assert picture.frames == 2
    data = heic(photo(size=(768, 512)), thumbnails=[192])
    picture = images.read(data, 64)
    assert picture.frames == 1 and picture.stored_shape == (512, 768)
    source = opening.open_bytes(data, "photo")
    assert isinstance(source.image, Image.Image)
    source.image.draft(None, (96, 64))
    assert source.image.size == (768, 512)


def test_its_profile_or_code_of_colors_counts():
    linear = ImageCms.ImageCmsProfile(
        io.BytesIO(decoding.colors._made((*decoding.colors._BT709,), (0.3127, 0.329), lambda x: x, False))
    )
    half = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    half.info["icc_profile"] = linear.tobytes()
    assert images.load(heic(half)).mean() == pytest.approx(0.737, abs=0.01)  # what sRGB writes for half of the light
    del half.info["icc_profile"]
    assert images.load(heic(half)).mean() == pytest.approx(0.502, abs=0.01)
    coded = heic(half, color_primaries=1, transfer_characteristics=8)
    assert images.load(coded).mean() == pytest.approx(0.737, abs=0.01)
    green = Image.new("RGB", (WIDTH, HEIGHT), (200, 100, 50))
    wide = images.load(heic(green, color_primaries=12, transfer_characteristics=13))
    np.testing.assert_allclose(wide[0, 30, 40], (0.8428, 0.3632, 0.1211), atol=0.02)


def test_a_file_cut_off_anywhere_gets_one_sentence():
    for data in (heic(photo()), heic(photo(), tile_size=64)):
        for end in range(12, len(data), max(1, len(data) // 200)):
            with pytest.raises(ImageError, match=r"^The file is (damaged|a rare kind|not a picture)"):
                images.load(data[:end])


def test_damage_never_raises_anything_else(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_MEMORY", 4_000_000)
    chance, results = random.Random(0), Counter()
    for data in (heic(photo()), heic(photo("RGBA")), heic(photo(), tile_size=64, exif=exif(6))):
        for _ in range(100):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 4)):
                broken[min(chance.randrange(len(data)), chance.randrange(len(data)))] = chance.randrange(256)
            with contextlib.suppress(ImageError):
                pixels = images.load(bytes(broken), 64)
                assert np.isfinite(pixels).all() and 0 <= pixels.min() <= pixels.max() <= 1
                results["read"] += 1
            results["tried"] += 1
    assert 0 < results["read"] < results["tried"]


def test_its_size_is_checked_before_it_is_decoded(monkeypatch):
    data = heic(photo(size=(480, 320)))
    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr(decoding, "MAX_MEMORY", 1_000_000)
    with pytest.raises(ImageError, match="million pixels; up to"):
        images.load(data, 64)


@pytest.mark.parametrize("options", [{}, {"tile_size": 512}])
def test_a_size_that_lies_is_refused(options):
    data = bytearray(heic(Image.new("RGB", (1024, 1024), "red"), **options))
    at = data.find(b"ispe")
    while struct.unpack_from(">II", data, at + 8) != (1024, 1024):
        at = data.find(b"ispe", at + 1)
    struct.pack_into(">II", data, at + 8, 64, 64)
    with pytest.raises(ImageError, match="damaged"):
        images.load(bytes(data))


def test_without_pillow_heif_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"HEIC photo, .*pip install pillow-heif\); save or share it as JPEG"):
        images.load(heic(photo()))


def test_it_is_named_among_what_is_read():
    with pytest.raises(ImageError, match="WebP, HEIC, GIF"):
        images.load(b"%PDF-1.7\n")
