// The turns of the conversation, kept in this tab: a reload shows them again.

import { Calls } from "./calls.js";
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

  // What the models read of earlier turns: those with a whole answer. Calls without results were given up, unless
  // `results` are to follow.
  messages(results = null) {
    const whole = this.turns.map(({ record }) => record).filter(({ answer, calls, failure }) => (answer || calls.length) && !failure);
    const kept = whole.filter(({ calls }, place) => !calls.length || (place + 1 < whole.length ? whole[place + 1].results : results));
    return kept.flatMap((record) => [
      ...(record.results ?? [{ role: "user", content: record.question }]),
      Calls.message(record.answer, record.calls),
    ]);
  }

  add(turn) {
    $("welcome").hidden = true;
    this.turns.at(-1)?.close();
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
      const turn = make(record, this.messages(record.results));
      this.add(turn);
      turn.restored(record);
    }
    this.turns.at(-1)?.node.scrollIntoView({ block: "start" });
  }
}
