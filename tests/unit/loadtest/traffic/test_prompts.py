import random

from loadtest.traffic.prompts import Conversation, TokenEstimator, words


def test_texts_have_their_words_and_differ_from_the_first_on() -> None:
    texts = [words(50, random.Random(seed)) for seed in range(50)]
    assert {len(text.split()) for text in texts} == {50}
    assert len({text.split()[0] for text in texts}) == 50


def test_measured_tokens_per_word_give_the_wanted_length() -> None:
    tokens = TokenEstimator.fitted({20: 20 * 2 + 7, 220: 220 * 2 + 7})
    assert (tokens.per_word, tokens.fixed) == (2.0, 7.0)
    assert len(tokens.text(107, random.Random(0)).split()) == 50
    assert len(tokens.text(1, random.Random(0)).split()) == 1


def test_a_conversation_alternates_and_grows() -> None:
    conversation = Conversation()
    conversation.ask("a", 3)
    conversation.hear("b", 4)
    conversation.ask("c", 5)
    assert [message["role"] for message in conversation.messages] == ["user", "assistant", "user"]
    assert conversation.tokens == 12
