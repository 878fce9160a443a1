"""Keeps this node's own leaves and proofs of each final report.

With them its operator can claim even when no oracle answers any more. Fetching is best effort: the
oracles keep the data as well. What is kept has been checked against the root on chain.
"""

import asyncio
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import aiohttp
import structlog

from workdeed.node.chain_view import FinalReport
from workdeed.node.files import private_directory, write_atomic
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.messages import Proofs, ProvenLeaf

_log = structlog.get_logger(__name__)

Pair = tuple[str, int]
"""An escrow's address and a job of it."""

_SECONDS = 5.0
_KEPT_REPORTS = 64
_NAME = re.compile(r"(\d{1,16})\.json")


class ProofKeeper:
    """Fetches from oracles and keeps the newest reports' proofs on disk."""

    def __init__(self, directory: Path, license_id: int, oracle_urls: Sequence[str]) -> None:
        """Keep proofs of `license_id` in `directory`."""
        self._directory = private_directory(directory)
        self._license_id = license_id
        self._urls = tuple(url.rstrip("/") for url in oracle_urls)
        self._session: aiohttp.ClientSession | None = None

    def kept(self, window: int) -> Proofs | None:
        """Return what is kept of the report of `window`, None if nothing is."""
        try:
            return Proofs.parse(self._path(window).read_bytes())
        except FileNotFoundError:
            return None
        except ProtocolError as error:
            _log.warning("proofs: a kept file is damaged", window=window, error=str(error))
            return None

    async def collect(
        self, report: FinalReport, jobs: Collection[Pair]
    ) -> tuple[set[Pair], set[Pair]]:
        """Fetch and keep this node's leaves of `report` for `jobs`.

        Returns:
            Those jobs whose leaf is kept, and those of which all oracles that answer say that the
            report holds none. Without any oracle to ask, all others count as such.

        """
        known = self.kept(report.window)
        leaves = {(one.escrow, one.job_id): one for one in known.leaves} if known else {}
        if known is not None and known.root != report.root:
            leaves = {}  # the report of that window was vetoed and replaced
        before = len(leaves)
        absent = set()
        for pair in sorted(set(jobs) - leaves.keys()):
            found = await self._fetch(report, pair)
            if isinstance(found, ProvenLeaf):
                leaves[pair] = found
            elif found:
                absent.add(pair)
        if len(leaves) > before:
            self._keep(report, [leaves[pair] for pair in sorted(leaves)])
        return set(leaves), absent if self._urls else set(jobs) - leaves.keys()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _keep(self, report: FinalReport, leaves: Sequence[ProvenLeaf]) -> None:
        content = Proofs(window=report.window, root=report.root, leaves=tuple(leaves))
        write_atomic(self._path(report.window), content.to_json())
        kept = [one for one in self._directory.iterdir() if _NAME.fullmatch(one.name)]
        kept.sort(key=lambda one: int(one.stem))
        for old in kept[:-_KEPT_REPORTS]:
            old.unlink()

    async def _fetch(self, report: FinalReport, pair: Pair) -> ProvenLeaf | bool:
        """Return the leaf of `pair`; without one, whether all oracles that answer say so."""
        answered = False
        for url in self._urls:
            try:
                body = await self._get(url, report.window, pair[1])
                if body is None:
                    answered = True
                    continue
                proofs = Proofs.parse(body)
                proofs.check(report.root)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                _log.debug("proofs: an oracle gave none", oracle=url, error=str(error))
                continue
            for leaf in proofs.leaves:
                if (leaf.escrow, leaf.job_id, leaf.license_id) == (*pair, self._license_id):
                    return leaf
            answered = True
        return answered

    async def _get(self, url: str, window: int, job_id: int) -> bytes | None:
        """Return the oracle's answer, None if it has no such leaf."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        address = f"{url}/reports/{window}/proofs/{job_id}/{self._license_id}"
        async with self._session.get(address, allow_redirects=False) as response:
            if response.status == 404:
                return None
            response.raise_for_status()
            if response.status != 200:
                raise ValueError(f"it answers {response.status}")
            return await asyncio.wait_for(_read(response), _SECONDS)

    def _path(self, window: int) -> Path:
        return self._directory / f"{window}.json"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        chunks += chunk
        if len(chunks) > Proofs.MAX_BYTES:
            raise ValueError("it sends too much")
    return bytes(chunks)
