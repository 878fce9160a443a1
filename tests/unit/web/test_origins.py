"""Endpoints as they are written."""

import pytest

from workdeed.web.origins import OriginError, parse_origin


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("http://node.example.org", "http://node.example.org:80"),
        ("https://node.example.org", "https://node.example.org:443"),
        ("http://[2001:db8::1]:8000/", "http://[2001:db8::1]:8000"),
        ("http://Node-7.a_b.example.", "http://node-7.a_b.example.:80"),
        (f"http://{'a' * 63}:1", f"http://{'a' * 63}:1"),
    ],
)
def test_endpoints(base: str, shown: str) -> None:
    assert str(parse_origin(base)) == shown


@pytest.mark.parametrize(
    "base",
    [
        "",
        "node.example.org:80",
        "ftp://x",
        "http://",
        "http://x/path",
        "http://x?y",
        "http://a@x",
        "http://x:99999",
        "http://x:0",
        "http://[::1",
        "http://a..b:1",
        "http://-a.example:1",
        "http://a-:1",
        f"http://{'a' * 64}:1",
        f"http://{'a.' * 127}:1",
        "http://bücher.example",
        "http://a b",
        "http://a%2fb",
        "http://[fe80::1%25eth0]",
    ],
)
def test_other_texts_are_no_endpoints(base: str) -> None:
    with pytest.raises(OriginError, match="endpoint"):
        parse_origin(base)


@pytest.mark.parametrize(
    "host",
    [
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "127\u30020\u30020\u30021",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
    ],
)
def test_what_libraries_or_resolvers_read_as_an_address_is_no_name(host: str) -> None:
    with pytest.raises(OriginError, match="neither an IP address nor a name in ASCII"):
        parse_origin(f"http://{host}:8545")


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        ("http://node.example.org:80", "node.example.org"),
        ("https://node.example.org", "node.example.org"),
        ("https://node.example.org:80", "node.example.org:80"),
        ("http://[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_hosts_as_headers_have_them(endpoint: str, authority: str) -> None:
    assert parse_origin(endpoint).authority == authority
