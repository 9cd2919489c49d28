// The Vercel AI SDK with `@ai-sdk/anthropic`, which speaks Messages.

import { createAnthropic } from "@ai-sdk/anthropic";

import { features } from "./ai_sdk.mjs";
import { main } from "./common.mjs";

await main(features((url, id) => createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" })(id)));
