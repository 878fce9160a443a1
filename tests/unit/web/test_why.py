"""Why a request came to nothing, in words."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from workdeed.web.why import why

KEY = ConnectionKey("secret.example.org", 443, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 443)")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError("to https://secret.example.org"), "no answer in time"),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            "its name is not known",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("expired")),
            "TLS can't be agreed on, or its certificate is not valid",
        ),
        (aiohttp.ClientConnectorError(KEY, REFUSED), "Connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "Connection reset by peer"),
        (aiohttp.ServerDisconnectedError(), "it closed the connection"),
        (aiohttp.InvalidURL("https://user:secret@example.org"), "InvalidURL"),
    ],
)
def test_what_is_wrong_is_said_and_no_address(error: Exception, words: str):
    assert why(error) == words


def test_other_words_are_quoted_where_the_address_is_no_secret():
    error = aiohttp.ClientPayloadError("Response payload is not completed")
    assert why(error) == "ClientPayloadError"
    assert why(error, quote=True) == "Response payload is not completed"
    assert why(aiohttp.ClientError(), quote=True) == "ClientError"


def test_a_resolver_of_our_own_says_why():
    error = aiohttp.ClientConnectorDNSError(KEY, OSError("its address is private"))
    assert why(error) == "its name is not known"
    assert why(error, quote=True) == "its address is private"
