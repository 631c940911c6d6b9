"""nst.page.preview: what a program that runs no JavaScript reads on the page."""

import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from nst.page import preview
from nst.page.studio import Studio
from nst.page.text import TITLE
from tests.serving import HANG, served

httpx = pytest.importorskip("httpx")


class Head(HTMLParser):
    """The tags of a page: contents by name, addresses by relation, its title, and the names of all its elements."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.elements, self.title = {}, [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        given = dict(attrs)
        self.elements.append(tag)
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            assert name not in self.tags, f"{name} is there twice"
            self.tags[name] = given["content"]
        if tag == "link":
            self.tags[given["rel"]] = given["href"]

    def handle_data(self, data: str) -> None:
        self.title += data if self.elements[-1:] == ["title"] else ""


@pytest.fixture
def page(address):
    """page(path, headers) is the head of the page."""
    url = address(Studio())

    def read(path: str = "/", **headers: str) -> Head:
        response = httpx.get(url + path, headers=headers, timeout=HANG)
        assert response.status_code == 200
        return Head(response.text)

    return read


def test_the_preview_is_ours_and_its_files_are_there(page):
    head = page()
    assert head.title.strip() == head.tags["og:title"] == head.tags["twitter:title"] == TITLE
    assert not [name for name, value in head.tags.items() if "radio" in value and name != "viewport"]
    with Image.open(io.BytesIO(httpx.get(head.tags["og:image"]).content)) as picture:
        assert picture.size == (preview.SIDE, preview.SIDE) == (int(head.tags["og:image:width"]),) * 2
    response = httpx.get(head.tags["icon"])
    assert response.content == preview.ICON.read_bytes() and "max-age" in response.headers["cache-control"]
    assert httpx.get(head.tags["og:url"] + "favicon.ico").content == preview.ICON.read_bytes()


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        ({"Host": "paint.example"}, "http://paint.example"),
        ({"Host": "paint.example:8080", "X-Forwarded-Proto": "https"}, "https://paint.example:8080"),
        ({"X-Forwarded-Host": "a.example, b.example", "X-Forwarded-Proto": "https,http"}, "https://a.example"),
    ],
)
def test_addresses_are_those_of_the_visitor(page, headers, root):
    tags = page("/?pair=wave-lion&strength=70&__sign=secret", **headers).tags
    assert tags["og:url"] == f"{root}/?pair=wave-lion&strength=70"
    assert tags["og:image"] == tags["twitter:image"] == f"{root}/preview.jpg"
    assert tags["icon"] == f"{root}/icon.png"


def test_a_root_path_is_part_of_the_addresses():
    with served(Studio(), root_path="/nst") as url:
        tags = Head(httpx.get(url, headers={"X-Forwarded-Host": "a.example"}).text).tags
        assert tags["og:url"] == "http://a.example/nst/"
        assert tags["og:image"] == "http://a.example/nst/preview.jpg"
        assert httpx.get(f"{url}/nst/preview.jpg").headers["content-type"] == "image/jpeg"


def test_a_space_is_previewed_as_its_page_on_the_hub(page, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "owner/name")
    monkeypatch.setenv("SPACE_HOST", "owner-name.hf.space")
    tags = page("/?pair=wave-lion").tags
    assert tags["og:url"] == "https://huggingface.co/spaces/owner/name?pair=wave-lion"
    assert tags["og:image"] == "https://owner-name.hf.space/preview.jpg"


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Gradio-Server"])
@pytest.mark.parametrize("hostile", ['a"><script>b()</script>', "a'/><b onload=c>", "a<b>c", "a/&quot;><i>", "\\g<0>"])
def test_headers_inject_nothing(address, header, hostile):
    url = address(Studio())
    usual = Head(httpx.get(url, timeout=HANG).text).elements
    response = httpx.get(url, headers={header: hostile}, timeout=HANG)
    if response.status_code == 200:  # Gradio refuses some of them
        assert Head(response.text).elements == usual
    assert hostile not in response.text


def test_queries_inject_nothing(page):
    hostile = '"><script>b()</script>'
    head = page("/?pair=" + hostile)
    assert head.elements == page().elements and "<" not in head.tags["og:url"]


def test_a_link_to_a_visitors_own_result_shows_nothing_of_it(page):
    tags = page(f"/?picture={'0' * 64}&photo={'1' * 64}&painting={'2' * 64}").tags
    shown = {name: value for name, value in page().tags.items() if name != "og:url"}
    assert {name: value for name, value in tags.items() if name != "og:url"} == shown
