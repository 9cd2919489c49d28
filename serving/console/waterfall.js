// The trace as a waterfall: when each agent waited, read its prompt and wrote.

import { el, seconds, svg } from "./dom.js";

const PHASES = [["queue", "queue"], ["prefill", "reads the prompt"], ["decode", "writes"], ["wait", "on the way"], ["lost", "ended without an answer"]];

export function phases(agent) {
  const elapsed = agent.elapsed_ms ?? 0;
  if (agent.total_ms === null || agent.total_ms === undefined) return { queue: 0, prefill: 0, decode: 0, wait: 0, lost: elapsed };
  const queue = Math.min(agent.queue_ms ?? 0, elapsed);
  const first = Math.min(Math.max(agent.ttft_ms ?? queue, queue), elapsed);
  const total = Math.min(Math.max(agent.total_ms ?? first, first), elapsed);
  return { queue, prefill: first - queue, decode: total - first, wait: elapsed - total, lost: 0 };
}

export function waterfall(trace) {
  const agents = trace.flatMap(({ layer, agents }) => agents.map((agent) => ({ layer, ...agent })));
  const end = Math.max(...agents.map((agent) => agent.started_ms + (agent.elapsed_ms ?? 0)), 1);
  const percent = (ms) => `${((ms / end) * 100).toFixed(3)}%`;
  const rows = agents.map((agent) => {
    const parts = phases(agent);
    const bar = svg("svg", { class: "lane", height: 16, role: "img" });
    const words = PHASES.filter(([name]) => parts[name] > 0).map(([name, word]) => `${word} ${seconds(parts[name])}`);
    bar.setAttribute("aria-label", `${agent.model}, layer ${agent.layer}: starts at ${seconds(agent.started_ms)}; ${words.join(", ")}`);
    for (const share of [25, 50, 75]) bar.append(svg("line", { x1: `${share}%`, x2: `${share}%`, y1: 0, y2: 16, class: "tick" }));
    let x = agent.started_ms;
    for (const [name, word] of PHASES) {
      if (parts[name] <= 0) continue;
      const box = svg("rect", { x: percent(x), width: percent(parts[name]), y: 3, height: 10, rx: 1.5, class: `phase ${name}` });
      const title = svg("title");
      title.textContent = `${word}: ${seconds(parts[name])}`;
      box.append(title);
      bar.append(box);
      x += parts[name];
    }
    return [el("span", { class: "lane-name" }, el("b", {}, String(agent.layer)), ` ${agent.model}`), bar, el("span", { class: "lane-ms" }, seconds(agent.elapsed_ms))];
  });
  const axis = el("div", { class: "axis" }, el("span", {}, "0"), el("span", {}, seconds(end / 2)), el("span", {}, seconds(end)));
  return el("figure", { class: "waterfall" },
    el("div", { class: "lanes" }, ...rows.flat(), el("span"), axis, el("span")),
    el("figcaption", {}, ...PHASES.filter(([name]) => name !== "lost" || agents.some((agent) => phases(agent).lost)).map(([name, word]) => el("span", { class: `key ${name}` }, word))));
}
