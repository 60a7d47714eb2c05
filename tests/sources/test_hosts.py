"""The allow list of hosts, entry by entry, and which addresses count as public."""

import pytest

from errors import UsageError
from settings import SourceSettings
from sources.fetcher import open_fetcher
from sources.hosts import HostRules, Standing, is_public


@pytest.mark.parametrize(
    ("entry", "host", "port", "standing"),
    [
        ("example.org", "example.org", 443, "named"),
        ("example.org", "EXAMPLE.org.", 8080, "named"),
        ("Example.ORG.", "example.org", 443, "named"),
        ("example.org", "a.example.org", 443, None),
        ("example.org", "notexample.org", 443, None),
        ("example.org:8080", "example.org", 8080, "named"),
        ("example.org:8080", "example.org", 443, None),
        ("*.example.org", "a.example.org", 443, "wildcard"),
        ("*.example.org", "a.b.example.org", 443, "wildcard"),
        ("*.example.org", "example.org", 443, None),
        ("*.example.org", "notexample.org", 443, None),
        ("*.example.org:8080", "a.example.org", 443, None),
        ("*.example.org:8080", "a.example.org", 8080, "wildcard"),
        ("bücher.example", "xn--bcher-kva.example", 443, "named"),
        ("127.0.0.1", "127.0.0.1", 9000, "named"),
        ("127.0.0.1:9000", "127.0.0.1", 9001, None),
        ("::1", "::1", 80, "named"),
        ("[::1]", "0:0:0:0:0:0:0:1", 80, "named"),
        ("[::1]:9000", "::1", 9000, "named"),
        ("[::1]:9000", "::1", 9001, None),
        ("localhost", "127.0.0.1", 80, None),
    ],
)
def test_an_entry_allows_what_it_says_and_nothing_else(
    entry: str, host: str, port: int, standing: Standing | None
) -> None:
    assert HostRules([entry]).standing(host, port) == standing


@pytest.mark.parametrize(
    "entry", ["*", "*.", "https://example.org", "example.org/photos", "user@example.org", "a.*.org", "example.org:0",
              "example.org:99999", "example.org:http", "[::1", "a b"]
)  # fmt: skip
async def test_an_entry_that_is_no_host_ends_the_start_with_one_line(entry: str) -> None:
    with pytest.raises(UsageError, match=r"SCORER_URI_HTTP_HOSTS: .* is no host: write") as refusal:
        async with open_fetcher(SourceSettings(uri_http_hosts=(entry,))):
            pass
    assert entry in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1:248:1893:25c8:1946", True), ("64:ff9b::5db8:d822", True),
        ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False), ("100.64.0.1", False), ("127.8.8.8", False),
        ("169.254.169.254", False), ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("ff02::1", False),
        ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::a00:1", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
    ],
)  # fmt: skip
def test_only_what_the_internet_routes_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public
