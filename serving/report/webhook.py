"""Sending a report to a webhook."""

import time
from collections.abc import Callable

import httpx
import orjson

from serving.errors import ConfigError
from serving.report.formats import CONTENT_TYPES, Format

ATTEMPTS = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
TIMEOUT_S = 15.0
SCHEMES = ("https://", "http://")


class NotDelivered(Exception):
    """The webhook took no report; the message is one sentence without the address, which may hold a secret."""


def check_address(address: str, variable: str) -> str:
    """`address` of a webhook, from the environment variable `variable`. Raises `ConfigError` if it is none."""
    address = address.strip()
    try:
        usable = address.startswith(SCHEMES) and bool(httpx.URL(address).host)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise ConfigError(f"Set the environment variable {variable} to the address of a webhook: https://HOST/PATH.")
    return address


def deliver(
    address: str,
    text: str,
    kind: Format,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """POST a report; again after 2, 4, 8 and 16 s if the webhook cannot be reached, is busy or fails.

    Markdown is sent as JSON, `{"text": ...}`, which chat programs take; CSV and JSON are sent as they are. Redirects
    are not followed.

    Raises:
        NotDelivered: no attempt succeeded, or the webhook refused the report.
    """
    body = orjson.dumps({"text": text}) if kind == "md" else text.encode()
    wait_s, why = FIRST_WAIT_S, ""
    with httpx.Client(timeout=TIMEOUT_S, transport=transport) as client:
        for attempt in range(ATTEMPTS):
            if attempt:
                sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                response = client.post(address, content=body, headers={"content-type": CONTENT_TYPES[kind]})
            except httpx.HTTPError as error:
                why = f"it could not be reached ({type(error).__name__})"
                continue
            if response.is_success:
                return
            why = f"it answered with status {response.status_code}"
            if response.status_code < 500 and response.status_code not in (408, 429):
                raise NotDelivered(f"The webhook refused the report: {why}.")
    raise NotDelivered(f"The webhook took no report in {ATTEMPTS} attempts: {why}.")
