// A small Markdown renderer that builds elements. It knows paragraphs, headings, lists, quotes, code, tables, rules,
// emphasis and links to http(s) addresses; everything else, HTML included, stays text.

import { copyButton, el } from "./dom.js";

const FENCE = /^\s{0,3}(```+|~~~+)\s*([\w+-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;
const TABLE_LINE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MAX_DEPTH = 8;
// Longer paragraphs stay plain: the time that emphasis takes to find grows with the square of the length.
const MAX_INLINE = 20_000; // characters
const INLINE = /\\([!-/:-@[-`{-~])|(`+)([\s\S]+?)\2(?!`)|\*\*([^\s*](?:[\s\S]*?[^\s*])?)\*\*|\*([^\s*](?:[^*]*[^\s*])?)\*|(?<!\w)_([^\s_](?:[^_]*[^\s_])?)_(?!\w)|~~([^~]+)~~|!?\[([^\][]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>()]*[^\s<>().,;:!?'"])/g;

export function markdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0));
  return fragment;
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  const starts = (line, next) =>
    FENCE.test(line) || /^\s{0,3}(#{1,6}\s|>)/.test(line) || ITEM.test(line) || RULE.test(line) ||
    (line.includes("|") && next !== undefined && next.includes("-") && TABLE_LINE.test(next));
  while (at < lines.length) {
    const line = lines[at];
    let found;
    if (!line.trim()) {
      at += 1;
    } else if ((found = FENCE.exec(line))) {
      const code = [];
      for (at += 1; at < lines.length && !lines[at].trim().startsWith(found[1]); at += 1) code.push(lines[at]);
      at += 1;
      made.push(codeBlock(code.join("\n"), found[2]));
    } else if (RULE.test(line)) {
      made.push(el("hr"));
      at += 1;
    } else if ((found = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*$/.exec(line))) {
      made.push(el(`h${Math.min(found[1].length + 2, 6)}`, {}, ...inline(found[2])));
      at += 1;
    } else if (/^\s{0,3}>/.test(line) && depth < MAX_DEPTH) {
      const quoted = [];
      for (; at < lines.length && /^\s{0,3}>/.test(lines[at]); at += 1) quoted.push(lines[at].replace(/^\s{0,3}> ?/, ""));
      made.push(el("blockquote", {}, ...blocks(quoted, depth + 1)));
    } else if (ITEM.test(line) && depth < MAX_DEPTH) {
      const [list, next] = listOf(lines, at, depth);
      made.push(list);
      at = next;
    } else if (line.includes("|") && lines[at + 1]?.includes("-") && TABLE_LINE.test(lines[at + 1])) {
      const rows = [line];
      const rule = lines[at + 1];
      for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) rows.push(lines[at]);
      made.push(tableOf(rows, rule));
    } else {
      const paragraph = [line];
      for (at += 1; at < lines.length && lines[at].trim() && !starts(lines[at], lines[at + 1]); at += 1) paragraph.push(lines[at]);
      made.push(el("p", {}, ...inline(paragraph.join("\n"))));
    }
  }
  return made;
}

function listOf(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const list = el(ordered ? "ol" : "ul", { start: ordered && parseInt(mark, 10) !== 1 ? parseInt(mark, 10) : null });
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found || found[1].length < indent.length || /\d/.test(found[2]) !== ordered) break;
    const content = [found[3]];
    const inner = found[1].length + 2;
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      if (line.trim() && line.search(/\S/) < inner && (ITEM.test(line) || !lines[at - 1].trim())) break;
      content.push(line.slice(Math.min(inner, Math.max(line.search(/\S/), 0))));
    }
    const made = blocks(content, depth + 1);
    list.append(el("li", {}, ...(made.length === 1 && made[0].tagName === "P" ? made[0].childNodes : made)));
  }
  return [list, at];
}

function codeBlock(code, language) {
  return el("figure", { class: "code" },
    el("figcaption", {}, el("span", {}, language || "code"), copyButton(() => code)),
    el("pre", { tabindex: "0" }, el("code", {}, code)));
}

function tableOf(rows, line) {
  const split = (row) => row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());
  const sides = split(line).map((rule) => (/^:?-+:$/.test(rule) ? (rule.startsWith(":") ? "center" : "right") : null));
  const [head, ...body] = rows.map((row) => split(row).map((cell) => inline(cell)));
  return el("div", { class: "scroll", tabindex: "0" }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((cell, place) => el("th", { class: sides[place] }, ...cell)))),
    el("tbody", {}, ...body.map((row) => el("tr", {}, ...row.map((cell, place) => el("td", { class: sides[place] }, ...cell)))))));
}

function inline(text, depth = 0) {
  if (text.length > MAX_INLINE) return [text];
  const made = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > last) made.push(...broken(text.slice(last, found.index)));
    last = found.index + found[0].length;
    const [whole, escaped, , code, strong, star, underscore, gone, label, target, bare] = found;
    const nested = (content) => (depth < MAX_DEPTH ? inline(content, depth + 1) : [content]);
    if (escaped !== undefined) made.push(escaped);
    else if (code !== undefined) made.push(el("code", {}, code.trim() || code));
    else if (strong !== undefined) made.push(el("strong", {}, ...nested(strong)));
    else if (star ?? underscore) made.push(el("em", {}, ...nested(star ?? underscore)));
    else if (gone !== undefined) made.push(el("del", {}, ...nested(gone)));
    else if (target ?? bare) made.push(link(target ?? bare, label ?? bare));
    else made.push(whole);
  }
  if (last < text.length) made.push(...broken(text.slice(last)));
  return made;
}

const broken = (text) => text.split(/ {2,}\n/).flatMap((part, place) => (place ? [el("br"), part] : [part]));

const link = (target, label) => el("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
