// What an answer took: tokens, time, cost; for the team and, beside it, for one model.

import { el, number, seconds } from "./dom.js";

const counted = ({ usage }) => typeof usage?.prompt_tokens === "number" && typeof usage?.completion_tokens === "number";

// The team's sum is in `moa.usage`; a server that has none there puts it into `usage`.
export function totals(moa, usage, clock) {
  const agents = (moa?.trace ?? []).flatMap((layer) => layer.agents);
  const known = agents.filter(counted);
  const added = (field) => (known.length ? known.reduce((total, agent) => total + agent.usage[field], 0) : null);
  const sum = (field) => moa?.usage?.[field] ?? added(field) ?? usage?.[field] ?? null;
  // Equal agents are one call with several answers, whose tokens are counted at the first of them.
  const calls = agents.filter(({ usage, outcome }) => outcome !== "ok" || usage?.prompt_tokens !== 0 || usage?.completion_tokens !== 0);
  return {
    agents,
    calls: Math.max(calls.length, 1),
    prompt: sum("prompt_tokens"),
    completion: sum("completion_tokens"),
    lower: known.length < agents.length,
    engine: calls.reduce((total, agent) => total + (agent.total_ms ?? 0), 0),
    first: clock.first,
    total: clock.total,
  };
}

// Dollars of all calls; null if a model has no price. `priced` gives the price of a model by its id.
export function cost({ agents }, priced) {
  let sum = 0;
  for (const { model, usage } of agents.filter(counted)) {
    const price = priced(model);
    if (!price) return null;
    sum += (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6;
  }
  return sum;
}

export function comparison(columns, priced) {
  const [team, one] = columns;
  const least = (sums, text) => (sums.lower ? `≥ ${text}` : text);
  const money = (sums) => {
    const found = cost(sums, priced);
    return found === null ? "no price" : least(sums, `$${found < 0.01 ? found.toPrecision(2) : found.toFixed(2)}`);
  };
  const rows = [
    ["Calls", (sums) => number(sums.calls), (sums) => sums.calls],
    ["Prompt tokens", (sums) => least(sums, number(sums.prompt)), (sums) => sums.prompt],
    ["Written tokens", (sums) => least(sums, number(sums.completion)), (sums) => sums.completion],
    ["First word", (sums) => seconds(sums.first), (sums) => sums.first],
    ["Whole answer", (sums) => seconds(sums.total), (sums) => sums.total],
    ["Engine time", (sums) => seconds(sums.engine), (sums) => sums.engine],
    ["Cost", money, (sums) => cost(sums, priced)],
  ];
  const ratio = (value) => (value(team.sums) !== null && value(one.sums) > 0 ? `${(value(team.sums) / value(one.sums)).toFixed(1)}×` : "");
  return el("table", { class: "sums" },
    el("caption", { class: "hidden" }, "What the answer took"),
    el("thead", {}, el("tr", {}, el("td"), ...columns.map(({ name }) => el("th", { scope: "col", title: name }, name)), one ? el("th", { scope: "col" }, "ratio") : null)),
    el("tbody", {}, ...rows.map(([word, shown, value]) =>
      el("tr", {}, el("th", { scope: "row" }, word), ...columns.map(({ sums }) => el("td", {}, shown(sums))), one ? el("td", { class: "ratio" }, ratio(value)) : null))));
}
