/* What the page knows. The server tells it; only who speaks and which chats are open is this page's own. */

export const state = {
  bot: { first_name: "", username: "", id: 0 },
  chats: new Map(),       // id -> {info, user, members, messages, keyboard, pinned, commands, button, unread, typing}
  panes: new Map(),       // id -> Pane, in the order on the screen
  speakers: new Map(),    // id of a group -> id of who speaks
  active: null,           // id of the chat that was used last
  queue: {},
};

export const nameOf = (chat) => chat.info.title || chat.info.first_name || String(chat.info.id);
export const userName = (user) => [user.first_name, user.last_name].filter(Boolean).join(" ") || "?";
export const isPrivate = (chat) => chat.info.type === "private";
export const isMine = (message) => !message.shown?.by_bot && !(message.sender_chat && !message.from);
export const lastMessage = (chat) => [...chat.messages.values()].at(-1);

/** Return the id of who speaks in a chat from this page. */
export function speakerOf(chat) {
  if (isPrivate(chat)) return chat.user.id;
  const chosen = state.speakers.get(chat.info.id);
  if (chat.members.some((user) => user.id === chosen)) return chosen;
  return chat.members[0]?.id ?? 0;
}

/** Say in a few words what a message is. */
export function summary(message) {
  const text = message.text || message.caption;
  if (text) return text;
  const kinds = "photo video audio voice video_note sticker animation document location venue contact poll dice invoice game";
  const kind = kinds.split(" ").find((name) => name in message);
  return kind ? `[${kind.replace("_", " ")}]` : serviceText(message) || "[message]";
}

/** Return the words of a message that tells of an event, or an empty string for another. */
export function serviceText(message) {
  const who = message.from ? userName(message.from) : message.sender_chat?.title ?? "Somebody";
  const joined = message.new_chat_members;
  if (joined) {
    const names = joined.map(userName).join(", ");
    return joined.length === 1 && joined[0].id === message.from?.id ? `${names} joined` : `${who} added ${names}`;
  }
  const left = message.left_chat_member;
  if (left) return left.id === message.from?.id ? `${who} left` : `${who} removed ${userName(left)}`;
  if (message.pinned_message) return `${who} pinned “${summary(message.pinned_message).slice(0, 60)}”`;
  if (message.new_chat_title) return `${who} changed the title to “${message.new_chat_title}”`;
  return "";
}
