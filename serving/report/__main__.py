"""Usage report of a day, a week (from Monday) or a month, in UTC, from the records in the store.

Prints requests, tokens and dollars by model, model as a proposer, role, recipe, key and day, the spent part of the
month's budget, feedback and grades. The store is found as the server finds it: by the environment variables
MOA_DATABASE_URL and XDG_STATE_HOME, or by the section `store` of the profile given with --profile, which also has the
budget.
"""

import argparse
import asyncio
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.command_line import CommandLine, above
from serving.errors import ConfigError
from serving.report.formats import FORMATS
from serving.report.webhook import NotDelivered, check_address, deliver
from serving.store.database import Database, database_url
from serving.store.errors import StoreUnavailable
from serving.store.settings import StoreSettings
from serving.store.usage_queries import usage_report
from serving.store.usage_report import DIMENSIONS, PERIODS, Period, UsageReport, parse_day

MIN_TIMEOUT_S = 60.0  # a month of records takes longer than one operation of the server


def a_date(text: str) -> datetime.date:
    """Type of an argument: a date such as 2026-11-30."""
    try:
        return parse_day(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a date such as 2026-11-30, not '{text}'") from None


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandLine(prog="python -m serving.report", description=__doc__)
    add = parser.add_argument
    add("period", choices=PERIODS, metavar="|".join(PERIODS), help="length of the period")
    add("--profile", metavar="NAME|FILE", help="use the store and the budget of this profile; default: the environment")
    add("--date", type=a_date, help="a day in the period; default: today, in UTC")
    add("--previous", action="store_true", help="the period before: yesterday's report, for jobs that run at night")
    add("--by", choices=DIMENSIONS, action="append", help="only this table; may be repeated; default: all tables")
    add("--key", metavar="NAME", help="only the requests of the API key with this name; default: all keys")
    add("--budget-usd", type=above(0), help="budget in dollars a month; default: the profile's")
    add("--format", choices=tuple(FORMATS), default="md", help="Markdown, CSV or JSON")
    add("--out", type=Path, metavar="FILE", help="write the report to this file; default: the terminal")
    add(
        "--webhook-env",
        metavar="VARIABLE",
        help="also POST the report to the webhook whose address is in this environment variable; 5 attempts",
    )
    return parser.parse_args(arguments)


def period_of(given: argparse.Namespace) -> Period:
    """Period that the command line asks for."""
    day = given.date or datetime.datetime.now(datetime.UTC).date()
    period = Period.around(given.period, day)
    if given.previous:
        period = Period.around(given.period, datetime.date.fromisoformat(period.first) - datetime.timedelta(days=1))
    return period


async def read(settings: StoreSettings, given: argparse.Namespace, budget_usd: float | None) -> UsageReport:
    """Read the report from the store. Raises `ConfigError` or `StoreUnavailable`."""
    url = database_url(settings)
    file = settings.file()
    if url.get_backend_name() == "sqlite" and not file.exists():
        raise ConfigError(
            f"There is no store at {file}: give --profile, set {settings.database_env}, or start the server once."
        )
    database = Database(url, max(settings.timeout_s, MIN_TIMEOUT_S))
    try:
        return await usage_report(database, period_of(given), given.by or DIMENSIONS, given.key, budget_usd)
    finally:
        await database.close()


def run(settings: StoreSettings, given: argparse.Namespace, budget_usd: float | None = None) -> None:
    """Write the report; exit with status 1 and one sentence if it cannot be read, written or delivered."""
    try:
        address = None
        if given.webhook_env is not None:
            address = check_address(os.environ.get(given.webhook_env, ""), given.webhook_env)
        report = asyncio.run(read(settings, given, given.budget_usd or budget_usd))
        text = FORMATS[given.format](report)
        if given.out is None:
            print(text, end="")
        else:
            given.out.write_text(text, encoding="utf-8")
        if address is not None:
            deliver(address, text, given.format)
    except (ConfigError, NotDelivered) as error:
        sys.exit(f"Error: {error}")
    except StoreUnavailable as error:
        sys.exit(f"Error: The store cannot be reached or read: {error}.")
    except OSError as error:
        sys.exit(f"Error: The report cannot be written to {given.out}: {error.strerror}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report of the store that the environment names, or the profile."""
    given = parsed(arguments)
    if given.profile is not None:  # read by `deployments`, which this package does not import
        words = sys.argv[1:] if arguments is None else arguments
        os.execv(sys.executable, [sys.executable, "-m", "deployments.report", *words])
    run(StoreSettings(), given)


if __name__ == "__main__":
    main()
