"""Torture report: one row a promise, with its measured figure and the limit that it must keep."""
