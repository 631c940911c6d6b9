"""nst/page: what each handler returns, without a browser."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData
from PIL import Image

from nst import catalogue, finishing, images, memory, recipe
from nst.finishing import Finishing
from nst.page import handlers as desk_module
from nst.page import inputs, results, text
from nst.page.components import Upload
from nst.page.handlers import Handlers
from nst.page.inputs import Setup
from nst.page.programs import ARGUMENTS
from nst.page.results import TOUCHES, View
from nst.page.sharing import PARAMETERS
from nst.page.studio import MORE_STEPS, QUEUE_SIZE, Studio
from nst.settings import Settings
from tests.painter import Painter, drawing, picture, torn, values

VISITOR, OTHER = SimpleNamespace(session_hash="visitor"), SimpleNamespace(session_hash="somebody else")
SKIP = gr.skip()


def desk(painter: Painter) -> Handlers:
    return Handlers(Studio(lambda _: painter))


def paint(painter: Painter, content: str | None, style: str | None, **changes) -> Iterator[View]:
    return desk(painter).paint(VISITOR, content, style, *values(**changes))


def finished(views: Iterator[View], path: Path) -> str:
    """Run to the end and keep the PNG, which is gone after that."""
    for view in views:
        if isinstance(view.picture, Path):
            shutil.copy(view.picture, path)
    return str(path)


def after_setup(given: tuple) -> dict:
    return dict(zip(PARAMETERS + TOUCHES, given[len(Setup._fields) :], strict=True))


def setup(given: tuple) -> Setup:
    return Setup(*given[: len(Setup._fields)])


# --- Painting ---------------------------------------------------------------------------------------------------------


def test_frames_then_a_png_of_the_asked_size(photo, painting):
    painter = Painter(steps=6).released()
    frames, sentences = [], []
    for view in paint(painter, photo, painting, strength=70):
        if isinstance(view.picture, np.ndarray):
            frames.append(view.picture)
        if isinstance(view.picture, Path):
            with Image.open(view.picture) as result:  # gone when the generator is resumed
                assert (result.format, result.size) == ("PNG", (128, 85))
                pixels = np.asarray(result)
            assert view.picture.name == "my-photo_Wheat-Field.png"
            assert "data:image/jpeg" in view.wipe and view.more["visible"] and view.after["visible"]
        if isinstance(view.sentence, str):
            sentences.append(view.sentence)
    assert [frame.shape[1] for frame in frames] == [64, 64, 64, 64, 128, 128]  # the seventh is the PNG
    expected = images.resize(images.load(painting, longest_side=128), 85, 128)
    np.testing.assert_array_equal(pixels, images.to_uint8(expected))
    assert painter.settings == Settings(size=128, strength=70)
    assert painter.closed.is_set()
    assert sentences == [
        "Preparing …",
        "Painting · a few seconds left",
        "Painted in 1 s: 128 × 85 pixels.",
    ]


def test_stop_enlarges_the_picture_so_far_and_continue_finishes_it(photo, painting):
    painter = Painter(steps=6).released()
    page = desk(painter)
    views = page.paint(VISITOR, photo, painting, *values())
    next(view for view in views if isinstance(view.picture, np.ndarray))
    page.stop(OTHER)
    assert isinstance(next(views).picture, np.ndarray)
    page.stop(VISITOR)
    last = next(views)
    with Image.open(last.picture) as result:
        assert (result.format, result.size) == ("PNG", (128, 85))
    assert last.sentence == "Stopped after 1 of 6 steps, enlarged to 128 × 85 pixels."
    assert last.download["value"] == last.picture
    assert painter.closed.is_set()
    assert last.paint["visible"] and not last.stop["visible"]
    assert list(views) == []
    assert not last.picture.exists()

    *_, last = page.go_on(VISITOR)
    assert last.sentence == "Painted in 1 s: 128 × 85 pixels."
    *_, last = page.go_on(VISITOR)
    assert painter.steps == 6 + MORE_STEPS
    (refusal,) = page.go_on(OTHER)
    assert text.DELETED in refusal.sentence and refusal.paint["visible"]


def test_a_size_that_does_not_fit_is_lowered_and_said(photo, painting, monkeypatch):
    lowered = memory.size_note(192, 128)
    monkeypatch.setattr(memory, "fit_size", lambda *parts: (replace(parts[-1], size=128), lowered))
    *_, last = paint(Painter(steps=2).released(), photo, painting, size=192)
    assert last.sentence == f"Painted in 1 s: 128 × 85 pixels. {lowered}"


def test_a_pulled_slider_is_followed(photo, painting):
    painter = Painter(steps=6).released()
    page = desk(painter)

    def steer(strength, visitor=VISITOR, pictures=(photo, painting)):
        rest = values()
        rest[PARAMETERS.index("strength")] = strength
        return page.steer(visitor, *pictures, *rest)

    assert steer(70) == SKIP  # there is no picture yet
    views = page.paint(VISITOR, photo, painting, *values())
    next(view for view in views if isinstance(view.picture, np.ndarray))
    assert steer(70) == SKIP  # it is being painted, and follows by itself
    assert steer(70, OTHER) == SKIP
    last = list(views)[-1]
    assert painter.settings is not None and painter.settings.strength == 70
    assert "Painted in" in last.sentence
    assert steer(70) == SKIP  # as it is already
    assert steer(30, pictures=(painting, photo)) == SKIP  # not the pictures it was painted from
    assert steer(None) == SKIP
    assert steer(30) != SKIP
    *_, last = page.follow(VISITOR)
    assert painter.settings.strength == 30 and "Painted in" in last.sentence


@pytest.mark.parametrize("action, size", [("go_on", (128, 85)), ("enlarge", (256, 171))])
def test_a_picture_whose_run_is_gone_goes_on_from_its_file(photo, painting, tmp_path, action, size):
    page, second = desk(Painter(steps=6).released()), picture(tmp_path / "second.png", (96, 128))
    wanted = photo, painting, *values(), second
    *_, done = page.paint(VISITOR, *wanted)
    page.on_unload(VISITOR)
    *_, last = getattr(page, action)(VISITOR, done.canvas, *wanted)
    made = recipe.read(last.canvas[0])
    assert made is not None and made.start is not None
    assert (made.size, made.start.size, made.start.name) == (size, (128, 85), Path(done.canvas[0]).name)
    assert [style.name for style in made.styles] == [Path(painting).name, "second.png"]


def test_the_film_of_a_picture(photo, painting):
    page = desk(Painter(steps=6).released())
    assert text.DELETED in page.film(VISITOR)[0]
    list(page.paint(VISITOR, photo, painting, *values()))
    reel, offer = page.film(VISITOR)
    assert f"gradio_api/file={offer['value']}" in reel
    assert 0 < Path(offer["value"]).stat().st_size <= desk_module.FILM_BYTES
    assert Path(offer["value"]).name == "my-photo_Wheat-Field.mp4"


def test_the_picture_carries_its_recipe(photo, tmp_path):
    style = str(shutil.copy(catalogue.find("woodcut-wave").path, tmp_path / "any name.jpg"))
    made = recipe.read(finished(paint(Painter(steps=6).released(), photo, style, seed=7), tmp_path / "out.png"))
    assert made is not None
    assert (made.settings, made.size, made.step) == (Settings(size=128, seed=7), (128, 85), 6)
    assert (made.content.name, made.content.example, made.content.size) == ("my photo.png", False, (128, 85))
    assert [(style.name, style.example) for style in made.styles] == [("woodcut-wave", True)]


@pytest.mark.parametrize("greedy", [{"size": 2048}, {"steps": (9999,)}, {"style_scale": 4}])
def test_no_visitor_keeps_the_painter_for_hours(photo, painting, greedy):
    with pytest.raises(gr.Error, match="on this page"):
        list(paint(Painter(), photo, painting, **greedy))


def test_a_visitor_who_leaves_ends_the_painting(photo, painting):
    painter = Painter().released()
    views = paint(painter, photo, painting)
    next(view for view in views if isinstance(view.picture, np.ndarray))
    views.close()
    assert painter.closed.is_set()


def test_a_fault_keeps_the_picture(photo, painting, caplog):
    views, seen = paint(Painter(steps=6, fails_at=5).released(), photo, painting), []
    with pytest.raises(gr.Error) as raised:
        for view in views:
            seen.append(view)
    assert raised.value.message == text.FAULT and not raised.value.print_exception
    assert isinstance(seen[-1].picture, Path) and text.FAULT in seen[-1].sentence
    assert seen[-1].paint["visible"] and not seen[-1].stop["visible"]
    assert "a fault inside" in caplog.text  # for us, not for the visitor


def test_another_network_than_was_asked_for_is_told(photo, painting):
    *_, last = paint(Painter(steps=2).released(), photo, painting, network="vgg19")
    assert last.sentence == f"Painted in 1 s: 128 × 85 pixels. {text.NOT_FINEST}"
    *_, last = paint(Painter(steps=2).released(), photo, painting, network="compact")
    assert last.sentence == "Painted in 1 s: 128 × 85 pixels."


def refuse_to_save(*_, **__):
    raise OSError(28, "No space left on device", "/a/folder/of/ours")


@pytest.mark.parametrize("failing", ["os.replace", "nst.page.handlers.cache_file", "tempfile.mkdtemp"])
def test_a_picture_that_cannot_be_saved_stays_to_be_seen_and_gone_on_with(photo, painting, monkeypatch, failing):
    page, seen = desk(Painter(steps=6).released()), []
    with monkeypatch.context() as patch, pytest.raises(gr.Error) as raised:
        patch.setattr(failing, refuse_to_save)
        for view in page.paint(VISITOR, photo, painting, *values()):
            seen.append(view)
    assert isinstance(seen[-1].picture, np.ndarray) and seen[-1].picture.shape == (85, 128, 3)
    assert text.NOT_SAVED in seen[-1].sentence and "folder" not in str(raised.value)
    assert seen[-1].more["visible"] and seen[-1].paint["visible"]
    *_, last = page.go_on(VISITOR)
    assert isinstance(last.picture, Path)


def test_a_film_that_cannot_be_saved_is_one_sentence(photo, painting, monkeypatch):
    page = desk(Painter(steps=6).released())
    list(page.paint(VISITOR, photo, painting, *values()))
    monkeypatch.setattr(desk_module, "cache_file", refuse_to_save)
    reel, offer = page.film(VISITOR)
    assert text.NOT_SAVED in reel and not offer["visible"]


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda _: None, "There is no photo yet"),
        (torn, "&lt;b&gt;torn.png is damaged"),
        (drawing, "drawing.svg is not a picture this program can read"),
        (lambda folder: picture(folder / "dot.png", (8, 8)), "dot.png is 8 x 8 pixels; at least"),
        (lambda folder: picture(folder / "strip.png", (5000, 8)), "strip.png is 5000 x 8 pixels; at least"),
    ],
)
def test_bad_pictures_get_a_sentence_at_once_and_when_painted(tmp_path, painting, make, sentence):
    path = make(tmp_path)
    views, seen = paint(Painter(), path, painting), []
    with pytest.raises(gr.Error) as raised:
        for view in views:
            seen.append(view)
    assert not raised.value.print_exception
    assert sentence in seen[-1].sentence
    assert seen[-1].paint["visible"] and not seen[-1].stop["visible"]
    assert all(view.picture == SKIP for view in seen)
    dropped = inputs.on_upload(path, None)
    assert path is None or sentence in setup(dropped).note
    assert all(
        value == SKIP for value in (*setup(dropped)._replace(note=SKIP, areas=SKIP), *after_setup(dropped).values())
    )


@pytest.mark.parametrize("side", ["content", "style"])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".PPM", ".heic"])
def test_what_browsers_cannot_show_gets_a_preview(photo, tmp_path, suffix, side):
    path = str(tmp_path / f"photo{suffix}")
    with Image.open(photo) as picture:
        if suffix == ".heic":
            pytest.importorskip("pillow_heif").from_pillow(picture).save(path)
        else:
            picture.convert("RGB").save(path)
    given = setup(inputs.on_upload(path, None, side))
    shown, other = (given.content, given.style) if side == "content" else (given.style, given.content)
    assert given.note == "" and other == SKIP
    if suffix == ".png":
        assert shown == SKIP
        return
    with Image.open(shown) as preview:
        assert (preview.format, preview.size) == ("WEBP", (240, 160))
    upload = Upload(type="filepath")
    assert upload.preprocess(ImageData(path=shown)) == path == upload.preprocess(ImageData(path=path))
    Path(path).unlink()
    assert upload.preprocess(ImageData(path=shown)) == shown


def test_a_transparent_photo_gives_a_transparent_picture_also_when_finished(painting, tmp_path):
    logo = Image.new("RGBA", (128, 96))
    logo.paste((200, 30, 30, 255), (32, 24, 96, 72))
    logo.save(tmp_path / "logo.png")
    canvas, on_white = canvas_of(str(tmp_path / "logo.png"), painting)
    finished, *_ = results.finish(canvas, 50, 20, 30)
    for path in (canvas[0], finished):
        with Image.open(path) as result:
            assert result.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(logo)[..., 3])
            assert np.asarray(result)[24:72, 32:96, :3].max(axis=-1).mean() < 250
    assert (on_white[0, 0] == 255).all()


def test_the_log_of_a_failure_names_no_file_of_the_visitor(photo, painting, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device", "/somewhere/my-photo_Wheat-Field.png")

    canvas, _ = canvas_of(photo, painting)
    monkeypatch.setattr(images, "save", refuse)
    results.finish(canvas, 50, 0, 0)
    with pytest.raises(gr.Error):
        list(paint(Painter(steps=2).released(), photo, painting))
    assert caplog.text.count("OSError: [Errno 28] No space left on device") == 2
    for name in ("my photo", "my-photo", "Wheat"):
        assert name not in caplog.text


def test_a_missing_painting_gets_a_sentence(photo):
    with pytest.raises(gr.Error, match="There is no painting yet"):
        list(paint(Painter(), photo, None))


def test_the_page_says_how_long_it_takes_and_what_is_not_available():
    def load(settings: Settings) -> Painter:
        if settings.network == "vgg19":
            raise ValueError("No weights & no way to get them.")
        return Painter()

    page = Handlers(Studio(load))
    time_needed = "A picture of 512 pixels takes a few seconds here."
    assert page.describe("auto") == time_needed  # which network it is, and why, is for the owner's log
    assert desk(Painter()).describe("vgg19") == f"{text.NOT_FINEST} {time_needed}"
    assert "No weights &amp; no way" in page.describe("vgg19")


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_whoever_waits_is_told_how_many_come_before(photo, painting):
    page = desk(Painter(steps=6).released())
    views = page.paint(VISITOR, photo, painting, *values())
    next(view for view in views if isinstance(view.picture, np.ndarray))
    sentence, paint, leave, clock = page.join(OTHER)
    assert sentence == "<span>You are next.</span>"  # nobody knows yet how long a picture takes
    assert leave["visible"] and clock["active"] and not paint["visible"]
    sentence, paint, leave, clock = page.wait(VISITOR)
    assert sentence == paint == SKIP and not leave["visible"] and not clock["active"]
    last = SimpleNamespace(session_hash="last")
    assert "1 person is ahead of you" in page.join(last)[0]
    sentence, paint, leave, clock = page.leave(OTHER)
    assert sentence == text.INVITATION and paint["visible"] and not leave["visible"] and not clock["active"]
    assert page.wait(OTHER)[1]["visible"]  # also if an earlier answer comes after that of leaving
    assert "You are next" in page.wait(last)[0]


def test_a_crowd_is_told_so_and_does_not_wait():
    page = desk(Painter())
    for number in range(QUEUE_SIZE):
        page.join(SimpleNamespace(session_hash=str(number)))
    with pytest.raises(gr.Error, match="Too many visitors"):
        page.join(VISITOR)
    assert page.wait(VISITOR)[0] == SKIP
    page.leave(SimpleNamespace(session_hash="0"))
    assert "15 people are ahead of you" in page.join(VISITOR)[0]


# --- What goes in -----------------------------------------------------------------------------------------------------


def test_a_picture_of_ours_brings_its_settings(photo, tmp_path):
    style = str(catalogue.find("woodcut-wave").path)
    out = finished(paint(Painter(steps=6).released(), photo, style, strength=70, steps=(9, 8)), tmp_path / "out.png")
    given = inputs.on_upload(out, None)
    asked, told = setup(given), after_setup(given)
    assert (told["size"], told["strength"], told["network"], told["steps"]) == (128, 70, "compact", [9, 8])
    assert asked.content == asked.style == SKIP  # the photo was the visitor's own
    assert "my photo.png and woodcut-wave" in asked.note and "steps 9, 8" in asked.note
    again = inputs.on_upload(out, asked.last_recipe)  # once more: to paint on it
    for dropped in (again, inputs.on_upload(photo, None), inputs.on_upload(None, None)):
        assert setup(dropped)._replace(areas=SKIP) == Setup(note="") and set(
            map(str, after_setup(dropped).values())
        ) == {str(SKIP)}


def test_a_damaged_recipe_leaves_all_as_it_is(tmp_path):
    path = tmp_path / "torn.png"
    images.save(np.zeros((20, 20, 3), np.uint8), path, texts={"nst": '{"nst": "0.2.0", "content": "<b>"}'})
    assert "The recipe in this picture is damaged" in setup(inputs.on_upload(str(path), None)).note


def test_the_page_opens_with_the_starry_night_in_its_place():
    def load(**query: str) -> Setup:
        return setup(inputs.on_load(SimpleNamespace(query_params=query))[len(View._fields) :])

    ours = catalogue.find("starry-night").path.read_bytes()
    opened = load()
    assert Path(opened.style).read_bytes() == ours and opened.content == SKIP
    assert "van Gogh" in opened.credit and opened.note == SKIP
    linked = load(pair="wave-lion")
    assert Path(linked.content).name == "lion.jpg" and "A lion cut in wood" in linked.note


def test_a_link_to_the_examples_carries_the_settings():
    pair = catalogue.PAIRS[0]
    own = [str(catalogue.find(name).path) for name in (pair.content, pair.style)]
    html = inputs.make_link(*own, None, *values(size=512, strength=70, seed=7))
    assert 'data-link="?pair=starry-night&amp;strength=70&amp;seed=7"' in html
    assert "size: None should be" in inputs.make_link(*own, None, None)


def test_links_to_a_space_show_its_page_on_the_hub(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "owner/name")
    own = [str(catalogue.find(name).path) for name in ("tower", "starry-night")]
    link = 'data-link="https://huggingface.co/spaces/owner/name?pair=starry-night&amp;seed=7"'
    assert link in inputs.make_link(*own, None, *values(size=512, seed=7))


def test_a_link_to_the_visitors_own_result(photo, painting):
    content, style = (results.cache_file(Path(path)) for path in (photo, painting))  # as uploads are
    assert "not painted yet" in inputs.make_link(content, style, None, *values())
    *_, view = paint(Painter(steps=6).released(), content, style, strength=70)
    sentence = inputs.make_link(content, style, view.canvas, *values())
    assert text.LINK_LIMITS.partition(",")[0] in sentence
    query = dict(parse_qsl(sentence.partition('"?')[2].partition('"')[0].replace("&amp;", "&")))
    given = inputs.on_load(SimpleNamespace(query_params=query))
    opened, asked = View(*given[: len(View._fields)]), setup(given[len(View._fields) :])
    assert (asked.content, asked.style, str(opened.picture)) == (content, style, view.canvas[0])
    assert opened.canvas == view.canvas and "data:image/jpeg" in opened.wipe and opened.after["visible"]
    assert after_setup(given[len(View._fields) :])["strength"] == 70
    assert "shared with you: my photo × Wheat Field." in opened.sentence
    assert opened.more["visible"] and not opened.film["visible"]  # Continue starts from the file
    for wrong in ({"picture": "../../etc"}, query | {"picture": "0" * 64}, query | {"picture": query["photo"]}):
        given = inputs.on_load(SimpleNamespace(query_params=wrong))
        assert text.DELETED in setup(given[len(View._fields) :]).note
        assert View(*given[: len(View._fields)]) == View()
        assert setup(given[len(View._fields) :]).style != SKIP  # the page is as without a link


def test_a_link_to_a_result_of_several_paintings(photo, painting):
    pair = [str(catalogue.find(name).path) for name in ("tower", "starry-night")]
    more = [str(catalogue.find("woodcut-wave").path), None, None, None]
    assert "not painted yet" in inputs.make_link(*pair, None, *values(), *more)  # such a pair is not among the examples
    assert "?pair=starry-night" in inputs.make_link(*pair, None, *values(style_blend=[2, 1, 1, 1]), *[None] * 4)
    content, style, second = (results.cache_file(Path(path)) for path in (photo, painting, more[0]))
    *_, view = desk(Painter(steps=6).released()).paint(VISITOR, content, style, *values(), second)
    link = inputs.make_link(content, style, view.canvas, *values(), second, None, None, None)
    query = dict(parse_qsl(link.partition('"?')[2].partition('"')[0].replace("&amp;", "&")))
    given = inputs.on_load(SimpleNamespace(query_params=query))
    opened, asked = View(*given[: len(View._fields)]), setup(given[len(View._fields) :])
    assert (asked.style, asked.style_2, asked.style_3, asked.style_4) == (style, second, None, None)
    assert opened.canvas == view.canvas and "my photo × Wheat Field × " in opened.sentence


def test_pictures_of_examples_bring_all_of_their_paintings(tmp_path):
    files = [str(catalogue.find(name).path) for name in ("tower", "starry-night", "woodcut-wave")]
    views = desk(Painter(steps=6).released()).paint(VISITOR, *files[:2], *values(style_blend=[2, 1, 1, 1]), files[2])
    asked = setup(given := inputs.on_upload(finished(views, tmp_path / "out.png"), None, "style_3"))
    shown = [Path(path).name for path in (asked.content, asked.style, asked.style_2)]
    assert shown == [Path(file).name for file in files] and asked.style_3 is None
    assert after_setup(given)["style_blend"] == [2, 1, 1, 1]
    assert asked.credit.count("van Gogh") == 1 and "woodcut" in asked.credit


def test_an_example_clears_the_studio():
    given = inputs.choose_example(gr.EventData(None, {"name": "starry-night"}))
    assert setup(given)[-3:] == (None, None, None)
    told = after_setup(given)
    for name in (*text.STUDIO_CONTROLS, *text.MIXED):
        assert told[name] == inputs.values_of(Settings())[name]
    assert told["strength"] == SKIP


def test_many_moves_of_a_slider_start_one_run(photo, painting):
    page = desk(Painter(steps=6).released())
    list(page.paint(VISITOR, photo, painting, *values()))
    assert page.steer(VISITOR, photo, painting, *values(strength=60)) != SKIP
    assert page.steer(VISITOR, photo, painting, *values(strength=61)) == SKIP  # it has joined the queue
    views = page.follow(VISITOR)
    next(views)
    assert page.steer(VISITOR, photo, painting, *values(strength=62)) == SKIP
    list(views)
    assert page.steer(VISITOR, photo, painting, *values(strength=63)) != SKIP


def test_every_parameter_is_told_to_programs():
    told = Handlers.paint_for_programs.__doc__ or ""
    assert all(f"\n    {name}: " in told for name in ARGUMENTS)


# --- Finishing --------------------------------------------------------------------------------------------------------


def canvas_of(photo: str, painting: str) -> tuple[results.Canvas, np.ndarray]:
    """A painted picture to finish, and its pixels."""
    view = list(paint(Painter(steps=6).released(), photo, painting))[-1]
    return view.canvas, images.to_uint8(images.load(view.canvas[0]))


def test_finishing_touches_go_into_the_picture_and_its_recipe(photo, painting):
    canvas, painted = canvas_of(photo, painting)
    path, offer, sentence = results.finish(canvas, 50, 0, -25)
    touches = Finishing(original_color=0.5, sharpness=-0.25)
    content = images.rescale(images.to_uint8(images.load(photo, longest_side=128)), *painted.shape[:2])
    expected = finishing.finish(painted, content, touches)
    np.testing.assert_array_equal(images.to_uint8(images.load(path)), expected)
    assert offer["value"] == Path(path) and Path(path).name == Path(canvas[0]).name
    before, after = recipe.read(canvas[0]), recipe.read(path)
    assert before is not None and before.finishing == {}
    assert after == replace(before, finishing={"original_color": 0.5, "sharpness": -0.25})
    assert results.finish(canvas, 0, 0, 0)[0] == canvas[0]
    assert after_setup(inputs.on_upload(path, None))["sharpness"] == -25


def test_finishing_touches_that_cannot_be_saved_are_not_called_deleted(photo, painting, monkeypatch):
    canvas, _ = canvas_of(photo, painting)
    monkeypatch.setattr(results, "cache_file", refuse_to_save)
    assert text.NOT_SAVED in results.finish(canvas, 50, 0, 0)[2]


def test_finishing_without_a_picture(photo, painting):
    assert all(value == SKIP for value in results.finish(None, 50, 0, 0))
    assert text.DELETED in results.finish(("/gone/away.png", photo, painting), 50, 0, 0)[2]
