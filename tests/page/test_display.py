"""display.py: its words, and its HTML in a real browser."""

import base64
import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nst import images
from nst.page import display
from nst.page.loss_plot import History
from tests.serving import HANG

CSS = (Path(__file__).parents[2] / "nst" / "page" / "page.css").read_text()
LIGHT = "--body-text-color: #0e132c; --body-text-color-subdued: #4a5276; --border-color-primary: #d9d6cd"
DARK = "--body-text-color: #f6f4ee; --body-text-color-subdued: #bdbdc0; --border-color-primary: #323a63"

GRADIO = """* { box-sizing: border-box; color: var(--body-text-color); }
body { margin: 16px; font: 16px sans-serif; background-color: #ffffff; }
.dark { background-color: #161c3d; }
#picture img { width: 100%; height: 100%; object-fit: contain; }"""


def frame(step: int = 30, steps: int = 120, scale: int = 256, elapsed: float = 10.0, **changes) -> SimpleNamespace:
    losses = {"content": 0.5, "style": 0.25, "total_variation": 0.01, "total": 0.375}
    given = {"remaining": 30.0, "losses": losses, "image": np.zeros((128, 256, 3), np.uint8)} | changes
    return SimpleNamespace(step=step, steps=steps, scale=scale, elapsed=elapsed, **given)


def run(*frames: SimpleNamespace) -> History:
    history = History()
    for each in frames:
        history.append(each)
    return history


# --- Words ------------------------------------------------------------------------------------------------------------


def test_sentences():
    assert display.message("a <b> & c") == "<span>a &lt;b&gt; &amp; c</span>"
    assert display.error_message("<b>") == '<span class="error-message">&lt;b&gt;</span>'
    scales = [(128, 200), (256, 100), (512, 50)]
    assert display.progress(frame(scale=128, remaining=0.0), scales) == "Sketching (1 of 3) …"
    assert display.progress(frame(), scales) == "Sketching (2 of 3) · about 30 s left"
    assert display.progress(frame(scale=512, remaining=4), scales) == "Painting (3 of 3) · a few seconds left"
    assert display.progress(frame()) == display.progress(frame(), scales[:1]) == "Painting · about 30 s left"
    assert display.ending(frame(step=120), (256, 512)) == "Painted in 10 s: 512 × 256 pixels."
    assert display.ending(frame(), (256, 512)) == "Stopped after 30 of 120 steps, enlarged to 512 × 256 pixels."
    assert display.ending(frame(), (128, 256)) == "Stopped after 30 of 120 steps: 256 × 128 pixels."
    durations = [display.duration(seconds) for seconds in (0, 59.4, 59.6, 125)]
    assert durations == ["0 s", "59 s", "1 min 00 s", "2 min 05 s"]


def test_file_names_are_plain():
    assert display.file_name("/a/my photo.png", "/b/Wheat/../Field.jpg") == "my-photo_Field.png"
    assert display.file_name(None, "/b/<i>.png") == "picture_i.png"


def test_long_file_names_are_cut_to_what_every_letter_leaves_room_for():
    assert display.file_name("x" * 50, "y" * 50) == f"{'x' * 40}_{'y' * 40}.png"
    name = display.file_name("\U0001d4f6" * 42, "\u6f22" * 42)  # four and three bytes a letter
    assert name == f"{chr(0x1D4F6) * 24}_{chr(0x6F22) * 32}.png" and len(name.encode()) <= 200


@pytest.mark.parametrize(
    "ahead, seconds, sentence",
    [
        (0, None, "You are next."),
        (0, 0, "You are next; your turn in a few seconds."),
        (0, 17, "You are next; your turn in about 20 s."),
        (1, 54, "1 person is ahead of you; your turn in about 50 s."),
        (1, 55, "1 person is ahead of you; your turn in about 1 min."),
        (2, 89, "2 people are ahead of you; your turn in about 1 min."),
        (2, 90, "2 people are ahead of you; your turn in about 2 min."),
        (3, None, "3 people are ahead of you."),
    ],
)
def test_waiting(ahead, seconds, sentence):
    assert display.waiting(ahead, seconds) == sentence


# --- Numbers ----------------------------------------------------------------------------------------------------------


def message(html: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))


def test_numbers_of_a_frame():
    html = display.numbers(frame())
    assert message(html) == {
        "Step": "30 of 120",
        "Scale": "256 px",
        "Speed": "3.0 steps/s",
        "Time so far": "10 s",
        "Time left": "30 s",
        "Content loss": "0.5",
        "Style loss": "0.25",
        "Variation": "0.01",
        "Total loss": "0.375",
    }
    bar = display.bar(frame())
    assert 'role="progressbar"' in bar and 'aria-valuenow="25"' in bar and 'style="width:25.0%"' in bar


def test_numbers_before_a_run():
    assert set(message(display.numbers()).values()) == {"–"}
    start = frame(step=0, elapsed=0.0, remaining=0.0)
    assert message(display.numbers(start))["Speed"] == "–"
    assert all('aria-valuenow="0"' in bar for bar in (display.bar(), display.bar(start)))


def test_the_speed_is_that_of_the_scale():
    history = run(frame(0, scale=128, elapsed=2), frame(100, scale=128, elapsed=4), frame(110, elapsed=9))
    now = frame(116, elapsed=11)  # 6 steps in 2 s
    assert message(display.numbers(now, history))["Speed"] == "3.0 steps/s"
    history.append(now)
    assert message(display.numbers(now, history))["Speed"] == "3.0 steps/s"
    first = frame(110, elapsed=9)  # the scale's first: 10 steps in 5 s since the one before
    assert message(display.numbers(first, history))["Speed"] == "2.0 steps/s"
    assert message(display.numbers(frame(100, scale=128, elapsed=4), history))["Speed"] == "50 steps/s"


# --- The formula ------------------------------------------------------------------------------------------------------


def test_the_algorithm_in_five_sentences():
    about = display.explanation()
    prose = re.findall(r"<p>(.*?)</p>", about, re.DOTALL)
    assert len(prose) == 1 and prose[0].count(".") == 5 and prose[0].endswith(".")
    assert about.count("<math") == about.count("alttext=") == 3


# --- In the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def show(browser):
    """show(html) opens a page of it as wide as a phone; it must not complain."""
    contexts, complaints = [], []

    def open_page(body: str, width: int = 360, theme: str = LIGHT, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        contexts[-1].set_default_timeout(1000 * HANG)
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        dark = "dark" if theme == DARK else ""
        tab.set_content(f'<!doctype html><style>{CSS}{GRADIO} body {{ {theme} }}</style><body class="{dark}">{body}')
        tab.wait_for_function("[...document.images].every(image => image.complete)")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def url(shade: int, width: int = 64, height: int = 48) -> str:
    jpeg = images.encode_jpeg(np.full((height, width, 3), shade, np.uint8))
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def shade(tab, x: float, y: float) -> int:
    """Brightness of the page at a point, 0 to 255."""
    png = tab.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    return Image.open(io.BytesIO(png)).convert("L").tobytes()[0]


def compared() -> str:
    """A dark painting, 64 × 48, beneath a bright photo."""
    over = display.wipe(url(220), 64, 48)
    return f'<div id="stage"><div id="picture"><img src="{url(40)}"></div><div id="wipe">{over}</div></div>'


def test_the_wipe_follows_keyboard_and_pointer(show):
    tab = show(compared(), width=900)
    box = tab.locator(".wipe > div").bounding_box()
    height = tab.locator("#picture").bounding_box()["height"] - 2
    assert (box["width"], box["height"]) == (pytest.approx(height * 4 / 3, abs=1), pytest.approx(height, abs=1))
    left, middle, quarter = box["x"], box["y"] + box["height"] / 2, box["y"] + box["height"] / 4
    at = [left + share * box["width"] for share in (0.02, 0.25, 0.4, 0.8)]

    def seen() -> list[bool]:
        """Where the photo is seen."""
        return [shade(tab, x, quarter) > 128 for x in at]

    assert seen() == [False] * 4
    grip = tab.locator(".wipe b").bounding_box()
    assert left <= grip["x"] <= left + 10  # at the picture's edge, not the page's

    tab.focus(".wipe input")
    for _ in range(3):
        tab.keyboard.press("PageUp")
    assert seen() == [True, True, False, False]
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "30 % of the photo"
    tab.keyboard.press("ArrowRight")
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "31 % of the photo"
    assert tab.evaluate("getComputedStyle(document.querySelector('.wipe b')).outlineStyle") == "solid"

    tab.mouse.move(left + 0.9 * box["width"], quarter)  # anywhere, not on the grip
    tab.mouse.down()
    assert seen() == [True] * 4
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "90 % of the photo"
    tab.mouse.move(left + 0.5 * box["width"], middle, steps=4)
    assert seen() == [True, True, True, False]
    tab.mouse.move(left - 50, middle)  # beyond the edge
    tab.mouse.up()
    assert seen() == [False] * 4
    tab.mouse.move(left + 0.5 * box["width"], middle)  # no button is pressed
    assert seen() == [False] * 4


def test_the_wipe_follows_a_finger_and_lets_the_page_scroll(show):
    tab = show(compared() + '<div style="height: 2000px"></div>', has_touch=True)
    box = tab.locator(".wipe > div").bounding_box()
    left, top = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    phone = tab.context.new_cdp_session(tab)

    def stroke(right: float, down: float) -> None:
        for way, share in (("Start", 0), ("Move", 0.3), ("Move", 0.6), ("Move", 1), ("End", None)):
            points = [] if share is None else [{"x": left + share * right, "y": top + share * down}]
            phone.send("Input.dispatchTouchEvent", {"type": f"touch{way}", "touchPoints": points})

    stroke(right=0.3 * box["width"], down=4)
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "80 % of the photo"
    assert tab.evaluate("scrollY") == 0
    tab.focus(".wipe input")
    tab.keyboard.press("Home")
    stroke(right=4, down=-80)
    tab.wait_for_function("scrollY > 20")
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "0 % of the photo"


def test_the_wipe_jumps_where_it_is_tapped(show):
    tab = show(compared(), has_touch=True)
    box = tab.locator(".wipe > div").bounding_box()
    tab.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 10)
    tab.wait_for_selector(".wipe input[aria-valuetext^='50 %']")


def test_the_wipe_leaves_the_fullscreen_button_alone(show):
    button = (
        '<b id="full" style="position: absolute; z-index: 20; top: 8px; right: 8px; width: 24px; height: 24px"></b>'
    )
    tab = show(compared().replace('<div id="wipe">', f'{button}<div id="wipe">'))
    tab.click("#full")
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "0 % of the photo"


def test_the_wipe_may_start_half_open_over_a_picture_of_its_own(show):
    over = display.wipe(url(220), 64, 48, at=50, painted_url=url(40), caption="A <b>")
    tab = show(f'<div id="stage"><div id="picture"></div><div id="wipe">{over}</div></div>')
    box = tab.locator(".wipe > div").bounding_box()
    row = box["y"] + box["height"] / 4
    assert [shade(tab, box["x"] + share * box["width"], row) > 128 for share in (0.1, 0.4, 0.6, 0.9)] == [
        *[True] * 2,
        *[False] * 2,
    ]
    assert tab.get_attribute(".wipe input", "aria-valuetext") == "50 % of the photo"
    assert tab.inner_text(".wipe p") == tab.get_attribute(".wipe .beneath", "alt") == "A <b>"


def test_addresses_are_escaped(show):
    tab = show(display.wipe('x" onerror="alert(1)', 4, 3, label='"><i id="no">'))
    assert tab.get_attribute(".wipe img", "src") == 'x" onerror="alert(1)'
    assert tab.locator("#no").count() == 0
    assert "<script" not in display.film("<script>.mp4") + display.film("<script>")


def panel(history: History | None = None, now: SimpleNamespace | None = None) -> str:
    return f'<div id="numbers">{display.numbers(now, history)}</div>'


def falling(last: int, **losses: float) -> tuple[SimpleNamespace, History]:
    """A run of 1200 steps in three scales, painted up to a step."""
    frames = []
    for step in range(0, last + 1, 10):
        total = {"content": 0.5, "style": 2 / (1 + step), "total_variation": 0.01, "total": 3 / (1 + step)} | losses
        frames.append(frame(step, 1200, 128 if step < 600 else 256 if step < 1000 else 512, step / 10, losses=total))
    return frames[-1], run(*frames)


BOXES = """() => [...document.querySelectorAll('.curves text')].filter(text => text.textContent).map(text => {
  const box = text.getBoundingClientRect(); return [text.textContent, box.left, box.top, box.right, box.bottom]; })"""


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("last, losses", [(0, {}), (300, {}), (1200, {}), (1200, {"style": 0.5, "total": 0.5})])
def test_the_words_of_the_curves_do_not_overlap(show, width, last, losses):
    now, history = falling(last, **losses)
    tab = show(panel(history, now), width=width)
    boxes = tab.evaluate(BOXES)
    assert {"Content", "Style", "Total", "1200 steps"} <= {box[0] for box in boxes}
    for index, (word, left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and right <= width - 8, word
        for other, *box in boxes[:index]:
            apart = right <= box[0] or box[2] <= left or bottom <= box[1] + 2 or box[3] <= top + 2
            assert apart, (word, other)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_moves_when_a_run_begins(show):
    heights = []
    for now, history in ((None, None), falling(0), falling(300), falling(1200)):
        tab = show(panel(history, now))
        heights.append(tab.locator("#numbers").bounding_box()["height"])
        assert 120 <= tab.locator(".curves").bounding_box()["height"] <= 140
    assert len(set(heights)) == 1


CONTRAST = """background => {
  const light = color => {
    const linear = color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]; };
  const ratio = color => { const [a, b] = [light(color), light(background)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05); };
  const of = (query, property) => [...document.querySelectorAll(query)].map(e => ratio(getComputedStyle(e)[property]));
  return [Math.min(...of('.curves text', 'fill')), Math.min(...of('.curves polyline', 'stroke'))]; }"""


@pytest.mark.parametrize("theme, grounds", [(LIGHT, ["#ffffff", "#fbf9f4"]), (DARK, ["#161c3d", "#0e132c"])])
def test_the_curves_can_be_read_by_day_and_by_night(show, theme, grounds):
    now, history = falling(1200)
    tab = show(panel(history, now), theme=theme)
    for ground in grounds:
        rgb = "rgb({}, {}, {})".format(*bytes.fromhex(ground[1:]))
        text, lines = tab.evaluate(CONTRAST, rgb)
        assert text >= 4.5 and lines >= 3
    dashes = tab.evaluate(
        "[...document.querySelectorAll('.curves polyline')].map(e => getComputedStyle(e).strokeDasharray)"
    )
    assert len(set(dashes)) == 3


def test_everything_fits_a_phone(show):
    now, history = falling(1200)
    tab = show(panel(history, now) + compared() + display.film("film.webp") + display.explanation())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    wide, high = zip(
        *tab.evaluate("""[...document.querySelectorAll('math > mrow')].map(formula => {
        const box = formula.getBoundingClientRect(); return [box.width, box.height]; })""")
    )
    assert len(wide) == 3 and max(wide) <= 328 and min(high) > 12
