// One agent's card: its model, what it does, what it wrote, and what that took.

import { el, number, plural, seconds } from "./dom.js";
import { EXPLAINED, inWords, OUTCOMES, ROLES, verdict } from "./words.js";

const known = (value) => value !== null && value !== undefined;

export class Card {
  constructor(model, role, hue, answers, describe) {
    this.describe = describe;
    this.role = role;
    this.judges = null; // "grade" an answer, or a "choice" of proposals; other agents do not
    this.answers = answers; // its text is the answer, which stands below
    this.word = el("span", { class: "state" });
    this.name = el("span", { class: "model" });
    this.numbers = el("p", { class: "numbers" });
    this.remarks = el("div");
    this.thoughts = el("details", { class: "thoughts", hidden: true }, el("summary", {}, "Thinking"), el("div", { class: "thought" }));
    this.body = el("div", { class: "card-text" });
    this.head = el("header", { class: "card-head" }, el("span", { class: "dot", "aria-hidden": "true" }), this.name,
      el("span", { class: "role" }, ROLES[role] ?? role), this.word);
    this.node = el("article", { class: `card${answers ? " final" : ""}` }, this.head, this.remarks);
    if (!answers) this.node.append(this.thoughts, this.body);
    this.node.append(this.numbers);
    if (!answers) this.head.append(this.toggle());
    this.begin(model, hue);
  }

  toggle() {
    const button = el("button", { class: "more", type: "button", "aria-expanded": "false", title: "Show the whole text" }, el("span", { class: "hidden" }, "Show the whole text"), el("span", { "aria-hidden": "true" }, "⤢"));
    button.addEventListener("click", () => button.setAttribute("aria-expanded", String(this.node.classList.toggle("open"))));
    return button;
  }

  begin(model, hue) {
    this.model = model;
    this.ended = null; // the agent's record, once it ended
    this.text = this.thought = "";
    this.name.textContent = model;
    this.name.title = [model, this.describe(model)].filter(Boolean).join(": ");
    this.body.dataset.about = this.describe(model); // shown until it writes
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
    this.waiting ??= requestAnimationFrame(() => this.show());
  }

  // Without a text yet, the thoughts are what there is to see; later they fold away.
  show() {
    this.waiting = null;
    if (this.text) this.body.textContent = this.judges ? verdict(this.text, this.judges === "grade") : this.text;
    else this.body.replaceChildren(...(this.thought ? [el("span", { class: "thought" }, this.thought)] : []));
    this.thoughts.hidden = !(this.text && this.thought);
    this.thoughts.lastChild.textContent = this.text ? this.thought : "";
    if (!this.ended) this.body.scrollTop = this.body.scrollHeight;
  }

  remark(text) {
    this.remarks.append(el("p", { class: "remark" }, text));
  }

  pick() {
    this.node.classList.add("picked");
    this.remark("This proposal is the answer.");
  }

  finish(agent) {
    this.ended = agent;
    if (!this.answers && agent.text) this.text = agent.text;
    if (!this.answers && agent.reasoning) this.thought = agent.reasoning;
    this.show();
    for (const call of this.answers ? [] : agent.tool_calls ?? []) {
      this.body.append(el("code", { class: "draft" }, `${call.function.name}(${call.function.arguments})`));
    }
    this.body.scrollTop = 0;
    this.state(agent.outcome, OUTCOMES[agent.outcome] ?? agent.outcome);
    const why = EXPLAINED[agent.outcome] ?? agent.error;
    if (agent.outcome !== "ok" && why) this.remark(inWords(why));
    if (agent.hedged) this.remark("answered by the second replica");
    if (agent.shortened) this.remark(`${plural(agent.shortened, "proposal")} shortened to fit its context`);
    const words = [];
    // Equal agents are one call, whose tokens are counted at the first of them.
    const elsewhere = agent.usage?.completion_tokens === 0 && Boolean(agent.text);
    if (known(agent.usage?.completion_tokens) && !elsewhere) words.push(`${number(agent.usage.completion_tokens)} tokens`);
    if (known(agent.elapsed_ms)) words.push(seconds(agent.elapsed_ms));
    if (known(agent.ttft_ms)) words.push(`first after ${seconds(agent.ttft_ms)}`);
    this.numbers.textContent = words.join(" · ");
  }
}
