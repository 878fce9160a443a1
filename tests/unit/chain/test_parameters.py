"""Parameter files: presets, what completes them, and the flat form of a record."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from workdeed.chain.parameters import (
    ParameterError,
    Parameters,
    differences,
    flatten,
    load_parameters,
    unflatten,
)
from workdeed.chain.timing import Timing, check_timing
from workdeed.protocol.signing import to_checksum

PRESETS = Path(__file__).resolve().parents[3] / "deployments" / "presets"
TESTNET = """
preset = "testnet"
[roles]
governor = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
guardian = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
treasury = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
issuers = ["0x90F79bf6EB2c4f870365E785982E1f101E93b906"]
[[oracles]]
owner = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"
signer = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"
[protocol]
holder = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
"""

Load = Callable[..., Parameters]


def account(index: int) -> str:
    return to_checksum((index + 1).to_bytes(20, "big"))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, *, local: bool = True) -> Parameters:
        path = tmp_path / "parameters.toml"
        path.write_text(text)
        return load_parameters(path, PRESETS, account if local else None)

    return load_text


def test_the_local_preset_is_whole() -> None:
    parameters = load_parameters(PRESETS / "local.toml", PRESETS, account)
    assert parameters.roles.governor == account(1)
    assert [oracle.signer for oracle in parameters.oracles] == [account(n) for n in range(10, 14)]
    assert parameters.timing.close_grace == 12


def test_a_file_completes_a_preset(load: Load) -> None:
    parameters = load(TESTNET, local=False)
    assert parameters.timing.window == 3_600
    assert len(parameters.oracles) == 1


def test_tables_are_merged_and_lists_are_replaced(load: Load) -> None:
    text = 'preset = "local"\n[policy]\nburn_bps = 7\n[[classes]]\nprice = 1\ncpu_milli = 2\n'
    parameters = load(text + "memory_mb = 3\nstorage_mb = 4\n")
    assert (parameters.policy.burn_bps, parameters.policy.oracle_bps) == (7, 500)
    assert [item.price for item in parameters.classes] == [1]


def test_the_flat_form_is_whole(load: Load) -> None:
    parameters = load('preset = "local"\ngenesis = 5\n')
    flat = flatten(parameters)
    assert flat["oracles.1.signer"] == account(11)
    assert (flat["genesis"], flat["timing.window"]) == (5, 12)
    assert unflatten(flat) == parameters
    assert unflatten(dict(reversed(flat.items()))) == parameters


def test_ten_entries_stay_in_their_order(load: Load) -> None:
    seats = "".join(f'[[oracles]]\nowner = "test:0"\nsigner = "test:{n}"\n' for n in range(12))
    parameters = load('preset = "local"\n' + seats)
    flat = dict(sorted(flatten(parameters).items()))
    assert unflatten(flat) == parameters


def test_differences_name_both_values() -> None:
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {
        "a": (1, None),
        "b": (2, 3),
        "c": (None, 4),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[timing", r"it is no TOML"),
        ('preset = "nowhere"', r"preset: there is no 'nowhere', only local, production, testnet"),
        ("preset = 1", r"preset: there is no 1, only local, production, testnet"),
        ('preset = "testnet"', r"roles: Field required"),
        ('preset = "local"\ncolour = "red"', r"colour: Extra inputs"),
        ('preset = "local"\ntoken = "dollar"', r"token: must be 0x and 40 hex digits"),
        ('preset = "local"\n[timing]\nchallenge = 12', r"timing\.challenge: 12 s must be less"),
        ('preset = "local"\n[timing]\nwindow = 12.5', r"timing\.window: Input should be a valid"),
        ('preset = "local"\n[policy]\nburn_bps = 9_001', r"policy: the shares sum to 10001"),
        ('preset = "local"\n[levels]\nowner = 256', r"levels\.owner: .*255"),
        ('preset = "local"\n[roles]\nissuers = []', r"roles\.issuers: .* at least 1"),
        ('preset = "local"\n[roles]\nissuers = ["test:1", "test:1"]', r"stands twice"),
        (
            f'preset = "local"\n[roles]\nguardian = "0x{"0" * 40}"',
            r"roles\.guardian: must not be the zero address",
        ),
        (
            'preset = "local"\n[roles]\nguardian = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"',
            r"roles\.guardian: must be written in EIP-55 case",
        ),
        ("preset = 'local'\nclasses = []", r"classes: .* at least 1"),
        (
            'preset = "local"\n' + 2 * '[[oracles]]\nowner = "test:1"\nsigner = "test:2"\n',
            r"oracles: two seats have one signer",
        ),
    ],
)
def test_a_file_at_fault_is_told_in_one_sentence(load: Load, text: str, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence) as caught:
        load(text)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no such file"):
        load_parameters(tmp_path / "none.toml", PRESETS)


def test_test_accounts_are_for_local_chains(load: Load) -> None:
    with pytest.raises(ParameterError, match=r"roles\.governor: test:1 exists on local chains"):
        load('preset = "local"', local=False)


def test_recorded_parameters_at_fault() -> None:
    with pytest.raises(ParameterError, match="recorded parameters: "):
        unflatten({"timing.window": 12, "colour": "red"})
    with pytest.raises(ParameterError, match=r"token\.address: token is a value already"):
        unflatten({"token": "TestUSD", "token.address": "red"})


@pytest.mark.parametrize("preset", ["local", "testnet", "production"])
def test_the_times_of_every_preset_hold(preset: str) -> None:
    """The timing check of every deployment, run on what the presets say."""
    times = tomllib.loads((PRESETS / f"{preset}.toml").read_text())["timing"]
    check_timing(Timing.model_validate(times))
    # Only on a chain of one's own may the governor act at once.
    assert ("timelock_delay" in times) == (preset != "local")


def test_a_preset_of_times_alone_has_to_be_completed(load: Load) -> None:
    with pytest.raises(ParameterError, match="token"):
        load('preset = "production"\n', local=False)


def test_production_is_complete_with_the_decisions_of_whoever_deploys(load: Load) -> None:
    """Everything of the testnet's file but its times and its token, which has a faucet."""
    roles, holder = TESTNET.replace('preset = "testnet"', "").split("[protocol]")
    preset = (PRESETS / "testnet.toml").read_text()
    decided = preset[preset.index("[levels]") :].replace("[protocol]", f"[protocol]{holder}#")
    token = to_checksum("0x" + "11" * 20)
    text = f'preset = "production"\ntoken = "{token}"\n{decided}{roles}'

    parameters = load(text, local=False)

    assert parameters.timing.window == 86_400
    assert parameters.timing.timelock_delay == 172_800
    assert parameters.sale is None


def test_switches_are_recorded_as_numbers(load: Load) -> None:
    """A record holds numbers and words only."""
    flat = flatten(load('preset = "local"\n'))

    assert type(flat["policy.payer_standing"]) is int
    assert (flat["policy.payer_standing"], flat["policy.payer_oracle"]) == (1, 0)
    assert unflatten(flat).policy.payer_standing is True


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[policy]\nforfeit_burn_bps = 5_001\n", "policy: the forfeits sum to 10001"),
        ("[bonds]\nslash_burn_bps = 6_001\n", "bonds: the slashes sum to 10001"),
        ("[protocol]\nsupply = 1_000_000_001\n", "protocol.supply: it is above the cap"),
        ("[auction]\nfloor_millis = 100_001\n", "auction.floor_millis: it is above start_millis"),
        ("[auction]\nstart_millis = 340_282_366_920\n", "auction.start_millis: Input should be"),
        ("[auction]\nmin_lot = 0\n", "auction.min_lot: Input should be"),
        ("[policy]\npayer_level = 64\n", "policy.payer_level: Input should be"),
    ],
)
def test_parts_and_bounds_are_checked(load: Load, text: str, problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        load('preset = "local"\n' + text)
