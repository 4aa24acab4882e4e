/* The menu of what can be done with a message. */

import { make } from "./dom.js";
import { chooseChat, showToast } from "./notice.js";
import { post } from "./server.js";
import { isMine, speakerOf, state } from "./state.js";

const FACES = ["👍", "❤", "🔥", "😁", "😢", "👎"];

let open = null;

function close() {
  if (!open) return;
  const { popup, anchor } = open;
  open = null;
  const hadFocus = popup.contains(document.activeElement);
  popup.remove();
  anchor.setAttribute("aria-expanded", "false");
  if (hadFocus) (anchor.closest(".row") ?? anchor).focus({ preventScroll: true });
}

async function forward(chat, message) {
  const id = await chooseChat("Forward to which chat?");
  const target = id !== null && state.chats.get(id);
  if (!target) return;
  const source = { from_chat_id: chat.info.id, message_id: message.message_id };
  post("forward", { ...source, chat_id: id, user_id: speakerOf(target) });
}

function items(chat, message) {
  const target = { chat_id: chat.info.id, message_id: message.message_id };
  const pane = () => state.panes.get(chat.info.id);
  const isPinned = chat.pinned.includes(message.message_id);
  const text = message.text ?? message.caption;
  const selected = getSelection().toString().trim();
  const quote = selected && text?.includes(selected) ? selected : "";
  const copy = () => navigator.clipboard.writeText(text).then(() => showToast(chat.info.id, "Copied"));
  return [
    [quote ? "Reply with this quote" : "Reply", () => pane()?.composer.startReply(message, quote)],
    isMine(message) && text !== undefined && !message.forward_origin && ["Edit", () => pane()?.composer.startEdit(message)],
    chat.info.type !== "channel" && [isPinned ? "Unpin" : "Pin",
      () => post("pin", { ...target, is_pinned: !isPinned, user_id: speakerOf(chat) })],
    ["Forward", () => forward(chat, message)],
    text !== undefined && navigator.clipboard && ["Copy text", copy],
    ["Delete", () => post("unsend", target), "danger"],
  ].filter(Boolean);
}

/** Open the menu of a message beside its button. */
export function openActions(chat, messageId, anchor) {
  const isSame = open?.anchor === anchor;
  close();
  const message = chat.messages.get(messageId);
  if (isSame || !message) return;
  const entry = (label, act, kind = "") => make("button", {
    type: "button", role: "menuitem", tabindex: "-1", class: kind, onclick: () => { close(); act(); },
    onpointerenter: (event) => event.currentTarget.focus({ preventScroll: true }),
  }, label);
  const mine = message.shown?.reactions?.find(({ users }) => users.includes(speakerOf(chat)))?.emoji;
  const faces = FACES.map((emoji) => {
    const give = () => post("react", {
      chat_id: chat.info.id, message_id: messageId, user_id: speakerOf(chat), emoji: mine === emoji ? [] : [emoji],
    });
    const element = entry(emoji, give);
    element.setAttribute("aria-label", mine === emoji ? `Take back ${emoji}` : `React with ${emoji}`);
    return element;
  });
  const popup = make("div", { class: "popup", role: "menu", "aria-label": "What to do with this message" },
    chat.info.type === "channel" ? null : make("div", { class: "faces" }, ...faces),
    ...items(chat, message).map(([label, act, kind]) => entry(label, act, kind)));
  document.body.append(popup);
  const place = anchor.getBoundingClientRect();
  const left = place.left < innerWidth / 2 ? place.left : place.right - popup.offsetWidth;
  popup.style.left = `${Math.max(8, Math.min(left, innerWidth - popup.offsetWidth - 8))}px`;
  popup.style.top = `${Math.max(8, Math.min(place.bottom + 4, innerHeight - popup.offsetHeight - 8))}px`;
  anchor.setAttribute("aria-expanded", "true");
  open = { popup, anchor };
  popup.addEventListener("keydown", (event) => {
    const all = [...popup.querySelectorAll('[role="menuitem"]')];
    const at = all.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); all[(at + step + all.length) % all.length].focus(); }
    else if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); event.stopPropagation(); close(); }
  });
  const first = popup.querySelector(':scope > [role="menuitem"]');
  first.focus();
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.popup.contains(event.target) && !open.anchor.contains(event.target)) close();
});
addEventListener("resize", close);
