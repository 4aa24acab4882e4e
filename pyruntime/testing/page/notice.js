/* Toasts and dialogs. */

import { avatar, byId, make } from "./dom.js";
import { nameOf, state } from "./state.js";

/** Show a line for a few seconds in a chat, or in the one used last. */
export function showToast(chatId, text) {
  const pane = state.panes.get(chatId) || state.panes.get(state.active) || [...state.panes.values()][0];
  if (!pane) return;
  const toast = make("div", { class: "toast" }, text);
  pane.toasts.append(toast);
  setTimeout(() => toast.remove(), 3500);
}

export function showAlert(text) {
  byId("alert").querySelector("p").textContent = text;
  if (!byId("alert").open) byId("alert").showModal();
}

/** Ask for a name; resolves to it (perhaps empty), or to null if it was cancelled. */
export function askName(label) {
  const dialog = byId("naming");
  const input = byId("new-name");
  dialog.querySelector("label").textContent = label;
  input.value = "";
  input.placeholder = "leave empty for any";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? input.value : null), { once: true });
  });
}

/** Let one of the chats be chosen; resolves to its id, or to null. */
export function chooseChat(title) {
  const dialog = byId("choosing");
  dialog.querySelector("h2").textContent = title;
  let chosen = null;
  const options = [...state.chats.values()].map((chat) => {
    const pick = () => { chosen = chat.info.id; dialog.close(); };
    const picture = avatar(nameOf(chat), chat.info.id, { isGroup: chat.info.type !== "private", isSmall: true });
    return make("li", {}, make("button", { type: "button", onclick: pick }, picture, nameOf(chat)));
  });
  dialog.querySelector("ul").replaceChildren(...options);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(chosen), { once: true }));
}

byId("new-name").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    byId("naming").close("ok");
  }
});
