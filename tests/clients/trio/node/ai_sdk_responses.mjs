// The Vercel AI SDK with `@ai-sdk/openai`, which speaks Responses.

import { createOpenAI } from "@ai-sdk/openai";

import { features } from "./ai_sdk.mjs";
import { main } from "./common.mjs";

// Without `store: false` it sends references to items that it believes to be stored.
const providerOptions = { openai: { store: false } };
await main(features((url, id) => createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" })(id), { providerOptions }));
