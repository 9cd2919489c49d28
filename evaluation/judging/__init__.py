"""Judging by a served model: pairwise comparison, grades from 1 to 10, length-controlled win rates."""
