"""The password of a private page, NST_AUTH: HTTP Basic, or a form where browsers do not ask by themselves."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections import Counter
from time import monotonic
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from nst.page.fairness import network
from nst.page.translation import tr

TRIES, WINDOW = 10, 60.0  # wrong passwords from one network within these seconds
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
    """End the program with a sentence if NST_AUTH is wrong; never tells the password."""
    if not re.fullmatch(r"[^:\s][^:]*:.+", os.environ.get("NST_AUTH", "user:password")):
        sys.exit("NST_AUTH should be a user name, a colon and a password, like user:password.")


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
            return refusal(403, tr(OTHER_SITE))
        if self.knows(headers):
            return None
        return self.check(scope, _basic(headers.get("authorization", "")))

    def knows(self, headers: Headers) -> bool:
        given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return hmac.compare_digest(given.encode(), self.token.encode())

    def check(self, scope: Scope, told: bytes | None) -> Response | None:
        """The answer to who does not tell the password; None for who does."""
        if not self.tries.left(scope):
            return refusal(429, tr(TOO_MANY_TRIES), {"retry-after": f"{WINDOW:.0f}"})
        if told is not None and hmac.compare_digest(hashlib.sha256(told).digest(), self.digest):
            return None
        if told is not None:
            self.tries.add(scope)
        if Headers(scope=scope).get("sec-fetch-dest") == "iframe":
            words = {"user": tr("User name"), "password": tr("Password"), "enter": tr("Enter")}
            return HTMLResponse(FORM.format(sentence=tr(PASSWORD_NEEDED), **words), 401)
        return refusal(401, tr(PASSWORD_NEEDED), {"www-authenticate": 'Basic realm="nst", charset="UTF-8"'})

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to FORM, which Gradio's clients send too."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        form = parse_qs(body.decode(errors="replace"))
        told = ":".join(form.get(name, [""])[0] for name in ("username", "password"))
        if refused := self.check(scope, told.encode()):
            return refused
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


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer that refuses a request in one sentence."""
    return JSONResponse({"detail": sentence}, status, headers)
