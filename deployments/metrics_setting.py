"""The setting `api.metrics` of a profile that does not give it."""

import ipaddress

from deployments.config import Profile


def with_metrics(profile: Profile, host: str, *, local: bool, keyed: bool) -> Profile:
    """`profile` with its setting `api.metrics` decided: unless it is given, on for a server of this machine's own.

    Args:
        profile: of the server.
        host: address that the API listens on.
        local: the server's cluster is started on this machine for it.
        keyed: the API requires a key: it may be for others, behind a proxy on this machine.
    """
    if profile.api.metrics is not None:
        return profile
    api = profile.api.model_copy(update={"metrics": local and not keyed and _is_loopback(host)})
    return profile.model_copy(update={"api": api})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
