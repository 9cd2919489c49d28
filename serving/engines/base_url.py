"""Address of an endpoint's API."""

import re

import httpx

HOST = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")  # a name, also of Docker; IPv6


def base_url_problem(base_url: str) -> str | None:
    """Name the change that the address of an endpoint's API needs, such as `http://host:8000/v1`; None: it needs none.

    The text does not repeat the address, which may hold a key.
    """
    try:
        url = httpx.URL(base_url)
        _ = url.host  # decodes a name in punycode, as httpx does for each request
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    port = 80 if url.port is None else url.port
    if url.scheme not in ("http", "https") or not HOST.fullmatch(url.raw_host) or not 0 < port < 65536:
        return "write a URL such as http://host:8000/v1"
    if "?" in base_url or "#" in base_url:
        return "end it with its path, without '?' and '#'"
    if re.search(r"\s|[{}]", base_url):
        return "remove what is no part of a URL: white space, '{' or '}'"
    if url.path.rstrip("/").endswith("/completions"):
        return "end it before /chat/completions or /completions"
    if url.userinfo:
        return "remove the password; set 'api_key_env' instead"
    return None
