"""Images in conversations that a template does not accept as they are."""

from dataclasses import replace

from deployments.model.conversation import adapted
from deployments.model.image_turns import after_results, behind, content_of, images_before, without_data
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.templates.facts import TemplateFacts
from serving.conversation import Message, ToolCall
from tests.support.images import placed
from tests.support.seeing_model import PARTS_TEMPLATE, seeing_tokenizer

ASKED = "Is [image] red?"
SEEN = Message("user", ASKED, images=placed(ASKED, "red"))
CALL = ToolCall("call00007", "look", "{}")
CALLS = Message("assistant", "", tool_calls=(CALL,))


def result(color: str) -> Message:
    text = f"{color}: [image]"
    return Message("tool", text, tool_call_id=CALL.id, images=placed(text, color))


def facts(**changes: bool) -> TemplateFacts:
    return replace(PromptRenderer(seeing_tokenizer(), "m").facts, **changes)


def shown(message: Message) -> list[str]:
    return [message.content[one.offset :][:7] for one in message.images]


def test_a_text_before_moves_the_images() -> None:
    joined = behind("Be brief.", SEEN, ())
    assert (joined.content, shown(joined)) == (f"Be brief.\n\n{ASKED}", ["[image]"])
    assert behind("", SEEN) == SEEN
    alone = behind("Be brief.", Message("user", ""))
    assert alone.content == "Be brief."


def test_a_folded_system_text_and_merged_messages_keep_images_at_their_places() -> None:
    folded = adapted([Message("system", "Be brief."), SEEN], facts(system=False), "m")
    assert [(one.content, shown(one)) for one in folded] == [(f"Be brief.\n\n{ASKED}", ["[image]"])]
    [merged] = adapted([SEEN, SEEN], facts(repeated_user=False), "m")
    assert (merged.content, shown(merged)) == (f"{ASKED}\n\n{ASKED}", ["[image]"] * 2)


def test_images_of_results_follow_them_where_a_template_has_none_there() -> None:
    messages = [SEEN, CALLS, result("blue"), result("green"), Message("assistant", "Done.")]
    found = after_results(messages)
    assert [one.role for one in found] == ["user", "assistant", "tool", "tool", "user", "assistant"]
    assert [one.content for one in found[2:5]] == [
        "blue: [image]",
        "green: [image]",
        "Images in the tool results above, in their order: [image][image]",
    ]
    assert [one.images for one in found[2:4]] == [(), ()]
    assert shown(found[4]) == ["[image]"] * 2
    assert [one.digest for one in found[4].images] == [one.digest for m in messages[2:4] for one in m.images]
    assert after_results(messages[:3])[-1].role == "user"
    assert after_results([SEEN]) == [SEEN]
    tools = facts(tool_turns=True, tool_images=True)
    assert adapted(messages, tools, "m") == messages


def test_contents_are_parts_only_with_images() -> None:
    assert content_of(Message("user", "a [image]")) == "a [image]"
    assert content_of(SEEN) == [{"type": "text", "text": "Is "}, {"type": "image"}, {"type": "text", "text": " red?"}]


def test_images_before_a_marker_are_counted() -> None:
    text = "[image] MARK [image]"
    twice = Message("user", text, images=placed(text, "red", "blue"))
    assert images_before([SEEN, twice], "MARK") == 2
    assert images_before([SEEN, Message("user", "MARK"), twice], "MARK") == 1
    assert images_before([SEEN, twice], "absent") == 3


def test_keys_of_the_cache_have_no_bytes() -> None:
    [light] = without_data((SEEN,))
    assert light.images[0].data == b""
    assert light == SEEN
    plain = (Message("user", "a"),)
    assert without_data(plain) is plain


def test_templates_are_probed_for_images() -> None:
    assert facts().user_images
    text_only = seeing_tokenizer().chat_template.replace("<image>", "")
    assert not PromptRenderer(seeing_tokenizer(), "m", text_only).accepts_images
    only_parts = PromptRenderer(seeing_tokenizer(), "m", PARTS_TEMPLATE)
    assert only_parts.accepts_images
    assert "Be brief." in only_parts.text((Message("system", "Be brief."), Message("user", "Hello")))
