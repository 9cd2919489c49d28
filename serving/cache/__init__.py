"""The response cache: whole answers that are returned again to equal requests.

- `key`: the digest of everything that an answer depends on.
- `entry`: a whole answer as bytes, and back.
- `refusals`: answers that are not stored.
- `response_cache`: entries and claims in the store, and flights: equal requests wait for one of them.
- `cached_answer`: the stream of one answer, from the cache or from the engine.
"""
