/* The dialog in which people and the bot join and leave a group or channel. */

import { avatar, byId, make } from "./dom.js";
import { post } from "./server.js";
import { nameOf, speakerOf, state, userName } from "./state.js";

let shown = null;

/** Open the dialog for a group or channel. */
export function showMembers(chat) {
  shown = chat.info.id;
  refreshMembers(chat.info.id);
  if (!byId("members").open) byId("members").showModal();
}

/** Show a change of members in the dialog, if it is open for this chat. */
export function refreshMembers(id) {
  const chat = state.chats.get(id);
  if (shown !== id || !chat) return;
  byId("members-title").textContent = `Members of ${nameOf(chat)}`;
  const target = { chat_id: id };
  const entry = (name, about, key, label, act) => make("li", {}, avatar(name, key, { isSmall: true }),
    make("span", { class: "words" }, name, make("small", {}, about)),
    make("button", { class: "pill", type: "button", "aria-label": `${label} ${name}`, onclick: act }, label));
  const bot = entry(state.bot.first_name, `@${state.bot.username}`, state.bot.id, chat.has_bot ? "Remove" : "Add",
    () => post("bot", { ...target, is_member: !chat.has_bot, user_id: speakerOf(chat) }));
  const isChannel = chat.info.type === "channel";
  const members = isChannel ? [] : chat.members;
  const inside = members.map((user) => entry(userName(user), `member · ${user.id}`, user.id, "Remove",
    () => post("member", { ...target, user_id: user.id, is_member: false, by: speakerOf(chat) })));
  const known = new Set(members.map((user) => user.id));
  const people = [...state.chats.values()].filter((each) => each.info.type === "private" && !known.has(each.user.id));
  const outside = isChannel ? [] : people.map((each) => entry(nameOf(each), "not in this group", each.user.id, "Add",
    () => post("member", { ...target, user_id: each.user.id, is_member: true, by: speakerOf(chat) })));
  const list = byId("members").querySelector("ul");
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(bot, ...inside, ...outside);
  if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
}

byId("members").addEventListener("close", () => { shown = null; });
