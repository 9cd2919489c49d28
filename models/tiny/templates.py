"""Chat templates of the three families.

`CHATML_TEMPLATE` writes tools as Qwen2.5 and Qwen3 do (the format of Hermes), `LLAMA3_TEMPLATE` as Llama 3.1 does with
tools in the system turn. With `enable_thinking` the ChatML prompt ends with `<think>`; without it, it is as short as a
model's that cannot think. Earlier reasoning is kept after the last user turn only, within a loop of tool calls.
"""

CHATML_TOOLS_BEFORE = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
CHATML_TOOLS_AFTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
LLAMA3_TOOLS_BEFORE = (
    "Environment: ipython\n\nYou have access to the following functions. To call a function, please respond with JSON "
    'for a function call. Respond in the format {"name": function name, "parameters": dictionary of argument name and '
    "its value}. Do not use variables.\n\n"
)

# The description comes before the name, which is what a call copies: a model of this size then knows at the name what
# the tool is for.
TOOL = """{{- '{"type": "function", "function": {' -}}
{%- if tool['function']['description'] -%}
{{- '"description": ' + tool['function']['description'] | tojson + ', ' -}}
{%- endif -%}
{{- '"name": ' + tool['function']['name'] | tojson -}}
{%- if tool['function']['parameters'] -%}
{{- ', "parameters": ' + tool['function']['parameters'] | tojson -}}
{%- endif -%}
{{- '}}' -}}"""

CHATML_TEMPLATE = (
    """\
{%- set ns = namespace(last_user=-1) -%}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{%- set ns.last_user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if tools -%}
{{- '<|im_start|>system\\n' -}}
{%- if messages[0]['role'] == 'system' -%}{{- messages[0]['content'] + '\\n\\n' -}}{%- endif -%}
{{- """
    + repr(CHATML_TOOLS_BEFORE)
    + """ -}}
{%- for tool in tools -%}{{- '\\n' -}}"""
    + TOOL
    + """{%- endfor -%}
{{- """
    + repr(CHATML_TOOLS_AFTER)
    + """ + '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'tool' -%}
{%- if loop.first or messages[loop.index0 - 1]['role'] != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
{{- '\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' -}}
{%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
{%- elif not (tools and loop.first and message['role'] == 'system') -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['reasoning_content'] and loop.index0 > ns.last_user -%}
{{- '<think>' + message['reasoning_content'] + '</think>' -}}
{%- endif -%}
{{- message['content'] -}}
{%- for call in message['tool_calls'] or [] -%}
{%- if message['content'] or not loop.first -%}{{- '\\n' -}}{%- endif -%}
{{- '<tool_call>\\n{"name": "' + call['function']['name'] + '", "arguments": ' -}}
{%- if call['function']['arguments'] is string -%}
{{- call['function']['arguments'] -}}
{%- else -%}
{{- call['function']['arguments'] | tojson -}}
{%- endif -%}
{{- '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking -%}{{- '<think>' -}}{%- endif -%}
{%- endif -%}
"""
)
LLAMA3_TEMPLATE = (
    """\
{{- bos_token -}}
{%- if tools -%}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' -}}
{{- """
    + repr(LLAMA3_TOOLS_BEFORE)
    + """ -}}
{%- for tool in tools -%}"""
    + TOOL
    + """{{- '\\n\\n' -}}{%- endfor -%}
{%- if messages[0]['role'] == 'system' -%}{{- messages[0]['content'] | trim -}}{%- endif -%}
{{- '<|eot_id|>' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'tool' -%}
{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' -}}
{%- elif not (tools and loop.first and message['role'] == 'system') -%}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim -}}
{%- for call in message['tool_calls'] or [] -%}
{%- if not loop.first -%}{{- '; ' -}}{%- elif message['content'] | trim -%}{{- '\\n' -}}{%- endif -%}
{{- '{"name": "' + call['function']['name'] + '", "parameters": ' -}}
{%- if call['function']['arguments'] is string -%}
{{- call['function']['arguments'] -}}
{%- else -%}
{{- call['function']['arguments'] | tojson -}}
{%- endif -%}
{{- '}' -}}
{%- endfor -%}
{{- '<|eot_id|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""
)
MISTRAL_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
{%- endif -%}
{%- if message['role'] == 'user' -%}
{{- '[INST]' + message['content'] + '[/INST]' -}}
{%- elif message['role'] == 'assistant' -%}
{{- message['content'] + eos_token -}}
{%- else -%}
{{- raise_exception('Only user and assistant roles are supported!') -}}
{%- endif -%}
{%- endfor -%}
"""
