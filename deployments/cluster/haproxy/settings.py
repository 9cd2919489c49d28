"""Settings of the proxy, from its environment: Ray starts it without arguments of ours."""

from collections.abc import Mapping
from typing import NamedTuple

SMALLEST_BUFFER = 16_384  # HAProxy's default, which has room for the largest headers


class SettingError(ValueError):
    """A variable of the environment has a wrong value; the message names it and says what to set."""


class Settings(NamedTuple):
    """Settings of the proxy, with their defaults. Variables: `MOA_HAPROXY_` and the name in capitals."""

    loopback: bool = False  # the metrics and statistics pages listen on 127.0.0.1 only
    sessions: bool = True  # requests with a session header go to the same orchestrator
    header_timeout_s: int = 30  # time for the headers of a request to arrive, and for its body up to `retry_bytes`
    connections_per_client: int = 1024  # per address; beyond it 429, and beyond twice as many closed. 0: no limit
    retry_bytes: int = 262_144  # largest request with its headers that is asked again if it is lost. 0: none
    metrics_port: str = "9101"
    stats_port: str = "8404"
    host: str = ""  # address that the API listens on in place of Serve's; empty: as Ray writes it


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings in an environment.

    Raises:
        SettingError: a value is no whole number, or out of its range.
    """
    defaults = Settings()

    def number(name: str, default: int, least: int, zero: bool = False) -> int:
        text = environment.get(name, "").strip()
        if not text:
            return default
        value = int(text) if text.isdecimal() else -1
        if value < least and not (zero and value == 0):
            raise SettingError(f"Set {name} to a whole number from {least}{', or to 0' if zero else ''}, not '{text}'.")
        return value

    return Settings(
        host=environment.get("MOA_HAPROXY_HOST", "").strip(),
        loopback=environment.get("MOA_HAPROXY_LOOPBACK") == "1",
        sessions=environment.get("MOA_HAPROXY_SESSIONS") != "0",
        header_timeout_s=number("MOA_HAPROXY_HEADER_TIMEOUT_S", defaults.header_timeout_s, 1),
        connections_per_client=number("MOA_HAPROXY_CONNECTIONS_PER_CLIENT", defaults.connections_per_client, 1, True),
        retry_bytes=number("MOA_HAPROXY_RETRY_BYTES", defaults.retry_bytes, SMALLEST_BUFFER, True),
        metrics_port=environment.get("RAY_SERVE_HAPROXY_METRICS_PORT", defaults.metrics_port),
        stats_port=environment.get("RAY_SERVE_HAPROXY_STATS_PORT", defaults.stats_port),
    )
