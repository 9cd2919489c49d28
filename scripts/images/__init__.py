"""Build and try the CPU image without a registry or a container daemon: `make images-check`."""
