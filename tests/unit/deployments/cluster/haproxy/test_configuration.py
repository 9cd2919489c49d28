"""Ray's configuration of HAProxy with our corrections: text in, text out."""

import pytest

from deployments.cluster.haproxy.configuration import Files, admin_path, edited, number_in, sections
from deployments.cluster.haproxy.settings import Settings

FILES = Files("/pages", "/node/own.sock")
RAY = """global
    stats socket /node/admin.sock mode 666 level admin expose-fd listeners
    tune.bufsize 16384
    hard-stop-after 600s
defaults
    mode http
    timeout client 3600s
    retry-on conn-failure
    errorfile 502 /node/500.http
    errorfile 503 /node/500.http
frontend prometheus
    bind :9101
    http-request use-service prometheus-exporter if { path /metrics }
frontend http_frontend
    bind 127.0.0.1:8000
    use_backend http-default if is_http-default
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
backend http-default
    server b 127.0.0.1:1 check
    server a 127.0.0.1:2 check
    server SERVE_PROXY_ACTOR-1 127.0.0.1:3 check backup
backend http-default-via-ingress-request-router
    server b 127.0.0.1:1 track http-default/b
    server a 127.0.0.1:2 track http-default/a
listen stats
  bind *:8404
"""


def section(name: str, settings: Settings | None = None, text: str = RAY) -> list[str]:
    changed = dict(sections(edited(text, settings or Settings(), FILES, restarts=3)))
    return [line.strip() for line in changed[name]]


def test_sections_keep_every_line() -> None:
    parts = sections("# first\nglobal\n  a\ndefaults\n\n  b\n")
    assert parts == [("", ["# first"]), ("global", ["  a"]), ("defaults", ["", "  b"])]


def test_haproxy_has_an_admin_socket_of_its_own() -> None:
    assert admin_path(RAY) == "/node/admin.sock"
    assert admin_path("global\n") is None
    assert "stats socket /node/own.sock mode 666 level admin expose-fd listeners" in section("global")


@pytest.mark.parametrize(
    ("ray", "bytes_", "size"), [(16384, 262144, 262144), (8388608, 262144, 8388608), (16384, 0, 16384)]
)
def test_buffers_have_room_for_a_request_to_repeat(ray: int, bytes_: int, size: int) -> None:
    text = RAY.replace("tune.bufsize 16384", f"tune.bufsize {ray}")
    lines = section("global", Settings(retry_bytes=bytes_), text)
    assert [line for line in lines if line.startswith("tune.bufsize")] == [f"tune.bufsize {size}"]


def test_nothing_is_open_for_ever() -> None:
    lines = section("defaults", Settings(header_timeout_s=7))
    assert {"timeout http-request 7s", "timeout client 3600s", "timeout server 630s"} <= set(lines)
    own = RAY.replace(
        "timeout client 3600s", "timeout client 3600s\n    timeout server 5s\n    timeout http-request 9s"
    )
    assert [line for line in section("defaults", text=own) if line.split()[1] in ("server", "http-request")] == [
        "timeout server 5s",
        "timeout http-request 30s",
    ]
    without = RAY.replace("    hard-stop-after 600s\n", "")
    assert not [line for line in section("defaults", text=without) if line.startswith("timeout server")]
    assert number_in(without, "hard-stop-after") is None


def test_a_lost_request_is_repeated_unless_the_operator_has_a_rule() -> None:
    lines = section("defaults")
    assert {"option http-buffer-request", "retry-on conn-failure empty-response", "retries 1"} <= set(lines)
    assert "retry-on conn-failure" not in lines
    own = RAY.replace("retry-on conn-failure", "retry-on conn-failure 503\n    retries 9")
    for lines in (section("defaults", text=own), section("defaults", Settings(retry_bytes=0))):
        assert "option http-buffer-request" not in lines
    kept = RAY.replace("retry-on conn-failure", "retry-on conn-failure\n    retries 9")
    assert [line for line in section("defaults", text=kept) if line.startswith("retries")] == ["retries 9"]


def test_the_first_request_of_a_client_has_a_fresh_connection() -> None:
    text = RAY.replace("backend http-default\n", "backend http-default\n    http-reuse always\n")
    assert "http-reuse safe" in section("backend http-default", text=text)
    assert "always" not in edited(text, Settings(), FILES)


def test_a_lone_orchestrator_has_an_attempt_more() -> None:
    def added(text: str, settings: Settings | None = None) -> bool:
        return "retries 2" in section("backend http-default", settings, text)

    lone = RAY.replace("    server b 127.0.0.1:1 check\n", "")
    assert added(lone)
    assert not added(RAY)
    assert not added(lone, Settings(retry_bytes=0))
    assert not added(lone.replace("retry-on conn-failure", "retry-on conn-failure\n    retries 9"))
    assert not added(lone.replace("retry-on conn-failure", "retry-on 503"))
    assert not added(lone.replace("    server SERVE_PROXY_ACTOR-1 127.0.0.1:3 check backup\n", ""))


def test_a_server_that_refuses_a_connection_is_down_at_once() -> None:
    server = "127.0.0.1:1 check observe layer4 error-limit {} on-error mark-down"
    for ray, ours in ((3, 1), (30, 30), (2, 2)):
        text = RAY.replace("127.0.0.1:1 check", server.format(ray))
        assert f"server b {server.format(ours)}" in section("backend http-default", text=text)


def test_error_pages_are_ours() -> None:
    pages = [line.split()[1:] for line in section("defaults") if line.startswith("errorfile")]
    assert pages == [[str(status), f"/pages/moa-{status}.http"] for status in (400, 408, 413, 500, 502, 503, 504)]


def test_limits_come_before_every_other_rule() -> None:
    track, reject, refuse, large, method, options, request_id, *others, received, bind = section(
        "frontend http_frontend", Settings(connections_per_client=5)
    )[:14]
    assert track == "tcp-request connection track-sc0 src table moa_clients"
    assert reject == "tcp-request connection reject if { sc0_conn_cur(moa_clients) gt 10 }"
    assert refuse.startswith("http-request return status 429 content-type application/json hdr retry-after 1 string '")
    assert refuse.endswith("' if { sc0_conn_cur(moa_clients) gt 5 }")
    assert large.startswith("http-request return status 431 ")
    assert method.startswith("http-request return status 405 ")
    assert options.startswith("http-request return status 204 ")
    assert request_id.startswith("http-request del-header x-request-id ")
    assert [line.split()[1] for line in others] == ["del-header", "return", "return", "del-header", "del-header"]
    assert received == "http-request set-header x-moa-received-ms %[date(0,ms)]"
    assert bind == "bind 127.0.0.1:8000"
    assert section("backend moa_clients") == ["stick-table type ipv6 size 100k expire 1m store conn_cur"]
    unlimited = edited(RAY, Settings(connections_per_client=0), FILES)
    assert "moa_clients" not in unlimited
    assert "status 431" in unlimited
    assert "moa_clients" not in edited("global\n", Settings(), FILES)


def test_restarts_are_a_metric() -> None:
    page, bind, _ = section("frontend prometheus")
    assert page.endswith('moa_haproxy_restarts_total 3\\n" if { path /restarts }')
    assert bind == "bind :9101"


def test_an_unknown_path_is_404_only_while_applications_are_known() -> None:
    [known] = section("backend default_backend")
    assert known.startswith("http-request return status 404 content-type application/json lf-string ")
    assert "%[path,json(utf8s)]" in known
    [unknown] = section("backend default_backend", text=RAY[: RAY.index("\nbackend http-")])
    assert unknown.startswith("http-request return status 503 content-type application/json hdr retry-after 1 string '")


def test_plain_text_of_serve_is_answered_in_json() -> None:
    rules = [line for line in section("backend http-default") if line.startswith("http-response return")]
    assert [(line.split()[3], line.split("if ")[1]) for line in rules] == [
        (sent, f"{{ status {status} }} {{ res.hdr(content-type) -m beg text/plain }}")
        for status, sent in ((404, "503"), (500, "503"), (503, "503"))
    ]


def test_sessions_choose_among_servers_by_name() -> None:
    chosen = [line.split() for line in section("backend http-default") if line.startswith("use-server")]
    assert [words[1] for words in chosen] == ["a", "b"]
    assert not [line for line in section("backend http-default-via-ingress-request-router") if "use-server" in line]
    assert "use-server" not in edited(RAY, Settings(sessions=False), FILES)
    assert "use-server" not in edited(RAY.replace("    server b", "    # server b"), Settings(), FILES)


def test_pages_of_the_proxy_are_kept_to_this_machine() -> None:
    local = edited(RAY, Settings(loopback=True), FILES)
    assert "    bind 127.0.0.1:9101\n" in local
    assert "  bind 127.0.0.1:8404\n" in local
    assert "bind 127.0.0.1:8000\n" in local
    assert "    bind :9101\n" in edited(RAY, Settings(), FILES)


@pytest.mark.parametrize(("host", "bind"), [("", "127.0.0.1:8000"), ("0.0.0.0", "0.0.0.0:8000"), ("::", "[::]:8000")])
def test_the_api_listens_where_it_was_asked_to(host: str, bind: str) -> None:
    assert f"bind {bind}" in section("frontend http_frontend", Settings(host=host))
