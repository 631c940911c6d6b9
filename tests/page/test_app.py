"""The page in a real browser, with an engine that paints at once."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import images, recipe
from nst.page import sharing, text
from nst.page import studio as studio_module
from nst.page.handlers import FILM_BYTES
from nst.page.programs import ARGUMENTS
from nst.page.studio import MORE_STEPS, NOT_LOADED, NOT_WARM, Studio
from nst.page.text import QUEUE_FULL
from nst.painting import FOLLOWING_STEPS
from nst.settings import Settings
from tests.painter import Painter, drawing, picture
from tests.serving import HANG, PHONE, compact, served

PICTURE = "(document.querySelector('#picture img'))"


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


def under_way(visit, painter: Painter):
    """A new visitor's page, on which the first example is being painted."""
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#picture img")
    return tab


def unfold(tab, name: str) -> None:
    tab.click(f"#{name} > button")


def strength(tab) -> str:
    return tab.input_value("#strength input[type=number]")


# --- The way to a picture ---------------------------------------------------------------------------------------------


def test_four_taps_on_a_phone_from_the_link_to_the_download(visit, photo):
    painter = Painter(steps=2).released()
    tab = visit(Studio(lambda _: painter), **PHONE)
    with tab.expect_file_chooser() as chooser:
        tab.tap("#content button")  # 1
    chooser.value.set_files(photo)  # 2: in the phone's own chooser
    tab.wait_for_selector("#content img")
    tab.tap("#paint")  # 3
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    tab.wait_for_function("document.querySelector('#result').getBoundingClientRect().top < 300")  # scrolled into view
    with tab.expect_download() as waiting:
        tab.tap("#download")  # 4
    with Image.open(waiting.value.path()) as result:
        assert (result.format, result.size) == ("PNG", (512, 341))
        made = recipe.parse(result.info["nst"])
    assert made.content.name == "my photo.png" and [style.name for style in made.styles] == ["starry-night"]


def test_a_photo_from_the_camera(visit, photo, painting):
    tab = visit(Studio(lambda _: Painter(steps=2)), **PHONE)
    for path in (photo, painting):  # the second one takes the place of the first
        with tab.expect_file_chooser() as chooser:
            tab.tap("#camera")
        assert chooser.value.element.get_attribute("capture") == "environment"
        before = tab.locator("#content img").get_attribute("src") if path == painting else None
        chooser.value.set_files(path)
        tab.wait_for_function(
            "before => ![null, undefined, before].includes(document.querySelector('#content img')?.src)", arg=before
        )
    assert not visit(Studio(lambda _: Painter(steps=2))).is_visible("#camera")  # a desktop has none


def test_one_click_paints_and_stop_keeps_the_picture(visit):
    painter = Painter(steps=200)
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 256)
    tab.evaluate(WATCH)
    tab.click("#pair-starry-night")
    tab.wait_for_function("window.seen.size >= 5")
    assert all(src.startswith("data:image/jpeg") for src in tab.evaluate("[...window.seen]"))
    place = "(({offsetLeft, offsetTop, width, height}) => [offsetLeft, offsetTop, width, height])" + PICTURE
    shown = tab.evaluate(place)
    assert tab.locator("#content img").count() == tab.locator("#style img").count() == 1
    assert "van Gogh" in tab.inner_text("#credit")
    tab.wait_for_selector("#bar [role=progressbar]")
    unfold(tab, "curious")
    tab.wait_for_selector("#numbers .curves polyline", state="attached")

    tab.click("#stop")
    tab.wait_for_selector("#sentence:has-text('Stopped after')")
    assert tab.evaluate(place) == shown  # enlarged from 128 to 256: same place on the screen
    assert tab.is_visible("#paint") and not tab.is_visible("#stop")
    name, result = download(tab)
    assert name.startswith("tower_starry") and name.endswith(".png")
    assert (result.format, max(result.size)) == ("PNG", 256)
    stopped = recipe.parse(result.info["nst"])
    assert stopped.step < stopped.steps == 200
    assert tab.locator("#sentence").get_attribute("aria-live") == "polite"

    painter.released()
    tab.click("#more")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    tab.click("#more")
    tab.wait_for_selector(f"#numbers:has-text('{200 + MORE_STEPS} of {200 + MORE_STEPS}')")
    tab.wait_for_selector("#more:visible")
    _, result = download(tab)
    more = recipe.parse(result.info["nst"])
    assert (more.step, more.settings.steps[-1]) == (200 + MORE_STEPS, stopped.settings.scales()[-1][1] + MORE_STEPS)


def test_another_example_takes_the_place_of_the_one_being_painted(visit):
    painter = Painter(steps=1000)
    tab = under_way(visit, painter)
    tab.click("#pair-wave-lion")
    tab.wait_for_selector("#credit:has-text('woodcut')")
    tab.wait_for_function("(img => img?.naturalWidth > 0 && img.naturalWidth === img.naturalHeight)" + PICTURE)
    wait_until(tab, painter.closed.is_set)  # a moment later than the other begins
    tab.click("#stop")
    tab.wait_for_selector("#sentence:has-text('Stopped after')")
    assert download(tab)[0].startswith("lion_woodcut")


def test_a_painting_of_ours_for_the_visitors_own_photo(visit, photo):
    painter = Painter(steps=2).released()
    tab = visit(Studio(lambda _: painter))
    tab.set_input_files("#content input[type=file]", photo)
    tab.click("#paintings [data-name=woodcut-wave]")
    tab.wait_for_selector("#credit:has-text('woodcut')")
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert download(tab)[0].startswith("my-photo_woodcut")


def test_everything_by_keyboard(visit):
    painter = Painter(steps=1000)
    tab = visit(Studio(lambda _: painter))
    focused = "(e => e.id || e.dataset.name || e.closest('[id]')?.id)(document.activeElement)"
    tab.keyboard.press("Tab")  # the link in the heading
    tab.keyboard.press("Tab")
    assert tab.evaluate(focused) == "pair-starry-night"
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#stop:visible")
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate(focused))
        if reached >= {"stop"}:
            break
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#sentence:has-text('Stopped after')")
    wanted = {"pair-wave-lion", "woodcut-wave", "paint", "more", "download", "share", "share-picture"}
    for _ in range(120):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate(focused))
        if tab.evaluate("document.activeElement.type === 'range' && !!document.activeElement.closest('.wipe')"):
            tab.keyboard.press("ArrowRight")
            reached.add("wipe")
    assert wanted | {"wipe"} <= reached, reached
    tab.wait_for_selector("#wipe input:not([aria-valuetext^='0 %'])", state="attached")
    tab.focus("#strength-chooser input[value=Bold]")
    tab.keyboard.press("Space")
    tab.wait_for_function("document.querySelector('#strength input[type=number]').value === '65'")


# --- The first screen -------------------------------------------------------------------------------------------------


def test_the_first_screen_shows_a_finished_picture_and_loads_little(visit):
    loaded = []
    studio = Studio(lambda _: Painter(steps=2).released())
    tab = visit(studio)

    def note(request) -> None:
        if "/file=" in request.url or request.resource_type == "document":
            loaded.append(request)

    tab.on("requestfinished", note)
    tab.reload()
    tab.wait_for_selector("#style img")
    tab.wait_for_selector("#paintings img")
    tab.wait_for_selector("#wipe .beneath")
    tab.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    sizes = {request.url: request.sizes()["responseBodySize"] for request in loaded}  # as sent, compressed
    assert len(sizes) > 10 and sum(sizes.values()) < 500_000, sizes
    assert (
        tab.evaluate("[...document.querySelectorAll('#wipe img')].map(image => image.naturalWidth > 300)") == [True] * 2
    )
    assert tab.get_attribute("#wipe input", "aria-valuetext") == "50 % of the photo"
    tab.click("#pair-starry-night")  # painted from the files themselves, not from what is shown of them
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert tab.locator("#wipe .beneath").count() == 0
    made = recipe.parse(download(tab)[1].info["nst"])
    assert made.content.example and made.styles[0].example  # it knows them by their bytes


def test_examples_and_paintings_appear_once_they_are_here(visit, monkeypatch):
    ours, pairs = sharing.installed_paintings(), sharing.installed_pairs()
    monkeypatch.setattr(sharing, "installed_paintings", lambda: ours[:1])
    monkeypatch.setattr(sharing, "installed_pairs", lambda: pairs[:2])
    tab = visit(Studio(lambda _: Painter(steps=2)))
    tab.wait_for_selector("#paintings button")
    tab.wait_for_function("document.querySelectorAll('#pairs .card').length === 2")
    assert tab.locator("#paintings button").count() == 1
    monkeypatch.setattr(sharing, "installed_paintings", lambda: ours)
    monkeypatch.setattr(sharing, "installed_pairs", lambda: pairs)
    tab.reload()
    tab.wait_for_selector(f"#pair-{pairs[-1].name}:visible")
    tab.wait_for_selector(f"#paintings button:nth-of-type({len(ours)}):has-text('{text.painting_words(ours[-1])[1]}')")


# --- While it is painted ----------------------------------------------------------------------------------------------


def test_the_picture_follows_the_slider(visit):
    painter = Painter(steps=200)
    tab = under_way(visit, painter)
    tab.click("#strength-chooser label:has-text('Bold')")
    tab.wait_for_function("document.querySelector('#strength input[type=number]').value === '65'")
    wait_until(tab, lambda: painter.settings.strength == 65)  # while it is being painted
    tab.focus("#strength input[type=range]")
    tab.keyboard.press("ArrowRight")
    wait_until(tab, lambda: painter.settings.strength == 66)
    tab.wait_for_selector("#strength-chooser:not(:has(input:checked))")
    painter.released()
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    steps = painter.steps
    unfold(tab, "curious")
    tab.click("#strength-chooser label:has-text('Hint')")  # it is finished: a few steps more
    tab.wait_for_selector(f"#numbers:has-text('{steps + FOLLOWING_STEPS} of {steps + FOLLOWING_STEPS}')")
    assert painter.settings.strength == 38
    tab.wait_for_selector("#download:visible")
    assert recipe.parse(download(tab)[1].info["nst"]).steered


@pytest.mark.parametrize(
    "options",
    [{"viewport": {"width": 1280, "height": 800}}, PHONE, PHONE | {"viewport": {"width": 360, "height": 740}}],
    ids=["laptop", "phone", "small phone"],
)
def test_all_that_matters_while_painting_is_on_one_screen_and_stays_there(visit, options):
    tab = visit(Studio(lambda _: Painter(steps=1000)), **options)
    choose_size(tab, 256)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#picture img")
    wanted = ("#picture", "#bar [role=progressbar]", "#sentence", "#stop", "#strength input[type=range]")
    inside = """selectors => selectors.every(selector => {
        const box = document.querySelector(selector)?.getBoundingClientRect();
        return box && box.height > 0 && box.top >= 0 && box.bottom <= innerHeight; })"""
    tab.wait_for_function(inside, arg=wanted)
    assert tab.locator(".meta-text:visible, .eta-bar:visible").count() == 0  # one display of the wait: ours
    top = "document.querySelector('#picture').getBoundingClientRect().top"
    tab.wait_for_function(f"() => {{ const last = window.last; window.last = {top}; return last === window.last; }}")
    before = tab.evaluate(top)
    tab.click("#stop")
    tab.wait_for_selector("#download:visible")
    tab.wait_for_timeout(500)
    assert abs(tab.evaluate(top) - before) <= 2


def wait_until(tab, condition) -> None:
    """Until it is so on our side of the line."""
    for _ in range(10 * HANG):
        if condition():
            return
        tab.wait_for_timeout(100)
    raise AssertionError("It never came to that.")


def test_pictures_on_the_way_ask_the_line_for_nothing(visit):
    tab = visit(Studio(lambda _: Painter(steps=1000)))
    choose_size(tab, 256)
    tab.evaluate(WATCH)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#picture img")
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    before = tab.evaluate("window.seen.size")
    tab.wait_for_function(f"window.seen.size >= {before + 20}")
    # They come in the stream of events: as files, on a line that answers in 200 ms, they would starve.
    assert len([url for url in asked if not url.startswith("data:")]) < 5  # whether this visitor still waits is asked
    # Two of the largest go through a line of 10 Mbit/s in a second.
    assert 2 * tab.evaluate("Math.max(...[...window.seen].map(src => src.length))") < 1.25e6
    tab.click("#stop")
    tab.wait_for_selector("#sentence:has-text('Stopped after')")


def test_when_too_many_wait_one_sentence_says_so(visit, monkeypatch):
    monkeypatch.setattr(studio_module, "QUEUE_SIZE", 1)
    studio = Studio(lambda _: Painter(steps=1000))
    first, second, third = (visit(studio) for _ in range(3))
    first.click("#pair-starry-night")
    first.wait_for_selector("#picture img")
    second.click("#pair-starry-night")
    second.wait_for_selector("#sentence:has-text('You are next')")
    third.click("#pair-starry-night")
    third.wait_for_selector(f"#sentence .error-message:has-text('{QUEUE_FULL}')")
    assert third.is_visible("#paint") and not third.is_visible("#leave")


def test_visitors_take_turns_and_leaving_makes_room(visit):
    painters = []

    def load(_: Settings) -> Painter:
        painters.append(Painter(steps=1000))
        return painters[-1]

    studio = Studio(load)
    first, second, third = (visit(studio) for _ in range(3))
    first.click("#pair-starry-night")
    first.wait_for_selector("#picture img")
    second.click("#pair-starry-night")
    second.wait_for_selector("#sentence:has-text('You are next')")
    third.click("#pair-starry-night")
    third.wait_for_selector("#sentence:has-text('1 person is ahead of you')")
    second.click("#leave")
    second.wait_for_selector("#paint:visible")
    assert not second.is_visible("#leave")
    third.wait_for_selector("#sentence:has-text('You are next')")
    first.close()
    third.wait_for_selector("#picture img")
    wait_until(third, painters[0].closed.is_set)
    assert not third.is_visible("#leave")
    second.click("#pair-wave-lion")
    second.wait_for_selector("#sentence:has-text('You are next')")
    third.click("#stop")
    second.wait_for_selector("#picture img")
    second.click("#stop")
    second.wait_for_selector("#download:visible")


# --- Afterwards -------------------------------------------------------------------------------------------------------


def test_before_and_after_and_the_film(visit):
    tab = visit(Studio(lambda _: Painter(steps=6).released()))
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    box = tab.locator("#picture img").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.up()
    middle = float(tab.input_value("#wipe input"))
    shown = tab.locator("#wipe img").bounding_box()
    assert shown["width"] / shown["height"] == pytest.approx(80 / 128, abs=0.01)  # the photo lies exactly over it
    assert middle == pytest.approx(50, abs=2)

    unfold(tab, "film")
    tab.wait_for_function("document.querySelector('#reel video')?.readyState >= 1")
    assert tab.evaluate("document.querySelector('#reel video').duration") > 2
    with tab.expect_download() as waiting:
        tab.click("#film-download")
    assert waiting.value.suggested_filename.endswith(".mp4")
    assert 0 < Path(waiting.value.path()).stat().st_size <= FILM_BYTES


def test_a_downloaded_picture_brings_everything_back(visit, tmp_path):
    painter = Painter(steps=2).released()
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 192)
    tab.fill("#strength input[type=number]", "70")
    tab.press("#strength input[type=number]", "Tab")
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    _, result = download(tab)
    made = recipe.parse(result.info["nst"])
    changed = replace(made, settings=replace(made.settings, seed=7, learning_rate=0.03))
    path = tmp_path / "out.png"
    images.save(np.asarray(result.convert("RGB")), path, texts=changed.texts)

    tab = visit(Studio(lambda _: painter))
    tab.set_input_files("#style input[type=file]", path)
    tab.wait_for_selector("#note:has-text('Its pictures and settings are restored'):has-text('learning rate 0.03')")
    assert tab.input_value("#size input[type=number]") == "192"
    assert tab.input_value("#strength input[type=number]") == "70"
    tab.wait_for_selector("#content img")
    tab.wait_for_selector("#credit:has-text('van Gogh')")
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert painter.settings == replace(made.settings, seed=7, learning_rate=0.03, network="compact")

    tab.click("#pair-wave-lion")  # brings what is not on the page back to its defaults
    tab.wait_for_selector("#credit:has-text('lion')")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert tab.inner_text("#note") == ""
    assert painter.settings == Settings(size=192, strength=70, seed=7, network="compact")


def test_finishing_touches_show_at_once_and_in_the_download(visit):
    studio = Studio(lambda _: Painter(steps=1000))
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
    painter = Painter(steps=2).released()
    studio = Studio(lambda _: painter)
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
    studio = Studio(lambda _: Painter(steps=2).released())
    tab = visit(studio, query="?pair=starry-night", permissions=["clipboard-read", "clipboard-write"])
    tab.click("#paint")
    tab.click("#share:visible")
    tab.wait_for_selector("#address:has-text('Link copied:')")
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == tab.input_value("#address input")
    assert copied.endswith("?pair=starry-night")


def test_a_link_to_the_visitors_own_result(visit, photo):
    studio = Studio(lambda _: Painter(steps=2).released())
    tab = visit(studio, permissions=["clipboard-read", "clipboard-write"])
    tab.set_input_files("#content input[type=file]", photo)
    tab.wait_for_selector("#content img")
    choose_size(tab, 160)
    tab.click("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    tab.click("#share")
    tab.wait_for_selector("#address:has-text('Link copied'):has-text('anyone who has it can see your photo')")
    query = tab.evaluate("navigator.clipboard.readText()").partition("?")[2]

    tab = visit(studio, query="?" + query)
    tab.wait_for_selector("#picture img")
    tab.wait_for_selector("#content img")
    tab.wait_for_selector("#wipe input", state="attached")
    assert tab.input_value("#size input[type=number]") == "160"
    assert max(download(tab)[1].size) == 160
    tab.wait_for_selector("#sentence:has-text('A picture shared with you: my photo × The Starry Night.')")
    assert not tab.is_visible("#film") and tab.is_visible("#more")  # it goes on from the file
    tab.click("#pair-wave-lion")  # whoever opens the link can paint, with a time-lapse of that
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert tab.is_visible("#film") and tab.is_visible("#more")


def test_the_latest_pictures_survive_a_reload(visit, photo):
    tab = visit(Studio(lambda _: Painter(steps=2).released()), **PHONE)
    assert not tab.is_visible("#kept")
    tab.set_input_files("#content input[type=file]", photo)
    tab.wait_for_selector("#content img")
    for size, seen in ((128, 1), (160, 2)):
        choose_size(tab, size)
        tab.tap("#paint")
        tab.wait_for_function(f"document.querySelectorAll('#strip [data-keys]').length === {seen}")
    second = tab.get_attribute("#strip [data-keys]", "data-keys")
    tab.tap("#more")  # the same picture goes on, in the place of what it was
    tab.wait_for_function(f"document.querySelector('#strip [data-keys]').dataset.keys !== '{second}'")
    assert tab.locator("#strip [data-keys]").count() == 2
    assert tab.evaluate("document.documentElement.scrollWidth") == 390

    tab.reload()
    tab.tap("#strip [data-keys] >> nth=1")
    tab.wait_for_selector("#sentence:has-text('Your picture is back with its settings: my photo × The Starry Night.')")
    tab.wait_for_selector("#picture img")
    tab.wait_for_selector("#wipe input", state="attached")
    assert tab.input_value("#size input[type=number]") == "128"
    assert max(download(tab)[1].size) == 128
    assert tab.is_visible("#more") and not tab.is_visible("#film")
    tab.tap("#pair-wave-lion")  # another one, without a trace of that before
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    tab.wait_for_function("document.querySelectorAll('#strip [data-keys]').length === 3")
    tab.tap("#clear")
    tab.wait_for_selector("#kept", state="hidden")
    tab.reload()
    tab.wait_for_selector("#reason:not(:has-text('being loaded'))", state="attached")
    assert not tab.is_visible("#kept")


def test_a_browser_that_forbids_storage_shows_the_page(browser, address):
    profile = browser.new_context()
    forbid = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('', 'SecurityError'); }})"
    profile.add_init_script(forbid)
    tab, complaints = profile.new_page(), []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(address(Studio(lambda _: Painter(steps=2).released())))
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#strip [data-keys]")  # until the page is closed
    profile.close()
    assert complaints == []


def test_the_picture_is_shared_with_other_programs(visit):
    tab = visit(Studio(lambda _: Painter(steps=2).released()), permissions=["clipboard-read", "clipboard-write"])
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    tab.click("#share-picture")  # no such thing in this browser: the picture can be pasted elsewhere
    tab.wait_for_selector("#address:has-text('Picture copied')")
    assert tab.evaluate("navigator.clipboard.read().then(items => items[0].types)") == ["image/png"]
    tab.evaluate("""() => Object.assign(navigator, {canShare: () => true,
        share: async ({files}) => { window.shared = [files[0].name, files[0].type, files[0].size > 1000]; }})""")
    tab.click("#share-picture")
    tab.wait_for_function("window.shared")
    name, kind, large = tab.evaluate("window.shared")
    assert name.endswith(".png") and kind == "image/png" and large


# --- For everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_no_serious_finding_of_axe(visit, options, color_scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = visit(Studio(lambda _: Painter(steps=6).released()), color_scheme=color_scheme, **options)

    def check(state: str) -> None:
        found = axe.run(tab).response["violations"]
        told = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]
        assert [finding for finding, each in zip(told, found) if each["impact"] in ("serious", "critical")] == [], state

    check("opened")
    tab.click("#paint")
    tab.wait_for_selector("#sentence .error-message")
    check("error")
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    for name in ("touches", "film", "curious", "more-settings", "about"):
        unfold(tab, name)
    tab.wait_for_selector("#reel video")
    tab.wait_for_selector("#about math")
    check("painted, all unfolded")


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_scrolls_in_one_direction(visit, width):
    tab = visit(
        Studio(lambda _: Painter(steps=3).released()), **(PHONE | {"viewport": {"width": width, "height": 800}})
    )
    order = ("#pairs", "#paintings", "#pictures", "#paint", "#result", "#controls", "#about")
    top = {name: tab.locator(name).bounding_box()["y"] for name in order}
    assert list(top) == sorted(top, key=lambda name: top[name])
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#download:visible")
    for name in ("touches", "film", "curious", "more-settings", "about"):
        unfold(tab, name)
    tab.wait_for_selector("#reel video")
    assert tab.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_errors_are_one_sentence_where_the_visitor_looks(visit, tmp_path, photo):
    tab = visit(Studio(lambda _: Painter(steps=3)))
    tab.click("#paint")
    tab.wait_for_selector("#sentence .error-message:has-text('There is no photo yet')")
    assert tab.is_visible("#wipe .beneath")  # the picture that the page opens with
    tab.set_input_files("#content input[type=file]", drawing(tmp_path))
    tab.wait_for_selector("#note .error-message:has-text('drawing.svg is not a picture')")
    tab.click("#paint")
    tab.wait_for_selector("#sentence .error-message:has-text('drawing.svg is not a picture')")
    assert tab.is_visible("#paint") and not tab.is_visible("#stop")
    tab.set_input_files("#style input[type=file]", picture(tmp_path / "strip.png", (5000, 8)))
    tab.wait_for_selector("#note .error-message:has-text('strip.png is 5000 x 8 pixels')")
    assert (strength(tab), tab.input_value("#size input[type=number]")) == ("50", "512")


# --- Programs ---------------------------------------------------------------------------------------------------------


def test_programs_get_the_finished_picture(visit, photo, painting):
    client_module = pytest.importorskip("gradio_client")
    painter = Painter(steps=2)
    url = visit(Studio(lambda _: painter)).url
    client = client_module.Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": HANG})
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
        wrong = {"seed": -1, "size": "abc", "strength": [50], "style_scale": None, "network": "vgg", "init": 7}
        for name, value in (*wrong.items(), ("size", 100000), ("strength", "NaN")):
            with pytest.raises(client_module.exceptions.AppError, match=f"{name}: .* should be"):
                client.predict(*files, **{name: value}, api_name="/paint")
        endpoints = client.view_api(return_format="dict")["named_endpoints"]
        assert list(endpoints) == ["/paint"]
        told = {parameter["parameter_name"]: parameter for parameter in endpoints["/paint"]["parameters"]}
        assert list(told) == list(ARGUMENTS)
        needed = [name for name, parameter in told.items() if not parameter["parameter_has_default"]]
        assert needed == ["content", "style"]
    finally:
        client.close()


def test_programs_without_a_client_name_what_they_give(visit, photo, painting):
    httpx = pytest.importorskip("httpx")
    painter = Painter(steps=2).released()
    url = visit(Studio(lambda _: painter)).url + "gradio_api/"
    pictures = {"content": photo, "style": painting}
    for name, file in pictures.items():
        sent = {"files": (Path(file).name, Path(file).read_bytes())}
        path = httpx.post(url + "upload", files=sent, timeout=HANG).json()[0]
        pictures[name] = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(url + "call/v2/paint", json=pictures | {"size": 128, "seed": 7}, timeout=HANG).json()["event_id"]
    events = httpx.get(url + f"call/paint/{event}", timeout=HANG).text
    assert "event: complete" in events and "my-photo_Wheat-Field.png" in events
    assert painter.settings == Settings(size=128, seed=7)


def test_who_looks_after_the_server_learns_when_it_is_alive_and_when_it_is_ready():
    httpx = pytest.importorskip("httpx")
    during = []

    def load(_: Settings) -> Painter:
        during.append(ask("readyz"))
        return Painter(steps=2).released()

    def ask(path: str) -> tuple[int, dict]:
        # Proxies strip the root path, or do not.
        answers = [httpx.get(f"{url}{before}/{path}", timeout=HANG) for before in ("", "/nst")]
        heads = [httpx.head(answer.url, timeout=HANG) for answer in answers]
        assert [head.content for head in heads] == [b"", b""]
        told = [(answer.status_code, answer.json()) for answer in answers]
        assert told[0] == told[1] and {head.status_code for head in heads} == {told[0][0]}
        return told[0]

    studio = Studio(load)
    with served(studio, root_path="/nst") as url:
        assert ask("healthz") == (200, {"alive": True})
        assert ask("readyz") == (503, {"ready": False, "reason": NOT_LOADED})
        studio.warm()
        assert during == [(503, {"ready": False, "reason": NOT_LOADED})]
        assert ask("readyz") == (200, {"ready": True})
        assert ask("healthz") == (200, {"alive": True})
        assert "gradio" in httpx.get(url, timeout=HANG).text  # the page is where it was


def test_a_page_that_could_not_be_warmed_says_so_in_a_sentence_and_paints(address, photo, painting):
    httpx, client_module = pytest.importorskip("httpx"), pytest.importorskip("gradio_client")

    def load(_: Settings) -> Painter:
        if not tries:
            tries.append("warming")
            raise OSError("a fault inside")
        return Painter(steps=2).released()

    tries = []
    studio = Studio(load)
    url = address(studio)
    studio.warm()
    answer = httpx.get(f"{url}/readyz", timeout=HANG)
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": NOT_WARM})
    assert httpx.get(f"{url}/healthz", timeout=HANG).status_code == 200
    client = client_module.Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": HANG})
    try:
        files = [client_module.handle_file(path) for path in (photo, painting)]
        _, sentence, _ = client.predict(*files, size=128, api_name="/paint")
        assert sentence.startswith("Painted in")
    finally:
        client.close()


def test_the_compact_network_paints_on_the_page(visit):
    tab = visit(Studio(compact(steps=(2,), frames_per_second=60)))
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    _, result = download(tab)
    assert (result.format, max(result.size)) == ("PNG", 128)


# --- Tries, twice the size, pins --------------------------------------------------------------------------------------


def test_a_try_is_chosen_and_painted_on(visit, photo):
    painter = Painter(steps=20).released()
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 128)
    tab.set_input_files("#content input[type=file]", photo)
    tab.wait_for_selector("#content img")
    unfold(tab, "studio")
    tab.click("#studio button[role=tab]:has-text('Tries')")
    tab.click("#try")
    tab.wait_for_selector("#tries button:enabled >> nth=7")
    assert tab.locator("#tries button").count() == 8
    tab.focus("#tries button >> nth=7")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert (strength(tab), tab.input_value("#style-scale input[type=number]")) == ("80", "2")
    _, result = download(tab)
    made = recipe.parse(result.info["nst"])
    assert (result.size, made.settings.strength, made.settings.style_scale) == ((128, 85), 80, 2)


def test_twice_the_size_also_of_a_restored_picture(visit):
    painter = Painter(steps=20).released()
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 128)
    tab.click("#pair-starry-night")
    for size in (256, 512):
        tab.click("#larger:visible")
        tab.wait_for_selector(f"#sentence:has-text('× {size}')")
        assert tab.input_value("#size input[type=number]") == str(size)
        assert download(tab)[1].height == size
        tab.reload()
        tab.click("#strip [data-keys]")
        tab.wait_for_selector("#sentence:has-text('Your picture is back')")
    tab.click("#more:visible")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    _, result = download(tab)
    made = recipe.parse(result.info["nst"])
    assert result.height == 512 and made.start is not None and made.start.size[1] == 512


def test_results_are_pinned_and_unpinned_by_keys(visit):
    painter = Painter(steps=2).released()
    tab = visit(Studio(lambda _: painter))
    choose_size(tab, 128)
    for number in range(1, 3):
        tab.fill("#strength input[type=number]", str(30 * number))
        tab.press("#strength input[type=number]", "Tab")
        tab.click("#pair-starry-night")
        tab.wait_for_function(f"document.querySelectorAll('#strip .pin').length === {number}")
    for number in range(2):
        tab.focus(f"#strip .pin >> nth={number}")
        tab.keyboard.press("Enter")
        tab.wait_for_function(f"document.querySelectorAll('#pins figure').length === {number + 1}")
    assert tab.locator("#pins img").first.bounding_box()["width"] >= 300
    tab.reload()
    tab.wait_for_selector("#pins figure >> nth=1")
    tab.focus("#pins button >> nth=0")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.querySelectorAll('#pins figure').length === 1")
