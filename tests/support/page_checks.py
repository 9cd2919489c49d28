"""Scripts that look for faults of a page in a browser: each returns a list, empty if there is none."""

# Texts that contrast too little with what is behind them: [text, ratio]. Colours are painted to be read.
LOW_CONTRAST = """
() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const behind = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) colours.unshift(getComputedStyle(at).backgroundColor);
    return [page, ...colours];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "OPTION", "NOSCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility() || element.closest(":disabled")) continue;
    const style = getComputedStyle(element);
    const colours = behind(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const measured = ratio(painted([...colours, colour]), painted(colours));
    if (measured < (large ? 3 : 4.5)) found.push([node.data.trim().slice(0, 40), measured]);
  }
  const root = getComputedStyle(document.documentElement);
  for (let number = 1; number <= 8; number++) {
    const measured = ratio(painted([root.getPropertyValue(`--series-${number}`)]), painted([page]));
    if (measured < 3) found.push([`series ${number}`, measured]);
  }
  return found;
}
"""

# Names in plots that cover another name, a marker, an error bar or the front, or that a grid line crosses: [plot, name,
# what].
STRUCK = """
() => {
  const shrunk = (r) => ({ left: r.left + 1, right: r.right - 1, top: r.top + 2, bottom: r.bottom - 2 });
  const box = (node) => shrunk(node.getBoundingClientRect());
  const hit = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = [];
  for (const plot of document.querySelectorAll("#pareto .canvas")) {
    const names = [...plot.querySelectorAll(".annotation-text")];
    const others = [...plot.querySelectorAll("path.point, path.yerror")].map((node) => ["mark", box(node)]);
    for (const line of plot.querySelectorAll("path.js-line")) {
      const place = line.getScreenCTM();
      for (let at = 0; at < line.getTotalLength(); at += 3) {
        const point = line.getPointAtLength(at).matrixTransform(place);
        others.push(["front", { left: point.x, right: point.x + 1, top: point.y, bottom: point.y + 1 }]);
      }
    }
    const page = getComputedStyle(document.body).backgroundColor;
    for (const name of names) {
      const behind = getComputedStyle(name.closest("g").querySelector("rect"));
      if (behind.fill !== page || behind.fillOpacity !== "1") found.push([plot.id, name.textContent, "grid"]);
    }
    names.forEach((name, index) => {
      const rest = names.slice(index + 1).map((other) => [other.textContent, box(other)]);
      for (const [what, other] of [...others, ...rest]) {
        if (hit(box(name), other)) found.push([plot.id, name.textContent, what]);
      }
    });
  }
  return found;
}
"""
