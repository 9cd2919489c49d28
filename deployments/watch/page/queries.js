// Queries of panels, with Grafana's variables filled in.
const VARIABLE = /\$\{?(\w+)(?::\w+)?\}?/g;

// Each variable's pattern of all values.
export function allOf(board) {
  return Object.fromEntries(board.templating.list.map((variable) => [variable.name, variable.allValue ?? ".*"]));
}

function escaped(value) {
  return value === ".*" ? value : value.replace(/[.*+?^${}()|[\]\\]/g, "\\\\$&");
}

export function filled(expression, values, interval) {
  return expression.replace(VARIABLE, (whole, name) => (name === "__rate_interval" ? interval : escaped(values[name] ?? ".*")));
}

export function legend(pattern, labels) {
  return pattern.replace(/\{\{(\w+)\}\}/g, (whole, name) => labels[name] ?? "");
}

// Values of a variable that is defined by label_values(series, label).
export async function optionsOf(variable, ask) {
  const [, series, label] = variable.query.query.match(/^label_values\((.+),\s*(\w+)\)$/);
  return ask(`/api/v1/label/${label}/values`, { "match[]": filled(series, {}, "1m") });
}
