"""HAProxy for Ray Serve: its configuration, its error pages and a supervisor. `docs/adr/0011` and `0012` say why.

`deployments/cluster/haproxy.sh`, which Ray starts in place of HAProxy, runs this package by its folder and not as part
of `deployments`: it imports the standard library only, so that HAProxy starts at once.
"""
