// The client `openai` of Node on chat completions.

import OpenAI from "openai";

import { ANSWER_SCHEMA, MAX_REQUESTS, MISSING, MODEL, PARAMETERS, QUESTION } from "./common.mjs";
import { TOOL_DESCRIPTION, TOOL_NAME, compute, failure, loops, main } from "./common.mjs";

const ASKED = { model: MODEL, messages: [{ role: "user", content: QUESTION }], temperature: 0, max_tokens: 128 };
const TOOLS = [
  { type: "function", function: { name: TOOL_NAME, description: TOOL_DESCRIPTION, parameters: PARAMETERS } },
];
const client = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

await main({
  async chat(url) {
    const answer = await client(url).chat.completions.create(ASKED);
    const { prompt_tokens, completion_tokens } = answer.usage;
    return { text: answer.choices[0].message.content, usage: [prompt_tokens, completion_tokens] };
  },

  async stream(url) {
    const options = { ...ASKED, stream: true, stream_options: { include_usage: true } };
    const pieces = [];
    let usage = null;
    for await (const chunk of await client(url).chat.completions.create(options)) {
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
      usage = chunk.usage ?? usage;
    }
    return { pieces, usage: usage && [usage.prompt_tokens, usage.completion_tokens] };
  },

  tools: (url) =>
    loops(async (question) => {
      const messages = [{ role: "user", content: question }];
      let calls = 0;
      let message;
      for (let request = 0; request < MAX_REQUESTS; request++) {
        const answer = await client(url).chat.completions.create({ ...ASKED, messages, tools: TOOLS });
        message = answer.choices[0].message;
        messages.push(message);
        if (!message.tool_calls?.length) break;
        for (const call of message.tool_calls) {
          calls += 1;
          const content = compute(JSON.parse(call.function.arguments).expression);
          messages.push({ role: "tool", tool_call_id: call.id, content });
        }
      }
      return [calls, message.content];
    }),

  async structured(url) {
    const json_schema = { name: "answer", schema: ANSWER_SCHEMA, strict: true };
    const asked = { ...ASKED, response_format: { type: "json_schema", json_schema } };
    return JSON.parse((await client(url).chat.completions.create(asked)).choices[0].message.content);
  },

  async models(url) {
    const ids = [];
    for await (const model of client(url).models.list()) ids.push(model.id);
    return ids;
  },

  not_found: (url) => failure(() => client(url).chat.completions.create({ ...ASKED, model: MISSING })),
});
