"""What a claim shows that broke off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from cli_support import run

from workdeed.sdk.earnings import BrokenOffError, Collected

PAYEE = "0x" + "11" * 20


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeClient:
        async def decimals(self) -> int:
            return 6

        async def claim_reward(self, license_id: int) -> None:
            return None

        async def claim_license(self, license_id: int) -> Any:
            paid = Collected(3, license_id, PAYEE, 1_500_000, 10)
            raise BrokenOffError("1 of 2 jobs were collected, then: escrow: frozen", [paid])

    def with_client(_: object, work: Callable[..., Any], __: object) -> None:
        asyncio.run(work(FakeClient()))

    monkeypatch.setattr("workdeed.cli.claims.with_client", with_client)


def test_what_was_paid_before_a_failure_is_shown() -> None:
    result = run("claim", "7")
    assert result.exit_code == 1
    assert result.stdout == f"job\tamount\tpayee\n3\t1.5\t{PAYEE}\n"
    assert result.stderr == "Error: 1 of 2 jobs were collected, then: escrow: frozen\n"


def test_as_json_too() -> None:
    result = run("claim", "7", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [{"job_id": 3, "payee": PAYEE, "amount": "1500000"}]
