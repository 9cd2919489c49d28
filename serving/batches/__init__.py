"""Batches: files of requests, answered in the background at the lowest priority.

- `settings`: limits and the place of files.
- `service`: the parts in the store that the API and the worker share.
- `lines`: checks and reads the lines of an input file.
- `slots`: the lines in progress, shared fairly between owners.
- `load`: the load of the orchestrators, by which the worker takes more or fewer lines.
- `waiting`: the reason for which lines wait.
- `run`: one batch, from its validation to its files.
- `worker`: takes batches that have not ended, each with a lease.

A line counts as answered once its result is in the database. A batch whose worker has died is taken by another one.
"""
