"""Numbers for the owner of a page, at /metrics as Prometheus reads them; nothing in them tells visitors apart."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

OUTCOMES = ("finished", "stopped", "out of time", "left", "refused", "failed")
REASONS = ("queue", "session", "address", "settings")
WAITS = (1, 5, 15, 30, 60, 120, 300, 600, 1800)  # seconds
STEPS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds


class Metrics:
    """The counts of one studio."""

    def __init__(self, queue_length: Callable[[], int]):
        self.registry = registry = CollectorRegistry()
        self.runs = Counter("nst_runs", "Runs that have ended, by outcome", ["outcome"], registry=registry)
        self.refusals = Counter("nst_refusals", "Requests refused before a run", ["reason"], registry=registry)
        self.frames = Counter("nst_frames_sent", "Intermediate pictures sent", registry=registry)
        self.waits = Histogram("nst_wait_seconds", "Time in the queue", buckets=WAITS, registry=registry)
        self.steps = Histogram("nst_step_seconds", "Time of an optimizer step", buckets=STEPS, registry=registry)
        Gauge("nst_queue_length", "Pictures that wait", registry=registry).set_function(queue_length)
        ProcessCollector(registry=registry)  # memory, CPU time, open files
        for counter, labels in ((self.runs, OUTCOMES), (self.refusals, REASONS)):
            for label in labels:
                counter.labels(label)  # 0 until it happens

    async def answer(self, _: Request) -> Response:
        """The answer to a request of /metrics."""
        return Response(generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
