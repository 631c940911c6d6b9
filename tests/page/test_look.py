"""The studio's tabs Look and Paintings in a real browser, and a picture that follows every live control."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst import catalogue, recipe
from nst.page.studio import Studio
from nst.page.text import MARKS
from nst.settings import Settings
from tests.painter import Painter, picture
from tests.serving import HANG, PHONE, compact


@pytest.fixture
def visit(visit):
    """visit(studio) opens the page and its studio; the console must stay free of errors."""

    def open_studio(studio: Studio, **options):
        tab = visit(studio, **options)
        tab.click("#studio > button")
        return tab

    return open_studio


def show(tab, name: str) -> None:
    tab.click(f"#studio [role=tab]:has-text('{name}')")


def upload(tab, side: str, path: str) -> None:
    tab.set_input_files(f"#{side} input[type=file]", path)
    tab.wait_for_selector(f"#{side} img")


def drag(tab, name: str, share: float) -> float:
    """Drag the thumb of a slider along its track, to about this share of it; the value where it ends."""
    tab.locator(f"#{name} input[type=range]").scroll_into_view_if_needed()
    at = """([name, share]) => {
        const range = document.querySelector(`#${name} input[type=range]`), {x, y, width, height} =
          range.getBoundingClientRect(), now = (range.value - range.min) / (range.max - range.min);
        return [share ?? now].map(share => [x + 8 + share * (width - 16), y + height / 2])[0]; }"""
    tab.mouse.move(*tab.evaluate(at, [name, None]))
    tab.mouse.down()
    tab.mouse.move(*tab.evaluate(at, [name, share]), steps=8)
    tab.mouse.up()
    return value(tab, name)


def value(tab, name: str) -> float:
    return float(tab.input_value(f"#{name} input[type=number]"))


def wait_until(tab, condition: Callable[[], bool]) -> None:
    """Until it is so on our side of the line."""
    for _ in range(10 * HANG):
        if condition():
            return
        tab.wait_for_timeout(100)
    raise AssertionError("It never came to that.")


def test_the_picture_follows_every_live_control(visit, tmp_path, monkeypatch):
    studio, begun = Studio(compact(steps=(5, 1500), frames_per_second=10)), []
    paint = studio.paint
    monkeypatch.setattr(studio, "paint", lambda *args: begun.append(args) or paint(*args))
    tab = visit(studio)
    for side, size in {"content": (384, 288), "style": (320, 320)}.items():
        tab.set_input_files(f"#{side} input[type=file]", picture(tmp_path / f"{side}.png", size))
    show(tab, "Paintings")
    upload(tab, "style_2", picture(tmp_path / "second.png", (240, 320)))
    tab.fill("#size input[type=number]", "384")
    tab.press("#size input[type=number]", "Tab")
    tab.click("#paint")
    wait_until(tab, lambda: bool(begun and begun[0][1].frame and begun[0][1].frame.step > 5))
    run = begun[0][1]

    def follows(name: str, wanted: object) -> None:
        wait_until(tab, lambda: getattr(run.frame.settings, name) == wanted)

    first, second = (drag(tab, f"amount-{place}", share) for place, share in ((1, 0.9), (2, 0.2)))
    assert first > 1 > second > 0
    follows("style_blend", (first, second))
    show(tab, "Look")
    weights = dict(Settings().style_layers)
    for layer in MARKS:
        weights[layer] = drag(tab, layer.replace("_", "-"), 0.8)
        assert weights[layer] > 1
        follows("style_layers", weights)
    follows("total_variation_weight", 5)
    rough = run.frame.losses["total_variation"]
    follows("total_variation_weight", drag(tab, "total-variation-weight", 1.0))
    assert run.frame.settings.total_variation_weight == 50
    wait_until(tab, lambda: run.frame.losses["total_variation"] < rough / 2)
    tab.click("#total-variation-weight button[aria-label*='eset']")
    follows("total_variation_weight", 5)
    assert not tab.is_visible("#color-amount")
    for name, label in {"match": "Close to the photo's", "luminance": "Exactly the photo's"}.items():
        tab.click(f'#color label:has-text("{label}")')
        follows("color", name)
    follows("color_amount", drag(tab, "color-amount", 0.3))
    for name, label, preset in (("strength", "Bold", 65), ("style_scale", "Fine", 0.5)):
        slider = name.replace("_", "-")
        follows(name, drag(tab, slider, 0.3))
        tab.click(f"#{slider}-chooser label:has-text('{label}')")
        follows(name, preset)
    assert len(begun) == 1  # all of that in one run

    tab.click("#stop")
    tab.wait_for_selector("#download:visible")
    ended = run.frame.step
    weights["block3_conv1"] = drag(tab, "block3-conv1", 0.1)
    follows("style_layers", weights)  # it has ended and goes on by itself
    assert run.frame.step > ended
    tab.click("#stop")
    tab.wait_for_selector("#download:visible")
    tab.wait_for_timeout(500)
    assert len(begun) == 2  # many moves of the slider, one run


def test_paintings_are_added_one_by_one_and_mixed(visit, tmp_path):
    painter = Painter(steps=2).released()
    tab = visit(Studio(lambda _: painter), **PHONE)
    upload(tab, "content", picture(tmp_path / "photo.png", (240, 160)))
    show(tab, "Paintings")
    tab.wait_for_selector("#places .place:first-child img")  # the painting that the page has opened with
    places = "[...document.querySelectorAll('#places .place')].map(place => place.offsetHeight > 0)"
    assert tab.evaluate(places) == [True, True, False, False] and not tab.is_visible("#amount-1")
    for side, name in (("style_2", "woodcut-wave"), ("style_3", "pointillist-shore")):
        upload(tab, side, str(catalogue.find(name).path))
    assert tab.evaluate(places) == [True] * 4
    assert [tab.is_visible(f"#amount-{place}") for place in (1, 2, 3, 4)] == [True, True, True, False]
    for place, amount in ((1, "0.5"), (3, "2")):
        tab.fill(f"#amount-{place} input[type=number]", amount)
        tab.press(f"#amount-{place} input[type=number]", "Tab")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.tap("#paint")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert painter.settings is not None and painter.settings.style_blend == (0.5, 1, 2)
    with tab.expect_download() as waiting:
        tab.tap("#download")
    path = tmp_path / "out.png"
    path.write_bytes(Path(waiting.value.path()).read_bytes())
    made = recipe.read(path)
    assert made is not None
    assert [style.name for style in made.styles] == ["starry-night", "woodcut-wave", "pointillist-shore"]

    tab.tap("#pair-wave-lion")  # without the others, and with the usual look
    tab.wait_for_selector("#style_2 img", state="detached")
    tab.wait_for_selector("#credit:has-text('lion')")
    tab.wait_for_selector("#sentence:has-text('Painted in')")
    assert painter.settings.style_blend == () and value(tab, "amount-1") == 1
    changed = replace(
        made.settings, style_layers=made.settings.style_layers | {"block2_conv1": 0.35, "block3_conv2": 1}
    )
    with Image.open(path) as picture_of_ours:
        again = tmp_path / "again.png"
        info = PngInfo()
        info.add_text("nst", replace(made, settings=changed, content=replace(made.styles[0], name="tower")).text)
        picture_of_ours.save(again, pnginfo=info)
    tab.set_input_files("#content input[type=file]", again)
    tab.wait_for_selector("#note:has-text('Its pictures and settings are restored')")
    tab.wait_for_selector("#style_3 img")
    show(tab, "Look")
    tab.wait_for_function("document.querySelector('#block2-conv1 input[type=number]').value === '0.35'")
    show(tab, "Paintings")
    tab.wait_for_function("document.querySelector('#amount-1 input[type=number]').value === '0.5'")
    assert value(tab, "amount-3") == 2
    show(tab, "Look")
    tab.fill("#block5-conv1 input[type=number]", "1.5")
    tab.press("#block5-conv1 input[type=number]", "Tab")
    tab.tap("#paint")
    wait_until(tab, lambda: painter.settings.style_layers.get("block5_conv1") == 1.5)
    assert painter.settings.style_layers == changed.style_layers | {"block5_conv1": 1.5}


@pytest.mark.parametrize("options", [{}, PHONE | {"color_scheme": "dark"}], ids=["desktop", "phone"])
def test_no_serious_finding_of_axe(visit, options):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = visit(Studio(lambda _: Painter(steps=2)), **options)
    for name in ("Look", "Paintings"):
        show(tab, name)
        if name == "Paintings":
            upload(tab, "style_2", str(catalogue.find("woodcut-wave").path))
            tab.wait_for_selector("#amount-2")
        found = axe.run(tab, context="#studio").response["violations"]
        told = [(each["id"], each["nodes"]) for each in found if each["impact"] in ("serious", "critical")]
        assert told == [], name


def test_programs_mix_two_paintings(address, photo, painting, tmp_path):
    client_module = pytest.importorskip("gradio_client")
    painter = Painter(steps=2).released()
    url = address(Studio(lambda _: painter))
    client = client_module.Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": HANG})
    try:
        other = picture(tmp_path / "Waves.jpg", (160, 200))
        content, style, second = (client_module.handle_file(path) for path in (photo, painting, other))
        mix = {"style_2": second, "style_blend": [3, 1], "size": 128}
        _, sentence, told = client.predict(content=content, style=style, **mix, api_name="/paint")
        assert sentence.startswith("Painted in")
        assert [used["name"] for used in told["recipe"]["styles"]] == ["Wheat Field.jpg", "Waves.jpg"]
        assert painter.settings == Settings(size=128, style_blend=(3, 1))
        with pytest.raises(client_module.exceptions.AppError, match="style_2: .* should be a picture uploaded"):
            client.predict(content=content, style=style, style_2="/etc/passwd", api_name="/paint")
    finally:
        client.close()
