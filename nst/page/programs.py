"""What programs need to use the page: schemas of the settings, sentences on wrong requests, readers that have gone."""

import difflib
import logging
import re
import time
from asyncio import Queue
from typing import Any

from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from nst.page import limits, sharing, translation
from nst.page.sharing import EXTRAS, PARAMETERS
from nst.page.text import NOT_SAVED
from nst.settings import Settings

ARGUMENTS = ("content", "style", *PARAMETERS, *EXTRAS)  # of the API's `paint`, in this order
UPLOAD = "a picture uploaded to this page, as Gradio's FileData"
PATIENCE, LONG_PATIENCE = 15.0, 60.0  # seconds without reading: for who never read anything, and for who reads slowly
BEHIND = 8  # unread messages from which on intermediate pictures are left out

log = logging.getLogger(__name__)
_NUMBER = {"type": "number"}
RESULT: dict[str, Any] = {  # JSON schema of what `paint` returns beside the picture and the sentence
    "type": "object",
    "properties": {
        **{name: {"type": "integer"} for name in ("step", "steps", "scale", "width", "height")},
        **{name: _NUMBER for name in ("seconds", "remaining")},
        "losses": {"type": "object", "additionalProperties": _NUMBER},
        "recipe": {"type": "object", "description": "of the finished picture"},
    },
}


def schema(name: str) -> dict[str, Any]:
    """JSON schema of a setting, with the range that this page takes."""
    knob = Settings.__dataclass_fields__[name]
    low, high = knob.metadata["low"], knob.metadata["high"]
    most = limits.current()
    low, high = {
        "size": (sharing.MIN_SIZE, most.size),
        "style_scale": (low, sharing.MAX_STYLE_SCALE),
        "steps": (low, most.steps),
    }.get(name, (low, high))
    number = {"type": "number", "minimum": low, "maximum": high}
    whole = number | {"type": "integer"}
    choices = {"enum": list(knob.metadata["choices"])} if knob.metadata["choices"] else {}
    kinds: dict[Any, dict[str, Any]] = {
        str: {"type": "string"} | choices,
        int: whole,
        float: number,
        dict[str, float]: {"type": "object", "additionalProperties": number, "maxProperties": sharing.MAX_ITEMS},
        tuple[int, ...]: {"type": "array", "items": whole, "minItems": 1, "maxItems": sharing.MAX_ITEMS},
        tuple[float, ...]: {"type": "array", "items": number, "maxItems": sharing.MAX_ITEMS},
    }
    return kinds[knob.type] | {"description": knob.metadata["help"]}


def brief(sentence: str) -> str:
    """The sentence, without the middle of a value that makes it too long to read."""
    return sentence if len(sentence) <= 400 else f"{sentence[:200]} … {sentence[-180:]}"


async def wrong_arguments(request: Request, error: Exception) -> JSONResponse:
    """Answer 422 with a sentence where Gradio's /call/v2 raises a TypeError, because a name is unknown or missing."""
    unknown = re.match("Parameter `(.*)` is not a valid", str(error), re.DOTALL)
    missing = re.match("No value provided for required argument: (.*)", str(error))
    if "/call/v2/" not in request.url.path or not (unknown or missing):
        raise error
    if missing:
        sentence = f"{missing[1]}: nothing was given; it should be {UPLOAD}"
    else:
        name = unknown[1] if unknown else ""
        close = difflib.get_close_matches(name[:40], ARGUMENTS, n=1, cutoff=0.8)
        right = f"did you mean {close[0]}?" if close else f"it should be one of {', '.join(ARGUMENTS)}"
        sentence = f"{name[:40]}: there is no such setting; {right}"
    return JSONResponse({"detail": sentence}, status_code=422)


def not_saved(error: OSError) -> str:
    """One sentence for a visitor whose file could not be written; the log has the reason, without the file's name.

    Raises:
        OSError: the error did not come from the operating system, as a timeout of asyncio.
    """
    if error.errno is None:
        raise error
    log.error("A file could not be written: %s", error.strerror)
    return translation.tr(NOT_SAVED)


async def cannot_save(request: Request, error: Exception) -> PlainTextResponse:
    """Answer 507 with a sentence where an upload cannot be written."""
    assert isinstance(error, OSError)
    with translation.speaking(translation.choose(request.headers.get("accept-language"))):
        return PlainTextResponse(not_saved(error), status_code=507)


class Reader:
    """Tells whether somebody reads the events of a session, so that nobody waits for a run that nobody watches."""

    def __init__(self, messages: "Queue[Any] | None"):
        """`messages` are those the session has not read yet; None if that is unknown."""
        self._messages = messages
        self._oldest: Any = None
        self._since = time.monotonic()  # when the oldest message became the oldest
        self._has_read = False

    @classmethod
    def of(cls, session: str) -> "Reader":
        """The reader of the session whose event is being handled."""
        page = LocalContext.blocks.get(None)
        return cls(page._queue.pending_messages_per_session.get(session) if page else None)

    def has_gone(self) -> bool:
        """Whether nothing was read for too long.  Call it again and again: it compares with the call before."""
        if self._messages is None:
            return False
        try:
            oldest = self._messages._queue[0]  # type: ignore[attr-defined]  # the object, since counts change both ways
        except IndexError:
            oldest = None
        if oldest is None or oldest is not self._oldest:
            self._has_read |= oldest is None or self._oldest is not None
            self._oldest, self._since = oldest, time.monotonic()
        return time.monotonic() - self._since > (LONG_PATIENCE if self._has_read else PATIENCE)

    def is_behind(self) -> bool:
        """Whether so much is unread that intermediate pictures would only make it more."""
        return self._messages is not None and self._messages.qsize() > BEHIND
