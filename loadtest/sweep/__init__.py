"""Sweep over rates: the highest rate of requests within an SLO."""
