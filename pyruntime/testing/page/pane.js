/* A chat on the screen. */

import { avatar, iconButton, make } from "./dom.js";
import { Composer } from "./composer.js";
import { showMembers } from "./members.js";
import { renderMessage } from "./message.js";
import { post } from "./server.js";
import { isMine, isPrivate, nameOf, state, summary } from "./state.js";

const MAX_ROWS = 400;
const KINDS = { private: "private chat", group: "group", supergroup: "group", channel: "channel" };

export class Pane {
  constructor(chat, { onClose, onUse }) {
    this.chat = chat;
    const id = chat.info.id;
    this.status = make("p", {});
    this.title = make("h2", {}, nameOf(chat));
    this.log = make("div", { class: "log", role: "log", "aria-label": `Messages with ${nameOf(chat)}`, tabindex: "0" });
    this.pinned = make("button", { class: "pinned", type: "button", hidden: true });
    this.toasts = make("div", { class: "toasts", role: "status" });
    this.composer = new Composer(chat);
    this.closer = iconButton("close", "Close this chat", onClose);
    this.people = isPrivate(chat)
      ? iconButton("block", "Block the bot", () => this.toggleBlock())
      : iconButton("people", "Members", () => showMembers(this.chat));
    this.dropMark = make("div", { class: "drop", hidden: true }, "Drop files to send them");
    const picture = avatar(nameOf(chat), id, { isGroup: !isPrivate(chat), isSmall: true });
    this.element = make("section", { class: "pane", "aria-label": nameOf(chat), "data-chat": id, onfocusin: onUse },
      make("header", {}, picture, make("div", { class: "words" }, this.title, this.status), this.people, this.closer),
      this.pinned, this.toasts, this.log, this.dropMark, this.composer.element);
    this.fresh = [];             // ids of messages that are not on the screen yet
    this.follows = true;
    // Only who scrolls up wants to stay where they are: a picture that grows moves nothing up.
    let top = 0;
    this.log.addEventListener("scroll", () => {
      if (this.isAtEnd) this.follows = true;
      else if (this.log.scrollTop < top) this.follows = false;
      top = this.log.scrollTop;
    });
    this.log.addEventListener("load", () => { if (this.follows) this.toEnd(); }, true);
    this.log.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => { if (this.follows) this.toEnd(); }).observe(this.log);
    this.takeDrops();
    this.render();
  }

  takeDrops() {
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    this.element.addEventListener("dragover", (event) => {
      if (hasFiles(event)) { event.preventDefault(); this.dropMark.hidden = false; }
    });
    this.element.addEventListener("dragleave", (event) => {
      if (!this.element.contains(event.relatedTarget)) this.dropMark.hidden = true;
    });
    this.element.addEventListener("drop", (event) => {
      this.dropMark.hidden = true;
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.composer.tray.add([...event.dataTransfer.files]);
    });
  }

  /** Show the chat anew, after the server has told all of it. */
  take(chat) {
    this.chat = chat;
    this.composer.chat = chat;
    this.render();
  }

  render() {
    this.fresh = [];
    this.log.replaceChildren();
    for (const message of this.chat.messages.values()) this.append(renderMessage(this.chat, message), message);
    if (!this.chat.messages.size) this.log.append(this.emptyNote());
    this.showEarlier();
    this.title.textContent = nameOf(this.chat);
    this.showStatus();
    this.showPinned();
    this.composer.render();
    this.toEnd();
  }

  emptyNote() {
    const start = () => this.composer.say("/start");
    if (this.chat.info.type === "channel") return make("div", { class: "empty" }, "Nothing here yet. Post something.");
    return make("div", { class: "empty" }, make("div", {}, "Nothing here yet. Say something to the bot."),
      make("button", { class: "pill", type: "button", onclick: start }, "/start"));
  }

  /* Earlier messages are asked for, so that a chat with thousands of them opens at once. */
  showEarlier() {
    this.log.querySelector(".earlier")?.remove();
    if (this.chat.has_more) {
      this.log.prepend(make("button", { class: "pill earlier", type: "button", onclick: () => this.loadEarlier() }, "Earlier messages"));
    }
  }

  async loadEarlier() {
    const { chat } = this;
    const before = chat.messages.keys().next().value ?? 0;
    const found = await post("history", { chat_id: chat.info.id, before });
    if (!found || this.chat !== chat) return;
    const height = this.log.scrollHeight - this.log.scrollTop;
    chat.messages = new Map([...found.messages.map((message) => [message.message_id, message]), ...chat.messages]);
    chat.has_more = found.has_more;
    this.log.querySelector(".earlier")?.remove();
    const older = document.createDocumentFragment();
    for (const message of found.messages) this.append(renderMessage(chat, message), message, older);
    this.log.prepend(older);
    this.showEarlier();
    this.log.scrollTop = this.log.scrollHeight - height;
  }

  /** Render all rows again, where they are: who speaks decides whose reactions are one's own. */
  refresh() { for (const message of this.chat.messages.values()) this.replace(message, false); }

  toEnd() { this.log.scrollTop = this.log.scrollHeight; this.follows = true; }
  get isAtEnd() { return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80; }
  find(id) {
    if (this.fresh.length) this.flush();
    return this.log.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** Put a row at the end, beside the others of its album. */
  append(row, message, place = this.log) {
    const group = message.media_group_id;
    const last = place.lastElementChild;
    if (!group) place.append(row);
    else if (last?.dataset.group === group) last.append(row);
    else place.append(make("div", { class: isMine(message) ? "album mine" : "album", "data-group": group }, row));
  }

  /* New messages are shown with the next picture on the screen, all at once: thousands a second are no burden then. */
  add(message) {
    this.follows ||= isMine(message);
    this.fresh.push(message.message_id);
    if (this.fresh.length > 1) return;
    if (document.hidden) setTimeout(() => this.flush(), 100);
    else requestAnimationFrame(() => this.flush());
  }

  flush() {
    const { messages } = this.chat;
    const fresh = this.fresh.filter((id) => messages.has(id) && !this.log.querySelector(`[data-id="${id}"]`));
    this.fresh = [];
    if (!fresh.length) return;
    this.log.querySelector(".empty")?.remove();
    for (const id of fresh.splice(0, Math.max(0, fresh.length - MAX_ROWS))) {
      messages.delete(id);
      this.chat.has_more = true;
    }
    for (const id of fresh) {
      const row = renderMessage(this.chat, messages.get(id));
      row.classList.add("new");
      this.append(row, messages.get(id));
    }
    if (this.follows) {
      this.trim();
      this.toEnd();
    }
    this.showStatus();
  }

  /* Keep the newest rows; the others come back by "Earlier messages". */
  trim() {
    const rows = [...this.log.querySelectorAll("[data-id]")];
    for (const row of rows.slice(0, Math.max(0, rows.length - MAX_ROWS))) {
      const album = row.closest(".album");
      row.remove();
      if (album && !album.childElementCount) album.remove();
    }
    const first = this.log.querySelector("[data-id]");
    const oldest = Number(first?.dataset.id ?? 0);
    for (const id of this.chat.messages.keys()) {
      if (id >= oldest) break;
      this.chat.messages.delete(id);
      this.chat.has_more = true;
    }
    if (this.chat.has_more && !this.log.querySelector(".earlier")) this.showEarlier();
  }

  replace(message, flashes = true) {
    const old = this.find(message.message_id);
    if (!old) return;
    const hadFocus = old.contains(document.activeElement);
    const row = renderMessage(this.chat, message);
    if (flashes) row.classList.add("flash");
    old.replaceWith(row);
    if (hadFocus) row.focus({ preventScroll: true });
    if (this.follows) this.toEnd();
  }

  remove(id) {
    const row = this.find(id);
    const album = row?.closest(".album");
    row?.remove();
    if (album && !album.childElementCount) album.remove();
    if (!this.chat.messages.size) { this.log.replaceChildren(this.emptyNote()); this.showEarlier(); }
    const { composer } = this;
    if (composer.editing === id) composer.stopEdit();
    if (composer.replying?.message_id === id) composer.stopReply();
  }

  /** Bring a message into view. */
  showMessage(id) {
    const row = this.find(id);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    row.classList.remove("flash");
    requestAnimationFrame(() => row.classList.add("flash"));
    row.focus({ preventScroll: true });
  }

  showStatus() {
    const { chat } = this;
    const kind = KINDS[chat.info.type] || chat.info.type;
    const count = isPrivate(chat) || chat.info.type === "channel" ? "" : ` · ${chat.members.length + (chat.has_bot ? 1 : 0)} members`;
    const bot = chat.has_bot ? "" : isPrivate(chat) ? " · bot blocked" : " · without the bot";
    this.status.textContent = chat.typing ? `${chat.typing} …` : `${kind} · ${chat.info.id}${count}${bot}`;
    this.status.className = chat.typing ? "typing" : "";
    if (isPrivate(chat)) {
      const label = chat.has_bot ? "Block the bot" : "Unblock the bot";
      this.people.title = label;
      this.people.setAttribute("aria-label", label);
      this.people.setAttribute("aria-pressed", String(!chat.has_bot));
    }
  }

  showPinned() {
    const id = this.chat.pinned.at(-1);
    const message = id !== undefined && this.chat.messages.get(id);
    this.pinned.hidden = id === undefined;
    if (id === undefined) return;
    this.pinned.replaceChildren(make("b", {}, "Pinned"), make("span", {}, message ? summary(message) : `message ${id}`));
    this.pinned.onclick = () => this.showMessage(id);
  }

  toggleBlock() { post("bot", { chat_id: this.chat.info.id, is_member: !this.chat.has_bot }); }

  /* Up and down go from message to message, Enter opens the menu of one. */
  onKey(event) {
    const row = event.target.closest(".row");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && (event.target === this.log || event.target === row)) {
      const rows = [...this.log.querySelectorAll(".row")];
      const at = row ? rows.indexOf(row) + step : step < 0 ? rows.length - 1 : 0;
      event.preventDefault();
      rows[Math.max(0, Math.min(at, rows.length - 1))]?.focus();
    } else if (event.key === "Enter" && event.target === row) {
      event.preventDefault();
      row.querySelector(".more").click();
    } else if (event.key === "Escape" && row) {
      this.composer.input.focus();
    }
  }
}

/** Return the pane of a chat, if it is open. */
export const paneOf = (id) => state.panes.get(id);
