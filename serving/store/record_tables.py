"""Tables of records: requests, their calls, feedback and grades. Days are dates in UTC, times Unix times in seconds."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table, Text

from serving.store.tables import METADATA

ID_CHARACTERS = 100
NAME_CHARACTERS = 256  # of models, recipes, roles and keys

REQUESTS = Table(
    "request_records",
    METADATA,
    Column("id", String(ID_CHARACTERS), primary_key=True),  # the server's own id of the request
    Column("at", Double, nullable=False),  # end of the request
    Column("day", String(10), nullable=False),
    Column("request_id", String(ID_CHARACTERS), nullable=False),  # `x-request-id`
    Column("answer_id", String(ID_CHARACTERS), nullable=False),
    Column("key_name", String(NAME_CHARACTERS), nullable=False),
    Column("tenant", String(ID_CHARACTERS), nullable=False),
    Column("path", String(NAME_CHARACTERS), nullable=False),
    Column("model", String(NAME_CHARACTERS), nullable=False),  # the model or recipe that was asked
    Column("recipe", String(NAME_CHARACTERS), nullable=False),  # that answered; "none" of a single model
    Column("priority_class", String(20), nullable=False),
    Column("priority", Integer, nullable=False),  # within the class
    Column("streamed", Boolean, nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("proposers", Integer, nullable=False),  # of the largest layer
    Column("calls", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("uncounted", Integer, nullable=False),  # calls whose tokens are unknown
    Column("unpriced", Integer, nullable=False),  # calls of models without a price
    Column("cost_usd", Double, nullable=False),
    Column("ttft_s", Double),
    Column("total_s", Double, nullable=False),
    Column("outcome", String(64), nullable=False),  # "ok", "cancelled", or an error's code
    Column("degraded", Boolean, nullable=False),
    Column("reasons", Text, nullable=False),  # a JSON list
    Column("prompt_text", Text),  # null unless texts are stored
    Column("answer_text", Text),
    Index("request_records_by_day", "day", "key_name", "cost_usd"),
    Index("request_records_by_answer", "answer_id"),
)
CALLS = Table(
    "call_records",
    METADATA,
    Column("request", String(ID_CHARACTERS), primary_key=True),  # `id` of the request
    Column("number", Integer, primary_key=True),
    Column("day", String(10), nullable=False),
    Column("key_name", String(NAME_CHARACTERS), nullable=False),
    Column("recipe", String(NAME_CHARACTERS), nullable=False),
    Column("model", String(NAME_CHARACTERS), nullable=False),
    Column("role", String(NAME_CHARACTERS), nullable=False),
    Column("layer", Integer, nullable=False),
    Column("agent", Integer, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("prompt_tokens", Integer),  # null: unknown, not in the request's sum
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cost_usd", Double),  # null: unknown tokens or no price
    Column("priced", Boolean, nullable=False),
    Column("elapsed_s", Double),
    Column("ttft_s", Double),
    Index("call_records_by_day", "day"),
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("answer_id", String(ID_CHARACTERS), primary_key=True),
    Column("at", Double, nullable=False),
    Column("day", String(10), nullable=False),
    Column("key_name", String(NAME_CHARACTERS), nullable=False),
    Column("model", String(NAME_CHARACTERS), nullable=False),
    Column("proposers", Integer, nullable=False),
    Column("score", Double, nullable=False),  # 0 (bad) to 1 (good)
    Column("comment", Text),
    Index("feedback_by_day", "day"),
)
GRADES = Table(
    "quality_grades",
    METADATA,
    Column("answer_id", String(ID_CHARACTERS), primary_key=True),
    Column("at", Double, nullable=False),
    Column("day", String(10), nullable=False),
    Column("key_name", String(NAME_CHARACTERS), nullable=False),
    Column("model", String(NAME_CHARACTERS), nullable=False),
    Column("proposers", Integer, nullable=False),
    Column("judge", String(NAME_CHARACTERS), nullable=False),
    Column("score", Double, nullable=False),  # 0 (wrong) to 1 (correct and complete)
    Index("quality_grades_by_day", "day"),
)
