"""ASGI middleware against hostile requests: security headers, limits of bodies, closed routes, and a password.

What Gradio does itself is not repeated here: it checks paths of files, and sends only harmless types inline.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gradio import route_utils
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst import images
from nst.page import display
from nst.page.fairness import network
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


# --- The password -----------------------------------------------------------------------------------------------------

TRIES, WINDOW = 10, 60.0  # wrong passwords from one network within these seconds
OPEN = re.compile(r"/(healthz|readyz|gradio_api/startup-events)$")  # Gradio asks itself for the last one
COOKIE = "nst-login"
PASSWORD_NEEDED = "This page is private: it needs a user name and a password."
TOO_MANY_TRIES = "There were too many wrong passwords; please try again in a minute."
FORM = (  # for frames: there browsers ask for no password by themselves
    '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>'
    '<body style="font-family: sans-serif; margin: 2em"><p>{sentence}</p><form method="post" action="login">'
    '<p><label>{user} <input name="username" autocomplete="username" required></label></p>'
    '<p><label>{password} <input name="password" type="password" autocomplete="current-password" required></label></p>'
    "<p><button>{enter}</button></p></form></body></html>"
)
OTHER_SITE = "This page is private and answers no other site."


def login() -> bytes | None:
    """`user:password` of the environment variable NST_AUTH; None if it is not set, for a page that is public."""
    told = os.environ.get("NST_AUTH")
    return told.encode() if told is not None else None


def check_environment() -> None:
    """End the program with a sentence if NST_AUTH or NST_FRAME_ANCESTORS is wrong; never tells the password."""
    if not re.fullmatch(r"[^:\s][^:]*:.+", os.environ.get("NST_AUTH", "user:password")):
        sys.exit("NST_AUTH should be a user name, a colon and a password, like user:password.")
    for site in os.environ.get("NST_FRAME_ANCESTORS", "").split():
        if not re.fullmatch(r"https?://[\w.*\[\]:-]+|\*", site):
            sys.exit(f"NST_FRAME_ANCESTORS: {site!r} should be sites with spaces between, like https://example.org.")


class Tries:
    """Counts wrong passwords, by network: an address of IPv4, or the 64 bits that a household has of IPv6."""

    def __init__(self) -> None:
        self.wrong, self.until = Counter(), 0.0

    def left(self, scope: Scope) -> bool:
        if monotonic() > self.until:
            self.wrong.clear()
            self.until = monotonic() + WINDOW
        return self.wrong[_address(scope)] < TRIES

    def add(self, scope: Scope) -> None:
        self.wrong[_address(scope)] += 1


class Login:
    """Who knows the password: by HTTP Basic or FORM, or by the cookie that comes with the answer.

    The cookie lets those who are in go on while others' wrong passwords keep everybody else out.
    """

    def __init__(self, told: bytes):
        self.digest, self.token = hashlib.sha256(told).digest(), secrets.token_urlsafe(32)
        self.tries = Tries()

    def refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to who may not come in."""
        if _from_other_site(headers):
            return _refusal(403, tr(OTHER_SITE))
        if self.knows(headers):
            return None
        return self.check(scope, _basic(headers.get("authorization", "")))

    def knows(self, headers: Headers) -> bool:
        given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return hmac.compare_digest(given.encode(), self.token.encode())

    def check(self, scope: Scope, told: bytes | None) -> Response | None:
        """The answer to who does not tell the password; None for who does."""
        if not self.tries.left(scope):
            return _refusal(429, tr(TOO_MANY_TRIES), {"retry-after": f"{WINDOW:.0f}"})
        if told is not None and hmac.compare_digest(hashlib.sha256(told).digest(), self.digest):
            return None
        if told is not None:
            self.tries.add(scope)
        if Headers(scope=scope).get("sec-fetch-dest") == "iframe":
            words = {"user": tr("User name"), "password": tr("Password"), "enter": tr("Enter")}
            return HTMLResponse(FORM.format(sentence=tr(PASSWORD_NEEDED), **words), 401)
        return _refusal(401, tr(PASSWORD_NEEDED), {"www-authenticate": 'Basic realm="nst", charset="UTF-8"'})

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to FORM, which Gradio's clients send too."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        form = parse_qs(body.decode(errors="replace"))
        told = ":".join(form.get(name, [""])[0] for name in ("username", "password"))
        if refusal := self.check(scope, told.encode()):
            return refusal
        if "sec-fetch-dest" in Headers(scope=scope):  # a browser
            return RedirectResponse("./", 303, headers=self.cookie(scope))
        return JSONResponse({"success": True}, headers=self.cookie(scope))

    def cookie(self, scope: Scope) -> dict[str, str]:
        """The header that sets it: in a frame on the Hub it must be allowed, but kept apart from that of other sites.

        Browsers send Sec-Fetch-Site where they keep cookies that are Secure: to HTTPS and to their own machine.
        """
        is_secure = "sec-fetch-site" in Headers(scope=scope)
        where = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
        return {"set-cookie": f"{COOKIE}={self.token}; Path=/; HttpOnly; {where}"}


def _address(scope: Scope) -> str:
    return network((scope.get("client") or ("",))[0])


def _basic(header: str) -> bytes | None:
    """What an Authorization header tells, b"user:password"; None if it is of another kind."""
    kind, _, value = header.partition(" ")
    try:
        return base64.b64decode(value, validate=True) if kind.lower() == "basic" else None
    except (binascii.Error, ValueError):
        return None


def _from_other_site(headers: Headers) -> bool:
    """Whether a page of another site sends this: browsers add the password to it, and Gradio would let it read."""
    if site := headers.get("sec-fetch-site"):
        return site == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
    hosts = {headers.get("host"), headers.get("x-forwarded-host")}
    return "origin" in headers and urlsplit(headers["origin"]).netloc not in hosts


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
            if refusal := await self._refusal(scope, headers, body):
                return await refusal(scope, receive, answer)
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
            refusal, body.refusal = _refusal(*body.refusal), None
            await refusal(scope, receive, answer)

    async def _refusal(self, scope: Scope, headers: Headers, body: Body) -> Response | None:
        """The answer to what is not for Gradio."""
        path = scope["path"]
        if int(headers.get("content-length", 0)) > body.most:
            return _refusal(413, too_large(body.most))
        if self.login and not OPEN.search(path):
            if scope["method"] == "POST" and path.rstrip("/").endswith("/login"):
                return await self.login.answer(scope, body)
            if refusal := self.login.refusal(scope, headers):
                return refusal
        return _refusal(404, tr(CLOSED_SENTENCE)) if CLOSED.search(path) else None


def _most(path: str) -> int:
    """Bytes that a request of this path may have."""
    if path.rstrip("/").endswith("/gradio_api/upload"):
        return UPLOAD_BYTES
    return TOOL_BYTES if "/gradio_api/mcp" in path else BODY_BYTES


def _refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
