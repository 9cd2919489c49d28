// Features of the Vercel AI SDK with any of its providers: `model(url, id)` makes the language model, `options` are
// added to each request.

import { APICallError, Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { ANSWER_SCHEMA, MAX_REQUESTS, MISSING, MODEL, PARAMETERS, QUESTION } from "./common.mjs";
import { TOOL_DESCRIPTION, compute, loops } from "./common.mjs";

const usageOf = (usage) => [usage.inputTokens, usage.outputTokens];

export function features(model, options = {}) {
  const settings = { temperature: 0, maxOutputTokens: 128, maxRetries: 0, ...options };
  return {
    async chat(url) {
      const { text, usage } = await generateText({ model: model(url, MODEL), prompt: QUESTION, ...settings });
      return { text, usage: usageOf(usage) };
    },

    async stream(url) {
      const result = streamText({ model: model(url, MODEL), prompt: QUESTION, ...settings });
      const pieces = [];
      for await (const piece of result.textStream) pieces.push(piece);
      return { pieces, usage: usageOf(await result.usage) };
    },

    tools: (url) =>
      loops(async (question) => {
        const execute = async ({ expression }) => compute(expression);
        const { steps, text } = await generateText({
          model: model(url, MODEL),
          prompt: question,
          tools: { compute: tool({ description: TOOL_DESCRIPTION, inputSchema: jsonSchema(PARAMETERS), execute }) },
          stopWhen: stepCountIs(MAX_REQUESTS),
          ...settings,
        });
        return [steps.flatMap((step) => step.toolCalls).length, text];
      }),

    async structured(url) {
      const output = Output.object({ schema: jsonSchema(ANSWER_SCHEMA) });
      return (await generateText({ model: model(url, MODEL), prompt: QUESTION, output, ...settings })).output;
    },

    async not_found(url) {
      try {
        await generateText({ model: model(url, MISSING), prompt: QUESTION, ...settings });
      } catch (raised) {
        if (!APICallError.isInstance(raised)) throw raised;
        return { class: `${raised.name} ${raised.statusCode}`, message: raised.message };
      }
      throw new Error(`no error for the model ${MISSING}`);
    },
  };
}
