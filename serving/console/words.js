// What the page says: states of agents, roles, layers, settings and failures in words.

export const EXAMPLES = ["What is 17 + 25?", "What is the capital of France?", "Spell the word planet backwards."];

export const OUTCOMES = {
  ok: "done",
  empty: "empty answer",
  failed: "failed",
  timeout: "too slow",
  straggler: "cut off",
  cancelled: "stopped",
  stopped: "stopped", // by the caller: such agents are in no trace
};

export const EXPLAINED = {
  straggler: "The layer had enough proposals and did not wait longer.",
  cancelled: "No longer needed.",
  empty: "It wrote nothing that others could read.",
};

export const ROLES = {
  aggregator: "joins the proposals", proposer: "proposes", judge: "judges", critic: "criticizes", solver: "solves",
  planner: "plans", executor: "does a part", synthesizer: "joins the parts", first: "tries first", model: "answers",
};

// Steps of an answer, for people who see the page for the first time. `settings` are those of the recipe, if known.
export function steps(kind, settings) {
  const last = "You see what each wrote, how long it took and how many tokens.";
  if (kind === "model") return ["One model answers your question.", "You see how long it took and how many tokens."];
  if (!settings?.aggregator) return settings ? [last] : [];
  const team = [...new Set(settings.models.default)];
  const alone = team.length > 1 ? `${and(team)} answer your question, each alone.` : `${team[0]} answers your question several times.`;
  return [alone, `${settings.aggregator.default} reads their answers and joins them into one.`, last];
}

// A sentence above each column. `layered`: later layers of proposers read the proposals before them.
export function layerAbout(role, layer, layered) {
  switch (role) {
    case "proposer": return layered && layer > 1 ? "Each model reads the proposals so far and writes a better one." : "Each model answers alone. None sees the others.";
    case "first": return "One model tries alone. If it seems unsure, others join.";
    case "judge": return "A judge reads the proposals and compares them.";
    case "critic": return "A critic looks for mistakes in the answer.";
    case "solver": return "A model answers. A critic reads it next.";
    case "planner": return "A planner splits the task into parts.";
    case "executor": return "Each model does one part.";
    case "aggregator": return "A model joins some of the proposals.";
    default: return "";
  }
}

export const WAITING = {
  server: "Waiting for the server …",
  team: "The answer begins when the proposals are in.",
  model: "The model reads the question …",
};

export const LABELS = {
  "moa.temperature": "Team's temperature",
  temperature: "Temperature", max_tokens: "Maximum tokens", seed: "Seed", reasoning_effort: "Thinking",
  models: "Team", layers: "Layers of proposers", aggregator: "Joined by", min_proposals: "Enough proposals",
  straggler_grace_s: "Wait for others, s", proposal_max_tokens: "Tokens per proposal", samples: "Answers in total",
  rounds: "Rounds", parts: "Parts at most", top: "Joined proposals", threshold: "Enough score",
  agreement: "Enough agreement", answer_kind: "Compare answers as", refill: "Replace failed proposers",
  below_quorum: "With too few proposals", deadline_s: "Time limit, s", layout: "Proposals in the prompt",
  prefill: "Prepare prompts early", reference_order: "Order of proposals", tools: "Who has tools", advise: "Ask the team again",
};

export const NOTES = {
  seed: "For answers that can be repeated.",
  reasoning_effort: "Of the model that writes the answer.",
  min_proposals: "A layer may end when it has so many.",
  straggler_grace_s: "From then on. Slower proposers are cut off.",
};

export const and = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");

export const shown = (value) => (Array.isArray(value) ? value.join(", ") : value === true ? "yes" : value === false ? "no" : String(value).replaceAll("_", " "));

export const LEFT = "The page was closed or reloaded before the answer ended.";

export function failure(error) {
  if (error.name === "AbortError") return "Stopped. The models' work has ended too.";
  if (error.status === 401) return error.keyed ? "The server does not accept this API key." : "This server needs an API key. Enter it under Settings.";
  if (error.status === 429) return `The server is busy: ${error.message}`;
  return error.message || "Something went wrong on this page.";
}
