/* The page: what the server tells goes to the parts that show it. */

import { byId } from "./dom.js";
import { refreshMembers } from "./members.js";
import { takeAnswer } from "./message.js";
import {
  addCall, addDelivery, refreshUpdatesSoon, takeCalls, takeDeliveries, takeFaultKinds, takeQueue, takeTarget,
} from "./panel.js";
import { activate, fitPanes, openPane, openWanted, renderChats, renderChatsSoon, room } from "./rail.js";
import { isMine, state } from "./state.js";

const { chats, panes } = state;

/* ---- chats and messages ---- */

function takeChat(described) {
  const id = described.info.id;
  const messages = new Map(described.messages.map((message) => [message.message_id, message]));
  const old = chats.get(id);
  const kept = { unread: old?.unread ?? 0, commands: old?.commands ?? [], button: old?.button, typing: "" };
  const chat = { ...kept, ...described, messages };
  chats.set(id, chat);
  return chat;
}

function takeCommands(menus) {
  for (const [id, menu] of Object.entries(menus)) Object.assign(chats.get(Number(id)) ?? {}, menu);
  for (const pane of panes.values()) pane.composer.showMenuButton();
}

function onSnapshot(data) {
  state.bot = data.bot;
  byId("bot").textContent = data.bot.first_name;
  const gone = new Set(chats.keys());
  for (const described of data.chats) { takeChat(described); gone.delete(described.info.id); }
  gone.forEach((id) => chats.delete(id));
  takeCommands(data.commands);
  const isFirst = !panes.size;
  for (const [id, pane] of [...panes]) {
    if (chats.has(id)) pane.take(chats.get(id));
    else { pane.element.remove(); panes.delete(id); }
  }
  if (!panes.size) for (const id of [...chats.keys()].slice(0, Math.min(room(), 3))) openPane(id, true);
  if (isFirst && panes.size) { const id = [...panes.keys()][0]; activate(id); panes.get(id).composer.input.focus(); }
  takeFaultKinds(data.fault_kinds);
  takeTarget(data.target);
  takeCalls(data.calls);
  takeDeliveries(data.deliveries);
  takeQueue(data.queue);
  renderChats();
}

function onMessage(message) {
  const chat = chats.get(message.chat.id);
  if (!chat) return;
  const pane = panes.get(chat.info.id);
  chat.messages.set(message.message_id, message);
  chat.lastId = message.message_id;
  if (!pane && chat.messages.size > 400) { chat.messages.delete(chat.messages.keys().next().value); chat.has_more = true; }
  if (!isMine(message)) {
    setTyping(chat, "");
    if (!pane || document.hidden) chat.unread += 1;
  }
  pane?.add(message);
  renderChatsSoon();
}

function onEdit(message) {
  const chat = chats.get(message.chat.id);
  if (!chat?.messages.has(message.message_id)) return;
  chat.messages.set(message.message_id, message);
  panes.get(chat.info.id)?.replace(message);
  panes.get(chat.info.id)?.showPinned();
  renderChatsSoon();
}

function onDelete({ chat: info, message_id: id }) {
  chats.get(info.id)?.messages.delete(id);
  panes.get(info.id)?.remove(id);
  renderChatsSoon();
}

function onReaction({ chat: info, message_id: id, reactions }) {
  const message = chats.get(info.id)?.messages.get(id);
  if (!message) return;
  message.shown = { ...message.shown, reactions };
  panes.get(info.id)?.replace(message, false);
}

function onMembers({ info, members, has_bot }) {
  const chat = chats.get(info.id);
  if (!chat) return;
  Object.assign(chat, { members, has_bot });
  panes.get(info.id)?.showStatus();
  panes.get(info.id)?.composer.render();
  refreshMembers(info.id);
}

function onPin({ chat_id: id, pinned }) {
  const chat = chats.get(id);
  if (!chat) return;
  chat.pinned = pinned;
  panes.get(id)?.showPinned();
}

function onKeyboard({ chat_id: id, keyboard }) {
  const chat = chats.get(id);
  if (!chat) return;
  chat.keyboard = keyboard;
  panes.get(id)?.composer.takeKeyboard();
}

function onChat(described) {
  takeChat(described);
  renderChats();
  openWanted();
}

function onAnswer(content) {
  if (content.kind === "callback_query") takeAnswer(content);
  if (content.kind === "inline_query") for (const pane of panes.values()) pane.composer.suggestions.takeAnswer(content);
}

const ACTIONS = {
  upload_photo: "sending a picture", record_voice: "recording", upload_voice: "sending a voice message",
  record_video: "recording a video", upload_video: "sending a video", upload_document: "sending a file",
  find_location: "looking for a place", choose_sticker: "choosing a sticker",
};
function setTyping(chat, text) {
  clearTimeout(chat.typingTimer);
  if (chat.typing === text && !text) return;
  chat.typing = text;
  if (text) chat.typingTimer = setTimeout(() => setTyping(chat, ""), 5000);
  panes.get(chat.info.id)?.showStatus();
  renderChatsSoon();
}

/* ---- what other parts of the page ask for ---- */

document.addEventListener("say", ({ detail: { id, text } }) => panes.get(id)?.composer.say(text));
document.addEventListener("compose", ({ detail: { id, text } }) => {
  openPane(id, true);
  const { composer } = panes.get(id);
  composer.set(text);
  composer.suggestions.update();
});

/* ---- the frame ---- */

function showPanel(isShown) {
  byId("panel").hidden = !isShown;
  byId("inspect").setAttribute("aria-expanded", String(isShown));
  localStorage.setItem("playground-panel", isShown ? "1" : "");
  fitPanes();
  refreshUpdatesSoon();
}
byId("inspect").addEventListener("click", () => {
  showPanel(byId("panel").hidden);
  if (!byId("panel").hidden) byId("tabs").querySelector('[aria-selected="true"]').focus();
});
byId("hide").addEventListener("click", () => { showPanel(false); byId("inspect").focus(); });

const darkMedia = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) { document.documentElement.dataset.theme = theme; }
setTheme(localStorage.getItem("playground-theme") || (darkMedia.matches ? "dark" : "light"));
darkMedia.addEventListener("change", () => {
  if (!localStorage.getItem("playground-theme")) setTheme(darkMedia.matches ? "dark" : "light");
});
byId("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("playground-theme", theme);
  setTheme(theme);
});

addEventListener("resize", fitPanes);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const id of panes.keys()) chats.get(id).unread = 0;
  renderChats();
});
// A file that is dropped beside a chat must not replace the page.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.altKey && /^[1-9]$/.test(event.key)) {
    const id = [...chats.keys()][Number(event.key) - 1];
    if (id !== undefined) { event.preventDefault(); openPane(id, false); }
  }
  const isOver = !byId("panel").hidden && matchMedia("(max-width: 1080px)").matches;
  if (event.key === "Escape" && isOver && !document.querySelector("dialog[open]")) { showPanel(false); byId("inspect").focus(); }
});

/* ---- the stream ---- */

const HANDLERS = {
  snapshot: onSnapshot, message: onMessage, edit: onEdit, delete: onDelete, reaction: onReaction, answer: onAnswer,
  members: onMembers, pin: onPin, keyboard: onKeyboard, chat: onChat, commands: takeCommands, call: addCall,
  delivery: addDelivery, queue: takeQueue,
  action: ({ chat, action }) => chats.has(chat.id) && setTyping(chats.get(chat.id), ACTIONS[action] || action),
};
if (matchMedia("(min-width: 1280px)").matches && localStorage.getItem("playground-panel") !== "") showPanel(true);
const source = new EventSource("/playground/events");
for (const [kind, handle] of Object.entries(HANDLERS)) {
  source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
}
source.addEventListener("open", () => { byId("gone").hidden = true; });
source.addEventListener("error", () => { byId("gone").hidden = false; });
