/* What is offered while one types: commands after "/", the results of inline mode after "@bot ". */

import { make } from "./dom.js";
import { post } from "./server.js";
import { isPrivate, speakerOf, state } from "./state.js";

const PAUSE_MS = 250;

let lists = 0;

export class Suggestions {
  constructor(composer) {
    this.composer = composer;
    this.entries = [];
    this.choice = 0;
    this.inline = null;          // {id, text} of the query that was asked last
    this.timer = 0;
    lists += 1;
    this.id = `suggestions-${lists}`;
    this.element = make("ul", { class: "menu", id: this.id, role: "listbox", "aria-label": "Suggestions", hidden: true });
    composer.input.setAttribute("aria-controls", this.id);
  }

  get chat() { return this.composer.chat; }
  get isOpen() { return !this.element.hidden; }

  hide() {
    this.element.hidden = true;
    this.composer.input.setAttribute("aria-expanded", "false");
    this.composer.input.removeAttribute("aria-activedescendant");
  }

  /** Show entries: {title, about, pick, fill}; a note if there are none. */
  show(entries, note = "") {
    this.entries = entries;
    this.choice = 0;
    this.element.replaceChildren(...entries.map((entry, index) => make("li", {
      role: "option", id: `${this.id}-${index}`, "aria-selected": String(index === 0),
      onmousedown: (event) => { event.preventDefault(); this.pick(entry); },
    }, make("b", {}, entry.title), make("span", {}, entry.about))));
    if (!entries.length && note) this.element.append(make("li", { class: "none" }, note));
    this.element.hidden = !this.element.childElementCount;
    this.composer.input.setAttribute("aria-expanded", String(this.isOpen));
    this.mark();
  }

  mark() {
    [...this.element.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === this.choice)));
    if (this.entries.length) this.composer.input.setAttribute("aria-activedescendant", `${this.id}-${this.choice}`);
  }

  move(step) {
    this.choice = (this.choice + step + this.entries.length) % this.entries.length;
    this.mark();
    this.element.children[this.choice].scrollIntoView({ block: "nearest" });
  }

  pick(entry) {
    this.composer.set("");
    this.hide();
    entry.pick();
  }

  /** Handle a key if it is meant for the list; tell whether it was. */
  onKey(event) {
    if (!this.isOpen) return false;
    if (event.key === "Escape") { event.stopPropagation(); this.hide(); return true; }
    if (!this.entries.length) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const entry = this.entries[this.choice];
    if (step) this.move(step);
    else if (event.key === "Tab" && !event.shiftKey && entry.fill) { this.composer.set(entry.fill); this.hide(); }
    else if (event.key === "Enter" && !event.shiftKey) this.pick(entry);
    else return false;
    event.preventDefault();
    return true;
  }

  /** Look at what was typed. */
  update() {
    const text = this.composer.input.value;
    clearTimeout(this.timer);
    const asked = /^@(\w+) ([^]*)$/.exec(text);
    if (asked && asked[1].toLowerCase() === state.bot.username.toLowerCase()) {
      this.timer = setTimeout(() => this.ask(asked[2]), PAUSE_MS);
      return;
    }
    this.inline = null;
    const typed = /^\/(\w*)$/.exec(text);
    if (typed && this.chat.commands?.length) this.show(this.commands().filter((entry) => entry.name.startsWith(typed[1])));
    else this.hide();
  }

  /* Commands */

  commands() {
    // In a group Telegram writes the bot's name behind the command, so that no other bot takes it for its own.
    const suffix = isPrivate(this.chat) ? "" : `@${state.bot.username}`;
    return (this.chat.commands ?? []).map(({ command, description }) => ({
      name: command, title: `/${command}`, about: description, fill: `/${command}${suffix} `,
      pick: () => this.composer.say(`/${command}${suffix}`),
    }));
  }

  toggleCommands() {
    if (this.isOpen) this.hide();
    else this.show(this.commands(), "The bot has set no commands (setMyCommands).");
    this.composer.input.focus();
  }

  /* Inline mode */

  async ask(text) {
    const user = speakerOf(this.chat);
    this.inline = { id: null, text };
    const inline = this.inline;
    const query = await post("inline", { chat_id: this.chat.info.id, user_id: user, query: text });
    if (!query || this.inline !== inline) return;
    if (!query.is_told) { this.show([], "The bot does not ask for inline queries."); return; }
    inline.id = query.id;
    if (inline.early) this.takeResults(inline.early);
  }

  /** Take the bot's answer to an inline query, if this chat asked it. */
  takeAnswer(content) {
    if (!this.inline) return;
    if (this.inline.id === null) this.inline.early = content;   // told before the reply to the question is here
    else if (this.inline.id === content.id) this.takeResults(content);
  }

  takeResults(content) {
    if (content.id !== this.inline.id) return;
    let results = content.parameters.results ?? [];
    if (typeof results === "string") results = JSON.parse(results);
    const choose = (result) => post("choose", {
      chat_id: this.chat.info.id, user_id: speakerOf(this.chat), query_id: content.id, result_id: String(result.id),
    });
    this.show(results.map((result) => ({
      title: result.title || result.caption || `[${result.type}]`, about: result.description || "", pick: () => choose(result),
    })), "The bot has nothing for this.");
  }
}
