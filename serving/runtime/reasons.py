"""Vocabulary of the `reasons` of an answer: every sentence that tells a caller how the answer was made.

No sentence has the text of an error or a name of the code: details are in the trace and in the log. docs/degradation.md
is generated from this list.
"""

from dataclasses import dataclass

from serving.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineUnavailable,
    IncompleteGeneration,
    InvalidRequest,
    Overloaded,
)
from serving.types import LOW_CONFIDENCE, AgentTrace


@dataclass(frozen=True, slots=True)
class Reason:
    """One kind of sentence. Calling it with the fields of `text` gives the sentence."""

    text: str
    when: str  # for the documentation
    degrades: bool = True  # the answer may be worse than the recipe promises

    def __call__(self, **fields: object) -> str:
        return self.text.format(**fields)


# -- one agent; `who` is its model, role and layer ---------------------------------------------------------------

LATE = Reason("{who} did not answer in time.", "An agent's deadline passed, or the time of its step of the recipe.")
SLOW = Reason(
    "{who} was slower than the others, which did not wait for it.", "A proposer exceeded `straggler_grace_s`."
)
EMPTY = Reason("{who} gave an empty answer.", "A proposal has no text and no tool call, or a model generated nothing.")
THOUGHT_ONLY = Reason("{who} gave reasoning, but no answer.", "A proposal has reasoning alone.")
NOT_NEEDED = Reason(
    "{who} was not needed any more.", "Shown beside the agent only: a vote was decided.", degrades=False
)
DOUBTED = Reason(
    "{who} was stopped: its confidence fell below that of the first answers.",
    "`confidence` of `vote`.",
    degrades=False,
)
UNAVAILABLE = Reason("{who} was not available.", "No replica or endpoint of the model could be reached.")
OVERLOADED = Reason("{who} had too many requests.", "The model refused the call because of its load.")
TOO_LONG = Reason("The prompt was too long for {who}.", "The prompt does not fit the model's context.")
REFUSED = Reason("{who} does not accept this request.", "The model refused the call as invalid.")
BROKEN_OFF = Reason("{who} broke off its answer.", "The model's stream ended before the answer was complete.")
FAILED = Reason("{who} failed.", "Any other error of the model; the server's log has the details.")
SHORTENED_ONE = Reason(
    "1 proposal was shortened to fit the context of '{model}'.", "A proposal was too long for its reader."
)
SHORTENED = Reason("{count} proposals were shortened to fit the context of '{model}'.", "The same, for several.")

PROPOSAL_CUT = Reason(
    "The answer of {who} was cut at its token limit.",
    "An answer that other agents read ended with `length`.",
    degrades=False,
)
PROPOSAL_FILTERED = Reason(
    "The answer of {who} was cut by a content filter.",
    "An answer that other agents read ended with `content_filter`.",
    degrades=False,
)

# -- steps of a recipe --------------------------------------------------------------------------------------------

TOO_FEW_WENT_ON = Reason(
    "Too few proposals were usable; the answer was made with those there are.",
    "`below_quorum: answer`.",
)
TOO_FEW_ALONE = Reason(
    "Too few proposals were usable; the final agent answered without any.",
    "`below_quorum: single`.",
)
LAYER_LATE = Reason(
    "Layer {layer} was not ready in time; the answer was made from the proposals before it.",
    "A later layer had fewer than `min_proposals` when the time for the answer began.",
)
LAYERS_LEFT_OUT = Reason(
    "There was no time for all layers; the answer was made from the proposals so far.",
    "The time for the answer began before the last layer.",
)
PROPOSERS_LEFT_OUT = Reason(
    "There was no time to ask all proposers; the answer was made from the proposals so far.",
    "`adaptive`, or `wave` of `vote`: the time was over before the proposers agreed.",
)
SAMPLES_LEFT_OUT = Reason(
    "There was no time to read all samples; the answer was made from the first of them.",
    "`self_moa_seq`: the time for the answer began before the window had reached the end.",
)
NOT_ASKED = Reason("There was no time to ask the {role}.", "The time for the answer began before a judge or critic.")
UNREADABLE_RANK = Reason(
    "The judge gave no readable verdict; the first proposal is the answer.", "`rank`: no verdict names a proposal."
)
UNREADABLE_BLEND = Reason(
    "The judge gave no readable verdict; the first proposals were combined.", "`blend`: no verdict names a proposal."
)
UNCHECKED = Reason(
    "The critic gave no opinion; the answer was not checked.", "`debate`: the critic failed or was late."
)
UNGRADED = Reason(
    "The judge gave no readable grade; the first answer was not trusted.", "`cascade`: there is no grade to compare."
)
FIRST_FAILED = Reason(
    "The first model did not answer; '{name}' answered instead.", "`cascade`: the first model failed or was late."
)
FIRST_RETURNED = Reason(
    "'{name}' did not answer; the first model's answer is returned.", "`cascade`: the escalation failed or was late."
)
PART_FAILED = Reason("Part {number} of the plan failed on every executor.", "`plan`: a part has no result.")
PART_LATE = Reason("Part {number} of the plan was not ready in time.", "`plan`: the time for the answer began.")

# -- the final answer ---------------------------------------------------------------------------------------------

PROPOSAL_RETURNED = Reason(
    "The final agent and those that could replace it did not answer; one of the proposals is returned.",
    "The final agents failed or were late before their first visible token.",
)
EARLIER_RETURNED = Reason(
    "The final agent and those that could replace it did not answer; an earlier answer is returned.",
    "The same, where an earlier answer of the recipe is known.",
)
CUT = Reason(
    "The time was over while the answer was being written; it is cut off.",
    "A deadline passed after the first visible token: the finish reason is `length`.",
)

# -- notes, which do not degrade the answer -------------------------------------------------------------------------

REPLACED = Reason("{why}; '{model}' was asked instead.", "`refill`: another model took the slot.", degrades=False)
UNCOUNTED = Reason(
    "The tokens of {who} are not known, and not in the usage.", "A lost or cancelled call.", degrades=False
)
UNCOUNTED_ATTEMPTS = Reason(
    "The tokens of other attempts of {who} are not known, and not in the usage.",
    "A retried or hedged call.",
    degrades=False,
)
EMPTY_ANSWER = Reason(
    "The model ended its answer at once: it is empty.", "The final answer has no text.", degrades=False
)
DECIDED = Reason(
    "Layer {layer} was decided by {ended} of its {agents} answers; the others were not needed.",
    "`stop`: the remaining votes could not change the answer, or only with a small probability.",
    degrades=False,
)
COUNTED_SO_FAR = Reason(
    "The tokens of {who} are those that it had reported when it was stopped.",
    "A call that was not needed any more.",
    degrades=False,
)
AGREED = Reason(
    "{equal} of {voters} proposers{place} drafted the same tool calls, which are the answer.",
    "`tools: vote`: the vote is decided.",
    degrades=False,
)
NOT_AGREED = Reason(
    "{equal} of {voters} proposers{place} drafted the same tool calls; {needed} are needed to decide.",
    "`tools: vote`: the vote is not decided.",
    degrades=False,
)
WHOLE = Reason(
    "The final agent waited for whole proposals, as the request has {what}.",
    "`staircase`: a chunk cannot honour it.",
    degrades=False,
)
REUSED = Reason(
    "The proposals of this user turn{made} were reused.", "In a loop of tool calls: see `advise`.", degrades=False
)
SMALL_TASK = Reason(
    "Small task of a user interface ({kind}): '{model}' was asked alone.", "See `small_tasks`.", degrades=False
)
SHOWN = Reason("The request's {images}: shown to {models}.", "Models that see were asked.", degrades=False)
SHOWN_TO_SOME = Reason(
    "The request's {images}: shown to {models}; {others} read [image] instead.",
    "The same, beside models that read text only.",
    degrades=False,
)
SHOWN_BEFORE = Reason(
    "The request's {images}: not shown in this call, but the proposals were made before it.",
    "Proposals were reused.",
    degrades=False,
)
UNSEEN = Reason("The request's {images}: no model that was asked can see; {others} read [image].", "No model sees.")

_OF_ERROR: dict[str, Reason] = {
    DeadlineExceeded.code: LATE,
    EngineUnavailable.code: UNAVAILABLE,
    Overloaded.code: OVERLOADED,
    ContextTooLong.code: TOO_LONG,
    IncompleteGeneration.code: BROKEN_OFF,
}


def who(trace: AgentTrace) -> str:
    """Model, role and layer of an agent."""
    return f"'{trace.model}' ({trace.role.replace('_', ' ')}, layer {trace.layer})"


def outcome(trace: AgentTrace) -> str:
    """Sentence for an agent that gave no usable answer."""
    return _of(trace)(who=who(trace))


def _of(trace: AgentTrace) -> Reason:
    if trace.status == "empty":
        return THOUGHT_ONLY if trace.reasoning else EMPTY
    if trace.status == "straggler":
        return SLOW
    if trace.status == "timeout":
        return LATE
    if trace.status == "cancelled":
        return DOUBTED if trace.cause == LOW_CONFIDENCE else NOT_NEEDED
    if trace.cause in REFUSALS and trace.cause not in _OF_ERROR:
        return REFUSED
    return _OF_ERROR.get(trace.cause or "", FAILED)


REFUSALS = frozenset({InvalidRequest.code, *(kind.code for kind in InvalidRequest.__subclasses__())})
