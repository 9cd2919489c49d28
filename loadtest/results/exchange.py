"""One request and its answer, as the client saw them: the raw material of every measure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """Times are seconds on the client's clock. `None`: it never came, or does not apply.

    `first_frame_s`, `first_token_s`, `first_answer_s` and `total_s` count from `sent_s`; `sent_s` and `planned_s`
    count from the run's start.
    """

    scenario: str
    model: str
    streamed: bool
    sent_s: float
    total_s: float  # to the answer's last byte, or to the error
    planned_s: float | None = None  # open loop: when the schedule wanted it sent
    first_frame_s: float | None = None  # any event that is not a keep-alive, the role chunk included
    first_token_s: float | None = None  # any generated text, reasoning included
    first_answer_s: float | None = None  # text of the answer itself
    gaps_s: tuple[float, ...] = ()  # between consecutive frames that carry answer text
    prompt_tokens: int | None = None  # summed over all agents
    team_tokens: int | None = None  # completion tokens, summed over all agents
    answer_tokens: int | None = None  # completion tokens of the answer itself
    degraded: bool = False
    status: int = 0  # HTTP; 0: no answer came at all
    error: str | None = None  # its kind, such as "429 overloaded"; None: a whole answer came
