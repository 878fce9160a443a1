"""Who this node is to others: its key, its license, its profile, and the instance that runs."""

import secrets
from pathlib import Path

from workdeed.node.errors import StateError
from workdeed.node.files import write_atomic
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.messages import Answer, NodeProfile, Probe, Resources, Workload, sign
from workdeed.protocol.sealing import Owner, open_box
from workdeed.protocol.signing import address_of, public_key_of

_INSTANCE_BYTES = 16


class NodeIdentity:
    """Signs what the node says. It answers probes and never sends transactions."""

    def __init__(
        self, private_key: bytes, chain_id: int, committee: str, license_id: int, instance: bytes
    ) -> None:
        """Speak for `license_id` with its node key, in the domain of the `committee`."""
        self.__key = private_key
        self.address = address_of(private_key)
        self.chain_id = chain_id
        self.license_id = license_id
        self.instance = instance
        self._domain = Domain(COMMITTEE_DOMAIN, chain_id, committee)

    def __repr__(self) -> str:
        return f"NodeIdentity({self.address}, license {self.license_id})"

    @property
    def domain(self) -> Domain:
        """The committee's domain, in which messages to and from nodes are signed."""
        return self._domain

    def answer(self, probe: Probe, workloads: list[Workload]) -> Answer:
        """Return the signed answer to `probe`; its block hash is not judged."""
        unsigned = Answer(
            chain_id=self.chain_id,
            license_id=self.license_id,
            node=self.address,
            nonce=probe.nonce,
            window=probe.window,
            instance_id=self.instance,
            workloads=tuple(sorted(workloads, key=lambda one: one.key)),
        )
        return sign(unsigned, self._domain, self.__key)

    def profile(
        self, resources: Resources, tags: tuple[str, ...], runners: tuple[str, ...]
    ) -> NodeProfile:
        """Return the signed profile. Signatures are deterministic, and so is its hash.

        One without any resources is that of a node that takes no new work.
        """
        unsigned = NodeProfile(
            chain_id=self.chain_id,
            license_id=self.license_id,
            node=self.address,
            resources=resources,
            tags=tuple(sorted(set(tags))),
            runners=tuple(sorted(set(runners))),
            public_key=public_key_of(self.__key),
        )
        return sign(unsigned, self._domain, self.__key)

    def open_box(self, box: bytes, escrow: str, payer: str) -> dict[str, str]:
        """Return the values that were sealed to the node key for a job of `payer` in `escrow`.

        Raises:
            workdeed.protocol.sealing.SealingError: if they were sealed to another key, or for
                another payer, escrow or chain.

        """
        return open_box(self.__key, box, Owner(self.chain_id, escrow, payer))


def instance_id(directory: Path) -> bytes:
    """Return the 16 random bytes that name this agent, made when its state directory is new.

    Raises:
        StateError: if the file is damaged.

    """
    path = directory / "instance"
    if not path.exists():
        write_atomic(path, secrets.token_hex(_INSTANCE_BYTES).encode())
    try:
        found = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise StateError("state_dir: instance is damaged; remove it") from error
    if len(found) != _INSTANCE_BYTES:
        raise StateError("state_dir: instance is damaged; remove it")
    return found
