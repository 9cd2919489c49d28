"""Cache of prompts: the least used go first, by number and by size."""

from deployments.model.prompt_cache import ID_BYTES, PromptCache, text_bytes


def test_the_least_used_prompt_goes_first() -> None:
    cache = PromptCache(2, 10**6)
    cache.put("a", (1,), 0)
    cache.put("b", (2,), 0)
    assert cache.get("a") == (1,)
    cache.put("c", (3,), 0)
    assert [cache.get(key) for key in "abc"] == [(1,), None, (3,)]
    assert cache.size_bytes == 2 * ID_BYTES


def test_prompts_and_keys_have_room_for_so_many_bytes() -> None:
    cache = PromptCache(99, 10 * ID_BYTES)
    cache.put("a", (1,) * 4, ID_BYTES)
    cache.put("b", (1,) * 4, ID_BYTES)
    assert cache.size_bytes == 10 * ID_BYTES
    cache.put("c", (1,), 0)
    assert [cache.get(key) for key in "abc"] == [None, (1, 1, 1, 1), (1,)]
    cache.put("d", (1,) * 11, 0)
    assert cache.get("d") is None
    assert cache.get("c") == (1,)


def test_a_key_has_one_prompt() -> None:
    cache = PromptCache(9, 10**6)
    cache.put("a", (1, 2), 7)
    cache.put("a", (3,), 7)
    assert cache.get("a") == (3,)
    assert cache.size_bytes == ID_BYTES + 7


def test_texts_have_a_size() -> None:
    assert text_bytes("x" * 1000, "日" * 1000) >= 3000
