"""nst.recipe: into a file of every format and out again, what must not be in it, and what a hostile file may hold."""

import json
import re
import struct
import time
import zlib
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from nst import images, recipe
from nst.images import ImageError
from nst.settings import Settings
from nst.weights import CONVOLUTIONS, Weights
from tests import toy

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
SETTINGS = Settings(
    size=640,
    strength=61.8,
    network="auto",
    style_layers={"block1_conv1": 0.1, "block2_conv1": 2},
    steps=(30, 15),
    seed=7,
)
NETWORK: Any = SimpleNamespace(name="compact", precision="bfloat16", weights_hash="0123456789abcdef")
FRAME: Any = SimpleNamespace(step=40, steps=45)


def made(settings: Settings = SETTINGS, content: str = "photo.jpg", styles: tuple[str, ...] = ("a.png", "b.webp")):
    used = [recipe.ingredient(name, toy.picture(20, 30)) for name in (content, *styles)]
    return recipe.describe(settings, NETWORK, used, FRAME, PIXELS)


def changed(**parts: Any) -> str:
    """The text of a recipe with other parts than it has."""
    return json.dumps(json.loads(made().text) | parts)


# --- In and out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_in_every_format(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    images.save(PIXELS, path, texts=made().texts)
    for source in (path, str(path), path.read_bytes()):
        assert recipe.read(source) == made()
    assert images.load(path).shape == (1, 48, 64, 3)


def test_all_formats_that_are_written_are_tested():
    assert set(SUFFIXES) == set(images._WRITERS)


def test_it_holds_what_it_should():
    told = recipe.parse(made().text)
    assert told.settings == SETTINGS
    assert (told.network, told.precision, told.weights_hash) == ("compact", "bfloat16", "0123456789abcdef")
    assert (told.size, told.step, told.steps, told.notes) == ((64, 48), 40, 45, ())
    assert [used.name for used in (told.content, *told.styles)] == ["photo.jpg", "a.png", "b.webp"]
    assert told.content.size == (30, 20)
    assert not told.content.example
    assert recipe.ingredient("lion", toy.picture(20, 30), example=True).example


def test_every_setting_is_written_since_defaults_may_change():
    assert set(json.loads(made().text)["settings"]) == {knob.name for knob in fields(Settings)}


@pytest.mark.parametrize("name", ["Größe, ‘π’.jpg", 'quote".jpg', '{"nst": "9".jpg', "\\u0041", "🌻.png", "a b.jpg"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_odd_names(name, suffix, tmp_path):
    images.save(PIXELS, tmp_path / f"out{suffix}", texts=made(content=name).texts)
    told = recipe.read(tmp_path / f"out{suffix}")
    assert told is not None
    assert told.content.name == name.replace("\\", "/").split("/")[-1]


def test_other_programs_can_read_the_texts(tmp_path):
    words = "Neural style transfer: photo.jpg in the style of a.png and b.webp"
    for suffix in SUFFIXES:
        images.save(PIXELS, tmp_path / f"out{suffix}", texts=made().texts)
        with Image.open(tmp_path / f"out{suffix}") as image:
            exif = image.getexif()
            if suffix == ".png":
                seen = image.info["Software"], image.info["Description"], image.info["nst"]
                assert seen == ("nst 0.2.0", words, made().text)
                continue
        seen = exif[ExifTags.Base.Software], exif[ExifTags.Base.ImageDescription]
        assert seen == ("nst 0.2.0", words)
        comments = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        assert comments[ExifTags.Base.UserComment] == b"ASCII\0\0\0" + made().text.encode()


def test_pixels_are_the_same_with_a_recipe(tmp_path):
    images.save(PIXELS, tmp_path / "out.png", texts=made().texts)
    assert (images.to_uint8(images.load(tmp_path / "out.png")) == PIXELS).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recipe_that_is_too_long_costs_no_picture(suffix, tmp_path):
    images.save(PIXELS, tmp_path / f"out{suffix}", texts=made(styles=("ü" * 200,) * 500).texts)
    assert recipe.read(tmp_path / f"out{suffix}") is None
    assert images.load(tmp_path / f"out{suffix}").shape == (1, 48, 64, 3)
    longest = "x" * images.MAX_TEXT
    texts = {"Software": "nst", "Description": longest, "nst": '{"nst": "' + longest[9:]}
    images.save(PIXELS, tmp_path / f"out{suffix}", texts=texts)
    assert images.read_text(tmp_path / f"out{suffix}") == texts["nst"]


# --- The same recipe, the same picture --------------------------------------------------------------------------------


def test_painting_again_from_the_recipe_gives_the_same_pixels(tmp_path):
    from nst.transfer import StyleTransfer

    settings = replace(toy.SETTINGS, init="mix", seed=5, strength=63, style_blend=(1, 0.3))
    content, styles = toy.picture(48, 64), [toy.picture(64, 50, seed=1), toy.picture(30, 40, seed=2)]
    written = []
    for name in ("first.png", "again.png"):
        network = toy.network()
        *_, frame = StyleTransfer(network).stylize(content, styles, settings)
        used = [recipe.ingredient(f"{index}.png", image) for index, image in enumerate((content, *styles))]
        told = recipe.describe(settings, network, used, frame, frame.image)
        images.save(frame.image, tmp_path / name, texts=told.texts)
        written.append((tmp_path / name).read_bytes())
        again = recipe.read(tmp_path / name)
        assert again is not None
        settings = again.settings  # of which the second picture is painted
    assert written[0] == written[1]


def test_hash_of_pixels():
    image = toy.picture(20, 30)
    rounded = images.to_uint8(image)[np.newaxis] / 255
    assert recipe.ingredient("a", image).pixels_hash == recipe.ingredient("b", rounded).pixels_hash
    assert recipe.ingredient("a", image).pixels_hash != recipe.ingredient("a", image[:, ::-1]).pixels_hash
    # SHA-256 of three zero bytes, as `printf '\0\0\0' | sha256sum` prints it.
    assert recipe.ingredient("a", np.zeros((1, 1, 1, 3))).pixels_hash == "709e80c88487a241"


def test_hash_of_weights_tells_networks_apart_and_not_their_files():
    parameters = dict(toy.weights().parameters)
    digest = toy.weights().digest()
    assert re.fullmatch("[0-9a-f]{16}", digest)
    assert toy.network(precision="bfloat16").weights_hash == digest
    same = {
        "another order": dict(reversed(parameters.items())),
        "float64": {key: array.astype(np.float64) for key, array in parameters.items()},
        "big-endian": {key: array.astype(">f4") for key, array in parameters.items()},
        "another layout": {key: np.asfortranarray(array) for key, array in parameters.items()},
        "the dense layers too": parameters | {"predictions_kernel": np.ones((3, 3), np.float32)},
    }
    for name, arrays in same.items():
        assert Weights(arrays, (0.5, 0.5, 0.5), 2.0).digest() == digest, name
    bias, kernel = parameters["block1_conv1_bias"], parameters["block1_conv1_kernel"]
    others = {
        "a number": parameters | {"block1_conv1_bias": np.nextafter(bias, 1)},
        "a shape": parameters | {"block1_conv1_kernel": kernel.reshape(3, 3, 4, 3)},
        "a name": {key.replace("block1_conv2", "block2_conv1"): array for key, array in parameters.items()},
        "a head": parameters | {"block1_conv1_head_bias": bias},
        "a layer less": {key: array for key, array in parameters.items() if "conv2" not in key},
    }
    assert len({Weights(arrays, (0.5, 0.5, 0.5), 2.0).digest() for arrays in others.values()} | {digest}) == 6
    assert next(iter(CONVOLUTIONS)) == "block1_conv1"


# --- Privacy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["/home/vincent/secret/", "secret/", "C:\\Users\\vincent\\secret\\", "../secret/./"])
def test_no_folder_gets_in_or_out(folder):
    told = made(Settings(weights=f"{folder}vgg.h5"), f"{folder}photo.jpg", (f"{folder}a.png",))
    assert not re.search("secret|vincent|home", str(told.texts))
    assert (told.content.name, told.styles[0].name, told.settings.weights) == ("photo.jpg", "a.png", "vgg.h5")
    assert recipe.ingredient(Path("secret/photo.jpg"), toy.picture(20, 30)).name == "photo.jpg"
    hostile = {**json.loads(told.text)["content"], "name": f"{folder}photo.jpg"}
    read = recipe.parse(changed(content=hostile, settings={"weights": f"{folder}vgg.h5"}))
    assert (read.content.name, read.settings.weights) == ("photo.jpg", "vgg.h5")


# --- Other versions ---------------------------------------------------------------------------------------------------


def test_settings_that_are_unknown_or_refused_are_named_and_the_others_kept():
    settings = {"size": 99999, "strength": 70, "tiles": 4, "brush\n": "oil", "pooling": ["max"], "seed": 3}
    told = recipe.parse(changed(settings=settings))
    assert told.settings == Settings(strength=70, seed=3)
    assert told.notes == (
        "size: 99999 should be a whole number from 64 to 8192; the default is used.",
        "pooling: ['max'] should be average or max; the default is used.",
        "This version has no setting brush? or tiles.",
    )


def test_finishing_touches_are_told_and_taken_as_far_as_they_go():
    assert "finishing" not in json.loads(made().text)
    touched = replace(made(), finishing={"original_color": 0.5, "sharpness": -0.25})
    assert recipe.parse(touched.text) == touched
    told = recipe.parse(changed(finishing={"sharpness": 9, "photo_blend": 1, "glitter": 1}))
    assert told.finishing == {"photo_blend": 1}
    assert told.notes == (
        "sharpness: 9 should be a number from -1 to 1; the default is used.",
        "This version has no setting glitter.",
    )


def test_a_recipe_that_cannot_be_followed_to_the_letter_says_so():
    assert "steered" not in json.loads(made().text)
    network, used = NETWORK, (made().content, *made().styles)
    steered = recipe.describe(SETTINGS, network, used, FRAME, PIXELS, steered=True)
    told = recipe.parse(steered.text)
    assert told == steered != made() and told.steered
    assert told.notes == ("Its settings were changed while it was painted: the last ones give only a similar picture.",)
    assert recipe.parse(told.text).notes == told.notes
    for value in (False, 1, "true", None, [True]):
        told = recipe.parse(changed(steered=value))
        assert (told, told.notes) == (made(), ())


def test_settings_that_go_only_together():
    paper = Settings(style_statistics="gram", normalization="paper")
    assert recipe.parse(made(paper).text).settings == paper
    told = recipe.parse(changed(settings={"normalization": "paper", "style_statistics": "covariance", "size": 256}))
    assert told.settings == Settings(style_statistics="covariance", size=256)
    assert len(told.notes) == 1


def test_another_version_is_named_and_what_it_adds_elsewhere_is_left():
    told = recipe.parse(changed(nst="7.0", mood="blue"))
    assert (told.version, told.settings) == ("7.0", SETTINGS)
    assert told.notes == ("Painted by version 7.0 of this program; version 0.2.0 may paint it differently.",)
    assert recipe.parse(told.text) == told


# --- Hostile files ----------------------------------------------------------------------------------------------------

DAMAGED = {
    "nothing else": '{"nst": "0.2.0"}',
    "cut": made().text[:-20],
    "no JSON": '{"nst": }',
    "nested": '{"nst": ' + "[" * 29000,
    "a long number": '{"nst": ' + "9" * 20000 + "}",
    "settings in a list": changed(settings=["size"]),
    "settings none": changed(settings=None),
    "version a number": changed(nst=1),
    "network a list": changed(network=[["compact"]]),
    "no styles": changed(styles=None),
    "a style a word": changed(styles=["a.png"]),
    "styles a number": changed(styles=3),
    "step infinite": changed(step=float("inf")),
    "step a word": changed(step="1"),
    "step true": changed(step=True),
    "step negative": changed(step=-1),
    "three sides": changed(size=[1, 2, 3]),
    "a huge side": changed(size=[1, 10**400]),
    "a side a list": changed(size=[[1], 2]),
    "finishing a word": changed(finishing="gloss"),
    "a nameless picture": changed(content={"size": [1, 1]}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_recipe_is_one_sentence(name):
    with pytest.raises(ValueError, match=r"^The recipe in this picture is damaged, or another program wrote it\.$"):
        recipe.parse(DAMAGED[name])
    with pytest.raises(ValueError, match=r"^The recipe in this picture is damaged"):
        recipe.read(b"\x89PNG..\0" + DAMAGED[name].encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x" * 20000, [[]], {"a": 1}, None, 10**400, -1])
@pytest.mark.parametrize("knob", ["size", "strength", "steps", "style_layers", "network", "style_blend"])
def test_no_value_of_a_setting_does_harm(knob, value):
    told = recipe.parse(changed(settings={knob: value}))
    assert told.settings == Settings() or told.notes == ()
    assert all(len(note) <= 255 for note in told.notes)


def test_nothing_in_it_moves_the_cursor():
    nasty = "\x1b[31m\r\n\u202egpj\x07\ud800"
    used = {**json.loads(made().text)["content"], "name": nasty, "pixels_hash": nasty}
    settings = {"style_layers": {nasty: 1}, "weights": nasty, nasty: nasty, "pooling": nasty}
    names = {"nst": nasty, "network": nasty, "precision": nasty, "weights_hash": nasty}
    told = recipe.parse(changed(content=used, styles=[used], settings=settings, **names))
    words = [told.version, told.network, told.precision, told.weights_hash, told.content.name, *told.texts.values()]
    for text in (*words, *told.notes, told.content.pixels_hash, *told.settings.style_layers, told.settings.weights):
        assert text.isprintable()


def test_narrow_spaces_stay():  # macOS names screenshots so
    assert recipe.parse(made(content="3.15\u202fPM.png").text).content.name == "3.15\u202fPM.png"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def overlapping_tiff() -> bytes:
    """20 000 tags that all point to the same half of a megabyte: Pillow would make 10 GB of them."""
    tags = b"".join(struct.pack("<HHII", tag, 7, 500_000, 8) for tag in range(40_000, 60_000))
    return b"II*\0" + struct.pack("<I", 500_008) + bytes(500_000) + struct.pack("<H", 20_000) + tags + bytes(4)


HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
WITHOUT = {
    "nothing": b"",
    "noise": np.random.default_rng(0).bytes(100_000),
    "zeros": bytes(10_000_000),
    "another picture": images.encode_jpeg(PIXELS),
    "a packed bomb of text": HEAD + chunk(b"zTXt", b"nst\0\0" + zlib.compress(b'{"nst": ' * 10_000_000)),
    "many chunks": HEAD + chunk(b"tEXt", b"nst\0x") * 300_000,
    "an animation of another program": HEAD + chunk(b"tEXt", b"nst\0hello"),
    "tags that overlap": overlapping_tiff(),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_files_without_a_recipe(name, tmp_path):
    (tmp_path / "x.png").write_bytes(WITHOUT[name])
    start = time.thread_time()
    assert recipe.read(WITHOUT[name]) is None
    assert recipe.read(tmp_path / "x.png") is None
    assert time.thread_time() - start < 5


def test_a_huge_text_is_not_read_to_its_end():
    data = HEAD + chunk(b"tEXt", b'nst\0{"nst": "' + b"x" * 50_000_000)
    start = time.thread_time()
    assert len(images.read_text(data) or "") == images.MAX_TEXT
    with pytest.raises(ValueError, match="damaged"):
        recipe.read(data)
    assert time.thread_time() - start < 5


def test_a_recipe_survives_what_follows_it():
    assert recipe.read(b"\0" + made().text.encode() + b"}, junk \xff\xd9") == made()
    assert recipe.read(HEAD + chunk(b"tEXt", b"nst\0" + made().text.encode())) == made()  # a bomb is not decoded


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_never_raises_anything_else(suffix, tmp_path):
    images.save(PIXELS, tmp_path / f"out{suffix}", texts=made().texts)
    data = bytearray((tmp_path / f"out{suffix}").read_bytes())
    chance, start = np.random.default_rng(0), data.find(b'{"nst"')
    for _ in range(300):
        broken = data.copy()
        for place in chance.integers(start, start + len(made().text), 3):
            broken[place] = chance.integers(256)
        try:
            told = recipe.read(bytes(broken[: chance.integers(len(data))]))
        except ValueError as error:
            assert str(error).startswith("The recipe in this picture is damaged")
        else:
            assert told is None or isinstance(told, recipe.Recipe)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ImageError, match="There is no file out.png"):
        recipe.read(tmp_path / "out.png")
    with pytest.raises(ImageError, match="is a folder"):
        recipe.read(tmp_path)
