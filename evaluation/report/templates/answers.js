// Answer browser: a list of the questions that match the filter, and the arms' answers to the chosen one.
const PAGE = 100; // entries of the list, until "more" is pressed

function made(tag, attributes = {}, ...children) {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

const verdicts = {
  // "right", "wrong", "failed", "unscored", or "partly" for a score between 0 and 1.
  of(answer) {
    if (answer.error !== undefined) return "failed";
    if (answer.score === undefined) return "unscored";
    return answer.score >= 1 ? "right" : answer.score <= 0 ? "wrong" : "partly";
  },
  matches(outcome, answers) {
    const found = answers.map(verdicts.of);
    const scores = new Set(answers.map((answer) => (answer.error === undefined ? answer.score : 0)));
    scores.delete(undefined);
    return {
      any: true,
      disagree: scores.size > 1,
      wrong: found.includes("wrong"),
      right: found.length > 0 && found.every((verdict) => verdict === "right"),
      none: found.length > 0 && !found.includes("right") && !found.includes("partly") && !found.includes("unscored"),
      failed: found.includes("failed"),
    }[outcome];
  },
};

class AnswerBrowser {
  constructor(data) {
    this.data = data;
    this.chosenArms = new Set(data.arms);
    this.shown = PAGE;
    this.item = null;
    this.parts = Object.fromEntries(
      ["search", "task", "outcome", "among", "open", "arms", "chosen", "count", "list", "detail"].map((name) => [
        name, document.getElementById(`answers-${name}`),
      ]),
    );
    for (const item of data.items) item.words = this.words(item);
    this.fillControls();
    this.update();
  }

  text(number) { return number === undefined ? "" : this.data.texts[number]; }

  words(item) {
    const numbers = [...item.questions, item.reference, ...item.answers.flatMap((answer) => answer.texts ?? [])];
    const unique = new Set(numbers.map((number) => this.text(number)));
    return [item.id, ...unique].join("\n").toLowerCase();
  }

  // The answers that the filter judges; the cards show those of all chosen arms.
  judged(item) {
    const arm = this.parts.among.value;
    return arm ? item.answers.filter((answer) => answer.arm === arm) : this.answers(item);
  }

  answers(item) { return item.answers.filter((answer) => this.chosenArms.has(answer.arm)); }

  fillControls() {
    const { search, task, outcome, among, open, arms } = this.parts;
    for (const name of new Set(this.data.items.map((item) => item.task))) task.append(made("option", { value: name }, name));
    const chips = arms.querySelector(".chips");
    for (const arm of this.data.arms) {
      const box = made("input", { type: "checkbox", checked: true, value: arm });
      box.addEventListener("change", () => this.choose(arm, box.checked));
      chips.append(made("label", {}, box, arm));
      among.append(made("option", { value: arm }, arm));
    }
    for (const button of arms.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        this.chosenArms = new Set(button.dataset.choose === "all" ? this.data.arms : []);
        for (const box of chips.querySelectorAll("input")) box.checked = this.chosenArms.has(box.value);
        this.filter();
      });
    }
    search.addEventListener("input", () => this.filter());
    for (const control of [task, outcome, among]) control.addEventListener("change", () => this.filter());
    open.addEventListener("change", () => this.showDetail());
  }

  choose(arm, chosen) {
    if (chosen) this.chosenArms.add(arm);
    else this.chosenArms.delete(arm);
    this.filter();
  }

  filter() {
    this.shown = PAGE;
    this.parts.list.scrollTop = 0;
    this.update();
  }

  update() {
    const { search, task, outcome, count, chosen } = this.parts;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = this.data.items.filter(
      (item) =>
        (!task.value || item.task === task.value) &&
        words.every((word) => item.words.includes(word)) &&
        verdicts.matches(outcome.value, this.judged(item)),
    );
    chosen.textContent = `${this.chosenArms.size} of ${this.data.arms.length} chosen`;
    count.textContent = `${this.found.length.toLocaleString("en")} of ${this.data.items.length.toLocaleString("en")} questions`;
    if (!this.found.includes(this.item)) this.item = this.found[0] ?? null;
    this.showList();
    this.showDetail();
  }

  showList() {
    const entries = this.found.slice(0, this.shown).map((item) => {
      const answers = this.answers(item);
      const right = answers.filter((answer) => verdicts.of(answer) === "right").length;
      const scored = answers.filter((answer) => verdicts.of(answer) !== "unscored").length;
      const button = made(
        "button", { type: "button" },
        made("span", { className: "start" }, this.text(item.questions[0]).slice(0, 160)),
        made("small", {}, made("span", {}, item.id), made("span", {}, scored ? `${right} of ${scored} right` : "not scored")),
      );
      if (item === this.item) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => this.select(item));
      return made("li", {}, button);
    });
    if (this.found.length > this.shown) {
      const more = made("button", { type: "button", className: "more" }, `${this.found.length - this.shown} more`);
      more.addEventListener("click", () => {
        this.shown += PAGE;
        this.showList();
      });
      entries.push(made("li", {}, more));
    }
    this.parts.list.replaceChildren(...entries);
  }

  select(item) {
    this.item = item;
    const index = this.found.indexOf(item);
    const buttons = [...this.parts.list.querySelectorAll("button:not(.more)")];
    buttons.forEach((button, number) => {
      if (number === index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    this.showDetail();
  }

  step(by) {
    const index = this.found.indexOf(this.item) + by;
    this.shown = Math.max(this.shown, index + 1);
    this.item = this.found[index];
    this.showList();
    this.showDetail();
    const entry = this.parts.list.querySelector("[aria-current]").parentElement;
    this.parts.list.scrollTop = entry.offsetTop - this.parts.list.offsetTop - 40;
  }

  showDetail() {
    const { detail, open } = this.parts;
    if (!this.item) {
      detail.replaceChildren(made("p", { className: "lead" }, "No question matches."));
      return;
    }
    const index = this.found.indexOf(this.item);
    const steps = made("div", { className: "steps" });
    for (const [name, by] of [["Previous", -1], ["Next", 1]]) {
      const button = made("button", { type: "button", disabled: !this.found[index + by] }, name);
      button.addEventListener("click", () => {
        this.step(by);
        this.parts.detail.querySelectorAll(".steps button")[by < 0 ? 0 : 1].focus();
      });
      steps.append(button);
    }
    const cards = made("div", { className: "cards" }, ...this.answers(this.item).map((answer) => answerCard(this, answer, open.checked)));
    detail.replaceChildren(questionBox(this, this.item), steps, cards);
  }
}
