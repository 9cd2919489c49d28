// Light or dark: the system's choice, until people choose for themselves.

import { $ } from "./dom.js";
import { store } from "./store.js";

const root = document.documentElement;
const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

export function startTheme() {
  const kept = store.get("theme", "local");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  $("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    store.set("theme", root.dataset.theme, "local");
  });
}
