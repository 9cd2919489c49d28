// The page: settings, the question field, and the conversation.

import { models } from "./api.js";
import { el } from "./dom.js";
import { Turn } from "./turn.js";
import { failure } from "./words.js";

const $ = (id) => document.getElementById(id);
const EXAMPLES = ["What is 17 + 25?", "Why is the sky blue?", "Write a short poem about the sea."];
const KEPT_TURNS = 20;
const store = {
  get: (name, place = sessionStorage) => JSON.parse(place.getItem(name) ?? "null"),
  set(name, value, place = sessionStorage) {
    try {
      place.setItem(name, JSON.stringify(value));
    } catch {
      // The browser's storage is full or switched off: nothing is kept.
    }
  },
};

class Page {
  constructor() {
    this.known = [];
    this.turns = [];
    this.stopper = null;
    this.form = $("settings");
    this.restoreSettings();
    $("ask").addEventListener("submit", (event) => (event.preventDefault(), this.send($("question").value)));
    $("stop").addEventListener("click", () => this.stopper?.abort());
    $("fresh").addEventListener("click", () => this.clear());
    $("theme").addEventListener("click", () => this.theme(this.dark() ? "light" : "dark"));
    $("settings-button").addEventListener("click", () => this.showSettings(this.form.hidden));
    $("model").addEventListener("change", () => this.modelChanged());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => this.settingChanged(event.target));
    $("question").addEventListener("input", () => this.grow());
    $("question").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send($("question").value);
      }
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.stopper?.abort());
    this.load();
  }

  async load() {
    try {
      this.known = await models(this.value("key"));
    } catch (error) {
      $("about").textContent = failure(error);
      if (error.status === 401) this.wantKey();
      return;
    }
    const group = (label, kind) => el("optgroup", { label }, ...this.known.filter((card) => card.kind === kind).map(({ id }) => el("option", { value: id }, id)));
    $("model").replaceChildren(...[group("Recipes", "recipe"), group("Single models", "model")].filter((one) => one.children.length));
    const wanted = store.get("model");
    const first = ["moa-lite", this.known[0]?.id].find((id) => this.isKnown(id));
    $("model").value = this.isKnown(wanted) ? wanted : first;
    this.modelChanged();
    $("examples").replaceChildren(...EXAMPLES.map((text) => el("button", { type: "button", class: "quiet", onclick: () => this.send(text) }, text)));
    if (!this.turns.length) this.restoreTurns();
  }

  isKnown(id) { return this.known.some((card) => card.id === id); }
  isRecipe(id) { return this.known.some((card) => card.id === id && card.kind === "recipe"); }
  models() { return this.known; }

  modelChanged() {
    const card = this.known.find(({ id }) => id === $("model").value);
    store.set("model", card?.id ?? null);
    $("recipe-settings").disabled = card?.kind !== "recipe";
    $("about").textContent = card?.description || (card?.kind === "recipe" ? "Several models propose, one joins their proposals into the answer." : "One model answers by itself.");
  }

  // -- asking ------------------------------------------------------------------------------------------------

  body(model, messages) {
    const body = { model, messages, moa: this.isRecipe(model) ? { trace: true, events: "text" } : { trace: true } };
    for (const { name, value, type } of this.form.elements) {
      if (!name || value === "" || name === "key" || name.startsWith("price.")) continue;
      const typed = type === "number" ? Number(value) : value === "true" ? true : value === "false" ? false : value;
      if (!name.startsWith("moa.")) body[name] = typed;
      else if (this.isRecipe(model)) body.moa[name.slice(4)] = typed;
    }
    return body;
  }

  async send(question) {
    question = question.trim();
    if (!question || this.stopper || !$("model").value) return;
    $("question").value = "";
    this.grow();
    const model = $("model").value;
    const turn = new Turn(question, model, this);
    turn.messages = [...this.history(), { role: "user", content: question }];
    this.add(turn);
    this.atEnd = true;
    turn.node.scrollIntoView({ block: "start" });
    await this.run((key, signal) => turn.ask(this.body(model, turn.messages), key, signal));
    this.save();
  }

  async run(work) {
    if (this.stopper) return;
    this.stopper = new AbortController();
    this.working(true);
    $("status").textContent = "The team is working.";
    try {
      await work(this.value("key"), this.stopper.signal);
    } finally {
      $("status").textContent = this.stopper.signal.aborted ? "Stopped." : "The answer is complete.";
      this.stopper = null;
      this.working(false);
    }
  }

  working(yes) {
    $("send").hidden = yes;
    $("stop").hidden = !yes;
  }

  history() {
    return this.turns.filter(({ record }) => record.answer && !record.failure).flatMap(({ record }) => [
      { role: "user", content: record.question },
      { role: "assistant", content: record.answer },
    ]);
  }

  add(turn) {
    $("welcome").hidden = true;
    this.turns.push(turn);
    $("turns").append(turn.node);
  }

  follow() {
    const left = document.documentElement.scrollHeight - innerHeight - scrollY;
    if (left > 0 && left < 160) scrollTo({ top: document.documentElement.scrollHeight });
  }

  clear() {
    this.stopper?.abort();
    this.turns = [];
    $("turns").replaceChildren($("welcome"));
    $("welcome").hidden = false;
    this.save();
    $("question").focus();
  }

  save() { store.set("turns", this.turns.slice(-KEPT_TURNS).map(({ record }) => record)); }

  restoreTurns() {
    for (const record of store.get("turns") ?? []) {
      const history = this.history();
      const turn = new Turn(record.question, record.model, this);
      turn.messages = [...history, { role: "user", content: record.question }];
      this.add(turn);
      turn.restored(record);
    }
  }

  // -- settings ----------------------------------------------------------------------------------------------

  value(name) { return this.form.elements[name].value; }

  price() {
    const of = (name) => (this.value(name) === "" ? null : Number(this.value(name)));
    return { prompt: of("price.prompt"), completion: of("price.completion") };
  }

  settingChanged({ name }) {
    store.set("settings", Object.fromEntries([...this.form.elements].filter(({ name }) => name).map(({ name, value }) => [name, value])));
    if (name === "key") this.load();
    if (name.startsWith("price.")) for (const turn of this.turns) if (turn.sums) turn.compare();
  }

  restoreSettings() {
    for (const [name, value] of Object.entries(store.get("settings") ?? {})) if (this.form.elements[name]) this.form.elements[name].value = value;
    const theme = store.get("theme", localStorage);
    if (theme) this.theme(theme);
  }

  showSettings(visible) {
    this.form.hidden = !visible;
    $("settings-button").setAttribute("aria-expanded", String(visible));
  }

  wantKey() {
    this.showSettings(true);
    this.form.elements.key.focus();
  }

  dark() {
    return (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  }

  theme(name) {
    document.documentElement.dataset.theme = name;
    store.set("theme", name, localStorage);
  }

  grow() {
    const field = $("question");
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 200)}px`;
  }
}

new Page();
