"""State that outlives a request: records, keys, batches, cached answers, counters.

- `database`: records in SQLite (a file, the default) or PostgreSQL; `migrations` makes the tables.
- `expiring`: values, counters and claims with a lifetime, in the database or in Redis.
- `writer`: writes records in the background; answers never wait for one.
- `store`: all of them together, and whether each is reachable.

If a store cannot be reached, its features are unavailable; answers go on.
"""
