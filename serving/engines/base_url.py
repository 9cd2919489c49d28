"""Address of an endpoint's API."""

import httpx


def base_url_problem(base_url: str) -> str | None:
    """Name the change that the address of an endpoint's API needs, such as `http://host:8000/v1`; None: it needs none.

    The text does not repeat the address, which may hold a key.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    host, port = set(url.host), url.port or 80
    if url.scheme not in ("http", "https") or not host or host & set("${} ") or port > 65535:
        return "write a URL such as http://host:8000/v1"
    if url.query or url.fragment:
        return "end it with its path, without '?' and '#'"
    if url.path.rstrip("/").endswith("/completions"):
        return "end it before /chat/completions or /completions"
    if url.userinfo:
        return "remove the password; set 'api_key_env' instead"
    return None
