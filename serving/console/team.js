// The team at work: one column per layer, one card per agent; the last column is the answer.

import { el, number, plural, seconds } from "./dom.js";
import { EXPLAINED, OUTCOMES, ROLES } from "./words.js";

const HUES = [212, 28, 152, 268, 340, 190, 50, 300];

export class Team {
  constructor() {
    this.columns = new Map(); // by layer
    this.cards = new Map(); // by "layer-agent"
    this.hues = new Map(); // by model
    this.node = el("div", { class: "team" });
    this.answer = el("section", { class: "column answer-column", "aria-label": "Answer" });
    this.answerHead = el("div", { class: "answer-head" });
    this.answer.append(this.answerHead);
    this.node.append(this.answer);
  }

  handle(event) {
    const at = `${event.layer}-${event.agent}`;
    const card = this.cards.get(at);
    switch (event.event) {
      case "layer_started":
        this.column(event.layer, `${plural(event.agents, "agent")}${event.needed < event.agents ? `, ${event.needed === 1 ? "1 is" : `${event.needed} are`} enough` : ""}`);
        break;
      case "layer_finished":
        this.layerFinished(event);
        break;
      case "vote_ended":
        this.columns.get(event.layer)?.append(el("p", { class: "remark" }, event.outcome));
        break;
      case "agent_started":
        if (card && !event.answers) card.restart(event.model, `asked instead of ${card.model}`, this.hue(event.model));
        else this.addCard(at, event, event.answers);
        break;
      case "agent_first_token":
        card?.state("writing", "writing");
        break;
      case "agent_text":
        card?.write(event.text ?? "", event.reasoning ?? "");
        break;
      case "agent_retried":
        card?.restart(card.model, "its replica was lost; asked again", this.hue(card.model));
        break;
      case "agent_hedged":
        card?.remark("slow: a second replica was asked too");
        break;
      case "agent_finished":
        if (!card) this.addCard(at, event, event.role === "model");
        this.cards.get(at).finish(event);
        break;
    }
  }

  layerFinished({ layer, usable, stragglers }) {
    const head = this.columns.get(layer)?.querySelector(".column-state");
    if (!head) return;
    const cut = stragglers.length ? `, ${stragglers.length} cut off` : "";
    head.textContent = `${plural(usable, "proposal")}${cut}`;
  }

  addCard(at, { layer, model, role }, answers) {
    const card = new Card(model, role, this.hue(model), answers);
    this.cards.set(at, card);
    if (answers) this.answerHead.append(card.node);
    else this.column(layer).append(card.node);
  }

  column(layer, state = "") {
    let column = this.columns.get(layer);
    if (!column) {
      column = el("section", { class: "column", "aria-label": `Layer ${layer}`, "data-layer": layer },
        el("h3", { class: "column-head" }, `Layer ${layer}`, el("span", { class: "column-state" }, state)));
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

  stop(word) {
    for (const card of this.cards.values()) if (!card.ended) card.state("cancelled", word);
  }

  // The team of a finished answer; `answering` are the "layer-agent" of those that wrote it.
  static of(trace, answering) {
    const team = new Team();
    for (const { layer, agents } of trace) {
      for (const agent of agents) {
        const at = `${layer}-${agent.agent}`;
        team.addCard(at, { layer, ...agent }, answering.includes(at) || agent.role === "model");
        team.cards.get(at).finish(agent);
      }
      const usable = agents.filter((agent) => agent.outcome === "ok").length;
      team.layerFinished({ layer, usable, stragglers: agents.filter((agent) => agent.outcome === "straggler") });
    }
    return team;
  }
}

class Card {
  constructor(model, role, hue, answers) {
    this.answers = answers;
    this.word = el("span", { class: "state" });
    this.name = el("span", { class: "model" });
    this.numbers = el("p", { class: "numbers" });
    this.remarks = el("div");
    this.body = el("div", { class: "card-text", tabindex: "0" });
    this.node = el("article", { class: `card${answers ? " final" : ""}` },
      el("header", { class: "card-head" }, el("span", { class: "dot", "aria-hidden": "true" }), this.name,
        el("span", { class: "role" }, ROLES[role] ?? role), this.word),
      answers ? null : this.body, this.remarks, this.numbers);
    if (!answers) {
      const toggle = el("button", { class: "more", type: "button", "aria-expanded": "false", "aria-label": "Show the whole proposal", title: "Show the whole proposal" }, "⤢");
      toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", String(this.node.classList.toggle("open"))));
      this.node.querySelector("header").append(toggle);
    }
    this.begin(model, hue);
  }

  begin(model, hue) {
    this.model = model;
    this.ended = false;
    this.text = this.thought = "";
    this.name.textContent = model;
    this.node.style.setProperty("--hue", hue);
    this.show();
    this.state("waiting", "reading");
  }

  restart(model, why, hue) {
    this.begin(model, hue);
    this.numbers.replaceChildren();
    this.remark(why);
  }

  state(name, word) {
    this.node.dataset.state = name;
    this.word.textContent = word;
  }

  write(text, reasoning) {
    this.text += text;
    this.thought += reasoning;
    if (!this.ended) this.state("writing", this.text ? "writing" : "thinking");
    this.show();
  }

  show() {
    if (this.text) this.body.textContent = this.text;
    else this.body.replaceChildren(el("span", { class: "thought" }, this.thought));
    this.body.scrollTop = this.body.scrollHeight;
  }

  remark(text) {
    this.remarks.append(el("p", { class: "remark" }, text));
  }

  finish(agent) {
    this.ended = true;
    if (!this.answers && agent.text) this.text = agent.text;
    if (!this.answers && agent.reasoning) this.thought = agent.reasoning;
    this.show();
    this.body.scrollTop = 0;
    this.state(agent.outcome, OUTCOMES[agent.outcome] ?? agent.outcome);
    const why = EXPLAINED[agent.outcome] ?? agent.error;
    if (agent.outcome !== "ok" && why) this.remark(why);
    if (agent.hedged) this.remark("answered by the second replica");
    if (agent.shortened) this.remark(`${plural(agent.shortened, "proposal")} shortened to fit its context`);
    const usage = agent.usage ?? {};
    const words = [];
    if (usage.completion_tokens !== null && usage.completion_tokens !== undefined) words.push(`${number(usage.completion_tokens)} tokens`);
    if (agent.elapsed_ms !== null) words.push(seconds(agent.elapsed_ms));
    if (agent.ttft_ms !== null && agent.ttft_ms !== undefined) words.push(`first after ${seconds(agent.ttft_ms)}`);
    this.numbers.textContent = words.join(" · ");
  }
}
