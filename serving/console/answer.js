// The answer's text with what belongs to it: thoughts, tool calls, reasons, failures.

import { Calls } from "./calls.js";
import { copyButton, el } from "./dom.js";
import { markdown } from "./markdown.js";
import { inWords, WAITING } from "./words.js";

// Long answers take long to draw: the page rests several times as long as it drew, so that it stays responsive.
const REST = 5;

export class Answer {
  constructor(drawn) {
    this.drawn = drawn;
    this.source = "";
    this.rest = 0; // milliseconds
    this.calls = new Calls();
    this.reasons = new Set();
    this.waiting = el("p", { class: "waiting" });
    this.thoughts = el("details", { class: "thoughts", hidden: true }, el("summary", {}, "Thinking"), el("div", { class: "thought" }));
    this.text = el("div", { class: "answer-text" });
    this.notes = el("div", { class: "notes" });
    this.node = el("div", { class: "answer" }, this.waiting, this.thoughts, this.text, this.calls.node, this.notes);
  }

  wait(stage) {
    this.waiting.textContent = this.source || this.calls.list.length || !this.thoughts.hidden ? "" : WAITING[stage];
  }

  // Thoughts are seen while they come, and fold away when the answer begins.
  think(text) {
    if (this.thoughts.hidden) this.thoughts.open = true;
    this.thoughts.hidden = false;
    this.thoughts.lastChild.append(text);
    this.thoughts.lastChild.scrollTop = this.thoughts.lastChild.scrollHeight;
    this.drawn(this.thoughts);
  }

  write(source) {
    if (!this.source) this.thoughts.open = false;
    this.source = source;
    this.pending ??= setTimeout(() => requestAnimationFrame(() => this.draw()), this.rest);
  }

  draw() {
    this.pending = null;
    const began = performance.now();
    this.text.replaceChildren(markdown(this.source));
    this.rest = REST * (performance.now() - began);
    this.drawn(this.text);
  }

  reason(text) {
    this.reasons.add(text);
    this.tell("Meanwhile:", [...this.reasons], "");
  }

  tell(head, reasons, kind) {
    this.told?.remove();
    this.told = el("div", { class: `note ${kind}` }, el("b", {}, head), el("ul", {}, ...reasons.map((reason) => el("li", {}, inWords(reason)))));
    this.notes.append(this.told);
  }

  // `send` gets the results of tool calls that people enter.
  finish({ answer, reasoning, calls, moa, failure, stopped }, send) {
    clearTimeout(this.pending);
    this.source = answer;
    this.draw();
    this.pending = true; // nothing is drawn after the end
    this.waiting.textContent = "";
    if (reasoning && this.thoughts.hidden) this.think(reasoning);
    this.thoughts.open = Boolean(reasoning && !answer && !failure);
    this.calls.ask(calls, send);
    if (moa?.reasons?.length) this.tell(moa.degraded ? "The answer may be worse than usual:" : "Good to know:", moa.reasons, moa.degraded ? "warn" : "");
    if (failure) this.told?.remove(); // the failure says it all
    if (failure) this.notes.append(el("p", { class: `note ${stopped ? "" : "bad"}`, role: stopped ? null : "alert" }, failure));
    else if (!answer && !calls.length) this.notes.append(el("p", { class: "note" }, "The answer is empty."));
    if (answer) this.notes.append(el("div", { class: "tail" }, copyButton(() => answer)));
  }

  offer(word, act) {
    this.notes.append(el("button", { type: "button", class: "quiet again", onclick: act }, word));
  }
}
