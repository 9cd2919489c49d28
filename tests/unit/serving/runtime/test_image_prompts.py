"""Prompts of agents with images: what moves a text moves its images, what drops one leaves the word."""

from serving.conversation import Message, ToolCall
from serving.errors import ContextTooLong
from serving.recipes.judging import question
from serving.references import Layout, Reference, ReferenceBlock
from serving.runtime.advice_prompt import as_prose
from serving.runtime.prompts import with_references
from serving.runtime.truncation import PromptFitter
from serving.types import GenerateRequest, Sampling
from tests.support.images import placed

ASKED = "Compare [image] with [image]."
SEEN = Message("user", ASKED, images=placed(ASKED, "red", "blue"))
CALL = ToolCall("call_1", "look", "{}")


def shown(message: Message) -> list[tuple[str, str]]:
    """The text at each image's place, and its digest."""
    return [(message.content[one.offset : one.offset + 7], one.digest) for one in message.images]


def digests(*messages: Message) -> list[str]:
    return [one.digest for message in messages for one in message.images]


def test_tool_turns_become_prose_behind_the_images() -> None:
    result = Message("tool", "a [image] of it", tool_call_id="call_1", images=placed("a [image]", "green"))
    first, *rest = as_prose([SEEN, Message("assistant", "", tool_calls=(CALL,)), result, SEEN])
    assert not rest
    assert shown(first) == [("[image]", digest) for digest in digests(SEEN, SEEN)]
    assert "(look returned: a [image] of it)" in first.content


def test_references_leave_images_at_their_places() -> None:
    layouts: tuple[Layout, ...] = ("paper", "references_last")
    for layout in layouts:
        block = ReferenceBlock((Reference("a", "It is red."),), "Read:", layout)
        prompt = with_references([Message("system", "Be brief."), SEEN], block)
        assert shown(prompt[1]) == [("[image]", digest) for digest in digests(SEEN)]
        assert "It is red." in "".join(message.content for message in prompt)


def test_a_judge_reads_images_within_the_quoted_conversation() -> None:
    text = "Lines\r\nbefore\n\n[image]\nand\n[image]"
    many = Message("user", text, images=placed(text, "red", "green"))
    [asked] = question([SEEN, Message("assistant", "They\ndiffer."), many], "Which one?")
    assert shown(asked) == [("[image]", digest) for digest in digests(SEEN, many)]
    assert asked.content == (
        "Conversation:\n[user] Compare [image] with [image].\n[assistant] They\n   differ.\n[user] Lines\n   before\n"
        "   \n   [image]\n   and\n   [image]\n\nWhich one?"
    )


def test_tokens_of_images_do_not_make_the_cut_of_references_too_small() -> None:
    """800 of 1,000 tokens are images: the 100 excess tokens are 400 characters of the references, not 80."""
    references = ReferenceBlock((Reference("a", "word " * 160),), "Read:")
    request = GenerateRequest("r", (SEEN,), Sampling(max_tokens=100), references)
    fitter = PromptFitter(request, 1000)
    fitter.image_tokens = 800
    fitter.shorten(ContextTooLong("m", 1000, 1000, 100))
    assert fitter.request.references is not None
    assert len(fitter.request.references.references[0].text) < 400
