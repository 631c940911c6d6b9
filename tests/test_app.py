"""app.py: its handlers as plain generators with a painter made here, and the page in a real browser."""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import app
from nst import catalogue, finishing, images, recipe
from nst.finishing import Finishing
from nst.settings import Settings

VISITOR = SimpleNamespace(session_hash="visitor")
SIZE, STRENGTH, NETWORK = 128, 50, "auto"


class Painter:
    """An engine that blends the two pictures: half of the steps at half of the size; the test says when it goes on."""

    network = SimpleNamespace(
        name="compact",
        reason="The compact network, <because> this is a test.",
        precision="float32",
        weights_hash="0123456789abcdef",
    )

    def __init__(self, steps: int = 20, fails_at: int | None = None):
        self.steps, self.fails_at = steps, fails_at
        self.go_on = threading.Semaphore(0)
        self.closed = threading.Event()
        self.settings: Settings | None = None

    def stylize(self, content, styles, settings, *, resume=None, more_steps=0, checkpoints=False) -> Iterator[SimpleNamespace]:
        self.settings = settings
        try:
            for step in range(self.steps + 1):
                if step == self.fails_at:
                    raise RuntimeError("a fault inside")
                size = settings.size if step > self.steps // 2 else settings.size // 2
                shape = images.fit(*content.shape[1:3], size)
                share = step / self.steps
                blend = (1 - share) * images.resize(content, *shape) + share * images.resize(styles[0], *shape)
                losses = {"content": share, "style": 1 - share, "total_variation": 0.25, "total": 1.25}
                pixels = images.to_uint8(blend)
                yield SimpleNamespace(
                    step=step,
                    steps=self.steps,
                    scale=size,
                    image=pixels,
                    losses=losses,
                    elapsed=share,
                    remaining=1 - share,
                    checkpoint=None,
                )
                self.go_on.acquire(timeout=0.15)
        finally:
            self.closed.set()


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return picture(tmp_path / "my photo.png", (240, 160))


@pytest.fixture
def painting(tmp_path: Path) -> str:
    return picture(tmp_path / "Wheat Field.jpg", (200, 200))


def picture(path: Path, size: tuple[int, int]) -> str:
    values = np.random.default_rng(size[0]).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    Image.fromarray(values).resize(size).save(path)
    return str(path)


def paint(painter: Painter, content: str | None, style: str | None, **changes) -> Iterator[app.View]:
    return app.Studio(lambda _: painter).paint(VISITOR, content, style, *values(**changes))


def values(**changes) -> list:
    """What the page's components hold."""
    settings = Settings(**{"size": SIZE, "strength": STRENGTH, "network": NETWORK} | changes)
    return [getattr(settings, name) for name in app.PARAMETERS]


def released(painter: Painter) -> Painter:
    for _ in range(painter.steps):
        painter.go_on.release()
    return painter


# --- Handlers ---------------------------------------------------------------------------------------------------------


def test_frames_then_a_png_of_the_asked_size(photo, painting):
    painter = released(Painter(steps=6))
    frames, sentences = [], []
    for view in paint(painter, photo, painting, strength=70):
        if isinstance(view.picture, np.ndarray):
            frames.append(view.picture)
        if isinstance(view.picture, Path):
            with Image.open(view.picture) as result:  # gone when the generator is resumed
                assert (result.format, result.size) == ("PNG", (128, 85))
                pixels = np.asarray(result)
            assert view.picture.name == "my-photo_Wheat-Field.png"
        if isinstance(view.sentence, str):
            sentences.append(view.sentence)
    assert [frame.shape[1] for frame in frames] == [64, 64, 64, 64, 128, 128]  # the seventh is the PNG
    expected = images.resize(images.load(painting, longest_side=SIZE), 85, 128)
    np.testing.assert_array_equal(pixels, images.to_uint8(expected))
    assert painter.settings == Settings(size=128, strength=70)
    assert painter.closed.is_set()
    assert sentences == [
        "Looking at both pictures …",
        "Painting at 64 pixels …",
        "Painting at 128 pixels …",
        "Painted in 1 s: 128 × 85 pixels.",
    ]


def test_stop_enlarges_the_picture_so_far(photo, painting):
    painter = released(Painter(steps=6))
    studio = app.Studio(lambda _: painter)
    views = studio.paint(VISITOR, photo, painting, *values())
    next(view for view in views if isinstance(view.picture, np.ndarray))
    studio.stop(SimpleNamespace(session_hash="somebody else"))
    assert isinstance(next(views).picture, np.ndarray)
    studio.stop(VISITOR)
    last = next(views)
    with Image.open(last.picture) as result:
        assert (result.format, result.size) == ("PNG", (128, 85))
    assert last.sentence == "Stopped after 2 of 6 steps, enlarged to 128 × 85 pixels."
    assert last.download["value"] == last.picture
    assert painter.closed.is_set()
    assert last.paint["visible"] and not last.stop["visible"]
    assert list(views) == []
    assert not last.picture.exists()


def finished(views: Iterator[app.View], path: Path) -> str:
    """Run to the end and keep the PNG, which is gone after that."""
    for view in views:
        if isinstance(view.picture, Path):
            shutil.copy(view.picture, path)
    return str(path)


def test_the_picture_carries_its_recipe(photo, tmp_path):
    style = str(shutil.copy(catalogue.find("woodcut-wave").path, tmp_path / "any name.jpg"))
    made = recipe.read(finished(paint(released(Painter(steps=6)), photo, style, seed=7), tmp_path / "out.png"))
    assert made is not None
    assert (made.settings, made.size, made.step) == (Settings(size=128, seed=7), (128, 85), 6)
    assert (made.content.name, made.content.example, made.content.size) == ("my photo.png", False, (128, 85))
    assert [(style.name, style.example) for style in made.styles] == [("woodcut-wave", True)]


@pytest.mark.parametrize("greedy", [{"size": 2048}, {"steps": (9999,)}, {"style_scale": 4}])
def test_no_visitor_keeps_the_painter_for_hours(photo, painting, greedy):
    with pytest.raises(gr.Error, match="on this page"):
        list(paint(Painter(), photo, painting, **greedy))


def test_a_picture_of_ours_brings_its_settings(photo, tmp_path):
    style = str(catalogue.find("woodcut-wave").path)
    out = finished(paint(released(Painter(steps=6)), photo, style, strength=70, steps=(9, 8)), tmp_path / "out.png")
    given = app.repeat(out, None)
    setup, told = app.Setup(*given[:5]), dict(zip(app.PARAMETERS + app.TOUCHES, given[5:], strict=True))
    assert (told["size"], told["strength"], told["network"], told["steps"]) == (128, 70, "compact", [9, 8])
    assert setup.content == setup.style == gr.skip()  # the photo was the visitor's own
    assert "my photo.png and woodcut-wave" in setup.note and "steps 9, 8" in setup.note
    assert all(value == gr.skip() for value in app.repeat(out, setup.repeated))  # once more: to paint on it
    assert all(value == gr.skip() for value in (*app.repeat(photo, None), *app.repeat(None, None)))


def canvas_of(photo: str, painting: str) -> tuple[tuple[str, str], np.ndarray]:
    """A painted picture to finish, and its pixels."""
    view = list(paint(released(Painter(steps=6)), photo, painting))[-1]
    return view.canvas, images.to_uint8(images.load(view.canvas[0]))


def test_finishing_touches_go_into_the_picture_and_its_recipe(photo, painting):
    canvas, painted = canvas_of(photo, painting)
    path, offer, sentence = app.finish(canvas, 50, 0, -25)
    touches = Finishing(original_color=0.5, sharpness=-0.25)
    content = images.rescale(images.to_uint8(images.load(photo, longest_side=128)), *painted.shape[:2])
    expected = finishing.finish(painted, content, touches)
    np.testing.assert_array_equal(images.to_uint8(images.load(path)), expected)
    assert offer["value"] == Path(path) and Path(path).name == Path(canvas[0]).name
    before, after = recipe.read(canvas[0]), recipe.read(path)
    assert before is not None and before.finishing == {}
    assert after == replace(before, finishing={"original_color": 0.5, "sharpness": -0.25})
    assert app.finish(canvas, 0, 0, 0)[0] == canvas[0]
    assert dict(zip(app.TOUCHES, app.repeat(path, None)[-3:], strict=True))["sharpness"] == -25


def test_finishing_without_a_picture(photo, painting):
    assert all(value == gr.skip() for value in app.finish(None, 50, 0, 0))
    assert "no longer kept" in app.finish(("/gone/away.png", photo), 50, 0, 0)[2]


def test_a_damaged_recipe_leaves_all_as_it_is(tmp_path):
    path = tmp_path / "torn.png"
    images.save(np.zeros((20, 20, 3), np.uint8), path, texts={"nst": '{"nst": "0.1.0", "content": "<b>"}'})
    note = app.Setup(*app.repeat(str(path), None)[:5]).note
    assert "The recipe in this picture is damaged" in note


def test_a_visitor_who_leaves_ends_the_painting(photo, painting):
    painter = released(Painter())
    views = paint(painter, photo, painting)
    next(view for view in views if isinstance(view.picture, np.ndarray))
    views.close()
    assert painter.closed.is_set()


def test_a_fault_keeps_the_picture(photo, painting, caplog):
    views, seen = paint(released(Painter(steps=6, fails_at=5)), photo, painting), []
    with pytest.raises(gr.Error) as raised:
        for view in views:
            seen.append(view)
    assert raised.value.message == app.FAULT and not raised.value.print_exception
    assert isinstance(seen[-1].picture, Path) and app.FAULT in seen[-1].sentence
    assert seen[-1].paint["visible"] and not seen[-1].stop["visible"]
    assert "a fault inside" in caplog.text  # for us, not for the visitor


def broken(tmp_path: Path) -> str:
    path = tmp_path / "<b>torn.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return str(path)


def drawing(tmp_path: Path) -> str:
    path = tmp_path / "drawing.svg"
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return str(path)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda _: None, "There is no photo yet"),
        (broken, "&lt;b&gt;torn.png is damaged"),
        (drawing, "drawing.svg is not a picture this program can read"),
        (lambda folder: picture(folder / "dot.png", (8, 8)), "dot.png is 8 x 8 pixels; at least"),
    ],
)
def test_bad_pictures_get_a_sentence(tmp_path, painting, make, sentence):
    views, seen = paint(Painter(), make(tmp_path), painting), []
    with pytest.raises(gr.Error) as raised:
        for view in views:
            seen.append(view)
    assert not raised.value.print_exception
    assert sentence in seen[-1].sentence
    assert seen[-1].paint["visible"] and not seen[-1].stop["visible"]
    assert all(view.picture == gr.skip() for view in seen)


def test_a_missing_painting_gets_a_sentence(photo):
    with pytest.raises(gr.Error, match="There is no painting yet"):
        list(paint(Painter(), photo, None))


def test_the_page_says_which_network_and_why():
    def load(settings: Settings) -> Painter:
        if settings.network == "vgg19":
            raise ValueError("No weights & no way to get them.")
        return Painter()

    studio = app.Studio(load)
    assert studio.describe("auto") == "The compact network, &lt;because&gt; this is a test."
    assert "No weights &amp; no way" in studio.describe("vgg19")


def test_uploads_are_not_opened(tmp_path):
    path = broken(tmp_path)
    assert app.Upload(type="filepath").preprocess(gr.data_classes.ImageData(path=path)) == path


def test_frames_travel_inside_the_event():
    data = app.LiveImage().postprocess(np.zeros((4, 4, 3), np.uint8))
    assert data is not None and data.path is None and str(data.url).startswith("data:image/jpeg;base64,/9j/")


# --- The page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no Chromium to open the page with.")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture
def visit(browser):
    """visit(studio) opens the page as a new visitor sees it; the console must stay free of errors."""
    pages, contexts, complaints = {}, [], []

    def open_page(studio: app.Studio, queue: int | None = None, query: str = "", **options):
        if studio not in pages:
            page = app.build(studio)
            app.serve(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
            page._queue.max_size = queue or page._queue.max_size
            pages[studio] = page
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | options)))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url) if abroad(request.url) else None)
        tab.goto(pages[studio].local_url + query)
        tab.wait_for_selector("#reason:not(:has-text('being loaded'))")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    for page in pages.values():
        page.close(verbose=False)
    assert complaints == []


def abroad(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))


WATCH = """() => {
  window.seen = new Set();
  const look = () => document.querySelectorAll('#picture img').forEach(image => window.seen.add(image.src));
  const changes = {subtree: true, childList: true, attributes: true};
  new MutationObserver(look).observe(document.querySelector('#picture'), changes);
}"""


def choose_size(tab, size: int) -> None:
    tab.fill("#size input[type=number]", str(size))
    tab.press("#size input[type=number]", "Tab")


def download(tab) -> tuple[str, Image.Image]:
    with tab.expect_download() as waiting:
        tab.click("#download:visible")
    return waiting.value.suggested_filename, Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))


def test_one_click_paints_and_stop_keeps_the_picture(visit):
    tab = visit(app.Studio(lambda _: Painter(steps=1000)))
    choose_size(tab, 256)
    tab.evaluate(WATCH)
    tab.click("#pair-starry-night")
    tab.wait_for_function("window.seen.size >= 5")
    assert all(src.startswith("data:image/jpeg") for src in tab.evaluate("[...window.seen]"))
    shown = tab.locator("#picture img").bounding_box()
    assert tab.locator("#content img").count() == tab.locator("#style img").count() == 1
    assert "van Gogh" in tab.inner_text("#credit")

    tab.click("#stop")
    tab.wait_for_selector("#sentence:has-text('Stopped after')")
    assert tab.locator("#picture img").bounding_box() == shown  # enlarged from 128 to 256: same place on the screen
    assert tab.is_visible("#paint") and not tab.is_visible("#stop")
    name, result = download(tab)
    assert name.startswith("tower_starry") and name.endswith(".png")
    assert (result.format, max(result.size)) == ("PNG", 256)
    assert recipe.parse(result.info["nst"]).step < recipe.parse(result.info["nst"]).steps == 1000
    assert tab.locator("#sentence").get_attribute("aria-live") == "polite"


def test_a_downloaded_picture_brings_everything_back(visit, tmp_path):
    painters = []

    def load(_: Settings) -> Painter:
        painters.append(released(Painter(steps=2)))
        return painters[-1]

    tab = visit(app.Studio(load))
    choose_size(tab, 192)
    tab.fill("#strength input[type=number]", "70")
    tab.press("#strength input[type=number]", "Tab")
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    _, result = download(tab)
    made = recipe.parse(result.info["nst"])
    changed = replace(made, settings=replace(made.settings, seed=7))
    path = tmp_path / "out.png"
    images.save(np.asarray(result.convert("RGB")), path, texts=changed.texts)

    tab = visit(app.Studio(load))
    tab.set_input_files("#style input[type=file]", path)
    tab.wait_for_selector("#note:has-text('Everything is as it was'):has-text('seed 7')")
    assert tab.input_value("#size input[type=number]") == "192"
    assert tab.input_value("#strength input[type=number]") == "70"
    tab.wait_for_selector("#content img")
    tab.wait_for_selector("#credit:has-text('van Gogh')")
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert painters[-1].settings == replace(made.settings, seed=7, network="compact")

    tab.click("#pair-wave-lion")  # brings what is not on the page back to its defaults
    tab.wait_for_selector("#credit:has-text('lion')")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert tab.inner_text("#note") == ""
    assert painters[-1].settings == Settings(size=192, strength=70, network="compact")


def test_finishing_touches_show_at_once_and_in_the_download(visit):
    studio = app.Studio(lambda _: Painter(steps=1000))
    tab, other = visit(studio), visit(studio)
    choose_size(tab, 128)
    assert not tab.is_visible("#touches")
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#picture img")
    other.click("#pair-starry-night")
    tab.click("#stop")
    tab.wait_for_selector("#touches")
    other.wait_for_selector("#picture img")  # the painter is busy with somebody else's picture
    tab.click("#touches button:has-text('Finishing touches')")
    _, painted = download(tab)
    shown = tab.get_attribute("#picture img", "src")

    tab.fill("#photo-blend input[type=number]", "100")
    changed = f"document.querySelector('#picture img').src !== '{shown}'"
    tab.wait_for_function(changed)
    _, finished = download(tab)
    assert recipe.parse(finished.info["nst"]).finishing == {"photo_blend": 1}
    assert np.abs(np.asarray(finished, float) - np.asarray(painted)).mean() > 1

    tab.click("#photo-blend button[aria-label*='eset']")
    tab.wait_for_function(f"!({changed})")
    _, again = download(tab)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(painted))
    other.click("#stop")
    other.wait_for_selector("#download:visible")


def test_a_link_shows_its_pair_one_tap_from_painting(visit):
    painter = released(Painter(steps=2))
    studio = app.Studio(lambda _: painter)
    tab = visit(studio, query="?pair=wave-lion&strength=70&size=160&network=compact")
    tab.wait_for_selector("#note:has-text('A lion cut in wood: Paint repaints it as in your link.')")
    tab.wait_for_selector("#content img")
    tab.wait_for_selector("#credit:has-text('lion')")
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert painter.settings == Settings(size=160, strength=70, network="compact")

    tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as on http://192.168.…
    tab.click("#share")
    tab.wait_for_selector("#address:has-text('Copy this link:')")
    tab.focus("#address input")
    selected = tab.evaluate("document.activeElement.value.slice(0, document.activeElement.selectionEnd)")
    assert selected == tab.url.split("?")[0] + "?pair=wave-lion&size=160&strength=70&network=compact"

    tab = visit(studio, query="?pair=mona-lisa&strength=9999")
    tab.wait_for_selector("#note:has-text('no pair'):has-text('strength: 9999')")
    assert tab.input_value("#strength input[type=number]") == "50"


def test_a_link_is_copied(visit):
    studio = app.Studio(lambda _: released(Painter(steps=2)))
    tab = visit(studio, query="?pair=starry-night", permissions=["clipboard-read", "clipboard-write"])
    tab.click("#paint")
    tab.click("#share:visible")
    tab.wait_for_selector("#address:has-text('Link copied:')")
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == tab.input_value("#address input")
    assert "?pair=starry-night&size=512" in copied


def test_a_link_cannot_carry_the_visitors_own_pictures(photo, painting):
    assert "Send the downloaded PNG" in app.link(photo, painting, *values())
    assert "size: None should be" in app.link(photo, painting, None)


def test_a_phone_scrolls_in_one_direction(visit):
    tab = visit(app.Studio(lambda _: Painter(steps=3)), viewport={"width": 390, "height": 844})
    top = {
        name: tab.locator(name).bounding_box()["y"]
        for name in ("#pairs", "#pictures", "#paint", "#result", "#controls")
    }
    assert list(top) == sorted(top, key=lambda name: top[name])
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#download:visible")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_errors_are_one_sentence(visit, tmp_path):
    tab = visit(app.Studio(lambda _: Painter(steps=3)))
    tab.click("#paint")
    tab.wait_for_selector("#sentence .trouble:has-text('There is no photo yet')")
    tab.set_input_files("#content input[type=file]", drawing(tmp_path))
    tab.set_input_files("#style input[type=file]", picture(tmp_path / "painting.png", (64, 64)))
    tab.wait_for_selector("#style img")
    tab.wait_for_selector("#content img", state="attached")
    tab.click("#paint")
    tab.wait_for_selector("#sentence .trouble:has-text('drawing.svg is not a picture')")
    assert tab.is_visible("#paint") and not tab.is_visible("#stop")


def test_programs_get_the_finished_picture(visit, photo, painting):
    client_module = pytest.importorskip("gradio_client")
    painter = Painter(steps=2)
    url = visit(app.Studio(lambda _: painter)).url
    client = client_module.Client(url, verbose=False, analytics_enabled=False)
    try:
        files = [client_module.handle_file(path) for path in (photo, painting)]
        path, sentence, _ = client.predict(*files, size=128, api_name="/paint")
        with Image.open(path) as result:
            assert (result.format, result.size) == ("PNG", (128, 85))
        assert sentence.startswith("Painted in")
        assert painter.settings == Settings(size=128)
        settings = {"strength": 70, "seed": 7, "steps": [9, 8], "style_layers": {"block1_conv1": 2}}
        job = client.submit(content=files[0], style=files[1], size=128, **settings, api_name="/paint")
        assert sum(isinstance(result[0], dict) for result in job) >= 2  # pictures on the way, inside the events
        assert painter.settings == Settings(size=128, **settings)
        with pytest.raises(client_module.exceptions.AppError, match="seed: -1 should be"):
            client.predict(*files, seed=-1, api_name="/paint")
        endpoints = client.view_api(return_format="dict")["named_endpoints"]
        assert list(endpoints) == ["/paint"]
        told = {parameter["parameter_name"]: parameter for parameter in endpoints["/paint"]["parameters"]}
        assert list(told) == ["content", "style", *app.PARAMETERS]
        needed = [name for name, parameter in told.items() if not parameter["parameter_has_default"]]
        assert needed == ["content", "style"]
    finally:
        client.close()


def test_programs_without_a_client_name_what_they_give(visit, photo, painting):
    httpx = pytest.importorskip("httpx")
    painter = released(Painter(steps=2))
    url = visit(app.Studio(lambda _: painter)).url + "gradio_api/"
    pictures = {"content": photo, "style": painting}
    for name, file in pictures.items():
        path = httpx.post(url + "upload", files={"files": (Path(file).name, Path(file).read_bytes())}).json()[0]
        pictures[name] = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(url + "call/v2/paint", json=pictures | {"size": 128, "seed": 7}).json()["event_id"]
    events = httpx.get(url + f"call/paint/{event}", timeout=60).text
    assert "event: complete" in events and "my-photo_Wheat-Field.png" in events
    assert painter.settings == Settings(size=128, seed=7)


def test_every_parameter_is_told_to_programs():
    told = app.Studio.paint.__doc__ or ""
    assert all(f"\n    {name}: " in told for name in ("content", "style", *app.PARAMETERS))


def test_when_too_many_wait_one_sentence_says_so(visit):
    studio = app.Studio(lambda _: Painter(steps=1000))
    first, second, third = (visit(studio, queue=1) for _ in range(3))
    first.click("#pair-starry-night")
    first.wait_for_selector("#picture img")
    second.click("#pair-starry-night")
    second.wait_for_selector("#picture :text('queue: 1/1')")
    third.click("#pair-starry-night")
    third.wait_for_selector(f"#sentence .trouble:has-text('{app.CROWD}')")


def test_visitors_take_turns_and_leaving_makes_room(visit):
    painters = []

    def load(_: Settings) -> Painter:
        painters.append(Painter(steps=1000))
        return painters[-1]

    studio = app.Studio(load)
    first, second = visit(studio), visit(studio)
    first.click("#pair-starry-night")
    first.wait_for_selector("#picture img")
    second.click("#pair-starry-night")
    second.wait_for_selector("#picture :text('queue: 1/1')")
    assert second.inner_text("#sentence") == app.WAITING
    first.close()
    second.wait_for_selector("#picture img")
    assert painters[0].closed.is_set()
    second.click("#stop")
    second.wait_for_selector("#download:visible")


def test_the_compact_network_paints_on_the_page(visit, monkeypatch):
    def load(_: Settings):
        engine = app._load(Settings(network="compact"))
        stylize, steps = engine.stylize, {"steps": (2,), "frames_per_second": 60}
        monkeypatch.setattr(engine, "stylize", lambda *args: stylize(*args[:2], replace(args[2], **steps)))
        return engine

    tab = visit(app.Studio(load))
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')", timeout=60_000)
    _, result = download(tab)
    assert (result.format, max(result.size)) == ("PNG", 128)
