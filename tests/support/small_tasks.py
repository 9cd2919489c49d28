"""Prompts of user interfaces for small tasks: their frames as they are sent, with shorter guidelines."""

HISTORY = "USER: How do tides work?\nASSISTANT: The moon pulls the water."
GUIDELINES = "### Guidelines:\n- Keep it short.\n- Use the language of the chat.\n"

OPEN_WEBUI = {
    "title": "### Task:\nGenerate a concise title summarizing the chat history.\n" + GUIDELINES + "### Output:\n"
    'JSON format: { "title": "your concise title here" }\n### Examples:\n- { "title": "Stock Trends" }\n'
    f"### Chat History:\n<chat_history>\n{HISTORY}\n</chat_history>",
    "tags": "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history.\n\n"
    + GUIDELINES
    + '\n### Output:\nJSON format: { "tags": ["tag1", "tag2", "tag3"] }\n\n'
    f"### Chat History:\n<chat_history>\n{HISTORY}\n</chat_history>",
    "follow-ups": "### Task:\nSuggest 3-5 relevant follow-up questions or prompts.\n"
    + GUIDELINES
    + '- Response must be a JSON object with a "follow_ups" key.\n'
    '### Output:\nJSON format: { "follow_ups": ["One?"] }\n'
    f"### Chat History:\n<chat_history>\n{HISTORY}\n</chat_history>",
    "search queries": "### Task:\nAnalyze the chat history to determine the necessity of generating search queries.\n\n"
    + GUIDELINES
    + '\n### Output:\nStrictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}\n\n'
    f"### Chat History:\n<chat_history>\n{HISTORY}\n</chat_history>\n",
    "image prompt": "### Task:\nGenerate a detailed prompt for am image generation task.\n\n"
    + GUIDELINES
    + '\n### Output:\nStrictly return in JSON format:\n{\n    "prompt": "Your detailed description here."\n}\n\n'
    f"### Chat History:\n<chat_history>\n{HISTORY}\n</chat_history>",
    "autocompletion": "### Task:\nYou are an autocompletion system. Continue the text in `<text>`.\n\n"
    '### **Output Rules**:\n- Respond only in JSON format: `{ "text": "<your_completion>" }`.\n\n---\n'
    f"### Context:\n<chat_history>\n{HISTORY}\n</chat_history>\n<type>General</type>  \n<text>Why do</text>  \n"
    "#### Output:\n",
    "emoji": "Your task is to reflect the speaker's likely facial expression through a fitting emoji.\n\n"
    "Message: ```I passed my exam!```",
}
LIBRECHAT = {
    "completion": "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only"
    f" return the title itself.\n\nConversation:\n{HISTORY}",
    "newer completion": "Provide a concise, 5-word-or-less title for the conversation, using its same language, with no"
    f" punctuation. Only return the title itself.\n\nConversation:\n{HISTORY}",
    "structured": "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
    f"2. A concise title in the detected language (5 words or less)\n\n{HISTORY}",
}
# What looks like one and is a person's question, or a task that deserves the team.
NEAR_MISSES = {
    "quoted in a question": f"What does this prompt do?\n\n{OPEN_WEBUI['title']}",
    "with a question after it": f"{OPEN_WEBUI['tags']}\n\nIs this a good prompt?",
    "in a code block": f"```\n{OPEN_WEBUI['follow-ups']}\n```",
    "documents to answer from": "### Task:\nRespond to the user query using the provided context.\n\n"
    + GUIDELINES
    + '\n### Output:\nProvide a clear answer, such as "title".\n\n<context>\n<source id="1">tides</source>\n'
    "</context>\n\nHow do tides work?",
    "documents and the history in them": "### Task:\nRespond to the user query using the provided context.\n\n"
    "### Output:\nProvide a clear answer.\n\n<context>\n<chat_history>\nold\n</chat_history>\n</context>\n\nWhy?",
    "answers to merge": "You have been provided with a set of responses from various models to the latest user query:"
    ' "Why?"\n\nYour task is to synthesize these responses. Responses from models: yes, no',
    "a person's own task list": '### Task:\nWrite an essay.\n### Output:\nJSON with a "title" and a text.',
    "a history and no form": f"### Task:\nTell me what is wrong.\n<chat_history>\n{HISTORY}\n</chat_history>",
    "the key before the form": '### Task:\nExplain "title".\n### Output:\nProse.\n'
    f"<chat_history>\n{HISTORY}\n</chat_history>",
    "a title, asked by a person": "Provide a concise, 5-word-or-less title for the conversation",
    "an emoji, asked by a person": "Your task is to reflect the speaker's likely facial expression through a smile.",
    "an empty frame": "### Task:",
    "analysis of a conversation": "Analyze this conversation and provide:\n1. A summary\n\nA: hi\nB: hello",
}
