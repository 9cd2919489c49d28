// The page: which model is asked, one question at a time, and the parts that belong to it.

import { models } from "./api.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { $, el } from "./dom.js";
import { Settings } from "./settings.js";
import { store } from "./store.js";
import { startTheme } from "./theme.js";
import { Turn } from "./turn.js";
import { EXAMPLES, failure, steps } from "./words.js";

const FOLLOWED = 240; // pixels; further away is elsewhere

class Page {
  constructor() {
    this.cards = [];
    this.stopper = null;
    startTheme();
    this.settings = new Settings({ keyChanged: () => this.load(), priceChanged: () => this.compareAll() });
    this.conversation = new Conversation();
    this.composer = new Composer({ send: (text) => this.send(text), stop: () => this.stopper?.abort() });
    $("fresh").addEventListener("click", () => this.fresh());
    $("model").addEventListener("change", () => this.choose());
    $("examples").append(...EXAMPLES.map((text) => el("button", { type: "button", class: "quiet", onclick: () => this.send(text) }, text)));
    this.load();
  }

  async load() {
    try {
      this.cards = await models(this.settings.key);
    } catch (error) {
      this.unavailable(error);
      return;
    }
    document.body.classList.remove("no-models");
    if (this.settings.keyAccepted()) this.composer.field.focus();
    const group = (label, kind) => el("optgroup", { label }, ...this.cards.filter((card) => card.kind === kind).map(({ id }) => el("option", { value: id }, id)));
    $("model").replaceChildren(...[group("Recipes", "recipe"), group("Single models", "model")].filter((one) => one.children.length));
    $("model").value = [store.get("model"), "moa-lite", this.cards[0]?.id].find((id) => this.card(id));
    this.choose();
    if (!this.conversation.turns.length) this.conversation.restore((record, history) => new Turn(record.question, record.model, history, this, record.results));
  }

  unavailable(error) {
    document.body.classList.add("no-models");
    const again = el("button", { type: "button", class: "quiet", onclick: () => this.load() }, "Try again");
    $("steps").replaceChildren();
    $("about").replaceChildren(el("span", { class: "bad", role: "alert" }, failure(error)), error.status === 401 ? "" : again);
    if (error.status === 401) this.settings.askForKey(failure(error));
  }

  card(id) { return this.cards.find((card) => card.id === id); }

  choose() {
    const card = this.card($("model").value);
    store.set("model", card?.id ?? null);
    this.settings.show(card);
    $("about").textContent = card?.description ?? "";
    this.introduce(card);
  }

  async introduce(card) {
    const schemas = card?.kind === "recipe" ? await this.settings.schemas(card).catch(() => null) : null;
    if (card !== this.card($("model").value)) return; // another was chosen meanwhile
    $("steps").replaceChildren(...steps(card.kind, schemas).map((text) => el("li", {}, text)));
  }

  // -- asking ------------------------------------------------------------------------------------------------

  body(model, messages) {
    const card = this.card(model) ?? { id: model, kind: "model" };
    const { request, moa } = this.settings.of(card);
    const watched = card.kind === "recipe" ? { events: "text" } : {};
    return { model, messages, ...request, moa: { ...moa, trace: true, ...watched } };
  }

  async send(question, results = null) {
    const model = $("model").value;
    question = question.trim();
    if (!(question || results) || this.stopper || !model || !this.settings.valid()) return;
    if (!results) this.composer.clear();
    const turn = new Turn(question, model, this.conversation.messages(results), this, results);
    this.conversation.add(turn);
    turn.node.scrollIntoView({ block: "start" });
    await this.run((key, signal) => turn.ask(this.body(model, turn.messages), key, signal));
  }

  // One question at a time: `work` can be stopped, and its end is said to screen readers.
  async run(work) {
    if (this.stopper) return;
    const stopper = (this.stopper = new AbortController());
    this.composer.working(true);
    $("status").textContent = "The models are working.";
    try {
      const done = work(this.settings.key, stopper.signal);
      this.conversation.save();
      const failed = await done;
      $("status").textContent = failed ?? "The answer is complete.";
    } finally {
      this.stopper = null;
      this.composer.working(false);
      this.conversation.save();
    }
  }

  fresh() {
    this.stopper?.abort();
    this.conversation.clear();
    this.composer.field.focus();
  }

  compareAll() {
    for (const turn of this.conversation.turns) if (turn.sums) turn.compare();
  }

  // Keeps the growing end of `node` in sight, unless people read elsewhere.
  follow(node) {
    const hidden = node.getBoundingClientRect().bottom - $("ask").getBoundingClientRect().top;
    if (hidden > 0 && hidden < FOLLOWED) scrollBy({ top: hidden });
  }
}

new Page();
