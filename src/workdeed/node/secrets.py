"""Opens the secrets of a spec, and keeps them in memory only.

Nothing here logs, and no text, error or `repr` of what is opened shows a value.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

from workdeed.intent import Service, Spec
from workdeed.node.errors import SecretsError
from workdeed.node.identity import NodeIdentity
from workdeed.protocol.sealing import SealingError

_HIDDEN: Final = "***"
_SHORTEST_HIDDEN: Final = 4


class Opened(Mapping[str, str]):
    """Opened values by name; what prints it sees the names."""

    __slots__ = ("__values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self.__values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self.__values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__values)

    def __len__(self) -> int:
        return len(self.__values)

    def __repr__(self) -> str:
        return f"Opened({', '.join(sorted(self.__values))})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("opened secrets are not copied or pickled: they stay in this process")

    def of(self, service: Service) -> "Opened":
        """Return those that a service names."""
        return Opened({name: self.__values[name] for name in service.used_secrets})

    def hide_in(self, text: str) -> str:
        """Return `text`, such as a reason that quotes output, with stars in place of values.

        It helps against accidents alone: a workload can print a value in any other spelling. Values
        of less than four characters are left, as they are in every other text too.
        """
        words = {word for value in self.__values.values() for word in (value, *value.splitlines())}
        for word in sorted(words, key=len, reverse=True):
            if len(word.strip()) >= _SHORTEST_HIDDEN:
                text = text.replace(word, _HIDDEN)
        return text


NO_SECRETS: Final = Opened({})
"""What a spec without secrets has."""


class Safe:
    """Opens the boxes that were sealed to this node.

    Args:
        identity: holds the node key, which never leaves it.
        escrow: the escrow whose jobs this node serves.

    """

    def __init__(self, identity: NodeIdentity, escrow: str) -> None:
        self._identity = identity
        self._escrow = escrow

    def check(self, spec: Spec) -> None:
        """Raise `SecretsError` if `spec` has secrets and none of its boxes is for this node."""
        if spec.secrets is None:
            return
        license_id = self._identity.license_id
        box = spec.secrets.by_license.get(license_id)
        if box is None:
            raise SecretsError(
                f"secrets: they are not sealed for license {license_id}; place the job elsewhere, "
                "or seal them anew"
            )
        if box.node != self._identity.address:
            raise SecretsError(
                f"secrets: they are sealed to {box.node} and this node's key is "
                f"{self._identity.address}; seal them anew"
            )

    def open(self, spec: Spec, payer: str) -> Opened:
        """Return the values of the spec's secrets; none where it has none.

        Args:
            spec: the spec whose hash stands on chain for the job.
            payer: the job's payer on chain.

        Raises:
            SecretsError: if they are not sealed for this node, for another payer, escrow or chain,
                or not all that the spec names are there.

        """
        self.check(spec)
        if spec.secrets is None:
            return NO_SECRETS
        box = spec.secrets.by_license[self._identity.license_id].box
        try:
            values = self._identity.open_box(box, self._escrow, payer)
        except SealingError as error:
            raise SecretsError(f"secrets: {error}") from None
        missing = sorted(set(spec.secrets.names) - values.keys())
        if missing:
            raise SecretsError(f"secrets.{missing[0]}: it is not in the box; seal them anew")
        return Opened({name: values[name] for name in spec.secrets.names})
