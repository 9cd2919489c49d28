// One question and its answer: the team, the answer, what it took, and the same question to one model.

import { Answer } from "./answer.js";
import { chat } from "./api.js";
import { el, plural, seconds } from "./dom.js";
import { comparison, totals } from "./summary.js";
import { Team } from "./team.js";
import { waterfall } from "./waterfall.js";
import { failure } from "./words.js";

const TICK_MS = 200;

export class Turn {
  // `history` is the conversation before; `results` are those of the tools that the turn before called, if it did.
  constructor(question, model, history, page, results = null) {
    this.page = page;
    this.history = history;
    this.messages = [...history, ...(results ?? [{ role: "user", content: question }])];
    this.running = false;
    this.record = { question, model, results, layered: page.settings.layered(model), answer: "", reasoning: "", calls: [], moa: null, usage: null, clock: { first: null, total: null }, answering: [], one: null, failure: null, stopped: false };
    this.clock = el("span", { class: "clock", "aria-hidden": "true" });
    this.place = el("div");
    this.below = el("div", { class: "below" });
    this.answer = new Answer((node) => this.page.sight.keep(node));
    this.node = el("article", { class: "turn" },
      el("header", { class: "turn-head" }, el("h2", { class: "question" }, question), el("span", { class: "asked", title: model }, model), this.clock),
      this.place, this.below);
    this.use(new Team(this.describe, this.record.layered, (node) => this.page.sight.show(node)));
  }

  describe = (model) => this.page.card(model)?.description ?? "";

  // The conversation goes on: results of its tool calls can no longer be sent.
  close() {
    for (const control of this.answer.calls.node.querySelectorAll("input, button")) control.disabled = true;
  }

  use(team) {
    this.team = team;
    team.answer.append(this.answer.node);
    this.place.replaceChildren(team.node);
  }

  // Returns the failure in words, or null.
  async ask(body, key, signal) {
    const began = performance.now();
    const since = () => performance.now() - began;
    const ticking = setInterval(() => (this.clock.textContent = seconds(since())), TICK_MS);
    this.running = true;
    this.node.setAttribute("aria-busy", "true");
    if (this.page.card(body.model)?.kind !== "recipe") this.team.addCard("1-0", { layer: 1, model: body.model, role: "model" }, true);
    this.wait();
    this.page.sight.show(this.team.answer);
    try {
      for await (const chunk of chat(body, key, signal)) this.take(chunk, since());
    } catch (error) {
      this.record.failure = failure(error);
      this.record.stopped = error.name === "AbortError";
      this.team.stop(this.record.stopped ? "stopped" : "ended");
      if (error.status === 401) this.page.settings.askForKey(failure(error));
    } finally {
      clearInterval(ticking);
      this.clock.textContent = "";
      this.running = false;
      this.record.clock.total = since();
      this.node.removeAttribute("aria-busy");
      this.finish();
    }
    return this.record.failure;
  }

  take(chunk, at) {
    const { record } = this;
    const { events = [], ...moa } = chunk.moa ?? {};
    for (const event of events) {
      if (event.answers) record.answering.push(`${event.layer}-${event.agent}`);
      if (event.event === "reason_added") this.answer.reason(event.reason);
      else this.team.handle(event);
    }
    if (Object.keys(moa).length) record.moa = { ...record.moa, ...moa };
    if (chunk.usage) record.usage = chunk.usage;
    const delta = chunk.choices?.[0]?.delta ?? {};
    if (delta.reasoning_content) {
      record.reasoning += delta.reasoning_content;
      this.answer.think(delta.reasoning_content);
      if (!record.answer) this.team.think();
    }
    if (delta.content) {
      if (!record.answer) this.team.write();
      record.clock.first ??= at;
      record.answer += delta.content;
      this.answer.write(record.answer);
    }
    this.answer.calls.take(delta.tool_calls);
    record.calls = this.answer.calls.list;
    this.wait();
  }

  wait() {
    const stage = this.team.answering ? "model" : this.team.columns.size ? "team" : "server";
    this.answer.wait(stage);
  }

  // Everything that is known at the end only. Also draws a turn that was kept from an earlier load of the page.
  finish() {
    const { record } = this;
    this.answer.finish(record, (results) => this.page.send(results.map(({ content }, place) => `${record.calls[place].name}: ${content}`).join("\n"), results));
    if (record.failure) this.answer.offer("Ask again", () => this.page.send(record.question, record.results));
    const trace = record.moa?.trace ?? record.sketch;
    if (trace?.length && !this.team.cards.size) this.use(Team.of(trace, record.answering, this.describe, record.layered));
    if (record.failure) this.team.stop(record.stopped ? "stopped" : "ended");
    if (!record.moa?.trace?.length) return;
    if (this.page.card(record.model)?.kind === "recipe") this.team.pick(record.answer);
    for (const card of this.team.cards.values()) this.finishCard(card);
    this.sums = totals(record.moa, record.usage, record.clock);
    this.table = el("div", { class: "table" });
    this.other = el("div", { class: "other" });
    const panel = el("details", { class: "facts", open: true },
      el("summary", {}, `${plural(this.sums.calls, "call")} · ${seconds(record.clock.total)}`),
      el("div", { class: "facts-grid" }, waterfall(record.moa.trace), this.table));
    this.below.replaceChildren(panel, this.other);
    if (this.page.card(record.model)?.kind === "recipe") this.offerOne();
    this.compare();
  }

  // A single model's answer has no events: its card gets its numbers from the trace.
  finishCard(card) {
    const agent = this.record.moa.trace.flatMap(({ agents }) => agents).find(({ model, role }) => role === "model" && model === card.model);
    if (agent && !card.ended) card.finish(agent);
  }

  compare() {
    const columns = [{ name: this.record.model, sums: this.sums }];
    const { one } = this.record;
    if (one?.moa) columns.push({ name: one.model, sums: totals(one.moa, one.usage, one.clock) });
    const priced = (model) => this.page.card(model)?.usd_per_million_tokens ?? this.page.settings.price;
    this.table.replaceChildren(comparison(columns, priced));
  }

  offerOne() {
    const models = this.page.cards.filter(({ kind, alias_of }) => kind === "model" && !alias_of);
    if (!models.length) return;
    const pick = el("select", { "aria-label": "Model to compare with" }, ...models.map(({ id }) => el("option", {}, id)));
    const final = this.record.moa.trace.at(-1).agents.at(-1).model;
    pick.value = models.some(({ id }) => id === final) ? final : models[0].id;
    const button = el("button", { type: "button", class: "quiet" }, "Compare with one model");
    button.addEventListener("click", () => this.askOne(pick.value));
    this.other.replaceChildren(el("div", { class: "offer" }, button, pick));
    if (this.record.one) this.showOne(new Turn(this.record.question, this.record.one.model, this.history, this.page, this.record.results).restored(this.record.one));
  }

  async askOne(model) {
    await this.page.run(async (key, signal) => {
      const turn = new Turn(this.record.question, model, this.history, this.page, this.record.results);
      this.showOne(turn);
      this.page.sight.begin(turn.node, "nearest");
      const failed = await turn.ask(this.page.body(model, this.messages), key, signal);
      this.record.one = turn.record;
      this.compare();
      return failed;
    });
  }

  showOne(turn) {
    turn.node.classList.add("one");
    turn.node.querySelector(".question").textContent = "The same question to one model";
    turn.below.remove(); // its numbers stand in the table above
    this.other.querySelector(".one")?.remove();
    this.other.append(turn.node);
  }

  // What is kept for a reload. A turn without a trace keeps a sketch of its team.
  kept() {
    return this.record.moa?.trace ? this.record : { ...this.record, sketch: this.team.sketch() };
  }

  restored(record) {
    this.record = { ...this.record, ...record };
    this.finish();
    return this;
  }
}
