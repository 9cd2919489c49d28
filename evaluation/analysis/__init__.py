"""Analyses: pure functions from rows to the data of a table or a plot."""
