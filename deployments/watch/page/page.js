// Dashboards of Grafana's JSON, drawn with Plotly from Prometheus' HTTP API.
import { format, ticks } from "./units.js";
import { allOf, filled, legend, optionsOf } from "./queries.js";

const REFRESH_MS = 15000;
const POINTS = 240; // of a series
const SCRAPE_S = 15;
const $ = (id) => document.getElementById(id);
const element = (tag, text = "", attributes = {}) => {
  const made = Object.assign(document.createElement(tag), { textContent: text });
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
};
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const boards = await (await fetch("dashboards.json")).json();
const chosen = {}; // value of each variable; none: all
let round = 0; // of refreshes: what comes late belongs to an earlier one

async function ask(path, parameters) {
  const response = await fetch(`${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

function current() {
  const name = location.hash.slice(1).split("?")[0];
  return name in boards ? name : "overview";
}

function showTabs() {
  $("boards").replaceChildren(
    ...Object.entries(boards).map(([name, board]) => {
      const link = element("a", board.title.replace("MoA / ", ""), { href: `#${name}` });
      if (name === current()) link.setAttribute("aria-current", "page");
      return link;
    }),
  );
  document.title = boards[current()].title;
}

async function showChoices() {
  const variables = boards[current()].templating.list.filter((variable) => variable.type === "query");
  const labels = await Promise.all(
    variables.map(async (variable) => {
      const values = await optionsOf(variable, ask);
      if (values.length < 2) return null;
      const select = element("select", "", { name: variable.name });
      select.append(element("option", "all", { value: "" }), ...values.map((value) => element("option", value, { value })));
      select.value = values.includes(chosen[variable.name]) ? chosen[variable.name] : "";
      select.onchange = () => {
        chosen[variable.name] = select.value;
        refresh();
      };
      const label = element("label", `${variable.label} `);
      label.append(select);
      return label;
    }),
  );
  $("choices").replaceChildren($("range").parentElement, ...labels.filter(Boolean));
}

function showPanels() {
  $("panels").replaceChildren(
    ...boards[current()].panels.map((panel) => {
      if (panel.type === "row") return element("h2", panel.title);
      const wide = panel.gridPos.w;
      const section = element("section", "", { id: `panel-${panel.id}` });
      section.style.gridColumn = `span ${innerWidth > 1100 ? wide : wide < 12 ? 4 : 12}`;
      const title = element("h3", panel.title);
      for (const link of panel.links ?? []) {
        const name = link.url.match(/\/d\/moa-(\w+)/)?.[1];
        if (name in boards) title.append(element("a", "more", { href: `#${name}`, title: link.title }));
      }
      const content = element("div", "", { class: panel.type === "stat" ? "number" : "plot" });
      section.append(title, element("p", panel.description), content);
      return section;
    }),
  );
}

// A series with NaN where it has no value for more than a step, so that no line crosses the gap.
function withGaps(points, step) {
  return points.flatMap((point, index) => {
    const before = points[index - 1];
    return before && point[0] - before[0] > 1.5 * step ? [[before[0] + step, "NaN"], point] : [point];
  });
}

function styled(trace, panel) {
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    if (matcher.id !== "byRegexp" || !new RegExp(`^${matcher.options}$`).test(trace.name)) continue;
    const found = Object.fromEntries(properties.map((one) => [one.id, one.value]));
    trace.line = {
      color: color(found.color?.fixedColor ?? "red"),
      dash: found["custom.lineStyle"]?.fill === "dash" ? "dash" : "solid",
      width: found["custom.lineWidth"] ?? 1.5,
    };
  }
  return trace;
}

async function drawSeries(panel, place, chosenValues, mine) {
  const range = Number($("range").value);
  const end = Date.now() / 1000;
  const step = Math.max(5, Math.ceil(range / POINTS));
  const interval = `${Math.max(4 * SCRAPE_S, step + SCRAPE_S)}s`;
  const answers = await Promise.all(
    panel.targets.map((target) =>
      ask("/api/v1/query_range", { query: filled(target.expr, chosenValues, interval), start: end - range, end, step }),
    ),
  );
  if (mine !== round) return;
  const { unit, min } = panel.fieldConfig.defaults;
  const traces = answers.flatMap((answer, index) =>
    answer.result.map(({ metric, values }) => {
      const points = withGaps(values, step);
      return styled(
        {
          name: legend(panel.targets[index].legendFormat, metric),
          x: points.map(([at]) => new Date(at * 1000)),
          y: points.map(([, value]) => (Number.isFinite(Number(value)) ? Number(value) : null)),
          text: points.map(([, value]) => format(Number(value), unit)),
          hovertemplate: "%{text}",
          mode: points.length < 2 ? "markers" : "lines",
          line: { width: 1.5 },
        },
        panel,
      );
    }),
  );
  if (!traces.some((trace) => trace.y.some((value) => value !== null))) {
    Plotly.purge(place);
    place.replaceChildren(element("div", "No values in this time.", { class: "nothing" }));
    return;
  }
  if (place.firstElementChild?.className === "nothing") place.replaceChildren();
  const line = color("line");
  const layout = {
    font: { color: color("text"), size: 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 64, r: 8, t: 6, b: 28 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: color("card"), font: { color: color("text") } },
    showlegend: true,
    legend: { orientation: "h", y: -0.14, font: { size: 11 } },
    xaxis: { gridcolor: line, tickformat: range > 86400 ? "%b %d" : "%H:%M", range: [new Date((end - range) * 1000), new Date(end * 1000)] },
    yaxis: { automargin: true, gridcolor: line, zerolinecolor: line, rangemode: min === 0 ? "tozero" : "normal", ...ticks(unit) },
  };
  await Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true });
}

async function drawNumber(panel, place, values, mine) {
  const { unit, thresholds, decimals } = panel.fieldConfig.defaults;
  const answer = await ask("/api/v1/query", { query: filled(panel.targets[0].expr, values, `${4 * SCRAPE_S}s`) });
  if (mine !== round) return;
  const value = answer.result.length ? Number(answer.result[0].value[1]) : NaN;
  place.textContent = Number.isFinite(value) ? format(value, unit, decimals) : "–";
  place.title = Number.isFinite(value) ? "" : "No values now.";
  const steps = (thresholds?.steps ?? []).filter((step) => step.value === null || value >= step.value);
  place.dataset.color = Number.isFinite(value) && steps.length ? steps[steps.length - 1].color : "";
}

async function showAlerts(mine) {
  const { alerts } = await ask("/api/v1/alerts", {});
  if (mine !== round) return;
  alerts.sort((one, other) => one.state.localeCompare(other.state));
  $("alerts").hidden = alerts.length === 0;
  $("alerts").replaceChildren(
    ...alerts.map(({ state, labels, annotations }) =>
      element("li", `${labels.alertname} (${state}): ${annotations.summary} See ${annotations.runbook}.`, { "data-state": state }),
    ),
  );
}

async function refresh() {
  const mine = ++round;
  const board = boards[current()];
  const values = { ...allOf(board), ...Object.fromEntries(Object.entries(chosen).filter(([, value]) => value)) };
  const panels = board.panels.filter((panel) => panel.type !== "row");
  const done = await Promise.allSettled([
    ...panels.map((panel) => {
      const place = $(`panel-${panel.id}`).lastElementChild;
      return (panel.type === "stat" ? drawNumber : drawSeries)(panel, place, values, mine);
    }),
    showAlerts(mine),
  ]);
  if (mine !== round) return;
  const failed = done.find((one) => one.status === "rejected");
  $("problem").hidden = !failed;
  $("problem").textContent = failed ? `Not all could be drawn: ${failed.reason.message}` : "";
}

async function open() {
  round += 1;
  showTabs();
  showPanels();
  await showChoices().catch(() => {}); // the panels say what is wrong
  await refresh();
}

$("range").value = "900";
$("range").onchange = refresh;
addEventListener("hashchange", open);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
setInterval(() => document.hidden || refresh(), REFRESH_MS);
await open();
