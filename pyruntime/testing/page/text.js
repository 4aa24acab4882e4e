/* Show text with its entities: bold, links, commands, spoilers. */

import { make, safeLink } from "./dom.js";

const WRAPPERS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};
const MARKED = ["mention", "hashtag", "cashtag", "text_mention", "phone_number"];

function wrap(entity, text, content, onCommand) {
  const tag = WRAPPERS[entity.type];
  if (tag) return make(tag, {}, content);
  if (entity.type === "bot_command") {
    return make("button", { class: "command", type: "button", onclick: () => onCommand(text) }, content);
  }
  if (entity.type === "spoiler") {
    const open = (event) => event.currentTarget.classList.add("open");
    const options = { class: "spoiler", tabindex: "0", role: "button", "aria-label": "Hidden text, press to show" };
    return make("span", { ...options, onclick: open, onkeydown: (event) => event.key === "Enter" && open(event) }, content);
  }
  const addresses = { text_link: entity.url, email: `mailto:${text}`, url: text };
  const href = addresses[entity.type] && safeLink(addresses[entity.type]);
  if (href) return make("a", { href, target: "_blank", rel: "noopener noreferrer", title: href }, content);
  return MARKED.includes(entity.type) ? make("span", { class: "command" }, content) : content;
}

/** Render text whose entities may nest: outer ones first, each holding what lies within it. */
export function renderText(text, entities, onCommand) {
  const sorted = (entities || [])
    .filter((entity) => entity.length > 0)
    .sort((a, b) => a.offset - b.offset || b.length - a.length);
  const render = (start, end, inner) => {
    const parts = document.createDocumentFragment();
    let at = start;
    for (let i = 0; i < inner.length; ) {
      const entity = inner[i];
      const from = Math.max(entity.offset, at);
      const to = Math.min(entity.offset + entity.length, end);
      i += 1;
      if (to <= from) continue;
      const nested = [];
      while (i < inner.length && inner[i].offset < to) nested.push(inner[i++]);
      if (from > at) parts.append(text.slice(at, from));
      parts.append(wrap(entity, text.slice(from, to), render(from, to, nested), onCommand));
      at = to;
    }
    if (at < end) parts.append(text.slice(at, end));
    return parts;
  };
  return render(0, text.length, sorted);
}
