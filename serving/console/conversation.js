// The turns of the conversation, kept in this tab: a reload shows them again.

import { $ } from "./dom.js";
import { store } from "./store.js";
import { LEFT } from "./words.js";

const KEPT_TURNS = 20;

export class Conversation {
  constructor() {
    this.turns = [];
    // A turn in progress is kept too, with what there is of it: leaving the page ends its request.
    addEventListener("pagehide", () => {
      this.save();
      this.left = true; // the request's failure that follows is no news
    });
    addEventListener("pageshow", () => (this.left = false));
  }

  // What the models read of earlier turns: those that have a whole answer.
  messages() {
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

  clear() {
    this.turns = [];
    $("turns").replaceChildren($("welcome"));
    $("welcome").hidden = false;
    this.save();
  }

  save() {
    if (this.left) return;
    const records = this.turns.slice(-KEPT_TURNS).map((turn) => (turn.running ? { ...turn.kept(), failure: LEFT, stopped: true } : turn.kept()));
    while (!store.set("turns", records) && records.length) records.shift(); // the oldest make room
  }

  restore(make) {
    for (const record of store.get("turns") ?? []) {
      const turn = make(record, [...this.messages(), { role: "user", content: record.question }]);
      this.add(turn);
      turn.restored(record);
    }
    this.turns.at(-1)?.node.scrollIntoView({ block: "start" });
  }
}
