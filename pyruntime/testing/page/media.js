/* Show what is in a message besides text: pictures, files, places, contacts, polls. */

import { icon, make } from "./dom.js";
import { fileLink } from "./server.js";
import { userName } from "./state.js";

/* The kinds of files, and the picture that stands for each. */
const FILES = {
  document: "document", video: "video", audio: "audio", voice: "voice", animation: "video", video_note: "video",
  sticker: "sticker",
};

function sizeText(bytes) {
  if (!bytes) return "";
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;
}

function fileTile(kind, file, note = "") {
  const name = file.file_name || kind.replace("_", " ");
  const words = [kind.replace("_", " "), sizeText(file.file_size), note].filter((word) => word && word !== name);
  const content = [
    make("span", { class: "kind" }, icon(FILES[kind] ?? "photo")),
    make("span", {}, make("b", {}, name), make("small", {}, words.join(" · "))),
  ];
  // A file that the bot gave by its address has no content here, for nothing is loaded from elsewhere.
  if (!file.file_size) return make("span", { class: "file", title: "Given by address: not loaded here" }, ...content);
  return make("a", { class: "file", href: fileLink(file.file_id), download: name }, ...content);
}

function picture(message) {
  const photo = message.photo.at(-1);
  if (!photo.file_size) return fileTile("photo", photo, "given by address, not loaded here");
  const image = make("img", { src: fileLink(photo.file_id), alt: message.caption || "Picture" });
  image.addEventListener("error", () => image.replaceWith(fileTile("photo", photo)), { once: true });
  return image;
}

/** Return the elements for everything but the text of a message. */
export function renderMedia(message) {
  const parts = [];
  if (message.photo) parts.push(picture(message));
  for (const kind of Object.keys(FILES)) {
    const file = message[kind];
    if (file && !(kind === "document" && message.animation)) parts.push(fileTile(kind, file, file.emoji));
  }
  const place = message.venue?.location || message.location;
  const chip = (text) => parts.push(make("span", { class: "chip" }, text));
  if (place) chip(`📍 ${message.venue ? `${message.venue.title}, ` : ""}${place.latitude}, ${place.longitude}`);
  if (message.contact) chip(`👤 ${userName(message.contact)}, ${message.contact.phone_number}`);
  if (message.game) chip(`🎮 ${message.game.title}`);
  if (message.invoice) {
    chip(`🧾 ${message.invoice.title}: ${message.invoice.total_amount / 100} ${message.invoice.currency}`);
  }
  if (message.dice) {
    parts.push(make("span", { class: "dice" }, message.dice.emoji));
    chip(String(message.dice.value));
  }
  if (message.poll) {
    const options = message.poll.options.map((option) => make("li", {}, option.text));
    parts.push(make("b", {}, message.poll.question), make("ul", { class: "poll" }, ...options));
  }
  return parts;
}
