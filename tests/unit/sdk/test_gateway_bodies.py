"""Bodies of requests, as the gateway reads them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from workdeed.sdk.gateway.bodies import Body
from workdeed.sdk.gateway.replies import RefusedError
from workdeed.sdk.gateway.settings import GatewaySettings

SETTINGS = GatewaySettings(1, ("http://keeper",))


@pytest.mark.parametrize("headers", [{"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}])
async def test_a_body_that_is_malformed_is_refused(headers: dict[str, str]) -> None:
    loop = asyncio.get_running_loop()
    payload = StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
    payload.set_exception(web.RequestPayloadError("no length"))
    body = Body(make_mocked_request("PUT", "/", headers=headers, payload=payload), SETTINGS)
    with pytest.raises(RefusedError, match="body: it is malformed") as caught:
        await _read(body)
    assert caught.value.status == 400


async def _read(body: Body) -> None:
    await body.open()
    data = body.data()
    assert not isinstance(data, bytes | None)
    async for _ in data:
        pass
