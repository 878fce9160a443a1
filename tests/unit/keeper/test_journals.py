"""What time a restored journal begins at."""

from types import SimpleNamespace
from typing import Any

import pytest

from workdeed.chain.rpc import RpcUnavailable
from workdeed.keeper import journals

DOWN = RpcUnavailable("http://down")


async def time_of(monkeypatch: pytest.MonkeyPatch, *answers: int | Exception) -> int:
    """Return the chain's time where RPCs answer so."""

    async def head_time(url: int, _: object) -> int | Exception:
        return answers[url]

    monkeypatch.setattr(journals, "_head_time", head_time)
    settings: Any = SimpleNamespace(chain=SimpleNamespace(rpc_urls=range(len(answers))))
    deployment: Any = None
    return await journals._chain_time(settings, deployment)


@pytest.mark.parametrize("lie", [5, 10**9, DOWN])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_rpc_of_three_says_nothing_of_the_time(
    monkeypatch: pytest.MonkeyPatch, lie: int | Exception, place: int
) -> None:
    answers: list[int | Exception] = [1_000, 1_001]
    answers.insert(place, lie)
    assert await time_of(monkeypatch, *answers) in (1_000, 1_001)


async def test_of_two_the_later_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await time_of(monkeypatch, 1_000, 5) == 1_000
    assert await time_of(monkeypatch, DOWN, 1_000) == 1_000


async def test_without_any_answer_the_first_trouble_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RpcUnavailable, match="http://down"):
        await time_of(monkeypatch, DOWN, DOWN)
