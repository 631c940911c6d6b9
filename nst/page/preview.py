"""What messengers, search engines and browser tabs show of the page: its title, its description and a picture.

Gradio's own tags say "Gradio" and come without the absolute addresses that messengers want, and `launch(head=...)` adds
to the page in the browser only: too late for all of them.
"""

import gzip
import html
import os
import re
from pathlib import Path
from urllib.parse import urlencode

from gradio.route_utils import get_root_url
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst.page import guard, sharing
from nst.page.inputs import RESULT_QUERY
from nst.page.text import CONTROLS, DESCRIPTION, TITLE
from nst.page.translation import choose, speaking, tr

ICON = Path(__file__).with_name("icon.png")  # 256 x 256
PICTURE = Path(__file__).with_name("preview.jpg")  # a square of SIDE pixels
SIDE = 512
TAGS = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*')
MANIFEST = re.compile(rb'(<link rel="manifest" href=")/')  # of a page behind a proxy, too
CHARSET = re.compile(rb"<meta charset=[^>]*>")
LANGUAGE = b'\n<script>Object.defineProperty(navigator, "language", {value: "%s"})</script>'  # Gradio's choice: ours
LINKED = ("pair", *CONTROLS, *RESULT_QUERY)  # what a link of ours may have; others can be secrets


class Preview:
    """ASGI middleware that replaces Gradio's tags, decides on the language of the page, and compresses it.

    The page's security policy is made here too, since it lists the scripts of the page.
    """

    def __init__(self, app: ASGIApp, script: str = ""):
        """`script` is what Gradio adds to the page's head in the browser."""
        self.app, self.script = app, script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None  # of a page whose body is not complete
        body = b""

        async def change(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    added = tags(Request(scope)) + LANGUAGE % language.encode()
                    page = MANIFEST.sub(rb"\1./", TAGS.sub(b"", body))
                    page = CHARSET.sub(lambda found: found[0] + added, page, count=1)
                    headers = MutableHeaders(raw=start["headers"])
                    headers["content-security-policy"] = guard.policy(page, self.script)
                    if "gzip" in Headers(scope=scope).get("accept-encoding", ""):  # a quarter of the bytes
                        page, headers["content-encoding"] = gzip.compress(page), "gzip"
                    headers["content-length"] = str(len(page))
                    headers.add_vary_header("Accept-Language, Accept-Encoding")
                    await send(start)
                    await send({"type": "http.response.body", "body": page})

        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        language = choose(Headers(scope=scope).get("accept-language"))
        with speaking(language):
            await self.app(scope, receive, change)


def _is_page(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/html")


def tags(request: Request) -> bytes:
    """HTML of the tags for a request of the page.  A link to a visitor's own result has the same picture as all."""
    server = root(request)
    query = urlencode({name: value for name, value in request.query_params.items() if name in LINKED})
    address = f"{sharing.space_page() or server + '/'}{'?' if query else ''}{query}"
    picture = f"{server}/preview.jpg"
    properties = {
        "og:type": "website",
        "og:title": tr(TITLE),
        "og:description": tr(DESCRIPTION),
        "og:url": address,
        "og:image": picture,
        "og:image:width": SIDE,
        "og:image:height": SIDE,
        "og:image:alt": tr("A lion, painted in the style of The Starry Night"),
    }
    names = {
        "description": tr(DESCRIPTION),
        "twitter:card": "summary_large_image",
        "twitter:title": tr(TITLE),
        "twitter:description": tr(DESCRIPTION),
        "twitter:image": picture,
    }
    lines = [
        f"<title>{html.escape(tr(TITLE))}</title>",
        *(f'<link rel="{rel}" href="{html.escape(server)}/icon.png">' for rel in ("icon", "apple-touch-icon")),
        *(f'<meta property="{name}" content="{html.escape(str(value))}">' for name, value in properties.items()),
        *(f'<meta name="{name}" content="{html.escape(value)}">' for name, value in names.items()),
    ]
    return "\n".join(["", *lines]).encode()


def root(request: Request) -> str:
    """The public address of the page without a slash at its end; proxies tell it in X-Forwarded-Host and -Proto."""
    if host := os.environ.get("SPACE_HOST"):
        return f"https://{host}"
    return get_root_url(request, "/", request.scope.get("root_path"))


def files() -> list[Route]:
    """Routes of the picture and the icon."""

    def serving(path: Path) -> Route:
        async def serve(_: Request) -> FileResponse:
            return FileResponse(path, headers={"Cache-Control": "public, max-age=86400"})

        return Route(f"/{path.name}", serve)

    return [serving(PICTURE), serving(ICON)]
