// Form fields of JSON schemas. A field that is left blank has no value: the server's default holds.

import { el } from "./dom.js";
import { LABELS, NOTES, shown } from "./words.js";

// Most teams have few models; beyond this number each place of a list would need a field of its own.
const MAX_PLACES = 4;

export function fieldOf(name, schema, prefix = "") {
  const make = { array: listOf, boolean: choiceOf, integer: numberOf, number: numberOf, string: choiceOf }[schema.type];
  return make ? make(`${prefix}${name}`, name, schema) : null;
}

const named = (key, name) => LABELS[key] ?? LABELS[name] ?? shown(name);

const noted = (key, name) => {
  const note = NOTES[key] ?? NOTES[name];
  return note ? el("small", {}, note) : null;
};

const labelled = (key, name, schema, control) =>
  el("label", { class: "field", title: schema.description },
    el("span", { class: "field-name" }, named(key, name)), control,
    noted(key, name));

function numberOf(key, name, schema) {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  const control = el("input", {
    name: key, type: "number", inputmode: schema.type === "integer" ? "numeric" : "decimal",
    min: minimum ?? above, max: maximum ?? below, step: schema.type === "integer" ? 1 : "any",
    placeholder: schema.default === undefined ? "not set" : String(schema.default),
  });
  const value = () => (control.value === "" ? undefined : Number(control.value));
  control.addEventListener("input", () => {
    const outside = value() <= above || value() >= below;
    control.setCustomValidity(outside ? `Enter a number${above === undefined ? "" : ` above ${above}`}${below === undefined ? "" : ` below ${below}`}.` : "");
  });
  const limit = (most) => (control.max = most);
  return { name, control, node: labelled(key, name, schema, control), value, limit, set: (given) => (control.value = given ?? "") };
}

function choiceOf(key, name, schema) {
  const options = schema.type === "boolean" ? [true, false] : schema.enum ?? [];
  const control = selectOf(key, options, schema.default);
  const value = () => (control.value === "" ? undefined : options.find((option) => String(option) === control.value));
  return { name, node: labelled(key, name, schema, control), value, set: (given) => (control.value = given ?? "") };
}

function selectOf(key, options, standard, label) {
  const blank = standard === undefined ? "default" : shown(standard);
  return el("select", { name: key, "aria-label": label }, el("option", { value: "" }, blank),
    ...options.filter((option) => option !== standard).map((option) => el("option", { value: String(option) }, shown(option))));
}

function listOf(key, name, schema) {
  return schema.maxItems <= MAX_PLACES ? placesOf(key, name, schema) : setOf(key, name, schema);
}

// A list whose places differ, such as solver and critic: one field for each.
function placesOf(key, name, schema) {
  const standard = schema.default ?? [];
  const controls = Array.from({ length: schema.maxItems }, (_, place) =>
    selectOf(`${key}.${place}`, schema.items.enum, standard[place], `${named(key, name)} ${place + 1}`));
  const value = () => {
    if (controls.every((control) => control.value === "")) return undefined;
    return controls.map((control, place) => control.value || standard[place]).filter(Boolean);
  };
  const set = (given) => controls.forEach((control, place) => (control.value = given?.[place] ?? ""));
  return { name, node: group(key, name, schema, controls), value, set };
}

// A team: its models in any number. Repeated models stay as they are until the team is changed.
function setOf(key, name, schema) {
  const standard = [...new Set(schema.default ?? [])];
  const boxes = schema.items.enum.map((option) => el("input", { type: "checkbox", name: key, value: option }));
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const value = () => {
    const now = chosen();
    return now.length === standard.length && now.every((one) => standard.includes(one)) ? undefined : now;
  };
  const check = () => boxes[0]?.setCustomValidity(chosen().length ? "" : "Choose at least one model.");
  const set = (given) => {
    for (const box of boxes) box.checked = (given ?? standard).includes(box.value);
    check();
  };
  set();
  for (const box of boxes) box.addEventListener("change", check);
  return { name, node: group(key, name, schema, boxes.map((box) => el("label", { class: "check" }, box, el("span", {}, box.value)))), value, set };
}

const group = (key, name, schema, controls) =>
  el("div", { class: `field group${schema.maxItems <= MAX_PLACES ? "" : " set"}`, role: "group", "aria-label": named(key, name), title: schema.description },
    el("span", { class: "field-name" }, named(key, name)), el("div", { class: "group-controls" }, ...controls),
    schema.maxItems <= MAX_PLACES ? el("small", {}, schema.description) : noted(key, name));
