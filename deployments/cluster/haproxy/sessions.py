"""Requests of a session on one orchestrator, which keeps the advice of their conversation."""

SESSION_HEADERS = ("x-session-id", "x-claude-code-session-id")
IMBALANCE = 32  # requests above the mean of all orchestrators; beyond it, sessions go to others, too


def server_names(lines: list[str]) -> list[str]:
    """Sorted names of a backend's servers, without the backup of all of them."""
    return sorted(line.split()[1] for line in lines if line.split()[:1] == ["server"] and line.split()[-1] != "backup")


def with_sessions(backend: str, lines: list[str]) -> list[str]:
    """Lines of a backend with rules that choose its server by the session header.

    Servers are ordered by name, so that the HAProxy of every node chooses the same. Requests without a session go where
    the fewest are. One server needs no choice.
    """
    names = server_names(lines)
    if backend.endswith("-via-ingress-request-router") or len(names) < 2:
        return lines
    first, second = SESSION_HEADERS
    rules = [
        f"    http-request set-var(txn.moa_session) req.hdr({first}) if {{ req.hdr({first}) -m len gt 0 }}",
        f"    http-request set-var(txn.moa_session) req.hdr({second}) if !{{ var(txn.moa_session) -m found }}",
        f"    http-request set-var(txn.moa_mean) be_conn,div({len(names)})",
    ]
    for place, name in enumerate(names):
        own = f"{{ var(txn.moa_session),crc32,mod({len(names)}) {place} }}"
        free = f"{{ srv_conn({backend}/{name}),sub(txn.moa_mean) le {IMBALANCE} }}"
        rules.append(f"    use-server {name} if {own} {free}")
    return [*rules, *lines]
