// States and outcomes of agents in words.

export const OUTCOMES = {
  ok: "done",
  empty: "empty answer",
  failed: "failed",
  timeout: "too slow",
  straggler: "cut off",
  cancelled: "stopped",
};

export const EXPLAINED = {
  straggler: "The layer had enough proposals and did not wait longer.",
  cancelled: "No longer needed.",
};

export const ROLES = { aggregator: "joins the proposals", proposer: "proposes", judge: "judges", critic: "criticizes", model: "answers" };

export function failure(error) {
  if (error.name === "AbortError") return "Stopped. The models' work has ended too.";
  if (error.status === 401) return "This server needs an API key. Enter it under Settings, Server.";
  if (error.status === 429) return `The server is busy: ${error.message}`;
  return error.message || "Something went wrong on this page.";
}
