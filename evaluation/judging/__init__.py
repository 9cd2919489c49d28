"""Judging by a served model: pairwise comparison and grades from 1 to 10."""
