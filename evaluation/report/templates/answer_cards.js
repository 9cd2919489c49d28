// The chosen question, and a card per answer.
const VERDICT_WORDS = { right: "right", wrong: "wrong", failed: "failed", unscored: "not scored" };

function questionBox(browser, item) {
  const box = made("div", { className: "question" });
  item.questions.forEach((number, turn) => {
    const name = item.questions.length > 1 ? `${item.id}, turn ${turn + 1}` : item.id;
    box.append(made("p", { className: "turn" }, `${item.task}, ${name}`), made("p", { className: "text" }, browser.text(number)));
  });
  if (item.reference !== undefined) {
    box.append(made("p", { className: "turn" }, "right answer"), made("p", { className: "text" }, browser.text(item.reference)));
  }
  return box;
}

function verdictBadge(answer) {
  const verdict = verdicts.of(answer);
  const classes = { right: "good", wrong: "bad", failed: "bad" };
  return made("span", { className: classes[verdict] ?? "" }, VERDICT_WORDS[verdict] ?? `score ${answer.score.toFixed(2)}`);
}

function answerCard(browser, answer, open) {
  const verdict = verdicts.of(answer);
  const kind = { right: "is-right", wrong: "is-wrong", failed: "is-wrong" }[verdict] ?? "";
  const card = made("article", { className: `card ${kind}` });
  card.dataset.arm = answer.arm;
  const name = answer.sample ? `${answer.arm}, sample ${answer.sample + 1}` : answer.arm;
  card.append(made("h3", {}, name));
  const facts = made("p", { className: "facts-line" }, verdictBadge(answer));
  if (answer.extracted !== undefined) facts.append(`, read as ${answer.extracted}`);
  if (answer.tokens !== undefined) facts.append(`, ${answer.tokens.toLocaleString("en")} tokens`);
  if (answer.seconds !== undefined) facts.append(`, ${answer.seconds} s`);
  if (answer.usd !== undefined) facts.append(`, US$ ${Number((1000 * answer.usd).toPrecision(3))} per 1,000`);
  card.append(facts);
  if (answer.error !== undefined) card.append(made("p", { className: "text" }, answer.error));
  (answer.texts ?? []).forEach((number, turn, all) => {
    if (all.length > 1) card.append(made("p", { className: "turn" }, `turn ${turn + 1}`));
    card.append(scrollable("p", browser.text(number) || "(empty)"));
  });
  if (answer.reasons) card.append(made("p", { className: "note" }, `degraded: ${answer.reasons.join("; ")}`));
  if (answer.calls) card.append(callList(browser, answer.calls, open));
  if (answer.agents) card.append(trace(browser, answer.agents, open));
  return card;
}

// A text whose scroll bar the keyboard reaches.
function scrollable(tag, text) {
  return made(tag, { className: "text", tabIndex: 0 }, text);
}

function trace(browser, agents, open) {
  const proposals = agents.filter((agent) => agent.role === "proposer").length;
  const details = made("details", { open }, made("summary", {}, `Trace: ${proposals} proposals, ${agents.length} calls`));
  // The texts are made when they are first seen: a page of 15 arms has a hundred of them.
  const fill = () => {
    if (details.childElementCount === 1) details.append(...agents.map((agent) => agentText(browser, agent)));
  };
  if (open) fill();
  details.addEventListener("toggle", fill);
  return details;
}

function agentText(browser, agent) {
  const places = [
    agent.turn && `turn ${agent.turn}`, agent.step && `request ${agent.step}`, `layer ${agent.layer}`, `${agent.role} ${agent.model}`,
    agent.seconds !== undefined && `${agent.seconds} s`,
  ].filter(Boolean);
  const line = made("b", {}, places.join(", "));
  if (agent.outcome) line.append(", ", made("span", { className: "bad" }, agent.outcome));
  else if (agent.called) line.append(", called tools");
  else if (agent.score !== undefined) line.append(", ", verdictBadge(agent));
  const box = made("div", { className: "agent" }, line);
  if (agent.text !== undefined) box.append(scrollable("p", browser.text(agent.text)));
  return box;
}

function callList(browser, calls, open) {
  const details = made("details", { open }, made("summary", {}, `Tool calls: ${calls.length}`));
  for (const call of calls) {
    const line = made("b", {}, `request ${call.step}: ${call.name}`);
    if (call.fault) line.append(", ", made("span", { className: "bad" }, `fault: ${call.fault}`));
    const result = call.result === undefined ? "" : `\n→ ${browser.text(call.result)}`;
    details.append(made("div", { className: "agent" }, line, scrollable("p", call.arguments + result)));
  }
  return details;
}

async function openAnswers() {
  new AnswerBrowser(JSON.parse(await unpacked("data-answers")));
  document.documentElement.dataset.answers = "shown";
}

openAnswers().catch(reportTrouble);
