"""What duties want to happen on chain, and the desk that hands it to the outbox.

A duty names an effect again in every round until the books show it; the desk passes it on once, and
again where its payload changed while it waited. An effect that failed is tried again once a window,
since what refused it may have passed.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from workdeed.chain.bindings.codec import Call
from workdeed.chain.books import Books
from workdeed.chain.effects import Effect, EffectError, EffectState, OutboxEntry, OutboxTally
from workdeed.keeper.logs import Log, OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.view import View

KINDS = ("report", "place", "claim", "forfeit", "close", "request-close", "close-unattested")
"""How keys of effects begin, up to the colon: what metrics count them by."""

FINISH_STEPS = 20
"""Steps of the outbox at a stop: enough to hand over everything that is signed already."""

FAILURE_WINDOWS = 64
"""Windows for which a failure is remembered that nobody asks for any more."""


class Sending(Protocol):
    """What a desk asks of an outbox."""

    @property
    def token(self) -> int | None:
        """Under which token it sends; None while another process does."""

    async def submit(self, effect: Effect) -> OutboxEntry | None:
        """Take an effect; return how far it is, None if nothing is kept of it."""

    async def retry(self, key: str) -> object:
        """Try an effect again that failed."""

    async def tally(self) -> OutboxTally:
        """Count the effects that are not settled."""

    async def step(self) -> tuple[OutboxEntry, ...]:
        """Go on with all effects; return those that settled."""


@dataclass(frozen=True)
class PlannedEffect:
    """A transaction that a duty asks for.

    Attributes:
        key: names the effect; the same effect always has the same key.
        call: what to send.
        done: whether the books show it as done, by this keeper or another.
        transient: reasons of reverts that pass with time.
        renews: whether another call under the same key is another effect once the last one settled.

    """

    key: str
    call: Call[Any]
    done: Callable[[Books], bool]
    transient: frozenset[str] = field(default_factory=frozenset)
    renews: bool = False


class EffectDesk:
    """Passes planned effects to the outbox, each once.

    Args:
        outbox: what sends; None without a sender key, and then nothing is sent.
        books: returns the books of now, which tell whether an effect is done.
        log: told of effects that failed.
        once: told when sending stalls.
        metrics: counts effects by state.

    """

    def __init__(
        self,
        outbox: Sending | None,
        books: Callable[[], Books],
        log: Log,
        once: OnceLog,
        metrics: Metrics,
    ) -> None:
        self._outbox = outbox
        self._books = books
        self._log = log
        self._once = once
        self._metrics = metrics
        self._passed: dict[str, bytes] = {}
        self._failed: dict[str, int] = {}
        self._swept = 0
        self._token: int | None = None
        for kind in KINDS:
            metrics.effects_settled.labels(kind=kind, state=EffectState.FAILED.value)

    @property
    def sends(self) -> bool:
        """Whether there is a key to send with."""
        return self._outbox is not None

    async def plan(self, view: View, effect: PlannedEffect) -> None:
        """Take an effect; what the books show as done is left alone.

        A keeper that stands by takes none: it is planned again once this one sends.

        Raises:
            ChainError: if it cannot be stored, or the chain has to be asked and does not answer.

        """
        if self._outbox is None or not self._is_our_turn(self._outbox) or effect.done(view.books):
            return
        if self._failed.get(effect.key, view.window) < view.window:
            self._failed[effect.key] = view.window
            self._passed.pop(effect.key, None)
            with suppress(EffectError):  # the outbox has forgotten it by now, and takes it anew
                await self._outbox.retry(effect.key)
        # Until it is signed, the outbox takes over a newer payload: a proof against a later report.
        if self._passed.get(effect.key) != effect.call.data:
            entry = await self._outbox.submit(self._effect(effect))
            self._passed[effect.key] = effect.call.data
            if entry is not None and entry.state is EffectState.FAILED:
                # It failed under another keeper, or before a restart.
                self._failed.setdefault(effect.key, view.window)

    async def step(self, view: View) -> None:
        """Let the outbox work; raises `ChainError` if the chain does not answer."""
        if self._outbox is None or not self._is_our_turn(self._outbox):
            return
        for entry in await self._outbox.step():
            self._on_settled(entry, view)
        self._forget_failures(view.window)
        self._tell(await self._outbox.tally())

    def forget(self) -> None:
        """Pass everything on again: a reorg may have undone what had been done."""
        self._passed.clear()

    async def finish(self) -> None:
        """Hand over what is signed; what is only planned waits for the next start."""
        if self._outbox is None or not self._is_our_turn(self._outbox):
            return
        for _ in range(FINISH_STEPS):
            tally = await self._outbox.tally()
            if not tally.counts.get(EffectState.SIGNED):
                return
            await self._outbox.step()

    def _is_our_turn(self, outbox: Sending) -> bool:
        """Tell whether this keeper sends now.

        What it passed on under another token counts no more: whoever sent since may have settled
        it, and knows nothing of how this keeper tells that it is done.
        """
        if outbox.token != self._token:
            self._token = outbox.token
            self.forget()
            if outbox.token is None:
                self._tell(OutboxTally({}, None))
        return outbox.token is not None

    def _effect(self, planned: PlannedEffect) -> Effect:
        async def is_done() -> bool:
            return planned.done(self._books())

        return Effect(
            key=planned.key,
            call=planned.call,
            transient=planned.transient,
            is_done=is_done,
            renews=planned.renews,
        )

    def _on_settled(self, entry: OutboxEntry, view: View) -> None:
        kind = entry.key.partition(":")[0]
        self._metrics.effects_settled.labels(kind=kind, state=entry.state.value).inc()
        # Planned again, it is looked up again: a deep reorg may undo it before the books show it,
        # and then no rewind of theirs tells of it.
        self._passed.pop(entry.key, None)
        if entry.state is EffectState.FAILED:
            self._failed[entry.key] = view.window
            self._log.warning("effect_failed", key=entry.key, reason=entry.reason)
        else:
            self._failed.pop(entry.key, None)
            self._log.info("effect_done", key=entry.key, state=entry.state.value)

    def _forget_failures(self, window: int) -> None:
        """Forget what failed and was not asked for since: each window that asks notes it anew."""
        if window != self._swept:
            self._swept = window
            oldest = window - FAILURE_WINDOWS
            self._failed = {key: last for key, last in self._failed.items() if last >= oldest}

    def _tell(self, tally: OutboxTally) -> None:
        for state in EffectState:
            self._metrics.effects.labels(state=state.value).set(tally.counts.get(state, 0))
        if tally.waiting is not None:
            self._once.trouble("outbox", ": ".join(tally.waiting))
        else:
            self._once.fine("outbox")
