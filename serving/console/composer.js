// The question field with its buttons and keys.

import { $ } from "./dom.js";

const MAX_HEIGHT = 200; // pixels; longer questions scroll

export class Composer {
  constructor({ send, stop }) {
    this.field = $("question");
    $("ask").addEventListener("submit", (event) => (event.preventDefault(), send(this.field.value)));
    $("stop").addEventListener("click", stop);
    this.field.addEventListener("input", () => this.grow());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send(this.field.value);
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && stop());
  }

  clear() {
    this.field.value = "";
    this.grow();
  }

  // The button that was pressed disappears: its focus goes to the other one, or back to the field.
  working(yes) {
    const focused = document.activeElement === $("send") || document.activeElement === $("stop");
    $("send").hidden = yes;
    $("stop").hidden = !yes;
    if (focused) (yes ? $("stop") : this.field).focus();
  }

  grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight + 2, MAX_HEIGHT)}px`;
  }
}
