"""What a deployment is made with: the parameter file, and its flat form in a deployment record.

A file is TOML. It is whole in itself, or names a preset that it completes: tables are merged key by
key, lists are replaced. Accounts are addresses in EIP-55 case or, on a local chain, `test:<n>`: the
n-th of the chain's well-known test accounts.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from workdeed.chain.errors import ChainError
from workdeed.chain.timing import Timing, TimingError, check_timing
from workdeed.protocol.fields import Address, Positive, Uint

TEST_DOLLAR: Final = "TestUSD"
FULL_BPS: Final = 10_000
MAX_ISSUERS: Final = 8
MAX_ORACLES: Final = 32
MAX_CLASSES: Final = 16
MAX_TIERS: Final = 16
MILLI_RATE: Final = 10**27
"""The auction's rate for a thousandth of a protocol token for 1,000,000 base units of the token."""

TestAccounts = Callable[[int], str]
"""Returns the address of the n-th test account of a local chain."""

_TEST_ACCOUNT: Final = re.compile(r"test:(0|[1-9][0-9]{0,3})")
_Table = dict[str, Any]


class ParameterError(ChainError):
    """A parameter file is missing or malformed, or its values contradict each other."""


def _is_set(address: str) -> str:
    if int(address, 16) == 0:
        raise ValueError("must not be the zero address")
    return address


Account = Annotated[Address, AfterValidator(_is_set)]
Bps = Annotated[Uint, Field(le=FULL_BPS)]
Level = Annotated[Uint, Field(le=255)]
PayerLevel = Annotated[Uint, Field(le=63)]
Amount = Annotated[Uint, Field(lt=2**32)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Roles(_Model):
    """Who holds which role from the constructors on.

    Attributes:
        governor: may suspend, blacklist, reinstate and set policy; by the timelock, which it
            proposes to, where `timing.timelock_delay` is set.
        guardian: may freeze, veto and pause.
        treasury: gets its parts of fees, forfeits and slashed bonds, and the price of licenses.
        issuers: may attest accounts and issue licenses.

    """

    governor: Account
    guardian: Account
    treasury: Account
    issuers: Annotated[tuple[Account, ...], Field(min_length=1, max_length=MAX_ISSUERS)]


class Oracle(_Model):
    """A first seat: who owns its license, and the account of the member key that signs."""

    owner: Account
    signer: Account


class Levels(_Model):
    """The attested level that owners of placed licenses need; 0 asks for none."""

    owner: Level


class Policy(_Model):
    """Policy version 1, in the order of the tariff.

    Attributes:
        oracle_bps: the oracles' share of a claim's gross, in basis points.
        burn_bps: the share that is burned.
        treasury_bps: the treasury's share.
        sla_floor_bps: a window with a lower figure earns nothing.
        payer_level: the attested level that payers need; 0 asks for none.
        payer_standing: whether payers must be in good standing.
        payer_oracle: whether payers must own an oracle license.
        forfeit_payer_bps: the payer's part of what a blacklisted license would have earned.
        forfeit_burn_bps: the part of it that is burned; the treasury gets the rest.

    """

    oracle_bps: Bps
    burn_bps: Bps
    treasury_bps: Bps
    sla_floor_bps: Bps
    payer_level: PayerLevel
    payer_standing: bool
    payer_oracle: bool
    forfeit_payer_bps: Bps
    forfeit_burn_bps: Bps


class Bonds(_Model):
    """What licenses are bonded to, in base units of the token, and what an offence costs.

    Attributes:
        min_node: a node license is placed from this bond on; 0 asks for none.
        min_oracle: an oracle license is seated from this bond on; 0 asks for none.
        slash_cap_bps: what one offence may cost, in basis points of the bond.
        slash_payer_bps: the harmed payer's part of it.
        slash_burn_bps: the part that is burned; the treasury gets the rest.

    """

    min_node: Uint
    min_oracle: Uint
    slash_cap_bps: Annotated[Positive, Field(le=FULL_BPS)]
    slash_payer_bps: Bps
    slash_burn_bps: Bps


class Protocol(_Model):
    """The protocol token, in whole tokens: its cap, the first supply and who gets that."""

    cap: Positive
    supply: Uint
    holder: Account


class Auction(_Model):
    """What lots of the burn share are sold at.

    Attributes:
        start_millis: thousandths of a protocol token for 1,000,000 base units, at first.
        floor_millis: the same at the end of a round.
        duration: of a round, in seconds.
        min_lot: base units of the token.

    """

    start_millis: Annotated[Positive, Field(lt=2**128 // MILLI_RATE)]
    floor_millis: Positive
    duration: Annotated[Positive, Field(lt=2**32)]
    min_lot: Positive


class Tier(_Model):
    """Licenses that are sold at one price, in base units of the token."""

    units: Positive
    price: Positive


class Sale(_Model):
    """The sale of node licenses.

    Attributes:
        limit: how many one account may buy.
        buyer_level: the attested level that a buyer needs.
        tiers: sold one after the other.

    """

    limit: Positive
    buyer_level: Level
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=MAX_TIERS)]


class PriceClass(_Model):
    """A class: base units of the token for a slot and window, and what the slot gives."""

    price: Positive
    cpu_milli: Amount
    memory_mb: Amount
    storage_mb: Amount


class Parameters(_Model):
    """Everything that the constructors take, but for the calendar's start.

    Attributes:
        token: the settlement token; `TestUSD` deploys the test token.
        genesis: the Unix time at which window 1 begins; None: the latest multiple of a window.
        timing: the times, which hold `workdeed.chain.timing.check_timing`.
        roles: who holds which role.
        levels: who must be verified.
        policy: the first policy version.
        bonds: what licenses are bonded to.
        protocol: the protocol token.
        auction: what the burn share is sold at.
        sale: the sale of node licenses; None for none.
        oracles: the first seats; license ids count from 1 in this order.
        classes: the first price classes; ids count from 1 in this order.

    """

    token: Account | Literal["TestUSD"]
    genesis: Positive | None = None
    timing: Timing
    roles: Roles
    levels: Levels
    policy: Policy
    bonds: Bonds
    protocol: Protocol
    auction: Auction
    sale: Sale | None = None
    oracles: Annotated[tuple[Oracle, ...], Field(min_length=1, max_length=MAX_ORACLES)]
    classes: Annotated[tuple[PriceClass, ...], Field(min_length=1, max_length=MAX_CLASSES)]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            check_timing(self.timing)
        except TimingError as error:
            raise ValueError(f"timing.{error}") from error
        self._check_parts()
        if self.protocol.supply > self.protocol.cap:
            raise ValueError("protocol.supply: it is above the cap; lower it")
        if self.auction.floor_millis > self.auction.start_millis:
            raise ValueError("auction.floor_millis: it is above start_millis; lower it")
        if len({oracle.signer for oracle in self.oracles}) < len(self.oracles):
            raise ValueError("oracles: two seats have one signer; give each its own")
        if len(set(self.roles.issuers)) < len(self.roles.issuers):
            raise ValueError("roles.issuers: an account stands twice; name it once")
        return self

    def _check_parts(self) -> None:
        policy, bonds = self.policy, self.bonds
        parts = {
            "policy: the shares": policy.oracle_bps + policy.burn_bps + policy.treasury_bps,
            "policy: the forfeits": policy.forfeit_payer_bps + policy.forfeit_burn_bps,
            "bonds: the slashes": bonds.slash_payer_bps + bonds.slash_burn_bps,
        }
        for name, total in parts.items():
            if total > FULL_BPS:
                raise ValueError(f"{name} sum to {total}, more than {FULL_BPS} basis points")


def load_parameters(
    path: Path, presets: Path, test_accounts: TestAccounts | None = None
) -> Parameters:
    """Read a parameter file.

    Args:
        path: the file.
        presets: the folder with the files that `preset = "<name>"` names.
        test_accounts: what `test:<n>` stands for; None where there are no test accounts.

    Raises:
        ParameterError: if a file is missing or malformed; names the file and the field.

    """
    table = _read(path)
    preset = table.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or not (presets / f"{preset}.toml").is_file():
            names = ", ".join(sorted(file.stem for file in presets.glob("*.toml")))
            raise ParameterError(f"parameters {path}: preset: there is no {preset!r}, only {names}")
        table = _merge(_read(presets / f"{preset}.toml"), table)
    try:
        return Parameters.model_validate(_resolve(table, test_accounts, ""))
    except ValidationError as error:
        raise ParameterError(f"parameters {path}: {_sentence(error)}") from error
    except ValueError as error:
        raise ParameterError(f"parameters {path}: {error}") from error


def flatten(parameters: Parameters) -> dict[str, int | str]:
    """Return the parameters as a deployment record holds them: `roles.issuers.0`, and so on.

    What is None is left out.
    """
    return dict(_leaves(parameters.model_dump(mode="json", exclude_none=True), ""))


def unflatten(flat: Mapping[str, int | str]) -> Parameters:
    """Return the parameters that `flatten` spelled.

    Raises:
        ParameterError: if they are none; names the field.

    """
    tree: _Table = {}
    for name, value in flat.items():
        *branches, leaf = name.split(".")
        table = tree
        for branch in branches:
            table = table.setdefault(branch, {})
            if not isinstance(table, dict):
                raise ParameterError(f"recorded parameters: {name}: {branch} is a value already")
        table[leaf] = value
    try:
        return Parameters.model_validate(_lists(tree))
    except ValidationError as error:
        raise ParameterError(f"recorded parameters: {_sentence(error)}") from error


def differences(
    recorded: Mapping[str, int | str], given: Mapping[str, int | str]
) -> dict[str, tuple[int | str | None, int | str | None]]:
    """Return the fields in which two flat forms differ, with both values; None where missing."""
    names = sorted(recorded.keys() | given.keys())
    pairs = {name: (recorded.get(name), given.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _read(path: Path) -> _Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"parameters {path}: no such file") from None
    except OSError as error:
        raise ParameterError(f"parameters {path}: cannot read it ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"parameters {path}: it is no TOML ({error})") from error


def _merge(base: _Table, over: _Table) -> _Table:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both_tables = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _resolve(value: Any, test_accounts: TestAccounts | None, field: str) -> Any:
    """Put addresses in place of `test:<n>`, wherever it stands."""
    if isinstance(value, dict):
        return {key: _resolve(item, test_accounts, f"{field}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, test_accounts, f"{field}.{at}") for at, item in enumerate(value)]
    if not isinstance(value, str) or not (match := _TEST_ACCOUNT.fullmatch(value)):
        return value
    if test_accounts is None:
        name = field.removeprefix(".")
        raise ValueError(f"{name}: {value} exists on local chains only; write an address")
    return test_accounts(int(match[1]))


def _leaves(value: Any, name: str) -> list[tuple[str, int | str]]:
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(str(at), item) for at, item in enumerate(value)]
    else:
        # A record holds numbers and words; a switch is 0 or 1.
        return [(name, int(value) if isinstance(value, bool) else value)]
    prefix = f"{name}." if name else ""
    return [leaf for key, item in items for leaf in _leaves(item, prefix + key)]


def _lists(value: Any) -> Any:
    """Turn tables whose keys count from 0 back into lists."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return tuple(_lists(value[key]) for key in sorted(value, key=int))
    return {key: _lists(item) for key, item in value.items()}


def _sentence(error: ValidationError) -> str:
    """Return what is wrong with the first field at fault."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # A token is an address or a word: pydantic names the alternative that it tried.
    parts = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "lit"))]
    problem = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(parts)}: {problem}" if parts else problem
