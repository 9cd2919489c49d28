"""Owners of files and batches."""

from serving.api.key_settings import KeySettings
from serving.api.keys import key_ring
from serving.api.owners import caller_of, owner_of
from serving.api.settings import ApiSettings


def owner(settings: ApiSettings, key: bytes | None) -> str:
    ring = key_ring(settings)
    return owner_of(ring, ring.caller(key) if key else ring.anyone)


def test_everybody_is_one_owner_without_keys() -> None:
    ring = key_ring(ApiSettings())
    assert caller_of(ring, owner_of(ring, ring.anyone)) == ring.anyone
    # Once there are keys, what belonged to nobody in particular belongs to none of them.
    assert caller_of(key_ring(ApiSettings(api_key="first")), owner_of(ring, ring.anyone)) is None


def test_a_name_stays_the_owner_when_its_key_is_replaced() -> None:
    old, new = (ApiSettings(keys=(KeySettings(name="red", key=key),)) for key in ("old", "new"))
    assert owner(old, b"old") == owner(new, b"new") == "name:red"
    assert caller_of(key_ring(new), "name:red").name == "red"
    assert caller_of(key_ring(new), "name:blue") is None


def test_the_place_of_a_key_in_the_list_does_not_matter() -> None:
    """The second of two keys becomes the first when that is removed: it must not see the files of the first."""
    both, second = ApiSettings(api_key=("first", "second")), ApiSettings(api_key=("second",))
    assert owner(both, b"second") == owner(second, b"second")
    assert owner(both, b"first") != owner(second, b"second")
    assert caller_of(key_ring(second), owner(both, b"first")) is None
    assert caller_of(key_ring(second), owner(both, b"second")).name == "key-1"


def test_an_owner_does_not_tell_the_key() -> None:
    assert "first" not in owner(ApiSettings(api_key="first"), b"first")
