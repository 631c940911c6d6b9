"""ASGI middleware against hostile requests: security headers, limits of bodies, closed routes, and the password.

What Gradio does itself is not repeated here: it checks paths of files, and sends only harmless types inline.
"""

import asyncio
import base64
import hashlib
import os
import re
import sys
from pathlib import Path
from time import monotonic
from typing import Any

from gradio import route_utils
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst import images
from nst.page import display
from nst.page.password import Login, refusal
from nst.page.translation import tr

# --- Headers ----------------------------------------------------------------------------------------------------------

SPACES = "https://huggingface.co https://*.hf.space"  # the Hub shows a Space in a frame
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # a link to a visitor's result is a secret
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    "cross-origin-opener-policy": "same-origin",
}
PAGE_POLICY = (
    "default-src 'none'; base-uri 'self'; object-src 'none'; form-action 'self'; manifest-src 'self'; "
    "connect-src 'self' data: blob:; font-src 'self' data:; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'"
)
FILE_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
OF_A_FILE = b"host", b"range", b"if-range"  # of a request: Gradio answers one of a range with all of its headers
SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
INLINE = (*display.HANDLERS, "this.select()")  # event handlers within HTML; the last one is in page.js


def policy(page: bytes, added: str) -> str:
    """Content security policy of a page: the scripts that are in it now may run, but none that is injected.

    Gradio makes functions of the page's `js=` strings, hence 'unsafe-eval'.

    Args:
        page: HTML.
        added: the script that Gradio adds to the page's head in the browser.
    """
    scripts = (source.replace(b"\r\n", b"\n") for source in SCRIPT.findall(page))
    hashes = [_hash(source) for source in (*scripts, *map(str.encode, (added, *INLINE)))]
    scripts = f"script-src 'self' 'unsafe-eval' 'unsafe-hashes' {' '.join(hashes)}"
    return f"{PAGE_POLICY}; {scripts}; frame-ancestors {frame_ancestors()}"


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def check_environment() -> None:
    """End the program with a sentence if NST_FRAME_ANCESTORS is wrong."""
    for site in os.environ.get("NST_FRAME_ANCESTORS", "").split():
        if not re.fullmatch(r"https?://[\w.*\[\]:-]+|\*", site):
            sys.exit(f"NST_FRAME_ANCESTORS: {site!r} should be sites with spaces between, like https://example.org.")


def frame_ancestors() -> str:
    """Sites that may show the page in a frame, for a content security policy; NST_FRAME_ANCESTORS adds some."""
    return " ".join(["'self'", SPACES, *os.environ.get("NST_FRAME_ANCESTORS", "").split()])


# --- Requests ---------------------------------------------------------------------------------------------------------

UPLOAD_BYTES = images.MAX_BYTES + (64 << 10)  # of the form around a file of the largest size
TOOL_BYTES = 32 << 20  # of a request by a language model, whose pictures are data: URLs
BODY_BYTES = 1 << 20  # of any other request
SILENCE, WHOLE = 30.0, 900.0  # seconds until the next bytes of a body, and until its last
FILES = 4  # in one upload
TOO_LARGE = "This request has more than {most} MB, which is the most that this page takes."
TOO_SLOW = "This request arrives too slowly; please send it again."
OPEN = re.compile(
    r"/(healthz|readyz|gradio_api/startup-events)$"
)  # also without the password; Gradio asks itself for the last one
CLOSED_SENTENCE = "This page has nothing at this address."
# What Gradio serves and this page does not use: fetching addresses for others, writing to the disk, running ffmpeg.
CLOSED = re.compile(
    r"/gradio_api/(file=\s*\w+:/|file/|proxy=|stream/|deep_link|process_recording|component_server|custom_component"
    r"|vibe-|undo-vibe-|run-history|runs|dev/)|^/monitoring",
    re.IGNORECASE,
)


class Form(route_utils.GradioMultiPartParser):
    """Gradio's reader of uploads, for few files; what is not a complete upload is deleted."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options | {"max_files": FILES, "max_fields": 0})  # fields are kept in memory

    async def parse(self) -> FormData:
        kept = []
        try:
            form = await super().parse()
            kept = [getattr(upload, "file", None) for upload in form.getlist("files")]
            return form
        except FormParserError as error:
            raise MultiPartException(str(error)) from error
        finally:
            for file in self._files_to_close_on_error:
                if file not in kept:
                    file.close()
                    Path(file.name).unlink(missing_ok=True)


route_utils.GradioMultiPartParser = Form  # upload_fn looks it up there


class Body:
    """The body of a request within its limits of bytes and seconds."""

    def __init__(self, receive: Receive, most: int, headers: Headers):
        self.receive, self.most = receive, most
        self.complete = not {"content-length", "transfer-encoding"} & set(headers)
        self.count, self.until = 0, monotonic() + WHOLE
        self.refusal: tuple[int, str] | None = None  # status, sentence

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            MultiPartException: the body is refused, or whoever sent it has gone.  Gradio deletes its part of a file.
        """
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout(min(SILENCE, self.until - monotonic())):
                message = await self.receive()
        except TimeoutError:
            raise self.refuse(408, tr(TOO_SLOW)) from None
        if message["type"] == "http.disconnect":
            raise self.refuse(400, "")
        self.count += len(message.get("body", b""))
        self.complete = not message.get("more_body")
        if self.count > self.most:
            raise self.refuse(413, too_large(self.most))
        return message

    def refuse(self, status: int, sentence: str) -> MultiPartException:
        self.refusal = status, sentence
        return MultiPartException(sentence)


def too_large(most: int) -> str:
    return tr(TOO_LARGE, most=most >> 20)


# --- The middleware ---------------------------------------------------------------------------------------------------


class Guard:
    """Checks each request before Gradio sees it, and adds HEADERS to each answer.

    `Preview`, within which this runs, adds the `policy` of the page, once its HTML is complete.
    """

    def __init__(self, app: ASGIApp, told: bytes | None = None):
        """`told` is `login()`: without it the page is public."""
        self.app, self.login = app, Login(told) if told else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, path = Headers(scope=scope), scope["path"]
        body = Body(receive, _most(path), headers)
        added = HEADERS | ({"content-security-policy": FILE_POLICY} if "/gradio_api/" in path else {})
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if body.refusal and not started:  # whatever Gradio makes of it
                return
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(added)
            await send(message)

        try:
            if refused := await self._refusal(scope, headers, body):
                return await refused(scope, receive, answer)
            if self.login:
                if not self.login.knows(headers) and not OPEN.search(path):
                    added |= self.login.cookie(scope)
                scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"authorization"]}
            if "/gradio_api/file=" in path:
                scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] in OF_A_FILE]}
            await self.app(scope, body, answer)
        except Exception:
            if not body.refusal:
                raise
        if body.refusal and not started:
            refused, body.refusal = refusal(*body.refusal), None
            await refused(scope, receive, answer)

    async def _refusal(self, scope: Scope, headers: Headers, body: Body) -> Response | None:
        """The answer to what is not for Gradio."""
        path = scope["path"]
        if int(headers.get("content-length", 0)) > body.most:
            return refusal(413, too_large(body.most))
        if self.login and not OPEN.search(path):
            if scope["method"] == "POST" and path.rstrip("/").endswith("/login"):
                return await self.login.answer(scope, body)
            if refused := self.login.refusal(scope, headers):
                return refused
        return refusal(404, tr(CLOSED_SENTENCE)) if CLOSED.search(path) else None


def _most(path: str) -> int:
    """Bytes that a request of this path may have."""
    if path.rstrip("/").endswith("/gradio_api/upload"):
        return UPLOAD_BYTES
    return TOOL_BYTES if "/gradio_api/mcp" in path else BODY_BYTES
