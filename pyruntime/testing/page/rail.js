/* The list of chats, and which of them are on the screen. */

import { avatar, byId, icon, make } from "./dom.js";
import { askName } from "./notice.js";
import { Pane } from "./pane.js";
import { post } from "./server.js";
import { isPrivate, lastMessage, nameOf, state, summary } from "./state.js";

const PANE_WIDTH = 330;

export const isNarrow = () => matchMedia("(max-width: 720px)").matches;
export const room = () => (isNarrow() ? 1 : Math.max(1, Math.floor(byId("panes").clientWidth / PANE_WIDTH)));

export function openPane(id, isBeside) {
  const { chats, panes } = state;
  const chat = chats.get(id);
  if (!chat) return;
  if (!panes.has(id)) {
    const pane = new Pane(chat, { onClose: () => closePane(id), onUse: () => activate(id) });
    const replaced = isBeside && panes.size < room() ? null : panes.get(state.active) || [...panes.values()].pop();
    if (replaced) {
      replaced.element.replaceWith(pane.element);
      const order = [...panes.entries()].map(([key, value]) => (value === replaced ? [id, pane] : [key, value]));
      panes.clear();
      order.forEach(([key, value]) => panes.set(key, value));
    } else {
      panes.set(id, pane);
      byId("panes").append(pane.element);
    }
    pane.toEnd();
  }
  activate(id);
  panes.get(id).composer.input.focus({ preventScroll: true });
  renderChats();
}

function closePane(id) {
  if (state.panes.size < 2) return;
  state.panes.get(id).element.remove();
  state.panes.delete(id);
  if (state.active === id) activate([...state.panes.keys()].pop());
  renderChats();
}

function openBeside(id) {
  if (state.panes.size >= room()) {
    const oldest = [...state.panes.keys()].find((each) => each !== state.active);
    if (oldest !== undefined) state.active = oldest;
  }
  openPane(id, true);
}

/** Close the chats for which there is no room any more. */
export function fitPanes() {
  while (state.panes.size > room()) {
    const extra = [...state.panes.keys()].reverse().find((id) => id !== state.active);
    state.panes.get(extra).element.remove();
    state.panes.delete(extra);
  }
  renderChats();
}

export function activate(id) {
  if (state.active === id && !state.chats.get(id)?.unread) return;
  state.active = id;
  if (state.chats.has(id)) state.chats.get(id).unread = 0;
  renderChats();
}

function entry(chat) {
  const { panes } = state;
  const id = chat.info.id;
  const last = chat.messages.get(chat.lastId) ?? lastMessage(chat);
  const mine = last && !last.shown?.by_bot && isPrivate(chat) ? "You: " : "";
  const text = chat.typing ? `${chat.typing} …` : last ? `${mine}${summary(last)}` : "no messages yet";
  const badge = chat.unread ? make("span", { class: "badge", "aria-label": `${chat.unread} unread` }, String(chat.unread)) : null;
  const open = (event) => openPane(id, event.shiftKey || event.ctrlKey || event.metaKey);
  return make("li", {},
    make("button", { class: "chat", type: "button", "data-open": id, "aria-current": String(panes.has(id)), onclick: open },
      avatar(nameOf(chat), id, { isGroup: !isPrivate(chat) }),
      make("span", { class: "words" }, make("span", { class: "name" }, nameOf(chat)), make("span", { class: "last" }, text)), badge),
    panes.has(id) || room() < 2 ? null : make("button",
      { class: "icon beside", type: "button", title: "Open beside", "aria-label": `Open ${nameOf(chat)} beside`, onclick: () => openBeside(id) },
      icon("beside")));
}

export function renderChats() {
  const list = byId("chats");
  const focused = document.activeElement?.closest?.("[data-open]")?.dataset.open;
  list.replaceChildren(...[...state.chats.values()].map(entry));
  if (focused) list.querySelector(`[data-open="${CSS.escape(focused)}"]`)?.focus();
  for (const pane of state.panes.values()) pane.closer.hidden = state.panes.size < 2;
  const unread = [...state.chats.values()].reduce((sum, chat) => sum + chat.unread, 0);
  document.title = unread ? `(${unread}) Playground` : "Playground";
}

let isStale = false;
export function renderChatsSoon() {
  if (isStale) return;
  isStale = true;
  requestAnimationFrame(() => { isStale = false; renderChats(); });
}

let wanted = null;            // a chat to open as soon as the server has told of it
export function openWanted() {
  if (wanted !== null && state.chats.has(wanted)) {
    const id = wanted;
    wanted = null;
    openPane(id, true);
  }
}

async function addChat(type, label) {
  const name = await askName(label);
  if (name === null) return;
  const added = await post("chat", { type, name });
  if (added) { wanted = added.id; openWanted(); }
}
byId("add-private").addEventListener("click", () => addChat("private", "Name of the person"));
byId("add-group").addEventListener("click", () => addChat("group", "Name of the group"));
byId("add-channel").addEventListener("click", () => addChat("channel", "Name of the channel"));
