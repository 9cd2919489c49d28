// Tool calls of an answer. People are the tools: they enter the results, and the answer goes on.

import { el } from "./dom.js";

export class Calls {
  constructor() {
    this.list = []; // { id, name, arguments }
    this.node = el("div", { class: "calls" });
  }

  // Pieces of calls, as the stream has them.
  take(pieces = []) {
    for (const { index, id, function: { name = "", arguments: more = "" } } of pieces) {
      const call = (this.list[index] ??= { id: "", name: "", arguments: "" });
      call.id ||= id ?? "";
      call.name += name;
      call.arguments += more;
    }
    if (pieces.length) this.show();
  }

  show() {
    this.node.replaceChildren(...this.list.map((call) => el("div", { class: "call" }, "calls ", el("code", {}, `${call.name}(${call.arguments})`))));
  }

  // Fields for the results; `send` gets the messages of the tools.
  ask(list, send) {
    this.list = list;
    if (!list.length) return;
    this.show();
    const fields = list.map((call) => el("input", { "aria-label": `Result of ${call.name}`, placeholder: "its result", autocomplete: "off" }));
    [...this.node.children].forEach((node, place) => node.append(fields[place]));
    const form = el("form", {}, el("button", { type: "submit", class: "quiet" }, list.length > 1 ? "Send the results" : "Send the result"));
    form.prepend(...this.node.children);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(list.map(({ id }, place) => ({ role: "tool", tool_call_id: id, content: fields[place].value })));
    });
    this.node.replaceChildren(form);
  }

  // The assistant's message that the results belong to.
  static message(text, list) {
    const calls = list.map(({ id, name, arguments: written }) => ({ id, type: "function", function: { name, arguments: written } }));
    return { role: "assistant", content: text || null, ...(calls.length ? { tool_calls: calls } : {}) };
  }
}

export const EXAMPLE = [{
  type: "function",
  function: {
    name: "calculator",
    description: "Calculates the value of an arithmetic expression.",
    parameters: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] },
  },
}];
