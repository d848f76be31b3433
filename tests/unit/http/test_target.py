"""Nothing is sent in the clear over a network, and no login stands in an address."""

from __future__ import annotations

import pytest

from holdgate_workers.adapters.http.target import InvalidTarget, Target


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example:8443/sub/folder/",
        "http://127.0.0.1:8080",
        "http://localhost/shop",
        "http://[::1]:80",
    ],
)
def test_https_is_fine_and_so_is_this_machine(url: str) -> None:
    Target(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://shop.example", "must be reached by https"),
        ("http://10.0.0.5", "must be reached by https"),
        ("http://localhost.example", "must be reached by https"),
        ("https://user:geheim@shop.example", "must not contain a login"),
        ("https://shop.example/#geheim", "must not have a #fragment"),
        ("ftp://shop.example", "must begin with https://"),
        ("shop.example", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://shop.example:geheim", "is not an address"),
        ("", "must begin with https://"),
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str, words: str) -> None:
    with pytest.raises(InvalidTarget, match=words) as raised:
        Target(url)
    assert "geheim" not in str(raised.value)


def test_a_plain_host_has_to_be_allowed_by_name() -> None:
    Target("http://shop.internal", plain_http_hosts={"shop.internal"})
    with pytest.raises(InvalidTarget):
        Target("http://shop.internal.example", plain_http_hosts={"shop.internal"})


@pytest.mark.parametrize("base", ["https://shop.example/sub", "https://shop.example/sub/"])
def test_paths_go_below_the_target(base: str) -> None:
    url = Target(base).url("wp-json/wc/v3/orders", (("search", "a&b=c"), ("status", "any")))
    assert str(url) == "https://shop.example/sub/wp-json/wc/v3/orders?search=a%26b%3Dc&status=any"
    assert str(Target(base).url()) == base


def test_only_the_origin_shows() -> None:
    assert repr(Target("https://hooks.example:8443/T0/geheim?key=geheim")) == "Target(https://hooks.example:8443)"
