"""The environment is read once and checked as a whole."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from holdgate_workers.config.environment import ConfigError, read_config


def test_with_nothing_set_it_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDGATE_DATABASE_URL", "HOLDGATE_AMQP_URL"):
        monkeypatch.delenv(name, raising=False)
    assert read_config().is_embedded


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDGATE_PARTITIONS", "0")
    monkeypatch.setenv("HOLDGATE_BATCH_MESSAGES_MAX", "many")
    with pytest.raises(ConfigError) as caught:
        read_config()
    assert "HOLDGATE_PARTITIONS" in str(caught.value)
    assert "HOLDGATE_BATCH_MESSAGES_MAX" in str(caught.value)


def test_trusted_proxies_are_networks_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDGATE_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32")
    assert read_config().trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


def test_a_network_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDGATE_TRUSTED_PROXIES", "10.0.0.0/8,nonsense")
    with pytest.raises(ConfigError, match="HOLDGATE_TRUSTED_PROXIES"):
        read_config()
