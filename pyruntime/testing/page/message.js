/* Show one message: who, to what, the content, the buttons, the reactions. */

import { icon, make, safeLink } from "./dom.js";
import { renderMedia } from "./media.js";
import { openActions } from "./actions.js";
import { chooseChat, showAlert, showToast } from "./notice.js";
import { post } from "./server.js";
import { isMine, isPrivate, serviceText, speakerOf, state, summary, userName } from "./state.js";
import { renderText } from "./text.js";

const KNOWN = "text message_id from chat sender_chat date shown entities".split(" ");

/* Presses that wait for answerCallbackQuery; an answer may be told before the reply to the press is here. */
const waiting = new Map();
const early = new Map();

/** Take the bot's answer to the press of a button: a toast, an alert, or nothing. */
export function takeAnswer(content) {
  const press = waiting.get(content.id);
  if (!press) {
    early.set(content.id, content);
    setTimeout(() => early.delete(content.id), 3000);
    return;
  }
  early.delete(content.id);
  press.done();
  const { text, show_alert: isAlert, url } = content.parameters;
  if (text && (isAlert === true || isAlert === "true" || isAlert === "True")) showAlert(text);
  else if (text) showToast(press.chatId, text);
  else if (url) showToast(press.chatId, `The bot opens ${url}`);
}

async function press(chat, message, button, element) {
  element.classList.add("busy");
  element.setAttribute("aria-busy", "true");
  const target = { chat_id: chat.info.id, message_id: message.message_id, user_id: speakerOf(chat) };
  const query = await post("press", { ...target, data: button.callback_data });
  const done = () => {
    element.classList.remove("busy");
    element.removeAttribute("aria-busy");
    if (query) waiting.delete(query.id);
  };
  if (!query) return done();
  if (!query.is_told) {
    showToast(chat.info.id, "The bot does not ask for callback queries (allowed_updates)");
    return done();
  }
  waiting.set(query.id, { chatId: chat.info.id, done });
  setTimeout(done, 15000);
  if (early.has(query.id)) takeAnswer(early.get(query.id));
}

async function switchInline(chat, button) {
  const isHere = button.switch_inline_query_current_chat !== undefined;
  const query = button.switch_inline_query_current_chat ?? button.switch_inline_query
    ?? button.switch_inline_query_chosen_chat?.query ?? "";
  const id = isHere ? chat.info.id : await chooseChat("Send to which chat?");
  if (id !== null) document.dispatchEvent(new CustomEvent("compose", { detail: { id, text: `@${state.bot.username} ${query}` } }));
}

function renderButton(chat, message, button) {
  const href = button.url || button.login_url?.url;
  const safe = href && safeLink(href);
  if (safe) return make("a", { class: "key", href: safe, target: "_blank", rel: "noopener noreferrer" }, `${button.text} ↗`);
  const key = (options, ...more) => make("button", { class: "key", type: "button", ...options }, button.text, " ", ...more);
  if (button.copy_text) {
    const copy = () => navigator.clipboard.writeText(button.copy_text.text).then(() => showToast(chat.info.id, "Copied"));
    return key({ onclick: copy }, make("small", {}, "copy"));
  }
  if (Object.keys(button).some((name) => name.startsWith("switch_inline_query"))) {
    return key({ onclick: () => switchInline(chat, button) }, make("small", {}, "inline"));
  }
  if (button.callback_data !== undefined) {
    const element = key({});
    element.addEventListener("click", () => press(chat, message, button, element));
    return element;
  }
  const label = button.web_app ? "web app" : button.pay ? "pay" : button.callback_game ? "game" : "";
  return key({ disabled: true, title: "Only Telegram itself can do this" }, label && make("small", {}, label));
}

function renderReactions(chat, message) {
  const reactions = message.shown?.reactions;
  if (!reactions?.length) return null;
  const me = speakerOf(chat);
  const names = (users) => users.map((id) => {
    const user = id === state.bot.id ? state.bot : chat.members.find((each) => each.id === id);
    return user ? userName(user) : id;
  }).join(", ");
  return make("div", { class: "reactions" }, ...reactions.map(({ emoji, users }) => {
    const isOn = users.includes(me);
    const options = { type: "button", title: names(users), "aria-pressed": String(isOn), "aria-label": `${emoji}, ${names(users)}` };
    return make("button", { ...options, onclick: () => react(chat, message, isOn ? [] : [emoji]) },
      users.length > 1 ? `${emoji} ${users.length}` : emoji);
  }));
}

/** Put the reactions of who speaks on a message, in place of the former ones. */
export function react(chat, message, emoji) {
  post("react", { chat_id: chat.info.id, message_id: message.message_id, user_id: speakerOf(chat), emoji });
}

function renderHead(chat, message) {
  const parts = [];
  if (!isPrivate(chat) && message.from && !message.shown?.by_bot) {
    parts.push(make("span", { class: "from" }, userName(message.from)));
  }
  if (message.via_bot) parts.push(make("span", { class: "from" }, `via @${message.via_bot.username}`));
  const origin = message.forward_origin;
  if (origin) {
    const from = origin.sender_user ? userName(origin.sender_user) : origin.chat?.title ?? origin.sender_user_name;
    parts.push(make("span", { class: "from" }, `Forwarded from ${from ?? "somebody"}`));
  }
  const replied = message.reply_to_message;
  if (replied) {
    const show = () => state.panes.get(chat.info.id)?.showMessage(replied.message_id);
    const words = message.quote ? `“${message.quote.text}”` : summary(replied);
    parts.push(make("button", { class: "quote", type: "button", onclick: show, "aria-label": `In reply to: ${words}` }, words));
  }
  return parts;
}

function timeOf(message) {
  return new Date(message.date * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** Return the row of a message. */
export function renderMessage(chat, message) {
  const service = serviceText(message);
  if (service) return make("div", { class: "service", "data-id": message.message_id }, service);
  const bubble = make("div", { class: "bubble" }, ...renderHead(chat, message), ...renderMedia(message));
  const text = message.text ?? message.caption ?? "";
  const rest = Object.keys(message).filter((key) => !KNOWN.includes(key)).join(", ") || "empty";
  const shown = text || (bubble.childNodes.length ? "" : `[${rest}]`);
  const onCommand = (command) => document.dispatchEvent(new CustomEvent("say", { detail: { id: chat.info.id, text: command } }));
  const meta = make("span", { class: "meta" }, message.edit_date ? make("span", {}, "edited") : null, timeOf(message));
  const entities = message.text ? message.entities : message.caption_entities;
  const more = make("button", { class: "icon more", type: "button", tabindex: "-1", "aria-haspopup": "menu", "aria-label": "What to do with this message" }, icon("more"));
  more.addEventListener("click", () => openActions(chat, message.message_id, more));
  bubble.append(make("span", { class: "body" }, renderText(shown, entities, onCommand)), meta, more);
  const row = make("div", { class: isMine(message) ? "row mine" : "row", "data-id": message.message_id, tabindex: "-1" }, bubble);
  const rows = message.reply_markup?.inline_keyboard;
  if (rows?.length) {
    const keys = rows.map((buttons) => make("div", {}, ...buttons.map((button) => renderButton(chat, message, button))));
    row.append(make("div", { class: "keys" }, ...keys));
  }
  const reactions = renderReactions(chat, message);
  if (reactions) row.append(reactions);
  row.addEventListener("contextmenu", (event) => {
    if (getSelection().toString()) return;
    event.preventDefault();
    openActions(chat, message.message_id, more);
  });
  return row;
}
