/* Ask the server to do something. */

import { showToast } from "./notice.js";

/** Post an action; return its result, or null after saying what went wrong. */
export async function post(action, body) {
  try {
    const reply = await fetch(`/playground/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const decoded = await reply.json();
    if (!decoded.ok) throw new Error(decoded.description);
    return decoded.result;
  } catch (error) {
    showToast(null, `That did not work: ${error.message}`);
    return null;
  }
}

export const fileLink = (id) => `/playground/file?id=${encodeURIComponent(id)}`;

/** Download what a GET request answers, under the name that the server gives it. */
export async function download(path) {
  try {
    const reply = await fetch(path);
    if (!reply.ok) throw new Error((await reply.json()).description);
    const name = /filename="([^"]+)"/.exec(reply.headers.get("Content-Disposition") ?? "")?.[1] ?? "file";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await reply.blob());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    showToast(null, `Saved as ${name}`);
  } catch (error) {
    showToast(null, `That did not work: ${error.message}`);
  }
}
