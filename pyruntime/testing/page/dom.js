/* Make elements. Strings become text nodes, so that nothing a bot or a user says is ever read as HTML. */

const ICONS = {
  send: "M5 12l15-7-5 15-3.5-6.5z",
  close: "M6 6l12 12M18 6L6 18",
  slash: "M15 5L9 19",
  clip: "M19 11l-7.5 7.5a4.5 4.5 0 0 1-6.4-6.4l8-8a3 3 0 0 1 4.3 4.3l-8 8a1.5 1.5 0 0 1-2.1-2.1L14 7.6",
  beside: "M4 5h16v14H4zM12 5v14",
  keys: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3 19a6 6 0 0 1 12 0M16 6a3 3 0 0 1 0 5M17 14a5 5 0 0 1 4 5",
  document: "M7 3h7l5 5v13H7zM14 3v5h5",
  video: "M4 6h11v12H4zM15 10l5-3v10l-5-3z",
  audio: "M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM9 18V5l10-2v12M19 15a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  voice: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  sticker: "M5 5h14v9l-5 5H5zM19 14h-5v5",
  photo: "M4 5h16v14H4zM4 16l5-5 4 4 3-2 4 4M15 9h.01",
  block: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM6 6l12 12",
};

export const byId = (id) => document.getElementById(id);

/** Make an element; `on...` options are listeners, booleans are switches, children may be strings. */
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "hue") element.style.setProperty("--hue", value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export const iconButton = (name, label, onclick, options = {}) =>
  make("button", { class: "icon", type: "button", title: label, "aria-label": label, onclick, ...options }, icon(name));

const hueOf = (text) => [...String(text)].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

/** A round (or, for a group, a squarish) picture with a letter. */
export function avatar(name, id, { isGroup = false, isSmall = false } = {}) {
  const kind = `avatar${isGroup ? " group" : ""}${isSmall ? " small" : ""}`;
  return make("span", { class: kind, hue: hueOf(name + id), "aria-hidden": "true" }, [...name][0]?.toUpperCase() ?? "?");
}

/** Return an address that is safe to link to, or null. */
export function safeLink(address) {
  try {
    const url = new URL(address.includes(":") ? address : `https://${address}`);
    return ["http:", "https:", "tg:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
