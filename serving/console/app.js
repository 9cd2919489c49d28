// The page: which model is asked, one question at a time, and the parts that belong to it.

import { models } from "./api.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { $, el } from "./dom.js";
import { Settings } from "./settings.js";
import { Sight } from "./sight.js";
import { store } from "./store.js";
import { startTheme } from "./theme.js";
import { Turn } from "./turn.js";
import { EXAMPLES, failure, invitation, steps } from "./words.js";

class Page {
  constructor() {
    this.cards = [];
    this.stopper = null;
    startTheme();
    this.settings = new Settings({ keyChanged: () => this.load(), priceChanged: () => this.compareAll() });
    this.sight = new Sight();
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
    const group = (label, cards) => (cards.length ? [el("optgroup", { label }, ...cards.map(({ id, alias_of }) => el("option", { value: id }, alias_of ? `${id} → ${alias_of}` : id)))] : []);
    const of = (kind) => this.cards.filter((card) => card.kind === kind && !card.alias_of);
    $("model").replaceChildren(...group("Recipes", of("recipe")), ...group("Single models", of("model")), ...group("Other names", this.cards.filter(({ alias_of }) => alias_of)));
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
    this.introduce(card);
  }

  async introduce(card) {
    const schemas = card?.kind === "recipe" ? await this.settings.schemas(card).catch(() => null) : null;
    if (card !== this.card($("model").value)) return; // another was chosen meanwhile
    if (!card) {
      $("steps").replaceChildren();
      $("about").textContent = "This server has no model that writes answers.";
      return;
    }
    const lines = steps(card, schemas);
    const words = [card.alias_of ? `Another name of ${card.alias_of}.` : "", lines.includes(card.description) ? "" : card.description];
    $("invitation").textContent = invitation(card, schemas);
    $("steps").replaceChildren(...lines.map((text) => el("li", {}, text)));
    $("about").textContent = words.filter(Boolean).join(" ");
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
    this.sight.begin(turn.node, "start");
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
      this.sight.end();
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
}

new Page();
