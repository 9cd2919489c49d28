// Scrolls with the work of the models, until people scroll up by hand.

import { $ } from "./dom.js";

const NEAR = 40; // pixels; people who scroll back as near to the end as this are followed again
const GAP = 12; // pixels between the bar and what is shown below it

export class Sight {
  constructor() {
    this.working = this.following = false;
    this.grown = null; // the element that was shown last
    this.top = scrollY;
    addEventListener("scroll", () => this.scrolled());
  }

  // The work begins; `node` is where it will be seen.
  begin(node, block) {
    this.working = true;
    this.grown = node;
    this.follow(true);
    node.scrollIntoView({ block });
    this.top = scrollY;
  }

  end() {
    this.working = false;
    this.follow(false);
  }

  // Shows `node`, which is new: all of it, or its start if there is no room for all.
  show(node) {
    this.grown = node;
    const start = node.getBoundingClientRect().top - document.querySelector(".bar").getBoundingClientRect().bottom;
    this.down(Math.min(this.below(node), start - GAP));
  }

  // Shows the end of `node`, whose text has become longer.
  keep(node) {
    this.grown = node;
    this.down(this.below(node));
  }

  // Pixels of `node` that are hidden below.
  below(node) { return node.getBoundingClientRect().bottom - $("ask").getBoundingClientRect().top; }

  down(pixels) {
    if (!this.following || pixels <= 0) return;
    scrollBy({ top: pixels });
    this.top = scrollY;
  }

  // The page was moved: by people, unless it was moved from here or has become shorter.
  scrolled() {
    const moved = scrollY - this.top;
    this.top = scrollY;
    const last = document.documentElement.scrollHeight - innerHeight;
    if (moved < -1 && scrollY < last - 1) this.follow(false);
    if (moved > 1 && this.working && this.below(this.grown) <= NEAR) this.follow(true);
  }

  // The browser moves the page too, when something above becomes higher; that would look like scrolling by hand.
  follow(yes) {
    this.following = yes;
    document.documentElement.classList.toggle("following", yes);
  }
}
