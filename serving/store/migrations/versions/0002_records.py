"""Tables of records: requests, their calls, feedback, grades."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002_records", "0001_expiring"
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "request_records",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("request_id", sa.String(100), nullable=False),
        sa.Column("answer_id", sa.String(100), nullable=False),
        sa.Column("key_name", sa.String(256), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("path", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("recipe", sa.String(256), nullable=False),
        sa.Column("priority_class", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("prompts", sa.Integer, nullable=False),
        sa.Column("proposers", sa.Integer, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("cached_tokens", sa.Integer, nullable=False),
        sa.Column("reasoning_tokens", sa.Integer, nullable=False),
        sa.Column("uncounted", sa.Integer, nullable=False),
        sa.Column("unpriced", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Double, nullable=False),
        sa.Column("ttft_s", sa.Double),
        sa.Column("total_s", sa.Double, nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("prompt_text", sa.Text),
        sa.Column("answer_text", sa.Text),
    )
    op.create_index("request_records_by_answer", "request_records", ["answer_id"])
    op.create_index("request_records_by_day", "request_records", ["day", "key_name", "cost_usd"])
    op.create_table(
        "call_records",
        sa.Column("request", sa.String(100), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("key_name", sa.String(256), nullable=False),
        sa.Column("recipe", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("role", sa.String(256), nullable=False),
        sa.Column("layer", sa.Integer, nullable=False),
        sa.Column("agent", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("reasoning_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Double),
        sa.Column("priced", sa.Boolean, nullable=False),
        sa.Column("elapsed_s", sa.Double),
        sa.Column("ttft_s", sa.Double),
    )
    op.create_index("call_records_by_day", "call_records", ["day"])
    op.create_table(
        "feedback",
        sa.Column("answer_id", sa.String(100), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("key_name", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("proposers", sa.Integer, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("comment", sa.Text),
    )
    op.create_index("feedback_by_day", "feedback", ["day"])
    op.create_table(
        "quality_grades",
        sa.Column("answer_id", sa.String(100), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("key_name", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("proposers", sa.Integer, nullable=False),
        sa.Column("judge", sa.String(256), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
    )
    op.create_index("quality_grades_by_day", "quality_grades", ["day"])
