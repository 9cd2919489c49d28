"""Queries of a usage report."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Table, case, distinct, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.store.database import Database
from serving.store.record_tables import CALLS, FEEDBACK, GRADES, REQUESTS
from serving.store.record_values import month_of
from serving.store.usage_report import DIMENSIONS, Dimension, Period, ScoreRow, UsageReport, UsageRow

PROPOSER: Dimension = "proposer"  # as the role of its calls
OF_CALLS: dict[Dimension, ColumnElement[str]] = {
    "model": CALLS.c.model,
    PROPOSER: CALLS.c.model,
    "role": CALLS.c.role,
}
OF_REQUESTS: dict[Dimension, ColumnElement[str]] = {
    "recipe": REQUESTS.c.recipe,
    "key": REQUESTS.c.key_name,
    "day": REQUESTS.c.day,
}
MAX_ROWS = 1000  # of one table of a report, the most expensive first


async def usage_report(
    database: Database,
    period: Period,
    by: Collection[Dimension] = DIMENSIONS,
    key: str | None = None,
    budget_usd: float | None = None,
) -> UsageReport:
    """Usage of the requests that ended in `period`.

    Args:
        database: the records.
        period: days in UTC.
        by: tables of the report.
        key: name of the key whose requests are counted; None: all.
        budget_usd: of all keys, a month.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    async with database.reading() as connection:
        within = _within(REQUESTS, period.first, period.end, key)
        total = (await connection.execute(select(*_request_sums(), *_outcomes()).where(*within))).one()
        first, end = month_of(period.last)
        month = select(func.sum(REQUESTS.c.cost_usd)).where(*_within(REQUESTS, first, end, key))
        spent = (await connection.execute(month)).scalar_one() or 0.0
        cancelled, failed, degraded = (value or 0 for value in total[-3:])
        return UsageReport(
            period,
            key,
            UsageRow("total", *(value or 0 for value in total[:-3])),
            {one: await _rows(connection, one, period, key) for one in DIMENSIONS if one in by},
            cancelled=cancelled,
            failed=failed,
            degraded=degraded,
            month_usd=spent,
            budget_usd=budget_usd,
            quality=await _scores(connection, GRADES, period, key),
            feedback=await _scores(connection, FEEDBACK, period, key),
        )


async def _rows(connection: AsyncConnection, by: Dimension, period: Period, key: str | None) -> list[UsageRow]:
    of_calls = by in OF_CALLS
    name = OF_CALLS[by] if of_calls else OF_REQUESTS[by]
    table, sums = (CALLS, _call_sums()) if of_calls else (REQUESTS, _request_sums())
    query = select(name.label("name"), *sums).where(*_within(table, period.first, period.end, key)).group_by(name)
    if by == PROPOSER:
        query = query.where(CALLS.c.role == PROPOSER)
    usd, tokens = sums[5], sums[2]
    order = [name] if by == "day" else [usd.desc(), tokens.desc(), name]
    rows = (await connection.execute(query.order_by(*order).limit(MAX_ROWS))).all()
    return [UsageRow(row[0], *(value or 0 for value in row[1:])) for row in rows]


def _within(table: Table, first: str, end: str, key: str | None) -> list[ColumnElement[bool]]:
    days = [table.c.day >= first, table.c.day < end]
    return days if key is None else [*days, table.c.key_name == key]


def _call_sums() -> list[ColumnElement[Any]]:
    """Values of a `UsageRow` behind its name."""
    columns = CALLS.c
    return [
        func.count(distinct(columns.request)),
        func.count(),
        func.coalesce(func.sum(columns.prompt_tokens), 0),
        func.sum(columns.completion_tokens),
        func.sum(columns.cached_tokens),
        func.coalesce(func.sum(columns.cost_usd), 0.0),
        _count(columns.prompt_tokens.is_(None)),
        _count(columns.priced.is_(False)),
    ]


def _request_sums() -> list[ColumnElement[Any]]:
    columns = REQUESTS.c
    return [
        func.count(),
        func.sum(columns.calls),
        func.coalesce(func.sum(columns.prompt_tokens), 0),
        func.sum(columns.completion_tokens),
        func.sum(columns.cached_tokens),
        func.coalesce(func.sum(columns.cost_usd), 0.0),
        func.sum(columns.uncounted),
        func.sum(columns.unpriced),
    ]


def _outcomes() -> list[ColumnElement[Any]]:
    """Numbers of cancelled, failed and degraded requests."""
    outcome = REQUESTS.c.outcome
    return [
        _count(outcome == "cancelled"),
        _count(outcome.not_in(["ok", "cancelled"])),
        _count(REQUESTS.c.degraded.is_(True)),
    ]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


async def _scores(connection: AsyncConnection, table: Table, period: Period, key: str | None) -> list[ScoreRow]:
    group = (table.c.day, table.c.model, table.c.proposers)
    query = (
        select(*group, func.count(), func.avg(table.c.score))
        .where(*_within(table, period.first, period.end, key))
        .group_by(*group)
        .order_by(*group)
        .limit(MAX_ROWS)
    )
    rows = (await connection.execute(query)).all()
    return [ScoreRow(day, model, proposers, count, float(score)) for day, model, proposers, count, score in rows]
