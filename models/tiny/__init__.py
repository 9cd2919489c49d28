"""The embedded trio: three models of a few million weights that answer sums, words and facts on a CPU.

`docs/tiny.md` describes their training; `python -m models.tiny.train` repeats it.
"""
