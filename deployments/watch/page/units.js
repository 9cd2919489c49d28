// Values with their units, by the units' names in Grafana.
const SUFFIXES = { s: " s", percent: "%", reqps: " req/s", ops: "/s", none: "" };

function unitOf(unit) {
  return unit.startsWith("suffix:") ? ` ${unit.slice(7).trim()}` : (SUFFIXES[unit] ?? ` ${unit}`);
}

function plain(value, decimals) {
  if (decimals !== undefined) return value.toFixed(decimals);
  const size = Math.abs(value);
  if (size >= 10000) return value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });
  return String(Number(value.toPrecision(3)));
}

export function format(value, unit, decimals) {
  if (!Number.isFinite(value)) return "–";
  if (unit === "percentunit") return `${plain(100 * value, decimals)}%`;
  if (unit === "currencyUSD") return `$${value !== 0 && Math.abs(value) < 0.01 ? plain(value) : value.toFixed(2)}`;
  if (unit === "s" && value !== 0 && Math.abs(value) < 1) return `${plain(1000 * value, decimals)} ms`;
  return plain(value, decimals) + unitOf(unit);
}

// Plotly's options of an axis.
export function ticks(unit) {
  if (unit === "percentunit") return { tickformat: "~%" };
  if (unit === "currencyUSD") return { tickprefix: "$", tickformat: "~g" };
  return { ticksuffix: unitOf(unit), tickformat: ",~r" };
}
