"""API keys in the store of a server: `python -m serving.keys create NAME`, list, show, set, rotate, revoke.

The store is that of the server: its profile (`--profile`) and its environment (MOA_DATABASE_URL) say where it is. A
running server knows of every change within seconds. The text of a key is printed when it is made, and never again.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from serving.api.key_checks import limits_issue, models_issue, name_issue
from serving.api.keys import CLASSES
from serving.api.limit_settings import KeyLimits
from serving.api.schemas.admin import key_json
from serving.api.settings import ApiSettings
from serving.api.stored_settings import KeyChanges, NewKey
from serving.cards import ModelCard
from serving.command_line import CommandLine, at_least
from serving.errors import ConfigError
from serving.redaction import redacted
from serving.store.api_key import KeyText
from serving.store.database import Database, database_url
from serving.store.errors import StoreUnavailable
from serving.store.key_store import KeyRecord, KeyStore, NameTaken, NoSuchKey
from serving.store.settings import StoreSettings
from serving.validation import first_issue

COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "tokens_per_day", "tokens_per_month")
DOLLARS = ("usd_per_day", "usd_per_month")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
COLUMNS = ("name", "team", "prefix", "status", "expires_at", "limits")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandLine(prog="python -m serving.keys", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    for name, about in (
        ("create", "make a key and print it"),
        ("list", "list the keys"),
        ("show", "show the keys of a name"),
        ("set", "change a key"),
        ("rotate", "replace a key by a new one of the same name and settings, and print it"),
        ("revoke", "revoke a key"),
    ):
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        if name != "list":
            command.add_argument("name", help="name of the key's owner")
        if name in ("create", "set"):
            _add_settings(command)
        if name == "list":
            command.add_argument("--all", action="store_true", help="also keys that are expired or revoked")
        if name == "rotate":
            command.add_argument(
                "--grace",
                type=_duration,
                default=0.0,
                help="time for which the former key stays valid: 24h; default: 0",
            )
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--profile", metavar="NAME|FILE", help="profile of the server; default: the default store")
    return parser.parse_args(arguments)


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Add the options of a key's settings; those that are not given are not in the namespace."""
    add = partial(command.add_argument, default=argparse.SUPPRESS)
    add("--team", help="team whose key it is")
    add("--models", type=_names, metavar="ID,ID", help="models and recipes that it may use; all: every one")
    add("--priority-class", choices=CLASSES, help="class of its requests")
    add("--max-in-flight", type=_limit(int), metavar="N|none", help="requests in progress per replica")
    for name in (*COUNTS, *DOLLARS):
        about = KeyLimits.model_fields[name].description or ""
        kind = int if name in COUNTS else float
        text = f"{about.split(';')[0].split(':')[0].rstrip('.').lower()}; none: no limit, default: that of the profile"
        add(f"--{name.replace('_', '-')}", type=_limit(kind), metavar="N|none|default", help=text)
    add("--over-budget", metavar="refuse|RECIPE", help="requests beyond a budget: refuse them, or a cheaper recipe")
    add("--admin", action=argparse.BooleanOptionalAction, help="let the key manage keys")
    add("--expires", type=_time, metavar="DATE|TIME", help="2027-01-31 (0:00 UTC), or 90d from now; never: no end")


def _limit(kind: type[int] | type[float]) -> Callable[[str], object]:
    number = at_least(1, int) if kind is int else at_least(0.000001)

    def parse(text: str) -> object:
        return None if text == "none" else text if text == "default" else number(text)

    return parse


def _names(text: str) -> tuple[str, ...] | None:
    return None if text == "all" else tuple(one.strip() for one in text.split(",") if one.strip())


def _duration(text: str) -> float:
    if not (found := re.fullmatch(r"(\d{1,6})([smhd])", text)):
        raise argparse.ArgumentTypeError(f"must be a time such as 60s, 15m, 24h or 30d, not '{text}'")
    return float(int(found[1]) * SECONDS[found[2]])


def _time(text: str) -> datetime | None:
    if text == "never":
        return None
    if re.fullmatch(r"\d{1,6}[smhd]", text):
        return datetime.fromtimestamp(time.time() + _duration(text), UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a date such as 2027-01-31, or 90d from now, not '{text}'") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


async def run(
    given: argparse.Namespace, store: StoreSettings, settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> None:
    """Run a command on the store of a server with these settings. `cards`: of what it serves; empty: unknown.

    Raises:
        ConfigError: the command cannot be done; the message says what to change.
        StoreUnavailable: the store cannot be reached.
    """
    if not store.enabled:
        raise ConfigError("Set store.enabled to true in the profile: without a store there are no keys in it.")
    database = Database(database_url(store), store.timeout_s)
    keys = KeyStore(database)
    try:
        if given.command == "list":
            _print_list([one for one in await keys.records() if given.all or one.valid(time.time())], given.json)
        elif given.command == "show":
            if not (records := await keys.records(given.name)):
                raise NoSuchKey(given.name)
            _print_records(records, given.json)
        elif given.command == "create":
            await _create(keys, given, settings, cards)
        elif given.command == "set":
            await _set(keys, given, settings, cards)
        elif given.command == "rotate":
            _print_key(*await keys.rotate(given.name, given.grace), given.json)
        else:
            _print_records(await keys.revoke(given.name), given.json)
    except NoSuchKey:
        raise ConfigError(
            f"There is no valid key '{given.name}'; `python -m serving.keys list --all` shows all."
        ) from None
    finally:
        await database.close()


async def _create(
    keys: KeyStore, given: argparse.Namespace, settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> None:
    new = _checked(NewKey, {"name": given.name, **_changes(given, {})}, settings, cards)
    assert isinstance(new, NewKey)
    if why := name_issue(new.name, settings):
        raise ConfigError(why)
    columns = new.columns()
    try:
        key, record = await keys.create(
            new.name, new.team, columns["settings"], admin=new.admin, expires_at=columns.get("expires_at")
        )
    except NameTaken:
        raise ConfigError(
            f"A valid key '{new.name}' exists; rotate it to replace it, or choose another name."
        ) from None
    _print_key(key, record, given.json)
    if not settings.requires_key:
        print(
            "Note: with these settings the server answers without a key. Set api.require_key to true in its profile.",
            file=sys.stderr,
        )


async def _set(
    keys: KeyStore, given: argparse.Namespace, settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> None:
    valid = [one for one in await keys.records(given.name) if one.valid(time.time())]
    if not valid:
        raise NoSuchKey(given.name)
    former = valid[-1].settings
    changes = _changes(given, former.get("limits", {}))
    if not changes:
        raise ConfigError("Give the settings to change; `python -m serving.keys set --help` lists them.")
    changed = _checked(KeyChanges, changes, settings, cards)
    _print_records(await keys.change(given.name, changed.columns(former)), given.json)


def _changes(given: argparse.Namespace, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the command line gives, as fields of `KeyChanges`; `limits`: those that the key has."""
    values = vars(given)
    changes: dict[str, Any] = {
        name: values[name] for name in ("team", "models", "priority_class", "admin") if name in values
    }
    if "max_in_flight" in values:
        changes["max_in_flight"] = None if given.max_in_flight == "default" else given.max_in_flight
    if "expires" in values:
        changes["expires_at"] = given.expires
    new_limits = {name: values[name] for name in (*COUNTS, *DOLLARS) if name in values}
    if "over_budget" in values:
        new_limits["over_budget"] = given.over_budget if given.over_budget == "refuse" else {"use": given.over_budget}
    if new_limits:
        together = {**limits, **new_limits}
        changes["limits"] = {name: value for name, value in together.items() if value != "default"}
    return changes


def _checked(
    model: type[KeyChanges], fields: Mapping[str, Any], settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> KeyChanges:
    try:
        checked = model.model_validate(dict(fields))
    except ValidationError as error:
        raise ConfigError(first_issue(error, whole="the key").sentence) from None
    if not cards:
        _say_unchecked(checked)
    else:
        why = models_issue(checked.models or (), "the key", settings, cards)
        if why := why or limits_issue(checked.limits, "the key", settings, cards):
            raise ConfigError(why)
    return checked


def _say_unchecked(checked: KeyChanges) -> None:
    """Name what could not be checked: with a wrong id, the key finds no model, or has no cheaper recipe."""
    limits = checked.limits
    cheaper = () if limits.over_budget == "refuse" else (limits.over_budget.use,)
    unchecked = [f"'{one}'" for one in dict.fromkeys((*(checked.models or ()), *cheaper))]
    if limits.usd_per_day is not None or limits.usd_per_month is not None:
        unchecked.append("the prices of the models")
    if unchecked:
        print(
            f"Note: not checked, as it is not known what the server serves: {', '.join(unchecked)}. Give its --profile,"
            " or compare with GET /v1/models.",
            file=sys.stderr,
        )


def _print_key(key: KeyText, record: KeyRecord, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**key_json(record, time.time()), "key": key.text}))
    else:
        print(key.text)
        print(f"This is the key of '{record.name}'. Keep it: it cannot be shown again.", file=sys.stderr)


def _print_records(records: Sequence[KeyRecord], as_json: bool) -> None:
    for record in records:
        shown = key_json(record, time.time())
        if as_json:
            print(json.dumps(shown))
        else:
            print("\n".join(f"{name:<16}{_text(value)}" for name, value in shown.items() if name != "object"))


def _print_list(records: Sequence[KeyRecord], as_json: bool) -> None:
    shown = [key_json(record, time.time()) for record in records]
    if as_json:
        print(json.dumps(shown))
        return
    rows = [COLUMNS, *(tuple(_text(one[name]) for name in COLUMNS) for one in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(one)}" for name, one in value.items()) or "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value in (None, "") else str(value)


def run_command(
    given: argparse.Namespace, store: StoreSettings, settings: ApiSettings, cards: Mapping[str, ModelCard]
) -> None:
    """Run a command; exit with status 1 and one sentence if it cannot be done."""
    try:
        asyncio.run(run(given, store, settings, cards))
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    except StoreUnavailable as error:
        sys.exit(f"Error: the store cannot be reached: {redacted(str(error))}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exit with status 1 and one sentence if it cannot be done."""
    given = parsed(arguments)
    if given.profile is not None:  # read by `deployments`, which this package does not import
        words = sys.argv[1:] if arguments is None else list(arguments)
        os.execv(sys.executable, [sys.executable, "-m", "deployments.keys", *words])
    run_command(given, StoreSettings(), ApiSettings(require_key=True), {})


if __name__ == "__main__":
    main()
