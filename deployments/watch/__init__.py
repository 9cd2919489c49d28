"""Local watching: Prometheus over the `/metrics` of a server on this machine, and Grafana where it is installed."""
