"""A keeper that signs nothing and says what it would send."""

from workdeed.chain.effects import Effect, OutboxEntry, OutboxTally
from workdeed.chain.rpc import RevertError, Rpc
from workdeed.chain.transactions import Intent, prepare
from workdeed.keeper.logs import Log
from workdeed.keeper.settings import KeeperSettings


def dry(settings: KeeperSettings) -> KeeperSettings:
    """Return settings under which a keeper changes nothing, here or elsewhere.

    It may run beside the keeper that the settings are of: its database is in memory, it takes a
    port of its own, and touches no journal. It is no oracle and hands nothing to nodes.
    """
    return settings.model_copy(
        update={
            "dry_run": True,
            "database": "sqlite://",
            "http": settings.http.model_copy(update={"port": 0}),
            "oracle": settings.oracle.model_copy(update={"enabled": False}),
            "duties": settings.duties.model_copy(update={"dispatch": False, "rollouts": False}),
        }
    )


class DryOutbox:
    """Takes effects as an outbox does, simulates each, and logs what would become of it.

    Args:
        rpc: the chain.
        sender: the account that would send.
        log: told `would_send` or `would_fail` with the reason, once for each effect.

    """

    def __init__(self, rpc: Rpc, sender: str, log: Log) -> None:
        self._rpc = rpc
        self._sender = sender
        self._log = log

    @property
    def token(self) -> int:
        """It needs no lease, having nothing to send."""
        return 0

    async def submit(self, effect: Effect) -> None:
        """Say what sending an effect would do now.

        Raises:
            RpcUnavailable, RpcError: if the chain cannot be asked.

        """
        call = effect.call
        intent = Intent(sender=self._sender, to=call.to, data=call.data, value=effect.value)
        try:
            found = await prepare(self._rpc, intent)
        except RevertError as error:
            self._log.info("would_fail", key=effect.key, call=call.name, reason=error.reason)
        else:
            self._log.info("would_send", key=effect.key, call=call.name, gas=found.gas)

    async def retry(self, key: str) -> None:
        """Do nothing: nothing was sent that could have failed."""

    async def tally(self) -> OutboxTally:
        """Count nothing: nothing is under way."""
        return OutboxTally({}, None)

    async def step(self) -> tuple[OutboxEntry, ...]:
        """Send nothing."""
        return ()
