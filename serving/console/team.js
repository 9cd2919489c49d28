// The team at work: one column per layer, one card per agent; the last column is the answer.

import { Card } from "./card.js";
import { el, plural } from "./dom.js";
import { layerAbout } from "./words.js";

const HUES = [212, 28, 152, 268, 340, 190, 50, 300];

export class Team {
  // `describe` gives the operator's words about a model; `layered`: each layer of proposers reads the one before;
  // `show` is called with each part that is new.
  constructor(describe, layered, show = () => {}) {
    this.layered = layered;
    this.show = show;
    this.left = 0; // pixels by which the columns were moved from here
    this.describe = describe;
    this.columns = new Map(); // by layer
    this.cards = new Map(); // by "layer-agent"
    this.hues = new Map(); // by model
    this.node = el("div", { class: "team" });
    this.answerHead = el("div", { class: "answer-head" });
    this.answer = el("section", { class: "column answer-column", "aria-label": "Answer" }, this.answerHead);
    this.node.append(this.answer);
  }

  handle(event) {
    const at = `${event.layer}-${event.agent}`;
    const card = this.cards.get(at);
    switch (event.event) {
      case "layer_started":
        this.layerStarted(event);
        break;
      case "layer_finished":
        this.layerFinished(event);
        break;
      case "vote_ended":
        this.columns.get(event.layer)?.append(el("p", { class: "remark" }, event.outcome));
        break;
      case "agent_started":
        if (card && !event.answers) card.restart(event.model, card.model === event.model ? "asked again" : `asked instead of ${card.model}`, this.hue(event.model));
        else this.addCard(at, event, event.answers);
        break;
      case "agent_first_token":
        card?.state("writing", "writing");
        break;
      case "agent_text":
        card?.write(event.text ?? "", event.reasoning ?? "");
        break;
      case "agent_retried":
        card?.restart(card.model, "Its replica was lost. It was asked again.", this.hue(card.model));
        break;
      case "agent_hedged":
        card?.remark("Slow: a second replica was asked, too.");
        break;
      case "agent_finished":
        if (!card) this.addCard(at, event, event.role === "model");
        this.cards.get(at).finish(event);
        break;
    }
  }

  layerStarted({ layer, agents, needed }) {
    const enough = needed < agents ? `, ${needed} ${needed === 1 ? "is" : "are"} enough` : "";
    this.column(layer).querySelector(".column-state").textContent = `${plural(agents, "agent")}${enough}`;
  }

  layerFinished({ layer, usable, stragglers }) {
    const state = this.columns.get(layer)?.querySelector(".column-state");
    if (!state) return;
    const cut = stragglers.length ? `, ${stragglers.length} cut off` : "";
    state.textContent = `${plural(usable, "proposal")}${cut}`;
  }

  addCard(at, { layer, model, role }, answers) {
    const joins = role !== "aggregator" || this.columns.size > 0; // without proposals there is nothing to join
    const card = new Card(model, joins ? role : "model", this.hue(model), answers, this.describe);
    if (role === "judge") card.judges = [...this.cards.values()].some((other) => other.role === "proposer") ? "choice" : "grade";
    this.cards.set(at, card);
    if (answers) {
      this.answerHead.append(card.node);
      this.reveal(this.answer);
      return;
    }
    const column = this.column(layer);
    const about = column.querySelector(".column-about");
    about.textContent ||= layerAbout(role, layer, this.layered, card.judges);
    column.append(card.node);
    this.reveal(column);
  }

  // Columns that are wider than the page move to the newest, unless people moved them by hand.
  reveal(column) {
    this.show(column);
    const over = column.getBoundingClientRect().right - this.node.getBoundingClientRect().right;
    if (over <= 0 || Math.abs(this.node.scrollLeft - this.left) > 1) return;
    this.node.scrollLeft += over;
    this.left = this.node.scrollLeft;
  }

  column(layer) {
    let column = this.columns.get(layer);
    if (!column) {
      column = el("section", { class: "column", "aria-label": `Layer ${layer}`, "data-layer": layer },
        el("h3", { class: "column-head" }, `Layer ${layer}`, el("span", { class: "column-state" })), el("p", { class: "column-about" }));
      this.columns.set(layer, column);
      this.node.insertBefore(column, this.answer);
      this.node.style.setProperty("--layers", this.columns.size);
      this.node.classList.add("has-layers");
    }
    return column;
  }

  hue(model) {
    if (!this.hues.has(model)) this.hues.set(model, HUES[this.hues.size % HUES.length]);
    return this.hues.get(model);
  }

  get answering() {
    return [...this.cards.values()].findLast((card) => card.answers && !card.ended);
  }

  think() {
    this.answering?.state("writing", "thinking");
  }

  write() {
    this.answering?.state("writing", "writing");
  }

  stop(word) {
    for (const card of this.cards.values()) if (!card.ended) card.state("stopped", word);
  }

  // Strategies such as a vote answer with one of the proposals: it is marked.
  pick(text) {
    const cards = [...this.cards.values()];
    if (!text || cards.some((card) => card.answers)) return;
    const picked = cards.find((card) => card.ended?.outcome === "ok" && card.text.trim() === text.trim());
    if (!picked) return;
    picked.pick();
    this.answerHead.append(el("p", { class: "remark" }, `The proposal of ${picked.model}, as it was written.`));
  }

  // The team so far, in the form of a trace, for a turn that has none because it did not end.
  sketch() {
    const layers = new Map();
    for (const [at, card] of this.cards) {
      const [layer, agent] = at.split("-").map(Number);
      if (!layers.has(layer)) layers.set(layer, { layer, agents: [] });
      const so = { outcome: "stopped", error: null, usage: null, elapsed_ms: null, started_ms: 0 };
      layers.get(layer).agents.push({ ...so, agent, role: card.role, model: card.model, text: card.text, reasoning: card.thought, ...card.ended, answers: card.answers });
    }
    return [...layers.values()].sort((one, other) => one.layer - other.layer);
  }

  // The team of a finished answer; `answering` are the "layer-agent" of those that wrote it.
  static of(trace, answering, describe, layered) {
    const team = new Team(describe, layered);
    for (const { layer, agents } of trace) {
      for (const agent of agents) {
        const at = `${layer}-${agent.agent}`;
        team.addCard(at, { layer, ...agent }, agent.answers ?? (answering.includes(at) || agent.role === "model"));
        team.cards.get(at).finish(agent);
      }
      if (agents.some((agent) => agent.outcome === "stopped")) continue; // the layer did not end
      const usable = agents.filter((agent) => agent.outcome === "ok").length;
      team.layerFinished({ layer, usable, stragglers: agents.filter((agent) => agent.outcome === "straggler") });
    }
    return team;
  }
}
