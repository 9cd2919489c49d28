// The server's API: the list of models, and streamed answers as a sequence of chunks. Addresses are relative to the
// page, so that the console works below a path prefix too.

export class ApiError extends Error {
  constructor(message, code, status, keyed = false) {
    super(message);
    this.code = code;
    this.status = status;
    this.keyed = keyed; // the request had an API key
  }
}

const headers = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Is it still running?", "unreachable", 0);
  }
  if (response.ok) return response;
  const found = await response.json().catch(() => null);
  throw new ApiError(found?.error?.message ?? `The server answered with status ${response.status}.`, found?.error?.code, response.status, Boolean(options.headers.Authorization));
}

export async function models(key) {
  const { data } = await (await asked("v1/models", { headers: headers(key) })).json();
  return data.filter(({ task = "generate" }) => task === "generate"); // models that write, and their aliases
}

// One of them, with the settings that a request may change. An id may contain slashes, which stay.
export async function details(id, key) {
  const path = id.split("/").map(encodeURIComponent).join("/");
  return (await asked(`v1/models/${path}`, { headers: headers(key) })).json();
}

export async function* chat(body, key, signal) {
  const response = await asked("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers(key) },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  let ended = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") {
      ended = true;
      break;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(chunk.error.message, chunk.error.code, 200);
    yield chunk;
  }
  if (!ended) throw new ApiError("The connection was lost before the answer ended.", "incomplete", 200);
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new ApiError("The connection was lost before the answer ended.", "incomplete", 200);
      });
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
