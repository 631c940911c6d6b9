"""The engine whose runs are painted elsewhere, by the painters of a `nst.cluster.Pool`."""

import contextlib
import itertools
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import tensorflow as tf

from nst.canvas import Checkpoint
from nst.cluster import DEATHS, PainterLostError, Pool
from nst.controls import Controls
from nst.settings import Settings
from nst.transfer import Frame, StyleTransfer

POLL = 0.05  # seconds between two looks whether what is wanted has changed


class ClusterStyleTransfer(StyleTransfer):
    """Repaints photos as `StyleTransfer` does, with painters that may be on other machines.

    A run whose painter is lost goes on from its latest checkpoint with another one.
    """

    def __init__(self, pool: Pool, settings: Settings, sketcher: Callable[[Settings], StyleTransfer] | None = None):
        """`settings` name the network, as for `load_network`; `sketcher` is that of `StyleTransfer`."""
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.set_visible_devices([], "GPU")  # they are the painters'
        facts: Any = pool.describe(settings)
        super().__init__(facts, sketcher or (lambda settings: ClusterStyleTransfer(pool, settings)))
        self._pool = pool
        self._asked = replace(settings, precision=facts.precision)  # another machine's "auto" may be another

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        settings: Settings = Settings(),
        *,
        controls: Controls | None = None,
        checkpoints: bool = False,
        **options: Any,
    ) -> Generator[Frame, None, None]:
        """As `StyleTransfer.stylize`; frames fetch their checkpoints when these are read.

        Raises:
            PainterLostError: DEATHS painters were lost; the frames so far are good.
        """
        run = {"content": content, "styles": styles, "settings": settings, "checkpoints": checkpoints} | options
        shown, is_finished = -1, False  # the latest step, whether it is the last
        for deaths in itertools.count(1):
            try:
                with contextlib.closing(self._paint("stylize", run, controls)) as replies:
                    for frame, is_due, checkpoint in replies:
                        if is_due:
                            checkpoint = kept = _fetch(checkpoint)
                            self._step_times = kept.step_times
                            # The settings have what was steered, and more steps.
                            run |= {"resume": kept, "settings": frame.settings, "start": None, "more_steps": 0}
                            if controls and controls.wanted:
                                run["styles"] = controls.wanted[1]
                        if deaths == 1 or frame.step > shown or frame.step == frame.steps:
                            shown, is_finished = frame.step, frame.step == frame.steps
                            yield _with_checkpoint(frame, checkpoint) if checkpoints else frame
                return
            except ConnectionAbortedError as error:
                if is_finished:
                    return
                _check_deaths(deaths, error)

    def tries(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        variants: Sequence[Settings],
        steps: int,
        **options: Any,
    ) -> Generator[list[Frame], None, None]:
        """As `StyleTransfer.tries`; begins anew if its painter is lost.  Raises PainterLostError, too."""
        run = {"content": content, "styles": styles, "variants": variants, "steps": steps} | options
        for deaths in itertools.count(1):
            try:
                with contextlib.closing(self._paint("tries", run, None)) as replies:
                    for frames, *_ in replies:
                        yield [_owned(frame) for frame in frames]
                return
            except ConnectionAbortedError as error:
                _check_deaths(deaths, error)

    def _paint(self, method: str, run: dict[str, Any], controls: Controls | None) -> Generator[Any, None, None]:
        """Paint in a free painter; yields (frame, whether to keep its checkpoint, a reference to that).

        Raises:
            ConnectionAbortedError: the painter was lost.
        """
        import ray

        name, weights_hash = secrets.token_hex(8), self.network.weights_hash
        with self._pool.painter() as actor:
            sent = controls and controls.wanted
            ahead = actor.begin.options(num_returns=2).remote(name, method, self._asked, weights_hash, sent, run)
            try:
                while True:
                    reply, checkpoint = ahead
                    while not ray.wait([reply], timeout=POLL, fetch_local=False)[0]:
                        sent = _forward(actor, name, sent, controls)
                    ahead = actor.proceed.options(num_returns=2).remote(name)  # while this one is fetched and shown
                    sent = _forward(actor, name, sent, controls)
                    if (frame := ray.get(reply)) is None:
                        return
                    yield _owned(frame[0]) if method == "stylize" else frame[0], frame[1], checkpoint
            finally:
                with contextlib.suppress(Exception):  # it may be lost
                    actor.stop.remote(name)


def _forward(actor: Any, run: str, sent: Any, controls: Controls | None) -> Any:
    """Tell a painter what is wanted if that has changed since it was sent; returns it."""
    wanted = controls and controls.wanted
    if wanted is None or wanted is sent:
        return sent
    settings, paintings = wanted
    is_same = sent and len(sent[1]) == len(paintings) and all(map(lambda a, b: a is b, sent[1], paintings))
    actor.steer.remote(run, settings, None if is_same else paintings)
    return wanted


class _Frame(Frame):
    """A frame that fetches its checkpoint when that is read, and keeps it."""

    @property
    def checkpoint(self) -> Checkpoint | None:  # type: ignore[override]
        kept = self.__dict__["kept"]
        if kept is not None and not isinstance(kept, Checkpoint):
            try:
                kept = self.__dict__["kept"] = _fetch(kept)
            except ConnectionAbortedError:
                raise ValueError(
                    "What this picture would go on from was lost with its painter; paint it anew."
                ) from None
        return kept

    @checkpoint.setter
    def checkpoint(self, kept: Any) -> None:
        self.__dict__["kept"] = kept


def _with_checkpoint(frame: Frame, checkpoint: Any) -> Frame:
    values = {each.name: getattr(frame, each.name) for each in fields(frame)}
    return _Frame(**values | {"checkpoint": checkpoint})


def _fetch(checkpoint: Any) -> Checkpoint:
    """Raises ConnectionAbortedError if it was lost with a machine."""
    import ray
    from ray.exceptions import RayError

    try:
        return _owned(ray.get(checkpoint))
    except RayError as error:
        raise ConnectionAbortedError("A checkpoint was lost.") from error


def _owned(value: Any) -> Any:
    """A copy whose arrays are this process's own: Ray's are read-only, and fill the memory that processes share."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        return tuple(map(_owned, value))
    if isinstance(value, Frame | Checkpoint):
        return replace(value, **{each.name: _owned(getattr(value, each.name)) for each in fields(value)})
    return value


def _check_deaths(deaths: int, error: Exception) -> None:
    if deaths == DEATHS:
        sentence = f"The painter was lost {DEATHS} times, perhaps for want of memory; try a smaller size."
        raise PainterLostError(sentence) from error
