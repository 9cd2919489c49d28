"""Settings of the proxy: defaults, and values of an operator."""

import pytest

from deployments.cluster.haproxy.settings import SettingError, Settings, read_settings


def test_without_variables_the_defaults_hold() -> None:
    assert read_settings({"PATH": "/bin", "MOA_HAPROXY_RETRY_BYTES": ""}) == Settings()
    assert Settings() == (False, True, 30, 1024, 262_144, "9101", "8404", "")


def test_every_variable_is_read() -> None:
    given = {
        "MOA_HAPROXY_LOOPBACK": "1",
        "MOA_HAPROXY_SESSIONS": "0",
        "MOA_HAPROXY_HEADER_TIMEOUT_S": "5",
        "MOA_HAPROXY_CONNECTIONS_PER_CLIENT": "7",
        "MOA_HAPROXY_RETRY_BYTES": "20000",
        "MOA_HAPROXY_HOST": "::",
        "RAY_SERVE_HAPROXY_METRICS_PORT": "1",
        "RAY_SERVE_HAPROXY_STATS_PORT": "2",
    }
    assert read_settings(given) == Settings(True, False, 5, 7, 20_000, "1", "2", "::")


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("HEADER_TIMEOUT_S", "0", "1,"),
        ("HEADER_TIMEOUT_S", "-3", "1,"),
        ("CONNECTIONS_PER_CLIENT", "many", "1, or to 0,"),
        ("RETRY_BYTES", "100", "16384, or to 0,"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, least: str) -> None:
    with pytest.raises(SettingError) as wrong:
        read_settings({f"MOA_HAPROXY_{name}": value})
    assert str(wrong.value) == f"Set MOA_HAPROXY_{name} to a whole number from {least} not '{value}'."


def test_zero_switches_a_limit_off() -> None:
    settings = read_settings({"MOA_HAPROXY_CONNECTIONS_PER_CLIENT": "0", "MOA_HAPROXY_RETRY_BYTES": "0"})
    assert (settings.connections_per_client, settings.retry_bytes) == (0, 0)
