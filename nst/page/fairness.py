"""Gradio's queue, bounded: for each visitor, each address and in all, for browsers and programs alike."""

import asyncio
import ipaddress
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import LocalContext
from gradio.queueing import Event, Queue
from gradio.route_utils import get_fn
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import LRUCache, error_payload

from nst.page import display, limits, translation
from nst.page.studio import refusal
from nst.page.text import ADDRESS_WAITS, QUEUE_FULL, QUEUE_FULL_FOR, SESSION_WAITS
from nst.page.translation import tr

if TYPE_CHECKING:
    from nst.page.studio import Studio

PAINTER = "painter"  # concurrency_id of all events that paint
SESSIONS = 500  # whose unread messages are kept
TRUSTED = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"  # proxies of a Space


def address(request: Any) -> str:
    """Where a request comes from, "" if unknown."""
    return network(getattr(getattr(request, "client", None), "host", None) or "")


def network(host: str) -> str:
    """An address; of IPv6 its first 64 bits, since all addresses behind them are one household's."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False)
    return str(found)


def waiting(page: gr.Blocks, group: str = PAINTER) -> list[tuple[str, str]]:
    """(session, address) of each event that waits, in order; known as long as it waits."""
    queue = page._queue.event_queue_per_concurrency_id.get(group)
    return [(event.session_hash, address(event.request)) for event in list(queue.queue)] if queue else []


def seconds_waited() -> float | None:
    """How long the event that is being handled has waited; None outside the queue."""
    page, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = page._queue.event_ids_to_events.get(event_id or "") if page else None
    return max(0.0, time.monotonic() - event.enqueue_time) if event else None


def sentence(studio: "Studio", reason: str) -> str:
    """What a visitor is told whom `Studio.refusal` has refused for this reason; "" without one."""
    if reason == "session":
        return tr(SESSION_WAITS)
    if reason == "address":
        return tr(ADDRESS_WAITS, count=limits.current().waiting)
    seconds = studio.expected_wait()
    if reason and seconds:
        return tr(QUEUE_FULL_FOR, time=display.about(seconds))
    return tr(QUEUE_FULL) if reason else ""


class _Messages(LRUCache):
    """Unread messages by session, without those of the sessions that are forgotten first: no job of theirs is left."""

    def __init__(self, queue: Queue):
        super().__init__(SESSIONS)
        self._queue = queue

    def popitem(self, last: bool = True) -> tuple[str, Any]:
        """Gradio drops the oldest session, also while its picture is being painted."""
        live = {event.session_hash for event in list(self._queue.event_ids_to_events.values())}
        session = next((session for session in self if session not in live), next(iter(self)))
        self._queue.pending_event_ids_session.pop(session, None)
        return session, self.pop(session)


def guard(page: gr.Blocks, studio: "Studio") -> None:
    """Bound the queue of a page."""
    queue = page._queue
    studio.jobs = partial(waiting, page)
    queue.pending_messages_per_session = _Messages(queue)
    push = queue.push

    async def bounded(body: Any, request: Any, username: str | None) -> Any:
        fn = get_fn(page, None, body)
        if fn.concurrency_id == PAINTER:
            reason = studio.refusal(body.session_hash or "", address(request))
        else:
            reason = refusal(waiting(page, str(fn.concurrency_id)), body.session_hash or "", address(request))
        if not reason:
            return await push(body, request, username)
        studio.metrics.refusals.labels(reason).inc()
        with translation.speaking(translation.choose(request.headers.get("accept-language"))):
            error = error_payload(gr.Error(sentence(studio, reason), print_exception=False), False)
        event = Event(body.session_hash, fn, request, username)
        if event.session_hash not in queue.pending_messages_per_session:
            queue.pending_messages_per_session[event.session_hash] = asyncio.Queue()
        queue.pending_event_ids_session.setdefault(event.session_hash, set()).add(event._id)
        queue.send_message(event, ProcessCompletedMessage(output=error, success=False))
        return True, event._id, "success"

    queue.push = bounded
