// The panel of settings: sampling, the chosen recipe's own settings, prices and the API key.

import { details } from "./api.js";
import { EXAMPLE } from "./calls.js";
import { $, el, plural } from "./dom.js";
import { fieldOf } from "./fields.js";
import { SAMPLING } from "./sampling.js";
import { store } from "./store.js";
import { failure } from "./words.js";

// Settings of recipes that few people change stand below the others, folded.
const RARE = new Set(["refill", "below_quorum", "deadline_s", "layout", "prefill", "reference_order", "tools", "advise"]);

function listed(text) {
  try {
    return !text.trim() || Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}

export class Settings {
  constructor({ keyChanged, priceChanged }) {
    this.panel = $("panel");
    this.form = $("settings");
    this.button = $("settings-button");
    this.known = new Map(); // details of recipes, by id
    this.fields = { request: [], recipe: [] };
    this.kept = { request: {}, recipes: {}, prices: {}, ...store.get("settings") };
    this.changed = { keyChanged, priceChanged };
    this.form.elements.key.value = store.get("key") ?? "";
    for (const name of ["prompt", "completion"]) this.form.elements[`price.${name}`].value = this.kept.prices[name] ?? "";
    this.button.addEventListener("click", () => this.open(this.panel.hidden));
    $("settings-close").addEventListener("click", () => this.open(false));
    $("settings-reset").addEventListener("click", () => this.reset());
    this.form.elements.tools.value = this.kept.tools ?? "";
    $("tools-example").addEventListener("click", () => {
      this.form.elements.tools.value = JSON.stringify(EXAMPLE, null, 1);
      this.take(this.form.elements.tools);
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => this.take(event.target));
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // which would stop the answer as well
      this.open(false);
    });
  }

  get key() { return this.form.elements.key.value; }

  // Dollars per million tokens of a model without a price of the server's own.
  get price() {
    const { prompt, completion } = this.kept.prices;
    return prompt === undefined && completion === undefined ? null : { prompt: prompt ?? 0, completion: completion ?? 0 };
  }

  // The settings of a request to `card`.
  of(card) {
    const { reasoning_effort, ...request } = this.kept.request;
    if (card.tools && this.kept.tools) request.tools = JSON.parse(this.kept.tools);
    if (card.thinking && reasoning_effort) request.reasoning_effort = reasoning_effort;
    return { request, moa: card.kind === "recipe" ? { ...this.kept.recipes[card.id] } : {} };
  }

  // False if a field has a value that cannot be; it is then shown.
  valid() {
    if (this.form.checkValidity()) return true;
    this.open(true);
    this.form.reportValidity();
    return false;
  }

  open(visible) {
    this.panel.hidden = !visible;
    document.body.classList.toggle("with-panel", visible);
    this.button.setAttribute("aria-expanded", String(visible));
    if (visible) (this.form.querySelector("input, select") ?? this.form).focus();
    else this.button.focus();
    if (visible) this.load();
  }

  askForKey(why) {
    this.asking = true;
    this.keyNote(why, true);
    this.open(true);
    this.form.elements.key.focus();
    this.form.elements.key.select();
  }

  // The server answers: a panel that had opened by itself closes. True if it did.
  keyAccepted() {
    const { asking } = this;
    this.asking = false;
    this.keyNote("Kept in this tab until it is closed.", false);
    if (asking) this.open(false);
    return asking;
  }

  keyNote(text, bad) {
    $("key-note").textContent = text;
    $("key-note").classList.toggle("bad", bad);
  }

  // The fields of the model or recipe that is chosen now.
  show(card) {
    this.card = card;
    this.count();
    const names = Object.keys(SAMPLING).filter((name) => name !== "reasoning_effort" || card?.thinking);
    $("tools-settings").hidden = !card?.tools;
    this.draw("request", $("sampling"), names.map((name) => fieldOf(name, SAMPLING[name])), this.kept.request);
    $("recipe-settings").hidden = card?.kind !== "recipe";
    $("recipe-name").textContent = card ? `Recipe ${card.id}` : "Recipe";
    this.draw("recipe", $("recipe-fields"), [], {});
    if (!this.panel.hidden) this.load();
  }

  // JSON schemas of the recipe's settings, by name.
  async schemas(card) {
    if (!this.known.has(card.id)) this.known.set(card.id, (await details(card.id, this.key)).settings);
    return this.known.get(card.id);
  }

  // True if the recipe is known to have layers that read each other.
  layered(id) { return Boolean(this.known.get(id)?.layers); }

  async load() {
    const { card } = this;
    if (card?.kind !== "recipe" || this.fields.recipe.length) return;
    let known;
    try {
      known = await this.schemas(card);
    } catch (error) {
      if (card === this.card) $("recipe-fields").replaceChildren(el("p", { class: "note bad" }, failure(error)));
      return;
    }
    if (card !== this.card || this.fields.recipe.length) return; // another was chosen meanwhile
    const fields = Object.entries(known).map(([name, schema]) => fieldOf(name, schema, "moa."));
    this.draw("recipe", $("recipe-fields"), fields, this.kept.recipes[card.id] ?? {});
  }

  draw(kind, place, fields, values) {
    this.fields[kind] = fields.filter(Boolean);
    for (const field of this.fields[kind]) field.set(values[field.name]);
    const rare = this.fields[kind].filter(({ name }) => RARE.has(name));
    const usual = this.fields[kind].filter(({ name }) => !RARE.has(name));
    const more = rare.length
      ? el("details", { open: rare.some(({ name }) => values[name] !== undefined) }, el("summary", {}, "More"), ...rare.map(({ node }) => node))
      : null;
    place.replaceChildren(...usual.map(({ node }) => node), ...(more ? [more] : []));
    if (kind === "recipe") this.bound();
  }

  // A layer cannot wait for more proposals than it has agents.
  bound() {
    const field = (name) => this.fields.recipe.find((one) => one.name === name);
    const value = (name) => field(name)?.value() ?? this.known.get(this.card.id)[name]?.default;
    const enough = field("min_proposals");
    const agents = enough && (value("samples") ?? value("models")?.length);
    if (!agents) return;
    enough.limit(agents);
    this.checked(enough.control);
  }

  take(control) {
    if (control.name === "key") {
      store.set("key", this.key);
      this.changed.keyChanged();
      return;
    }
    if (control.name === "tools") control.setCustomValidity(listed(control.value) ? "" : "Enter a JSON list of tools.");
    this.bound();
    if (!this.checked(control)) return;
    this.kept.tools = this.form.elements.tools.value.trim();
    const values = (fields) => Object.fromEntries(fields.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined));
    const thinking = this.kept.request.reasoning_effort; // kept while a model is chosen that cannot think
    this.kept.request = { ...(this.card?.thinking ? {} : { reasoning_effort: thinking }), ...values(this.fields.request) };
    if (this.fields.recipe.length) this.kept.recipes[this.card.id] = values(this.fields.recipe);
    const prices = ["prompt", "completion"].map((name) => [name, this.form.elements[`price.${name}`].value]);
    this.kept.prices = Object.fromEntries(prices.filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)]));
    this.keep();
    if (control.name.startsWith("price.")) this.changed.priceChanged();
  }

  // Says below a field what is wrong with its value; such a value is neither kept nor sent.
  checked(control) {
    const field = control.closest(".field");
    field.querySelector(".problem")?.remove();
    if (control.checkValidity()) return true;
    field.append(el("small", { class: "problem", role: "alert" }, control.validationMessage));
    return false;
  }

  reset() {
    this.kept.request = {};
    this.kept.tools = this.form.elements.tools.value = "";
    this.form.elements.tools.setCustomValidity("");
    if (this.card) delete this.kept.recipes[this.card.id];
    for (const field of [...this.fields.request, ...this.fields.recipe]) field.set(undefined);
    this.bound();
    for (const problem of this.form.querySelectorAll(".problem")) problem.remove();
    this.keep();
  }

  keep() {
    store.set("settings", this.kept);
    this.count();
  }

  // Changed settings are seen without opening the panel: they explain an unusual answer.
  count() {
    const { request, moa } = this.card ? this.of(this.card) : { request: {}, moa: {} };
    const changed = Object.values({ ...request, ...moa }).filter((value) => value !== undefined).length;
    $("settings-count").textContent = changed ? String(changed) : "";
    this.button.title = changed ? `${plural(changed, "setting")} changed` : "";
    $("settings-reset").disabled = !changed;
  }
}
