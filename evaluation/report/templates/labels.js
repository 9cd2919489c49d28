// Names beside the points of a scatter plot: each at the nearest place where it covers no point, no error bar, no line and no
// other name; a name without such a place is left out. One that is not next to its point has a line to it. Computed here since
// places depend on the width of the plot.
const LABEL = { line: 15, marker: 8, bar: 4, gap: 3, reach: 64, step: 8, leaderFrom: 20, samples: 8 };

function textWidth(text, size) {
  textWidth.context ??= document.createElement("canvas").getContext("2d");
  textWidth.context.font = `${size}px system-ui, sans-serif`;
  return textWidth.context.measureText(text).width;
}

function hits(box, others) {
  return others.some((o) => box.left < o.right && o.left < box.right && box.top < o.bottom && o.top < box.bottom);
}

// `points`: {text, x, y, low, high, colour} in pixels of the plot, the y axis downwards; `line`: corners of a stepped line.
function placedLabels(points, line, size, fontSize) {
  const taken = points.flatMap(({ x, y, low, high }) => [
    { left: x - LABEL.marker, right: x + LABEL.marker, top: y - LABEL.marker, bottom: y + LABEL.marker },
    { left: x - LABEL.bar, right: x + LABEL.bar, top: high, bottom: low },
  ]);
  line.slice(1).forEach((end, index) => {
    const start = line[index];
    taken.push({
      left: Math.min(start.x, end.x) - 1, right: Math.max(start.x, end.x) + 1,
      top: Math.min(start.y, end.y) - 1, bottom: Math.max(start.y, end.y) + 1,
    });
  });
  const placed = [];
  const names = [];
  for (const point of points) {
    const half = textWidth(point.text, fontSize) / 2 + 1;
    const found = candidates(half)
      .map(({ dx, dy }) => {
        const box = {
          left: point.x + dx - half, right: point.x + dx + half,
          top: point.y + dy - LABEL.line / 2, bottom: point.y + dy + LABEL.line / 2,
        };
        return { point, dx, dy, box, leader: leader(point, box) };
      })
      .find(
        ({ box, leader: dots }) =>
          box.left >= 0 && box.right <= size.width && box.top >= 0 && box.bottom <= size.height &&
          !hits(box, taken) && !dots.some((dot) => hits(dot, names)),
      );
    if (!found) continue;
    taken.push(found.box, ...found.leader);
    names.push(found.box);
    placed.push(found);
  }
  return placed;
}

// Small boxes along the line from the point to the nearest place of its name's edge; none for a name next to its point.
function leader(point, box) {
  const end = { x: clamp(point.x, box.left, box.right), y: clamp(point.y, box.top, box.bottom) };
  const length = Math.hypot(end.x - point.x, end.y - point.y);
  if (length < LABEL.leaderFrom) return [];
  return Array.from({ length: LABEL.samples }, (_, index) => {
    const share = LABEL.marker / length + ((length - LABEL.marker) / length) * ((index + 0.5) / LABEL.samples);
    const [x, y] = [point.x + share * (end.x - point.x), point.y + share * (end.y - point.y)];
    return { left: x - 1, right: x + 1, top: y - 1, bottom: y + 1 };
  });
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function* offsets() {
  for (let away = 0; away <= LABEL.reach; away += LABEL.step) {
    for (const dy of away ? [-away, away] : [0]) yield { away, dy };
  }
}

function candidates(half) {
  return [...offsets()].flatMap(({ away, dy }) =>
    [1, -1, 0]
      .filter((side) => side || away >= LABEL.line)
      .map((side) => ({ dx: side * (half + LABEL.marker + LABEL.gap + away / 2), dy })),
  );
}
