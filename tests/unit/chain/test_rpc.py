"""JSON-RPC over HTTP, against a server that misbehaves in every way that the client must bear."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from workdeed.chain import rpc as rpc_module
from workdeed.chain.rpc import (
    ForbiddenError,
    Head,
    RevertError,
    RpcClient,
    RpcError,
    RpcUnavailable,
    block_parameter,
    origin_of,
    revert_reason,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[str, list[Any]], Any]

SECRET_URL = "https://user:hunter2@rpc.example:8545/v3/0123456789abcdef?key=topsecret"
ERROR_STRING = (
    "0x08c379a0"
    + (32).to_bytes(32, "big").hex()
    + len(b"escrow: job over").to_bytes(32, "big").hex()
    + b"escrow: job over".ljust(32, b"\0").hex()
)
BLOCK = {
    "number": "0x10",
    "hash": "0x" + "ab" * 32,
    "parentHash": "0x" + "cd" * 32,
    "timestamp": "0x64",
    "baseFeePerGas": "0x7",
}
LIMITED = {"jsonrpc": "2.0", "id": 1, "error": {"code": 429, "message": "daily quota exceeded"}}


class Server:
    """An HTTP server on loopback whose answers a test sets."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.requests: list[Any] = []
        self.url = ""

    def answers(self, answer: Answer) -> None:
        """Answer calls and batches by a function of method and parameters."""

        async def handle(request: web.Request) -> web.Response:
            body = json.loads(await request.text())
            items = body if isinstance(body, list) else [body]
            found = [_envelope(item, answer) for item in items]
            return web.json_response(found[::-1] if isinstance(body, list) else found[0])

        self.handler = handle

    def responds(self, make: Callable[[], web.StreamResponse]) -> None:
        """Respond with the same whatever is asked."""

        async def handle(_: web.Request) -> web.StreamResponse:
            return make()

        self.handler = handle

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(json.loads(await request.text()))
        assert self.handler is not None
        return await self.handler(request)


def _envelope(item: dict[str, Any], answer: Answer) -> dict[str, Any]:
    found = answer(item["method"], item["params"])
    kind = "error" if isinstance(found, dict) and "code" in found else "result"
    return {"jsonrpc": "2.0", "id": item["id"], kind: found}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{tail:.*}", made.dispatch)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/"
    yield made
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[RpcClient]:
    async with RpcClient(server.url) as made:
        yield made


async def test_a_call_returns_the_result(server: Server, client: RpcClient) -> None:
    server.answers(lambda method, params: [method, params])
    assert await client.call("eth_x", [1, "0x2"]) == ["eth_x", [1, "0x2"]]


async def test_quantities_hashes_and_blocks_are_decoded(server: Server, client: RpcClient) -> None:
    server.answers(lambda method, _: BLOCK if method == "eth_getBlockByNumber" else "0x7a69")
    assert await client.chain_id() == 31337
    expected = Head(16, b"\xab" * 32, 100, b"\xcd" * 32, 7)
    assert await client.head() == expected
    assert await client.blocks([16]) == [expected]


async def test_an_unknown_block_is_none(server: Server, client: RpcClient) -> None:
    server.answers(lambda *_: None)
    assert await client.block(99) is None
    assert await client.block(b"\x01" * 32) is None
    assert server.requests[0]["params"] == ["0x63", False]
    assert server.requests[1]["method"] == "eth_getBlockByHash"


async def test_a_batch_keeps_its_order_and_is_cut_into_requests(
    server: Server, client: RpcClient
) -> None:
    server.answers(lambda _, params: params[0])  # answered in reverse order
    assert await client.batch([("eth_x", [n]) for n in range(250)]) == list(range(250))
    assert [len(request) for request in server.requests] == [100, 100, 50]


async def test_an_empty_batch_asks_nothing(server: Server, client: RpcClient) -> None:
    assert await client.batch([]) == []
    assert server.requests == []


async def test_the_first_error_of_a_batch_is_raised(server: Server, client: RpcClient) -> None:
    server.answers(lambda _, params: {"code": -32000, "message": "no"} if params else "0x1")
    with pytest.raises(RpcError, match="no"):
        await client.batch([("eth_x", []), ("eth_x", [1])])


async def test_a_refused_batch_raises_its_error(server: Server, client: RpcClient) -> None:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    server.responds(lambda: web.json_response(body))
    with pytest.raises(RpcError, match="no batches"):
        await client.batch([("eth_x", []), ("eth_y", [])])


async def test_an_eth_call_names_sender_and_block(server: Server, client: RpcClient) -> None:
    server.answers(lambda *_: "0xbeef")
    found = await client.eth_call("0xaa", b"\x01\x02", b"\x05" * 32, sender="0xbb")
    assert found == b"\xbe\xef"
    assert server.requests[0]["params"] == [
        {"to": "0xaa", "data": "0x0102", "from": "0xbb"},
        {"blockHash": "0x" + "05" * 32, "requireCanonical": True},
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": 3, "message": "execution reverted", "data": ERROR_STRING}, "escrow: job over"),
        ({"code": -32000, "message": "x", "data": {"data": ERROR_STRING}}, "escrow: job over"),
        ({"code": 3, "message": "execution reverted", "data": "0x"}, ""),
        ({"code": -32000, "message": "execution reverted: too late"}, "too late"),
        (
            {
                "code": 3,
                "message": "execution reverted",
                "data": "0x4e487b71" + (0x11).to_bytes(32, "big").hex(),
            },
            "panic 0x11",
        ),
    ],
)
async def test_reverts_carry_their_reason(
    server: Server, client: RpcClient, error: dict[str, Any], reason: str
) -> None:
    server.answers(lambda *_: error)
    with pytest.raises(RevertError) as caught:
        await client.eth_call("0xaa", b"")
    assert caught.value.reason == reason


async def test_other_errors_are_no_reverts(server: Server, client: RpcClient) -> None:
    server.answers(lambda *_: {"code": -32005, "message": "too many results", "data": "0x"})
    with pytest.raises(RpcError) as caught:
        await client.call("eth_getLogs", [{}])
    assert not isinstance(caught.value, RevertError)
    assert (caught.value.code, caught.value.message) == (-32005, "too many results")


@pytest.mark.parametrize(
    "message",
    [
        "already known",
        "Known transaction",
        "nonce too low: next nonce 7, tx nonce 5",
        "replacement transaction underpriced",
        "insufficient funds for gas * price + value",
        "intrinsic gas too low",
        "VM Exception while processing transaction: reverted with reason string 'x'",
    ],
)
def test_refusals_of_a_transaction_are_verdicts(message: str) -> None:
    assert RpcError(-32000, message).is_verdict


@pytest.mark.parametrize(
    "message",
    ["daily request count exceeded, request rate limited", "internal error", "missing trie node"],
)
def test_what_is_about_the_node_is_no_verdict(message: str) -> None:
    assert not RpcError(-32000, message).is_verdict
    assert RevertError(message).is_verdict


def test_broken_revert_data_yields_no_reason() -> None:
    data = bytes.fromhex(ERROR_STRING[2:])
    assert revert_reason(data[:60]) == ""
    assert revert_reason(b"\x08\xc3\x79\xa0" + b"\xff" * 64) == ""
    assert revert_reason(b"") == ""


@pytest.mark.parametrize(
    "make",
    [
        lambda: web.Response(text="<html>bad gateway</html>", status=502),
        lambda: web.Response(text="not json"),
        lambda: web.json_response({"message": "rate limited"}, status=429),
        lambda: web.json_response(LIMITED, status=429),
        lambda: web.json_response(LIMITED, status=503),
        lambda: web.json_response({"message": "forbidden"}, status=403),
        lambda: web.json_response({"jsonrpc": "2.0", "id": 1, "result": "0x1"}, status=403),
        lambda: web.json_response({"jsonrpc": "2.0", "id": 77, "result": "0x1"}),
        lambda: web.json_response({"jsonrpc": "2.0", "id": 1}),
        lambda: web.json_response([]),
        lambda: web.json_response("0x1"),
        lambda: web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"}),
    ],
)
async def test_what_is_no_answer_makes_the_node_unavailable(
    server: Server, client: RpcClient, make: Callable[[], web.StreamResponse]
) -> None:
    server.responds(make)
    with pytest.raises(RpcUnavailable):
        await client.call("eth_chainId")


@pytest.mark.parametrize("result", [None, 5, "5", "0xzz", "0x", {}, "0x-1", hex(1 << 256)])
async def test_a_malformed_quantity_makes_the_node_unavailable(
    server: Server, client: RpcClient, result: object
) -> None:
    server.answers(lambda *_: result)
    with pytest.raises(RpcUnavailable, match="quantity"):
        await client.chain_id()


@pytest.mark.parametrize(
    "change",
    [
        {"hash": None},
        {"number": "x"},
        {"parentHash": "0x00"},
        {"number": hex(1 << 64)},
        {"timestamp": hex(1 << 64)},
        {"timestamp": "0x" + "f" * 300},
    ],
)
async def test_a_malformed_block_makes_the_node_unavailable(
    server: Server, client: RpcClient, change: dict[str, Any]
) -> None:
    server.answers(lambda *_: BLOCK | change)
    with pytest.raises(RpcUnavailable, match="malformed"):
        await client.head()


async def test_an_error_object_with_an_http_error_is_an_rpc_error(
    server: Server, client: RpcClient
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}
    server.responds(lambda: web.json_response(body, status=400))
    with pytest.raises(RpcError, match="no such method"):
        await client.call("eth_nope")


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize(
    "message",
    ["no access to archive state", "insufficient funds on your plan", "execution reverted"],
)
async def test_bug_a_refusal_for_who_asks_is_an_rpc_error_and_no_verdict(
    server: Server, client: RpcClient, status: int, message: str
) -> None:
    """It used to be silence, so that a node without old states stopped all that asks for one."""
    refusal = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32002, "message": message}}
    server.responds(lambda: web.json_response(refusal, status=status))
    with pytest.raises(ForbiddenError) as caught:
        await client.call("eth_call", [])
    assert (caught.value.code, caught.value.is_verdict) == (-32002, False)
    other = {"jsonrpc": "2.0", "id": 2, "result": "0x1"}
    server.responds(lambda: web.json_response([other, refusal], status=status))
    with pytest.raises(ForbiddenError):
        await client.batch([("eth_chainId", []), ("eth_call", [])])


async def test_an_answer_that_is_too_long_is_cut_off(
    server: Server, client: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_module, "MAX_ANSWER_BYTES", 1_000)
    server.answers(lambda *_: "0x" + "00" * 2_000)
    with pytest.raises(RpcUnavailable, match="too long"):
        await client.call("eth_x")


async def test_silence_ends_in_a_timeout(server: Server) -> None:
    released = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    server.handler = never
    async with RpcClient(server.url, timeout=0.05) as client:
        with pytest.raises(RpcUnavailable, match="in time"):
            await client.call("eth_chainId")
    released.set()


async def test_a_closed_client_opens_again(server: Server, client: RpcClient) -> None:
    server.answers(lambda *_: "0x1")
    assert await client.chain_id() == 1
    await client.close()
    assert await client.chain_id() == 1


def test_nothing_but_the_origin_of_an_address_is_shown() -> None:
    client = RpcClient(SECRET_URL)
    shown = f"{client!r} {client.origin} {RpcUnavailable(SECRET_URL)}"
    assert "https://rpc.example:8545" in shown
    for secret in ("user", "hunter2", "0123456789abcdef", "topsecret"):
        assert secret not in shown
    assert origin_of("http://[broken") == "(malformed address)"


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter2@127.0.0.1:1/key", "http://user:hunter2@[::bad/key", "http://hunter2@"],
)
async def test_no_error_shows_credentials_however_it_is_printed(url: str) -> None:
    with pytest.raises(RpcUnavailable) as caught:
        async with RpcClient(url) as client:
            await client.call("eth_chainId")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "127.0.0.1:8545", "file:///etc/passwd"])
def test_only_http_addresses_are_taken(url: str) -> None:
    with pytest.raises(RpcUnavailable, match="http"):
        RpcClient(url)


def test_block_parameters() -> None:
    assert block_parameter(16) == "0x10"
    assert block_parameter("safe") == "safe"


async def test_an_answer_nested_beyond_all_bounds_is_a_malformed_one(
    server: Server, client: RpcClient
) -> None:
    deep = "[" * 200_000 + "]" * 200_000
    server.responds(lambda: web.Response(text=deep, content_type="application/json"))
    with pytest.raises(RpcUnavailable, match="without JSON"):
        await client.call("eth_x")
