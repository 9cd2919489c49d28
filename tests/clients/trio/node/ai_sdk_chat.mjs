// The Vercel AI SDK with `@ai-sdk/openai-compatible`, which speaks chat completions.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

import { features } from "./ai_sdk.mjs";
import { main } from "./common.mjs";

const options = { name: "moa", includeUsage: true, supportsStructuredOutputs: true };
await main(features((url, id) => createOpenAICompatible({ ...options, baseURL: `${url}/v1` })(id)));
