// What an answer took: tokens, time, cost; for the team and, beside it, for one model.

import { el, number, seconds } from "./dom.js";

export function totals(moa, usage, clock) {
  const agents = (moa?.trace ?? []).flatMap((layer) => layer.agents);
  const known = agents.filter((agent) => agent.usage?.prompt_tokens !== null && agent.usage?.completion_tokens !== null);
  const sum = (field) => known.reduce((total, agent) => total + agent.usage[field], 0);
  return {
    calls: Math.max(agents.length, 1),
    prompt: known.length ? sum("prompt_tokens") : (moa?.usage ?? usage)?.prompt_tokens ?? null,
    completion: known.length ? sum("completion_tokens") : (moa?.usage ?? usage)?.completion_tokens ?? null,
    lower: known.length < agents.length,
    engine: agents.reduce((total, agent) => total + (agent.total_ms ?? 0), 0),
    first: clock.first,
    total: clock.total,
  };
}

export function cost(sums, price) {
  if (price.prompt === null && price.completion === null) return null;
  return ((sums.prompt ?? 0) * (price.prompt ?? 0) + (sums.completion ?? 0) * (price.completion ?? 0)) / 1e6;
}

export function comparison(columns, price) {
  const [team, ...others] = columns;
  const money = (sums) => {
    const found = cost(sums, price);
    return found === null ? null : found < 0.01 ? found.toPrecision(2) : found.toFixed(2);
  };
  const rows = [
    ["Calls", (sums) => number(sums.calls), (sums) => sums.calls],
    ["Prompt tokens", (sums) => (sums.lower ? "≥ " : "") + number(sums.prompt), (sums) => sums.prompt],
    ["Written tokens", (sums) => (sums.lower ? "≥ " : "") + number(sums.completion), (sums) => sums.completion],
    ["First word", (sums) => seconds(sums.first), (sums) => sums.first],
    ["Whole answer", (sums) => seconds(sums.total), (sums) => sums.total],
    ["Engine time", (sums) => seconds(sums.engine), (sums) => sums.engine],
  ];
  if (money(team.sums) !== null) rows.push(["Cost", money, (sums) => cost(sums, price)]);
  const one = others[0];
  const ratio = (value) => (one && value(one.sums) > 0 ? `${(value(team.sums) / value(one.sums)).toFixed(1)}×` : "");
  return el("table", { class: "sums" },
    el("thead", {}, el("tr", {}, el("th"), ...columns.map(({ name }) => el("th", { scope: "col" }, name)), one ? el("th", { scope: "col" }, "ratio") : null)),
    el("tbody", {}, ...rows.map(([word, shown, value]) =>
      el("tr", {}, el("th", { scope: "row" }, word), ...columns.map(({ sums }) => el("td", {}, shown(sums))), one ? el("td", { class: "ratio" }, ratio(value)) : null))));
}
