// Draws the plots, again when the width or the colour scheme changes.
const NARROW_PX = 560;
const NAME_CHARACTERS = 34; // of a legend's entry in a narrow plot, per line
const CONFIG = { displayModeBar: false, displaylogo: false, responsive: false, showTips: false };

// The value with each "var(--name)" replaced by the stylesheet's value.
function themed(value) {
  if (typeof value === "string") {
    const name = /^var\((--[\w-]+)\)$/.exec(value)?.[1];
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : value;
  }
  if (Array.isArray(value)) return value.map(themed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, themed(each)]));
}

function legendRows(figure, width) {
  if (figure.layout.showlegend === false) return 0;
  const names = figure.data.filter((trace) => trace.showlegend !== false).map((trace) => trace.name ?? "");
  if (names.length < 2) return 0;
  const widest = Math.max(...names.map((name) => textWidth(name, 13))) + 60;
  return Math.ceil(names.length / Math.max(1, Math.floor(width / widest))) * (widest > width ? 2 : 1);
}

function pixels(layout, size) {
  const [x, y] = [layout.xaxis, layout.yaxis];
  return {
    x: (value) => ((x.type === "log" ? Math.log10(value) : value) - x.range[0]) / (x.range[1] - x.range[0]) * size.width,
    y: (value) => (1 - (value - y.range[0]) / (y.range[1] - y.range[0])) * size.height,
  };
}

// Annotations for `meta.labels`, and lines from their points to those that are far.
function annotations(layout) {
  const { labels, line } = layout.meta;
  const size = {
    width: layout.width - layout.margin.l - layout.margin.r,
    height: layout.height - layout.margin.t - layout.margin.b,
  };
  const at = pixels(layout, size);
  const points = labels.map((label) => ({
    ...label, x: at.x(label.x), y: at.y(label.y), low: at.y(label.low), high: at.y(label.high),
  }));
  const corners = line.map(([x, y]) => ({ x: at.x(x), y: at.y(y) }));
  const shapes = [];
  const names = placedLabels(points, corners, size, 12).map(({ point, box, leader }) => {
    const at = (x, y) => [x / size.width, 1 - y / size.height];
    if (leader.length) {
      const [[x0, y0], [x1, y1]] = [leader[0], leader.at(-1)].map((dot) => at(dot.left + 1, dot.top + 1));
      shapes.push({ type: "line", xref: "paper", yref: "paper", x0, y0, x1, y1, line: { width: 1, color: point.colour }, opacity: 0.6 });
    }
    const [x, y] = at((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return {
      xref: "paper", yref: "paper", xanchor: "center", yanchor: "middle", showarrow: false, borderpad: 0, x, y,
      text: escaped(point.text), font: { size: 12, color: point.colour }, bgcolor: themed("var(--page)"), // over grid lines
    };
  });
  return { names, shapes };
}

// Plotly reads a few HTML tags in texts.
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function sayLeftOut(holder, figure, shown) {
  const all = figure.layout.meta.labels.length;
  let line = holder.parentElement.querySelector(".note");
  if (!line) {
    line = document.createElement("p");
    line.className = "note";
    holder.after(line);
  }
  line.hidden = shown === all;
  line.textContent = `${all - shown} of ${all} names have no room here; point at or tap a marker to read its name.`;
}

function narrowed(layout) {
  const names = layout.yaxis.type === "category" ? layout.yaxis.categoryarray : null;
  layout.margin.l = Math.min(layout.margin.l, names ? 116 : 52);
  layout.margin.r = Math.min(layout.margin.r, layout.margin.r > 60 ? 72 : 10);
  if (names) {
    layout.yaxis.tickvals = names;
    layout.yaxis.ticktext = names.map((name) => lines(name, 15).map(escaped).join("<br>"));
    layout.yaxis.tickfont = { size: 11 };
  }
}

// At most two lines, broken behind a hyphen or a blank where there is one.
function lines(name, characters) {
  if (name.length <= characters) return [name];
  const fits = name.slice(0, characters);
  const at = Math.max(fits.lastIndexOf("-"), fits.lastIndexOf(" ")) + 1 || characters;
  const rest = name.slice(at).trim();
  return [name.slice(0, at).trim(), rest.length > characters ? `${rest.slice(0, characters - 1)}…` : rest];
}

function draw(holder, figure) {
  const width = holder.clientWidth;
  const layout = themed(figure.layout);
  const narrow = width < NARROW_PX;
  layout.width = width;
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  if (narrow) narrowed(layout);
  const data = themed(figure.data);
  for (const trace of data) if (narrow && trace.name) trace.name = lines(trace.name, NAME_CHARACTERS).map(escaped).join("<br>");
  const rows = legendRows(figure, width - layout.margin.l - layout.margin.r);
  layout.margin.t += 22 * rows;
  layout.height += 22 * rows;
  if (layout.meta.labels) {
    const { names, shapes } = annotations(layout);
    Object.assign(layout, { annotations: names, shapes });
    sayLeftOut(holder, figure, names.length);
  }
  return window.Plotly.react(holder, data, layout, CONFIG);
}

async function drawPlots() {
  const library = document.createElement("script");
  library.textContent = await unpacked("data-plotly");
  document.head.append(library);
  const figures = Object.entries(JSON.parse(await unpacked("data-plots")));
  const holders = figures.map(([id, figure]) => [document.getElementById(id), figure]);
  const widths = new Map();
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (widths.get(target) === target.clientWidth) continue;
      widths.set(target, target.clientWidth);
      draw(target, holders.find(([holder]) => holder === target)[1]);
    }
  });
  for (const [holder, figure] of holders) {
    widths.set(holder, holder.clientWidth);
    await draw(holder, figure);
    observer.observe(holder);
    await new Promise((resolve) => setTimeout(resolve)); // the page stays usable between two plots
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [holder, figure] of holders) draw(holder, figure);
  });
  document.documentElement.dataset.plots = "drawn";
}

drawPlots().catch(reportTrouble);
