// What the driver tells a contestant, and what all grammY contestants share.

import { readFileSync } from "node:fs";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";

const environment = process.env;
export const token = environment.BOT_TOKEN;
export const concurrency = Number(environment.CONCURRENCY ?? 500);
export const isSession = environment.SESSION === "1";
const loops = Number(environment.CPU_LOOPS ?? 0);

// grammY's own agent keeps 256 idle connections; a pool that fits saves connecting again with 500 calls under way.
const options = { keepAlive: true, maxFreeSockets: 2 * concurrency };
const agent = environment.API_ROOT.startsWith("https:")
  ? new HttpsAgent({ ...options, ca: environment.CA_FILE && readFileSync(environment.CA_FILE) })
  : new HttpAgent(options);
export const config = { client: { apiRoot: environment.API_ROOT, baseFetchConfig: { agent } } };
if (environment.FETCH === "own") config.client.fetch = globalThis.fetch;

// Compute on data that nobody else touches.
function burn(loops) {
  const cells = new Array(97).fill(0);
  for (let number = 0; number < loops; number++) cells[number % 97] += number & 1023;
  return cells[0];
}

// Answer each text message with the same text.
export function echo(ctx) {
  if (loops) burn(loops);
  return ctx.reply(ctx.msg.text);
}

// Answer with the text and the number of messages of the chat.
export function count(ctx) {
  const number = ++ctx.session.n;
  return ctx.reply(isSession ? `${ctx.msg.text} ${number}` : ctx.msg.text);
}
