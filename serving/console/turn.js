// One question and its answer: the team, the waterfall, the sums, and the same question to one model.

import { chat } from "./api.js";
import { el, seconds } from "./dom.js";
import { markdown } from "./markdown.js";
import { comparison, totals } from "./summary.js";
import { Team } from "./team.js";
import { waterfall } from "./waterfall.js";
import { failure } from "./words.js";

export class Turn {
  constructor(question, model, page) {
    this.page = page;
    this.record = { question, model, answer: "", moa: null, usage: null, clock: { first: null, total: null }, answering: [], one: null, failure: null };
    this.place = el("div");
    this.notes = el("div", { class: "notes" });
    this.below = el("div", { class: "below" });
    this.text = el("div", { class: "answer-text" });
    this.thoughts = el("details", { class: "thoughts", hidden: true }, el("summary", {}, "Thinking"), el("div", { class: "thought" }));
    this.node = el("article", { class: "turn" }, el("h2", { class: "question" }, question), this.place, this.below);
    this.use(new Team());
  }

  use(team) {
    this.team = team;
    team.answer.append(this.thoughts, this.text, this.notes);
    this.place.replaceChildren(team.node);
  }

  async ask(body, key, signal) {
    const began = performance.now();
    this.node.setAttribute("aria-busy", "true");
    try {
      for await (const chunk of chat(body, key, signal)) this.take(chunk, performance.now() - began);
    } catch (error) {
      this.record.failure = failure(error);
      this.record.stopped = error.name === "AbortError";
      this.team.stop(this.record.stopped ? "stopped" : "ended");
      this.note(this.record.failure, this.record.stopped ? "" : "bad");
      if (error.status === 401) this.page.wantKey();
    } finally {
      this.record.clock.total = performance.now() - began;
      this.node.removeAttribute("aria-busy");
      this.draw();
      this.finish();
    }
  }

  take(chunk, at) {
    for (const event of chunk.moa?.events ?? []) {
      if (event.answers) this.record.answering.push(`${event.layer}-${event.agent}`);
      this.team.handle(event);
    }
    if (chunk.moa?.trace) this.record.moa = chunk.moa;
    if (chunk.usage) this.record.usage = chunk.usage;
    const delta = chunk.choices?.[0]?.delta ?? {};
    if (delta.reasoning_content) {
      this.thoughts.hidden = false;
      this.thoughts.lastChild.append(delta.reasoning_content);
    }
    if (delta.content) {
      this.record.clock.first ??= at;
      this.record.answer += delta.content;
      this.waiting ??= requestAnimationFrame(() => this.draw());
    }
    this.page.follow();
  }

  draw() {
    this.waiting = null;
    this.text.replaceChildren(markdown(this.record.answer));
  }

  note(text, kind = "") {
    this.notes.append(el("p", { class: `note ${kind}`, role: kind === "bad" ? "alert" : null }, text));
  }

  finish() {
    const { moa, usage, clock, model } = this.record;
    if (moa?.reasons?.length) {
      const word = moa.degraded ? "The answer may be worse than usual:" : "Good to know:";
      this.notes.append(el("div", { class: `note ${moa.degraded ? "warn" : ""}` }, el("b", {}, word),
        el("ul", {}, ...moa.reasons.map((reason) => el("li", {}, reason)))));
    }
    if (!moa?.trace?.length) return;
    if (!this.team.cards.size) this.use(Team.of(moa.trace, this.record.answering));
    this.sums = totals(moa, usage, clock);
    this.table = el("div", { class: "table" });
    this.other = el("div", { class: "other" });
    const panel = el("details", { class: "facts", open: true }, el("summary", {}, `${this.sums.calls === 1 ? "1 call" : `${this.sums.calls} calls`} · ${seconds(clock.total)}`),
      el("div", { class: "facts-grid" }, waterfall(moa.trace), this.table));
    this.below.replaceChildren(panel, this.other);
    if (this.page.isRecipe(model)) this.offer();
    this.compare();
  }

  compare() {
    const columns = [{ name: this.record.model, sums: this.sums }];
    const { one } = this.record;
    if (one?.moa) columns.push({ name: one.model, sums: totals(one.moa, one.usage, one.clock) });
    this.table.replaceChildren(comparison(columns, this.page.price()));
  }

  offer() {
    const models = this.page.models().filter(({ kind }) => kind === "model");
    if (!models.length) return;
    const pick = el("select", { "aria-label": "Model to compare with" }, ...models.map(({ id }) => el("option", {}, id)));
    const final = this.record.moa.trace.at(-1).agents.at(-1).model;
    pick.value = models.some(({ id }) => id === final) ? final : models[0].id;
    const button = el("button", { type: "button", class: "quiet" }, "Ask one model too");
    button.addEventListener("click", () => this.askOne(pick.value));
    this.other.replaceChildren(el("div", { class: "offer" }, button, pick));
    if (this.record.one) this.showOne(new Turn(this.record.question, this.record.one.model, this.page).restored(this.record.one));
  }

  async askOne(model) {
    const turn = new Turn(this.record.question, model, this.page);
    this.showOne(turn);
    await this.page.run((key, signal) => turn.ask(this.page.body(model, this.messages), key, signal));
    this.record.one = turn.record;
    turn.below.replaceChildren();
    this.compare();
    this.page.save();
  }

  showOne(turn) {
    turn.node.classList.add("one");
    turn.node.querySelector(".question").textContent = `${turn.record.model} alone`;
    turn.below.hidden = true;
    this.other.querySelector(".one")?.remove();
    this.other.append(turn.node);
  }

  restored(record) {
    this.record = record;
    this.draw();
    if (record.failure) this.note(record.failure, record.stopped ? "" : "bad");
    this.finish();
    return this;
  }
}
