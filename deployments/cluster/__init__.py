"""The local cluster: its environment, checks before a start, and progress on the terminal."""
