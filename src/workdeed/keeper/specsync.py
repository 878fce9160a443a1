"""Keeps the spec store equal to the chain: drops what is over, fetches what is missing."""

import time
from collections.abc import Callable

from workdeed.chain.books import Books
from workdeed.keeper.errors import SpecRefusedError
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.pauses import Pauses
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.specs import SpecStore
from workdeed.keeper.view import View
from workdeed.protocol.fields import to_hex
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.keepers import get_spec


def specs_on_chain(books: Books, window: int) -> set[bytes]:
    """Return the spec hashes that stand for jobs which are not over in `window`.

    The spec before the current one stays as long as service is measured on it.
    """
    return {
        spec_hash
        for job in books.jobs.values()
        if not job.closed and not job.is_over(window)
        for spec_hash in (job.spec_hash, job.measured(window).spec_hash)
    }


class SpecSync:
    """Fetches missing specs from other keepers."""

    def __init__(
        self,
        specs: SpecStore,
        addresses: AddressBook,
        endpoints: Endpoints,
        log: OnceLog,
        metrics: Metrics,
        member: str | None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = specs
        self._addresses = addresses
        self._endpoints = endpoints
        self._log = log
        self._metrics = metrics
        self._member = member
        self._pauses: Pauses[bytes] = Pauses(now)
        self._wanted: set[bytes] = set()
        self._wanted_at: tuple[int, int] | None = None

    async def run(self, view: View) -> None:
        """Drop what is not needed and try once to get what is missing."""
        wanted = self._on_chain(view)
        self._specs.keep(wanted)
        missing = self._specs.missing(wanted)
        keepers = self._addresses.keepers(view.books, without=self._member)
        self._pauses.keep(missing)
        for spec_hash in sorted(missing):
            if self._pauses.is_due(spec_hash):
                await self._fetch(spec_hash, keepers)
        self._metrics.specs.set(len(self._specs))
        self._metrics.missing_specs.set(len(self._specs.missing(wanted)))

    def _on_chain(self, view: View) -> set[bytes]:
        """Return the specs on chain; found anew only when that may have changed."""
        if self._wanted_at != (view.version, view.window):
            self._wanted = specs_on_chain(view.books, view.window)
            self._wanted_at = view.version, view.window
        return self._wanted

    async def _fetch(self, spec_hash: bytes, keepers: list[str]) -> None:
        name = f"spec {to_hex(spec_hash)}"
        try:
            self._specs.put(spec_hash, await get_spec(self._endpoints, keepers, spec_hash))
        except (EndpointError, SpecRefusedError) as error:
            self._log.trouble(name, str(error))
            self._pauses.failed(spec_hash)
        else:
            self._log.fine(name)
