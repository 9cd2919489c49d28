// The client `@anthropic-ai/sdk` on Messages.

import Anthropic from "@anthropic-ai/sdk";

import { MAX_REQUESTS, MISSING, MODEL, PARAMETERS, QUESTION } from "./common.mjs";
import { TOOL_DESCRIPTION, TOOL_NAME, compute, failure, loops, main } from "./common.mjs";

const ASKED = { model: MODEL, messages: [{ role: "user", content: QUESTION }], temperature: 0, max_tokens: 128 };
const TOOLS = [{ name: TOOL_NAME, description: TOOL_DESCRIPTION, input_schema: PARAMETERS }];
const client = (url) => new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

await main({
  async chat(url) {
    const answer = await client(url).messages.create(ASKED);
    return { text: textOf(answer), usage: [answer.usage.input_tokens, answer.usage.output_tokens] };
  },

  async stream(url) {
    const pieces = [];
    const events = client(url).messages.stream(ASKED);
    events.on("text", (piece) => pieces.push(piece));
    const { usage } = await events.finalMessage();
    return { pieces, usage: [usage.input_tokens, usage.output_tokens] };
  },

  tools: (url) =>
    loops(async (question) => {
      const messages = [{ role: "user", content: question }];
      let calls = 0;
      let answer;
      for (let request = 0; request < MAX_REQUESTS; request++) {
        answer = await client(url).messages.create({ ...ASKED, messages, tools: TOOLS });
        messages.push({ role: "assistant", content: answer.content });
        const used = answer.content.filter((block) => block.type === "tool_use");
        if (!used.length) break;
        calls += used.length;
        const content = used.map((block) => ({
          type: "tool_result",
          tool_use_id: block.id,
          content: compute(String(block.input.expression)),
        }));
        messages.push({ role: "user", content });
      }
      return [calls, textOf(answer)];
    }),

  async models(url) {
    const ids = [];
    for await (const model of client(url).models.list()) ids.push(model.id);
    return ids;
  },

  not_found: (url) => failure(() => client(url).messages.create({ ...ASKED, model: MISSING })),
});
