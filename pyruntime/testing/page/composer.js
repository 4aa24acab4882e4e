/* Where one writes: the field, who speaks, files to send, the menu of commands, inline mode, reply keyboards. */

import { icon, iconButton, make } from "./dom.js";
import { Suggestions } from "./suggestion.js";
import { Tray } from "./tray.js";
import { post } from "./server.js";
import { isMine, isPrivate, nameOf, speakerOf, state, summary, userName } from "./state.js";

const HEIGHT = 37;
const MAX_HEIGHT = 140;

export class Composer {
  constructor(chat) {
    this.chat = chat;
    this.editing = null;
    this.replying = null;
    this.isKeyboardHidden = false;
    const field = { rows: "1", placeholder: "Message", autocomplete: "off", role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list" };
    this.input = make("textarea", { ...field, "aria-label": `Message as ${nameOf(chat)}` });
    this.suggestions = new Suggestions(this);
    this.tray = new Tray(() => this.input.focus());
    this.keys = make("div", { class: "keys replykeys", role: "group", "aria-label": "Reply keyboard", hidden: true });
    this.who = make("div", { class: "who", role: "group", "aria-label": "Who speaks" });
    this.noteText = make("span", {});
    this.note = make("div", { class: "note", hidden: true }, this.noteText, make("button", { type: "button", onclick: () => this.stopNote() }, "Cancel"));
    this.hint = make("p", { class: "hint", hidden: true });
    this.keyToggle = iconButton("keys", "Show or hide the reply keyboard", () => this.toggleKeyboard(), { hidden: true });
    this.menuPlace = make("span", {});
    const form = make("form", { class: "compose", onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.menuPlace, iconButton("clip", "Send files", () => this.tray.pick()), this.input, this.keyToggle,
      make("button", { class: "icon go", type: "submit", title: "Send", "aria-label": "Send" }, icon("send")));
    this.element = make("div", { class: "foot" },
      this.suggestions.element, this.note, this.who, this.tray.element, form, this.hint, this.keys);
    this.input.addEventListener("input", () => this.onInput());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    const hideUnlessBack = () => { if (document.activeElement !== this.input) this.suggestions.hide(); };
    this.input.addEventListener("blur", () => setTimeout(hideUnlessBack, 150));
    this.input.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) { event.preventDefault(); this.tray.add(files); }
    });
  }

  render() {
    this.showWho();
    this.showMenuButton();
    this.showKeyboard();
    this.showHint();
  }

  showWho() {
    const { chat } = this;
    this.who.hidden = chat.info.type !== "group" && chat.info.type !== "supergroup";
    if (this.who.hidden) return;
    const speak = (user) => {
      state.speakers.set(chat.info.id, user.id);
      state.panes.get(chat.info.id)?.refresh();
      this.render();
      this.input.focus();
    };
    const speaker = speakerOf(chat);
    this.who.replaceChildren("Speak as", ...chat.members.map((user) => make("button",
      { type: "button", "aria-pressed": String(user.id === speaker), onclick: () => speak(user) }, userName(user))));
    if (!chat.members.length) this.who.replaceChildren("Nobody is in this group.");
  }

  showMenuButton() {
    const button = this.chat.button;
    if (button?.type === "web_app") {
      this.menuPlace.replaceChildren(make("span", { class: "webapp", title: "A web app: only Telegram itself can open it" }, button.text));
    } else {
      this.menuPlace.replaceChildren(iconButton("slash", "Commands", () => this.suggestions.toggleCommands()));
    }
    this.menuPlace.hidden = this.chat.info.type === "channel";
  }

  /* Say what a bot in privacy mode would not see: most of a group's talk. */
  showHint() {
    const isGroup = !isPrivate(this.chat) && this.chat.info.type !== "channel";
    const text = this.input.value;
    const isSeen = /^\//.test(text) || this.replying?.shown?.by_bot || text.includes(`@${state.bot.username}`);
    this.hint.hidden = !isGroup || !text.trim() || Boolean(isSeen);
    this.hint.textContent = "In privacy mode, the default in groups, a bot would not be told of this.";
  }

  /* Reply keyboards and forced replies */

  get keyboard() {
    const shown = this.chat.keyboard;
    if (!shown || (shown.users && !shown.users.includes(speakerOf(this.chat)))) return null;
    return shown;
  }

  showKeyboard() {
    const keyboard = this.keyboard;
    const markup = keyboard?.markup;
    const rows = markup?.keyboard;
    this.input.placeholder = markup?.input_field_placeholder || (this.chat.info.type === "channel" ? "Post" : "Message");
    this.keyToggle.hidden = !rows || Boolean(markup.is_persistent);
    this.keys.hidden = !rows || (this.isKeyboardHidden && !markup.is_persistent);
    this.keyToggle.setAttribute("aria-expanded", String(!this.keys.hidden));
    if (!rows) return;
    this.keys.classList.toggle("small", Boolean(markup.resize_keyboard));
    this.keys.replaceChildren(...rows.map((buttons) => make("div", {}, ...buttons.map((button) => this.replyKey(button)))));
  }

  replyKey(button) {
    const text = typeof button === "string" ? button : button.text;
    const asks = { request_contact: "contact", request_location: "location" };
    const inert = { web_app: "web app", request_poll: "poll", request_users: "people", request_chat: "chat" };
    const label = Object.entries({ ...asks, ...inert }).find(([name]) => button[name])?.[1];
    const isInert = Object.keys(inert).some((name) => button[name]);
    const options = { class: "key", type: "button", disabled: isInert, onclick: () => this.pressReplyKey(button, text) };
    if (isInert) options.title = "Only Telegram itself can do this";
    return make("button", options, text, label && " ", label && make("small", {}, label));
  }

  pressReplyKey(button, text) {
    const { chat } = this;
    const me = chat.members.find((user) => user.id === speakerOf(chat)) ?? chat.user;
    const target = { chat_id: chat.info.id, user_id: me.id };
    const contact = { phone_number: "+10000000000", first_name: me.first_name, user_id: me.id };
    if (button.request_contact) post("send", { ...target, contact });
    else if (button.request_location) post("send", { ...target, location: { latitude: 52.52, longitude: 13.405 } });
    else this.say(text);
    if (this.keyboard?.markup.one_time_keyboard) { this.isKeyboardHidden = true; this.showKeyboard(); }
    this.input.focus();
  }

  toggleKeyboard() { this.isKeyboardHidden = !this.keys.hidden; this.showKeyboard(); }

  /** Take a keyboard that the bot has just sent; a forced reply begins one. */
  takeKeyboard() {
    this.isKeyboardHidden = false;
    const keyboard = this.keyboard;
    const asked = keyboard?.markup.force_reply && this.chat.messages.get(keyboard.message_id);
    if (asked) this.startReply(asked, "", false);
    this.showKeyboard();
  }

  /* Writing */

  grow() {
    this.input.style.height = `${HEIGHT}px`;
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, MAX_HEIGHT)}px`;
  }

  set(text) {
    this.input.value = text;
    this.grow();
    this.showHint();
  }

  onInput() {
    this.grow();
    this.suggestions.update();
    this.showHint();
  }

  say(text) {
    if (!text.trim()) return;
    const reply = this.replying ? { reply_to: this.replying.message_id, quote: this.quote } : {};
    post("send", { chat_id: this.chat.info.id, user_id: speakerOf(this.chat), text, ...reply });
    this.stopReply();
  }

  async submit() {
    const text = this.input.value;
    const files = await this.tray.take();
    if (this.editing) {
      if (!text.trim()) return;
      post("edit", { chat_id: this.chat.info.id, message_id: this.editing, text });
      this.stopEdit();
    } else if (files.length) {
      const reply = this.replying ? { reply_to: this.replying.message_id, quote: this.quote } : {};
      post("send", { chat_id: this.chat.info.id, user_id: speakerOf(this.chat), text, files, ...reply });
      this.stopReply();
    } else {
      this.say(text);
    }
    this.set("");
    this.suggestions.hide();
  }

  startEdit(message) {
    this.stopReply();
    this.editing = message.message_id;
    this.showNote("Editing your message");
    this.set(message.text ?? message.caption ?? "");
    this.input.focus();
  }

  startReply(message, quote = "", takesFocus = true) {
    if (this.editing) this.stopEdit();
    this.replying = message;
    this.quote = quote;
    this.showNote(`Replying to “${(quote || summary(message)).slice(0, 80)}”`);
    this.showHint();
    if (takesFocus) this.input.focus();
  }

  showNote(text) { this.noteText.textContent = text; this.note.hidden = false; }
  stopEdit() { this.editing = null; this.note.hidden = true; this.set(""); }
  stopReply() { this.replying = null; this.quote = ""; this.note.hidden = this.editing === null; }
  stopNote() { if (this.editing) this.stopEdit(); else this.stopReply(); this.showHint(); this.input.focus(); }

  onKey(event) {
    if (event.isComposing || this.suggestions.onKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.submit(); }
    else if (event.key === "Escape" && !this.note.hidden) this.stopNote();
    else if (event.key === "ArrowUp" && !this.input.value && !this.editing) {
      const mine = [...this.chat.messages.values()].reverse().find((message) => isMine(message) && message.text);
      if (mine) { event.preventDefault(); this.startEdit(mine); }
    }
  }
}
