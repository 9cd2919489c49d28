"""Record of one request and its answer, measured at the client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """Times are seconds on the client's clock. `None`: it did not occur, or does not apply.

    `first_frame_s`, `first_token_s`, `first_answer_s` and `total_s` count from `sent_s`; `sent_s` and `planned_s`
    count from the run's start.
    """

    scenario: str
    model: str
    streamed: bool
    sent_s: float
    total_s: float  # to the answer's last byte, or to the error
    planned_s: float | None = None  # open loop: send time in the schedule
    first_frame_s: float | None = None  # any event that is not a keep-alive, the role chunk included
    first_token_s: float | None = None  # any generated text, reasoning included
    first_answer_s: float | None = None  # text of the answer, not of its reasoning
    gaps_s: tuple[float, ...] = ()  # between consecutive frames that carry answer text
    prompt_tokens: int | None = None  # summed over all agents
    team_tokens: int | None = None  # completion tokens, summed over all agents
    answer_tokens: int | None = None  # completion tokens of the answer itself
    degraded: bool = False
    status: int = 0  # HTTP status; 0: no response
    error: str | None = None  # kind of error, such as "429 overloaded"; None: the answer is complete
