// What the page says: states of agents, roles, layers, settings and failures in words.

export const EXAMPLES = ["What is 17 + 25?", "What is the capital of France?", "Spell the word planet backwards."];

const MAX_VERDICT = 16; // characters; longer verdicts speak for themselves

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

// For people who see the page for the first time. `settings` are those of the recipe, if known.
export function invitation(card, settings) {
  if (card?.kind === "model") return "Ask one model";
  const team = new Set(settings?.models?.default);
  return settings && team.size < 2 ? `Ask ${card.id}` : "Ask a team of models";
}

// Steps of an answer.
export function steps({ kind, description }, settings) {
  const last = "You see what each wrote, how long it took and how many tokens.";
  if (kind === "model") return ["One model answers your question.", "You see how long it took and how many tokens."];
  if (!settings) return [];
  if (!settings.aggregator) return [description || "The recipe asks its models.", last];
  const team = [...new Set(settings.models.default)];
  const alone = team.length > 1 ? `${and(team)} answer your question, each alone.` : `${team[0]} answers your question several times.`;
  return [alone, `${settings.aggregator.default} reads their answers and joins them into one.`, last];
}

// A sentence above each column. `layered`: later layers of proposers read the proposals before them.
export function layerAbout(role, layer, layered, judges) {
  switch (role) {
    case "proposer": return layered && layer > 1 ? "Each model reads the proposals so far and writes a better one." : "Each model answers alone. None sees the others.";
    case "first": return "One model tries alone. If it seems unsure, others join.";
    case "judge": return judges === "grade" ? "A judge grades the first answer." : "A judge reads the proposals, several times in different orders.";
    case "critic": return "A critic looks for mistakes in the answer.";
    case "solver": return "A model answers. A critic reads it next.";
    case "planner": return "A planner splits the task into parts.";
    case "executor": return "Each model does one part.";
    case "aggregator": return "A model joins some of the proposals.";
    default: return "";
  }
}

// A judge's short verdict in words; `graded`: it grades one answer, and compares no proposals.
export function verdict(text, graded) {
  const number = text.trim().length <= MAX_VERDICT && text.match(/\d+(?:\.\d+)?/)?.[0];
  if (!number) return text;
  return graded ? `Grade of the first answer: ${number} of 10` : `Best of the proposals, in the order it read them: number ${number}`;
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
  first_chunk_tokens: "First chunk, tokens", chunk_tokens: "Chunk, tokens",
  agreement: "Enough agreement", answer_kind: "Compare answers as", refill: "Replace failed proposers",
  below_quorum: "With too few proposals", deadline_s: "Time limit, s", layout: "Proposals in the prompt",
  prefill: "Prepare prompts early", reference_order: "Order of proposals", tools: "Who has tools", advise: "Ask the team again",
  small_tasks: "Titles, tags", stop: "End early", stop_error: "Allowed error", wave: "Asked at once",
};

export const NOTES = {
  "moa.temperature": "Where neither an agent nor the field at the top sets one.",
  temperature: "Higher values make the words more varied.",
  max_tokens: "Longer answers are cut.",
  seed: "For answers that can be repeated.",
  reasoning_effort: "Of the model that writes the answer.",
  models: "The models that are asked.",
  layers: "Each layer reads the proposals of the one before it.",
  aggregator: "This model writes the answer from the proposals.",
  min_proposals: "A layer may end when it has so many.",
  straggler_grace_s: "From then on. Slower proposers are cut off.",
  proposal_max_tokens: "Longer proposals are cut.",
  samples: "So many proposals are written.",
  rounds: "The first answer and its revisions, at most.",
  parts: "The task is split into so many smaller ones.",
  top: "So many of the best proposals are joined.",
  threshold: "From this score, 0 to 1, the first answer is good enough.",
  first_chunk_tokens: "The answer begins when each proposal is so long.",
  chunk_tokens: "So much is written before the proposals are read again.",
  agreement: "If so large a share of the proposals is the same, it is the answer.",
  answer_kind: "What must be the same: the text, a number, a letter, or what is boxed.",
  refill: "Another model takes the place of one that failed.",
  below_quorum: "Fail, answer with those there are, or let a single model answer.",
  deadline_s: "For the whole answer.",
  layout: "As in the paper: before the conversation. Or behind it.",
  prefill: "Models read what is known of their prompts while others still write.",
  reference_order: "As the team is listed, or as they arrive.",
  tools: "The model that writes the answer, or all (vote).",
  advise: "Once for a question, or again after every tool call.",
  stop: "When the missing answers cannot change the result (certain), or hardly (likely). Never: all are waited for.",
  stop_error: "With likely: the probability that the missing answers would have changed the result.",
  wave: "The next ones are asked when these have ended and the vote is open.",
  small_tasks: "Small requests of chat programs go to one model, or to the team.",
};

// Words of the server with the form's names in place of its own.
export function inWords(text) {
  const label = (name) => LABELS[`moa.${name}`] ?? LABELS[name];
  const bare = Object.keys(LABELS).filter((name) => name.includes("_")).join("|");
  return text
    .replace(new RegExp(`'moa\\.(\\w+)[^']*'(?:: (\\w+)(?=[: ]))?`, "g"), (whole, name, next) => (label(name) ? `“${label(name)}”${next ? `: ${label(next) ? `“${label(next)}”` : next}` : ""}` : whole))
    .replace(new RegExp(`'?\\b(${bare})\\b'?`, "g"), (whole, name) => `“${label(name)}”`);
}

export const and = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");

export const shown = (value) => (Array.isArray(value) ? value.join(", ") : value === true ? "yes" : value === false ? "no" : String(value).replaceAll("_", " "));

export const LEFT = "The page was closed or reloaded before the answer ended.";

export function failure(error) {
  if (error.name === "AbortError") return "Stopped. The models' work has ended too.";
  if (error.status === 401) return error.keyed ? "The server does not accept this API key." : "This server needs an API key. Enter it under Settings.";
  if (error.status === 429) return `The server is busy: ${inWords(error.message)}`;
  return inWords(error.message) || "Something went wrong on this page.";
}
