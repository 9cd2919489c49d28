"""Local watching: a Prometheus, and where it is installed a Grafana, over the `/metrics` of a server on this machine."""
