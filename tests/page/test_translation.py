"""The page in the visitor's language."""

import ast
import importlib
import json
import re
from pathlib import Path
from string import Formatter
from types import SimpleNamespace

import gradio as gr
import pytest

from nst import catalogue
from nst.page import display, layout, text, translation
from nst.page.components import Page
from nst.page.studio import Studio
from nst.page.translation import TABLES, choose, speaking, tr
from tests.painter import Painter
from tests.serving import HANG

CODE, ROOT = Path(text.__file__).parent, Path(__file__).parents[2]
MARK = "__i18n__"  # begins what Gradio will translate
LANGUAGES = [language for language in TABLES if language != "en"]
INVISIBLE = {
    "Picture",
    "Sentence",
    "Result",
    "Numbers",
    "Note",
    "Link",
    "Paintings",
    "Examples",
    "Areas",
    "Tries",
    "style_layers",
    "style_blend",
}  # labels for programs


@pytest.fixture(scope="module")
def constants():
    """Every string in the code of the page, and the titles of pairs."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in CODE.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    found = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found | {pair.title for pair in catalogue.PAIRS}


def placeholders(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_sentence_with_its_placeholders_and_nothing_else(language, constants):
    table = TABLES[language]
    assert table.keys() == TABLES["de"].keys()
    for english, words in table.items():
        assert placeholders(words) == placeholders(english), english
        assert words.strip() == words != "" and not re.search('[<>"`]', words), english  # for HTML, also its attributes
    script = (CODE / "page.js").read_text(encoding="utf-8")
    manners = {text.painting_words(example)[1] for example in catalogue.examples()}
    unused = [english for english in table if english not in constants | manners and f'"{english}"' not in script]
    assert unused == ["Content", "Style", "Total"]  # names of losses


def test_every_sentence_that_the_page_says_has_a_translation():
    said = set(display.NUMBERS) | {pair.title for pair in catalogue.PAIRS}
    for path in CODE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("tr", "words"):
                said |= {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
                names = [each.id for each in ast.walk(node.args[0]) if isinstance(each, ast.Name) and each.id.isupper()]
                for value in (getattr(importlib.import_module(f"nst.page.{path.stem}"), name) for name in names):
                    said |= set(value.values()) if isinstance(value, dict) else {value}
    said |= {value for name, value in vars(text).items() if name.isupper() and isinstance(value, str)}
    said |= {words for labels in (text.CONTROLS, text.TOUCH_LABELS) for pair in labels.values() for words in pair}
    said |= {*text.MARKS.values()}
    said |= {words for choices in text.CHOICES.values() for words in choices.values()}
    for title, info, choices in text.CHOOSERS.values():
        said |= {title, info, *choices, *(preset.description for preset in choices.values())}
    said |= {words for words, *_ in display.FORMULAS} | {words for _, words in display.TERMS}
    script = (CODE / "page.js").read_text(encoding="utf-8")
    said |= set(re.findall(r'say\("(.*?)"\)', script)) | set(re.findall(r'failed = "(.*?)"', script))
    parts = {*layout.translations().translations["en"], "Our own, "}  # the latter has a manner, which follows
    missing = {each for each in said - parts if isinstance(each, str) and each not in TABLES["de"]}
    assert {each for each in missing if re.search("[A-Z][a-z]| ", each)} == set()


def test_everything_fixed_on_the_page_is_translated():
    tables = layout.translations().translations
    assert tables.keys() == TABLES.keys()
    shown = []
    for block in layout.build(Studio()).blocks.values():
        if not getattr(block, "visible", True) and not isinstance(block, gr.Button | gr.Accordion):
            continue  # settings that only programs change
        shown += [getattr(block, name, None) for name in ("label", "info", "placeholder", "alt_text")]
        shown += [label for label, _ in getattr(block, "choices", [])]
        if isinstance(block, gr.Button | gr.DownloadButton | gr.HTML):
            shown.append(block.label if isinstance(block, gr.DownloadButton) else block.value)
    shown = [str(words) for words in shown if words]
    keys = {json.loads(words.removeprefix(MARK))["key"] for words in shown if words.startswith(MARK)}
    assert {"Paint", "Strength", "Gram matrices", "Drop a photo here", "Download as PNG", "html-header"} <= keys
    assert all(keys <= tables[language].keys() for language in LANGUAGES)
    assert {words for words in shown if not words.startswith(MARK)} <= INVISIBLE


@pytest.mark.parametrize(
    "accepted, language",
    [
        (None, "en"),
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("pl", "en"),
        ("pl,fr;q=0.5,es;q=0.7", "es"),
        ("zh-TW", "zh-CN"),
        ("JA", "ja"),
        ("de;q=0,fr", "fr"),
        ("en-US,de", "en"),
        (";;q=x,*;q=0.1", "en"),
    ],
)
def test_the_language_is_the_first_of_ours_that_the_browser_wants(accepted, language):
    assert choose(accepted) == language


def test_sentences_with_numbers():
    with speaking("de"):
        assert tr("Paint") == "Malen" and tr("{seconds} s", seconds=3) == "3 s" and tr("Unknown") == "Unknown"
        assert display.waiting(2, 130) == "2 Personen sind vor Ihnen; Beginn in etwa 2 min."
        frame = SimpleNamespace(scale=128, remaining=37.0)
        assert display.progress(frame, [(128, 10), (256, 10)]) == "Skizzieren (1 von 2) · noch etwa 40 s"
    assert translation.current.get() == "en" and tr("Paint") == "Paint"


def test_programs_read_english():
    with Page() as page:
        page.load(print, layout.Slider(0, 1, label=layout.words("Size")), None, api_name="paint")
    (endpoint,) = page.get_api_info()["named_endpoints"].values()
    assert [told["label"] for told in endpoint["parameters"]] == ["Size"]


def test_the_languages_are_in_packages_and_on_a_space():
    for name in ("pyproject.toml", "Spacefile"):
        assert "languages/*.json" in (ROOT / name).read_text(encoding="utf-8")


# --- In the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def abroad(browser, address):
    """abroad(locale) opens the page in a browser of that language."""
    profiles = []

    def visit(locale: str, **options):
        profiles.append(browser.new_context(locale=locale, **options))
        profiles[-1].set_default_timeout(1000 * HANG)
        tab = profiles[-1].new_page()
        tab.goto(address(Studio(lambda _: Painter(steps=2).released())))
        tab.wait_for_selector("#style img")
        tab.wait_for_selector("#paintings button")
        tab.wait_for_function("!document.querySelector('#reason').innerText.match(/being loaded|wird geladen/)")
        return tab

    yield visit
    for profile in profiles:
        profile.close()


def caption(tab, selector: str) -> str:
    return tab.evaluate(f"getComputedStyle(document.querySelector({selector!r}), '::after').content").strip('"')


def test_in_german(abroad):
    tab = abroad("de-DE", viewport={"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.lang") == "de"
    assert tab.title() == "Neuronaler Stiltransfer"
    for name in ("more-settings", "about", "curious", "studio"):
        tab.click(f"#{name} > button")
    tab.wait_for_selector("#numbers:has-text('Restzeit')")
    page = tab.inner_text("body")
    for german in ("Malen", "Pinselgröße", "Ihr Foto", "Gemälde", "Gram-Matrizen", "Restzeit", "Ihre Bilder bleiben"):
        assert german in page
    assert "Feine Striche" in page  # in the studio
    german = TABLES["de"]
    english = [words for pair in text.CONTROLS.values() for words in pair if words and german[words] != words]
    assert [words for words in english if re.search(rf"^{re.escape(words)}$", page, re.MULTILINE)] == []
    assert caption(tab, "#strength-chooser label") == german["Mostly your photo."]
    assert tab.inner_text("#pair-shore-tower span") == german["Our own, in dots"]
    tab.click("#paint")  # without a photo
    tab.wait_for_selector("#sentence:has-text('Es fehlt noch ein Foto')")
    tab.click("#pair-starry-night")
    tab.wait_for_selector("#sentence:has-text('Gemalt in')")
    tab.wait_for_selector("#download:visible:has-text('Als PNG herunterladen')")
    tab.click("#share")
    tab.wait_for_selector("#address label:has-text('Link')")
    assert re.search("Link kopiert:|Diesen Link kopieren:", tab.inner_text("#address"))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("locale, language, paint", [("pl-PL", "en", "Paint"), ("zh-HK", "zh-CN", "开始绘制")])
def test_the_language_of_the_page_is_that_of_its_words(abroad, locale, language, paint):
    tab = abroad(locale)
    assert tab.evaluate("document.documentElement.lang") == language
    assert tab.inner_text("#paint") == paint
    assert TABLES[language].get("Size", "Size") in tab.inner_text("#size")
