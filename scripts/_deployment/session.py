"""One run of the command, once it is connected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from ape import accounts, config
from ape.api import AccountAPI, ProviderAPI
from ape.exceptions import ApeException
from ape.logging import LogLevel, logger
from ape.utils.testing import generate_dev_accounts

from scripts._deployment.artifacts import ROOT, Artifacts, load_artifacts
from scripts._deployment.checks import check, is_restarted
from scripts._deployment.engine import Engine, one_line
from scripts._deployment.errors import DeployError
from scripts._deployment.node import Node
from scripts._deployment.record import Draft, read_record, write_record
from workdeed.chain.deployment import Deployment, deployment_path
from workdeed.chain.lock import SenderLock
from workdeed.chain.parameters import (
    TEST_DOLLAR,
    Parameters,
    TestAccounts,
    differences,
    flatten,
    load_parameters,
    unflatten,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.quorum import faults

DEPLOYMENTS = ROOT / "deployments"
PRESETS = DEPLOYMENTS / "presets"
LOCKS = ROOT / ".cache" / "locks"
OWN_KEYS = ("deployer",)
"""What a record holds beside the parameters."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What was typed.

    Attributes:
        parameters: the parameter file.
        account: alias of the ape account that deploys.
        output: the record.
        yes: whether the first transaction needs no confirmation.

    """

    parameters: Path | None
    account: str | None
    output: Path | None
    yes: bool


def deploy(provider: ProviderAPI, options: Options, tell: Tell) -> None:
    """Deploy, go on, or check, whatever the record and the chain ask for.

    Raises:
        DeployError: if it cannot be done; nothing that stands is ever changed.
        ParameterError: if the parameter file is at fault.
        DeploymentError: if the record is.
        SenderLockedError: if another run works on the same record.

    """
    node = Node(provider)
    path = options.output or deployment_path(DEPLOYMENTS, node.chain_id)
    with _locked(path):
        _deploy(path, node, options, tell)


def _deploy(path: Path, node: Node, options: Options, tell: Tell) -> None:
    record = _record_of(path, node, tell)
    parameters = _parameters_of(options, record, node)
    if record is not None:
        _check_same(path, record, parameters)
    artifacts = load_artifacts()
    if isinstance(record, Deployment):
        changed = check(record, parameters, artifacts, node)
    else:
        finished = _finish(record, path, node, options, parameters, artifacts, tell)
        changed = check(finished, parameters, artifacts, node)
        write_record(path, finished)
    for fact in changed:
        tell(f"note: {fact.name}: deployed as {fact.recorded}, the governor made it {fact.stands}")
    tell(f"chain {node.chain_id}: all contracts stand as {path} says")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two runs from working on one record: each would send what the other has sent."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = SenderLock(LOCKS / f"{keccak(str(path.resolve()).encode()).hex()}.lock")
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _record_of(path: Path, node: Node, tell: Tell) -> Draft | Deployment | None:
    """Return the record that still holds for this chain."""
    record = read_record(path)
    if record is None:
        return None
    if record.chain_id != node.chain_id:
        raise DeployError(
            f"deployment {path}: it is of chain {record.chain_id}, and the network is chain"
            f" {node.chain_id}; name another file with --output"
        )
    if is_restarted(record, node):
        tell(f"note: {path} is of a run of this local chain that is over; starting anew")
        return None
    return record


def _parameters_of(options: Options, record: Draft | Deployment | None, node: Node) -> Parameters:
    """Return the parameters: those of the file, else those recorded, else a local chain's."""
    test_accounts = _test_accounts() if node.local else None
    if options.parameters is not None:
        return load_parameters(options.parameters, PRESETS, test_accounts)
    if record is not None:
        return unflatten(_recorded(record))
    if node.local:
        return load_parameters(PRESETS / "local.toml", PRESETS, test_accounts)
    raise DeployError(
        "--parameters: name a file that says who holds the roles; docs/deployment.md shows one"
    )


def _check_same(path: Path, record: Draft | Deployment, parameters: Parameters) -> None:
    """Refuse other parameters than those that stand; they are fixed once the first step is sent."""
    recorded, given = _recorded(record), flatten(parameters)
    if parameters.genesis is None:
        recorded.pop("genesis", None)
    for name, (old, new) in differences(recorded, given).items():
        raise DeployError(
            f"{name}: it is {new} in the parameter file and {old} in {path}; correct the file, or"
            " deploy anew with another --output"
        )


def _finish(
    draft: Draft | None,
    path: Path,
    node: Node,
    options: Options,
    parameters: Parameters,
    artifacts: Artifacts,
    tell: Tell,
) -> Deployment:
    """Send what is missing."""
    account = _account(options.account, node)
    # Until something is sent, anybody may begin.
    if draft is None or (not draft.steps and draft.deployer != account.address):
        _check_token(parameters, node)
        _check_delay(parameters, node)
        draft = _begin(parameters, account, node)
        _confirm(draft, parameters, node, options, tell)
    elif account.address != draft.deployer:
        raise DeployError(
            f"--account: {account.address} did not begin this deployment, {draft.deployer} did;"
            " only that account can bind the contracts"
        )
    engine = Engine(draft, path, node, account, artifacts, parameters, tell)
    if node.local:
        return engine.run()
    # ape warns at every signature that it asks no more; whoever deploys was asked once for all.
    with logger.at_level(max(logger.level, LogLevel.ERROR)):
        _unlock(account)
        return engine.run()


def _begin(parameters: Parameters, account: AccountAPI, node: Node) -> Draft:
    """Fix what a deployment must not change once it has begun."""
    number, block_hash, now = node.head()
    window = parameters.timing.window
    genesis = parameters.genesis or now - now % window
    if genesis > now:
        raise DeployError(f"genesis: {genesis} is later than the chain's time, {now}")
    return Draft(
        chain_id=node.chain_id,
        deployer=account.address,
        genesis=genesis,
        begun_block=number,
        begun_hash=block_hash,
        first_nonce=node.nonce(account.address, pending=True),
        parameters=flatten(parameters),
    )


def _check_token(parameters: Parameters, node: Node) -> None:
    """Refuse the faucet token where money is real, and an address that is no contract."""
    if parameters.token != TEST_DOLLAR:
        if not node.code(parameters.token):
            raise DeployError(f"token: no contract at {parameters.token} on this chain")
    elif node.provider.network.is_mainnet:
        raise DeployError("token: TestUSD is worth nothing; name the settlement token's address")


def _check_delay(parameters: Parameters, node: Node) -> None:
    """Refuse a governor that acts at once where others rely on it."""
    if parameters.timing.timelock_delay is None and not node.local:
        raise DeployError(
            "timing.timelock_delay: without it the governor acts at once, which local chains alone"
            " may have; name the seconds that it waits"
        )


def _confirm(
    draft: Draft, parameters: Parameters, node: Node, options: Options, tell: Tell
) -> None:
    """Say what is about to be deployed, and ask on a public chain."""
    roles, seats = parameters.roles, len(parameters.oracles)
    delay = parameters.timing.timelock_delay
    tell(f"chain {draft.chain_id}, deployer {draft.deployer}")
    tell(
        f"governor {roles.governor}, by a timelock of {delay} s"
        if delay
        else f"governor {roles.governor}, who acts at once"
    )
    tell(f"guardian {roles.guardian}, treasury {roles.treasury}, {len(roles.issuers)} issuer(s)")
    tell(f"{seats} oracle(s), who bear {faults(seats)} fault(s)")
    if roles.governor == draft.deployer:
        tell("note: the deployer governs; name another account, better a multisig, for real use")
    if not node.local and not options.yes:
        click.confirm("Deploy?", abort=True)


def _account(alias: str | None, node: Node) -> AccountAPI:
    """Return the account that deploys."""
    if alias is None:
        if not node.local:
            raise DeployError("--account: name the ape account that deploys (ape accounts list)")
        return accounts.test_accounts[0]
    try:
        return accounts.load(alias)
    except (KeyError, ValueError) as error:
        raise DeployError(
            f"--account: there is no account {alias!r} (ape accounts list)"
        ) from error


def _unlock(account: AccountAPI) -> None:
    """Ask for the passphrase once, not for each transaction."""
    enable = getattr(account, "set_autosign", None)
    if enable is None:
        return
    try:
        enable(True)
    except ApeException as error:
        raise DeployError(f"--account: {account.alias}: {one_line(error)}") from error


def _recorded(record: Draft | Deployment) -> dict[str, int | str]:
    return {name: value for name, value in record.parameters.items() if name not in OWN_KEYS}


def _test_accounts() -> TestAccounts:
    settings = config.get_config("test")

    def address(index: int) -> str:
        generated = generate_dev_accounts(
            settings.mnemonic, 1, hd_path=settings.hd_path, start_index=index
        )
        return str(generated[0].address)

    return address
