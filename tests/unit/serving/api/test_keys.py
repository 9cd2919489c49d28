"""Keys: the caller behind each, and what of it engines learn."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from serving.api.key_settings import KeySettings
from serving.api.keys import ANY_CALLER, Caller, key_ring
from serving.api.settings import ApiSettings
from serving.conversation import Message
from serving.errors import ConfigError, Unauthorized
from serving.pooling import EmbedRequest
from serving.tenant import ANYONE, PRIORITIES, Tenant
from serving.types import GenerateRequest

REQUEST = GenerateRequest("r", (Message("user", "Hi"),), session="s", priority=3)
SECRET = SecretStr("a secret of the server")


def keys(*entries: dict[str, Any], **settings: Any) -> ApiSettings:
    return ApiSettings(keys=entries, **settings)


def callers(settings: ApiSettings, *given: str) -> list[Caller]:
    ring = key_ring(settings)
    return [ring.caller(key.encode()) for key in given]


A, B = {"name": "a", "key": "key of a"}, {"name": "b", "key": "key of b", "priority_class": "batch", "max_in_flight": 2}


def test_without_keys_everybody_is_one_caller_of_the_default_class() -> None:
    assert key_ring(ApiSettings()).anyone == ANY_CALLER
    settings = ApiSettings(priority_class="batch", max_in_flight_per_key=9, share_between_keys=True)
    assert key_ring(settings).anyone == Caller(priority_class="batch", max_in_flight=9)


def test_each_key_has_a_caller_with_its_class_and_its_limit() -> None:
    a, b = callers(keys(A, B, max_in_flight_per_key=5, priority_class="interactive"), "key of a", "key of b")
    assert (a.name, a.priority_class, a.max_in_flight) == ("a", "interactive", 5)
    assert (b.name, b.priority_class, b.max_in_flight) == ("b", "batch", 2)
    with pytest.raises(Unauthorized):
        callers(keys(A, B), "key of")
    with pytest.raises(Unauthorized):
        key_ring(keys(A, B)).caller(b"")


def test_plain_keys_are_callers_of_their_own_beside_named_ones() -> None:
    settings = keys(A, api_key=(SecretStr("one"), SecretStr("two")))
    found = callers(settings, "one", "two", "key of a")
    assert [one.name for one in found] == ["key-1", "key-2", "a"]
    assert len({one.tenant for one in found}) == 3


def test_tenants_differ_between_keys_and_are_the_same_in_every_replica() -> None:
    a, b = callers(keys(A, B), "key of a", "key of b")
    assert a.tenant.isolated
    assert b.tenant.isolated
    assert a.tenant.id != b.tenant.id
    assert callers(keys(B, A), "key of a", "key of b") == [a, b]  # another replica, whatever the order


def test_a_tenant_is_known_by_its_name_so_that_keys_can_be_replaced() -> None:
    new = {"name": "a", "key": "next key of a"}
    one, other, b = callers(keys(A, new, B, tenant_secret=SECRET), "key of a", "next key of a", "key of b")
    assert one == other != b
    assert callers(keys(new, B, tenant_secret=SECRET), "next key of a") == [one]


def test_a_tenants_id_tells_neither_its_name_nor_its_key_nor_the_secret() -> None:
    for secret in (None, SECRET):
        plain = callers(keys(A, B, api_key=SecretStr("third"), tenant_secret=secret), "key of a", "key of b", "third")
        assert [len(one.tenant.id) for one in plain] == [32, 32, 32]
    with_secret, without, other = (
        callers(keys(A, B, tenant_secret=secret), "key of a")[0].tenant.id
        for secret in (SECRET, None, SecretStr("another secret, as long"))
    )
    assert len({with_secret, without, other}) == 3


def test_a_plain_keys_place_in_the_list_does_not_give_it_the_caches_of_another() -> None:
    first = ApiSettings(api_key=(SecretStr("one"), SecretStr("two")), tenant_secret=SECRET)
    second = ApiSettings(api_key=(SecretStr("two"), SecretStr("three")), tenant_secret=SECRET)
    [two] = callers(first, "two")
    assert callers(second, "two")[0].tenant == two.tenant != callers(second, "three")[0].tenant


@pytest.mark.parametrize("settings", [ApiSettings(api_key=SecretStr("one")), keys(A), keys(A, {**A, "key": "other"})])
def test_a_single_caller_has_nobody_to_be_apart_from(settings: ApiSettings) -> None:
    assert {caller.tenant for _, caller in key_ring(settings).callers} == {ANYONE}


def test_keys_may_share_what_they_compute_and_still_not_the_engines_attention() -> None:
    a, b = callers(keys(A, B, share_between_keys=True), "key of a", "key of b")
    assert (a.tenant.scope, b.tenant.scope) == ("", "")
    assert a.tenant.id != b.tenant.id
    assert a.own(REQUEST).session == REQUEST.session


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([A, {**B, "key": "key of a"}], "Change the key 'b' in api.keys: 'a' has the same"),
        ([B, {"name": "b", "key": "x"}], "the same class and limit"),
        ([A, {"name": "c", "key_env": "C_KEY"}], "has not been read from C_KEY"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(entries: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        key_ring(keys(*entries))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"name": "a"}, "either 'key' or 'key_env'"),
        ({**A, "key_env": "A"}, "either 'key' or 'key_env'"),
        ({"name": "a", "key": " "}, "would let everyone in"),
        ({"name": "none", "key": "x"}, "choose another"),
        ({"name": "key-1", "key": "x"}, "choose another"),
        ({"name": "a b", "key": "x"}, "pattern"),
        ({**A, "priority_class": "urgent"}, "'interactive', 'standard' or 'batch'"),
        ({**A, "max_in_flight": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_entry_is_refused(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        keys(entry)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 16 characters"):
        ApiSettings(tenant_secret=SecretStr("short"))


def test_a_key_is_read_from_the_environment() -> None:
    entry = KeySettings(name="c", key_env="C_KEY")
    read = entry.read({"C_KEY": " secret\n"})
    assert read == KeySettings(name="c", key=SecretStr("secret"))
    assert read.read({}) is read
    with pytest.raises(ConfigError, match="Set the environment variable C_KEY"):
        entry.read({"C_KEY": ""})


@pytest.mark.parametrize(("name", "level"), [("interactive", -PRIORITIES), ("standard", 0), ("batch", PRIORITIES)])
def test_a_priority_counts_within_the_class_of_the_key(name: Any, level: int) -> None:
    caller = Caller("a", priority_class=name)
    assert caller.own(REQUEST).priority == level + 3
    assert caller.own(EmbedRequest("r", ("x",), priority=PRIORITIES - 1)).priority == level + PRIORITIES - 1


def test_a_request_becomes_its_callers() -> None:
    a, b = (Caller(name, Tenant(name, isolated=True)) for name in "ab")
    assert ANY_CALLER.own(REQUEST) == REQUEST
    assert a.own(REQUEST).tenant == a.tenant
    sessions = {caller.own(REQUEST).session for caller in (a, b, ANY_CALLER)}
    assert len(sessions) == 3
    assert a.own(REQUEST) == a.own(REQUEST)
    assert a.own(replace(REQUEST, session=None)).session is None
    assert a.own(EmbedRequest("r", ("x",))).tenant == a.tenant


def test_a_callers_own_salt_is_added_to_the_tenants() -> None:
    a, b = (Caller(name, Tenant(name, isolated=True)) for name in "ab")
    salted = replace(REQUEST, cache_salt="mine")
    salts = [caller.own(request).prefix_salt for caller in (a, b) for request in (REQUEST, salted)]
    assert len({*salts}) == 4
    assert None not in salts
    assert a.own(replace(REQUEST, cache_salt=b.own(REQUEST).prefix_salt)).prefix_salt not in salts
    assert [ANY_CALLER.own(request).prefix_salt for request in (REQUEST, salted)] == [None, "mine"]
