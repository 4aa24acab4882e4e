/* What is behind the scenes: the calls of the bot, its updates, faults, and saving. */

import { byId, make } from "./dom.js";
import { download, post } from "./server.js";
import { state } from "./state.js";

const MAX_CALLS = 2000;
const MAX_ROWS = 300;
const MAX_ATTEMPTS_SHOWN = 12;

/* ---- calls ---- */

let calls = [];               // oldest first
const methods = new Set();

const textOf = (call) => {
  call.text ??= `${call.method} ${call.chat_id ?? ""} ${call.status ?? "no reply"} ${call.error ?? ""} ${call.fault ?? ""} ${JSON.stringify(call.parameters)}`.toLowerCase();
  return call.text;
};

function isShown(call) {
  if (call.method === "getUpdates" && !byId("polls").checked) return false;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => textOf(call).includes(word));
}

async function fillCall(details, call) {
  const block = (title, value) => [make("h4", {}, title), make("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2))];
  details.append(...block("Parameters", call.parameters));
  if (call.error) details.append(...block("Error", call.error));
  if (call.fault) details.append(...block("Fault", call.fault));
  if (call.method === "getUpdates") {
    if (call.update_ids.length) details.append(...block("Delivered", call.update_ids.join(", ")));
  } else if (call.status === 200) {
    const whole = await post("call", { number: call.number });
    if (whole) details.append(...block("Result", whole.result ?? null));
  }
}

function renderCall(call) {
  const kind = call.status === null ? "lost" : call.status < 400 ? "ok" : "no";
  const took = call.answered_at_ns ? (call.answered_at_ns - call.at_ns) / 1e6 : null;
  const time = took === null ? "" : took < 10 ? `${took.toFixed(1)} ms` : `${Math.round(took)} ms`;
  const where = call.method === "getUpdates" ? `${call.update_ids.length} updates` : call.chat_id === null ? "" : String(call.chat_id);
  const details = make("details", { "data-number": call.number }, make("summary", {},
    make("span", { class: kind }, call.status === null ? "–" : String(call.status)),
    make("span", { class: "method" }, call.method), make("span", { class: "where" }, where), make("span", { class: "took" }, time)));
  details.addEventListener("toggle", () => fillCall(details, call), { once: true });
  return details;
}

function showCalls() {
  const shown = calls.filter(isShown).slice(-MAX_ROWS).reverse();
  byId("calls").replaceChildren(...shown.map(renderCall));
  sayIfNone();
}

function sayIfNone() {
  const note = byId("no-calls");
  note.hidden = byId("calls").childElementCount > 0;
  note.textContent = byId("search").value ? "No call matches." : "No calls yet.";
}

function learnMethod(method) {
  if (methods.has(method)) return;
  methods.add(method);
  byId("methods").append(make("option", { value: method }));
}

export function addCall(call) {
  calls.push(call);
  if (calls.length > MAX_CALLS) calls = calls.slice(-MAX_CALLS / 2);
  learnMethod(call.method);
  if (!isShown(call)) return;
  const list = byId("calls");
  list.prepend(renderCall(call));
  while (list.childElementCount > MAX_ROWS) list.lastElementChild.remove();
  sayIfNone();
}

export function takeCalls(list) {
  calls = [...list];
  ["webhook", "getUpdates", "sendMessage", "editMessageText", "answerCallbackQuery"].forEach(learnMethod);
  calls.forEach((call) => learnMethod(call.method));
  showCalls();
}

let searchTimer = 0;
byId("search").addEventListener("input", () => { clearTimeout(searchTimer); searchTimer = setTimeout(showCalls, 80); });
byId("polls").addEventListener("change", showCalls);

/* ---- updates and how they reach the bot ---- */

const attempts = new Map();   // update_id -> [{attempt, status, error}]
let lastTrouble = "";
let updatesTimer = 0;

export function takeDeliveries(list) {
  attempts.clear();
  lastTrouble = "";
  list.forEach(noteDelivery);
  refreshUpdatesSoon();
}
function noteDelivery(record) {
  const known = attempts.get(record.update_id) ?? [];
  const isTaken = record.status >= 200 && record.status < 300;
  if (!isTaken) lastTrouble = record.error ?? `status ${record.status}`;
  attempts.set(record.update_id, [...known, record].slice(-MAX_ATTEMPTS_SHOWN));
  if (attempts.size > 500) attempts.delete(attempts.keys().next().value);
}
export function addDelivery(record) { noteDelivery(record); refreshUpdatesSoon(); }

/** Ask for the newest updates, a few times a second at most, and only while they are looked at. */
export function refreshUpdatesSoon() {
  if (updatesTimer || byId("view-updates").hidden || byId("panel").hidden) return;
  updatesTimer = setTimeout(async () => {
    const list = await post("updates", {});
    updatesTimer = 0;
    if (list) showUpdates(list);
  }, 200);
}

function attemptText(record) {
  const ok = record.status >= 200 && record.status < 300;
  const outcome = record.error ?? record.status ?? "no answer";
  return make("span", { class: ok ? "ok" : "no", title: record.lane }, `${record.attempt}. ${outcome}${record.is_resent ? ", resent" : ""}`);
}

function showUpdates(list) {
  byId("no-updates").hidden = list.length > 0;
  const confirmed = state.queue.confirmed_offset;
  const shown = list.reverse().map(({ update_id: id, kind }) => {
    const tries = attempts.get(id);
    const label = state.queue.webhook ? "" : id < confirmed ? "fetched" : "waiting";
    const resend = () => post("resend", { update_id: id });
    const about = state.queue.webhook ? "Deliver this update once more" : "Send the same content again, as a new update";
    return make("li", {}, make("span", { class: "id" }, String(id)), make("span", { class: "kind" }, kind), make("span", { class: "way" }, label),
      make("button", { type: "button", onclick: resend, "aria-label": `Send ${kind} ${id} again`, title: about }, "Resend"),
      tries ? make("span", { class: "attempts" }, ...tries.map(attemptText)) : null);
  });
  byId("updates").replaceChildren(...shown);
}

function showDelivery(queue) {
  const line = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
  const { webhook } = queue;
  const last = webhook?.last_error_message ?? lastTrouble;
  const when = webhook?.last_error_date ? ` (${new Date(webhook.last_error_date * 1000).toLocaleTimeString()})` : "";
  byId("delivery").replaceChildren(...(webhook
    ? [...line("Delivery", "webhook"), ...line("Address", webhook.url),
      ...line("Waiting", String(webhook.pending_update_count ?? queue.pending)), ...line("Last error", last ? `${last}${when}` : "none")]
    : [...line("Delivery", "polling"), ...line("Waiting", String(queue.pending)), ...line("Polls so far", queue.polls.toLocaleString())]));
}

/* ---- faults ---- */

const FAULTS = {
  error: "Refused with status 500; nothing is carried out.",
  retry_after: "Refused with 429 and a wait of so many seconds.",
  conflict: "Refused with 409, as if another bot polled.",
  unauthorized: "Refused with 401: this ends a bot.",
  drop_before: "The connection is closed; nothing is carried out.",
  drop_after: "Carried out, then the connection is closed without a byte.",
  drop_midway: "Carried out, then the reply breaks off in the middle.",
  stall: "Carried out, then the reply stops in the middle and never ends.",
  slow: "Carried out, and answered so many seconds later.",
  half_json: "Carried out; the reply holds half of the JSON.",
  garbage: "Carried out; the reply is a page of HTML.",
  not_http: "Carried out; the reply is no HTTP at all.",
  empty: "Carried out; the reply has an empty body.",
  huge: "Carried out; the reply has 10 MB.",
  duplicate: "getUpdates delivers each update twice.",
  shuffle: "getUpdates delivers in falling order.",
};

export function takeFaultKinds(kinds) {
  const order = [...Object.keys(FAULTS).filter((kind) => kinds.includes(kind)), ...kinds.filter((kind) => !(kind in FAULTS))];
  const select = byId("fault-kind");
  const chosen = select.value;
  select.replaceChildren(...order.map((kind) => make("option", { value: kind }, kind.replaceAll("_", " "))));
  if (order.includes(chosen)) select.value = chosen;
  explainFault();
}
function explainFault() {
  const kind = byId("fault-kind").value;
  byId("fault-help").textContent = FAULTS[kind] ?? "";
  byId("fault-seconds").disabled = !["retry_after", "slow"].includes(kind);
}
byId("fault-kind").addEventListener("change", explainFault);
byId("fault-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const times = byId("fault-times").value;
  post("fault", {
    kind: byId("fault-kind").value, method: byId("fault-method").value.trim(),
    times: times ? Number(times) : null, seconds: Number(byId("fault-seconds").value) || 1,
  });
});

let shownFaults = "";
function showFaults(faults) {
  byId("trouble").hidden = !faults.length;
  const key = JSON.stringify(faults);
  if (key === shownFaults) return;
  shownFaults = key;
  byId("no-faults").hidden = faults.length > 0;
  byId("faults").replaceChildren(...faults.map((fault) => {
    const what = `${fault.kind.replaceAll("_", " ")} · ${fault.method ?? "any method"}`;
    const left = fault.left === null ? "always" : `${fault.left} left`;
    const hits = `${fault.hits} ${fault.hits === 1 ? "hit" : "hits"}`;
    return make("li", {}, make("button",
      { type: "button", title: "Switch off", "aria-label": `Switch off ${what}, ${hits}`, onclick: () => post("clear_fault", { id: fault.id }) },
      make("b", {}, what), make("span", {}, `${hits} · ${left}`), make("span", { "aria-hidden": "true" }, "✕")));
  }));
}

const latencyText = (ms) => (ms ? `${ms} ms` : "none");
byId("latency").addEventListener("input", () => { byId("latency-shown").textContent = latencyText(Number(byId("latency").value)); });
byId("latency").addEventListener("change", () => post("latency", { latency_s: Number(byId("latency").value) / 1000 }));

/* ---- saving ---- */

export function takeTarget(target) {
  const field = byId("target");
  if (!field.value) field.value = localStorage.getItem("playground-target") || target;
}
byId("save-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const target = byId("target").value.trim();
  localStorage.setItem("playground-target", target);
  download(`/playground/transcript?format=py&target=${encodeURIComponent(target)}`);
});
byId("save-updates").addEventListener("click", () => download("/playground/transcript?format=jsonl"));
byId("forget").addEventListener("click", () => post("forget", {}));

/* ---- what changes all the time ---- */

let lastPolledAt = 0;
let polls;
export function takeQueue(queue) {
  if (queue.is_polled || (polls !== undefined && queue.polls !== polls)) lastPolledAt = Date.now();
  polls = queue.polls;
  state.queue = queue;
  byId("pending").textContent = queue.pending.toLocaleString();
  byId("confirmed").textContent = queue.confirmed_offset || "–";
  byId("next").textContent = queue.next_update_id;
  showFaults(queue.faults);
  showDelivery(queue);
  if (document.activeElement !== byId("latency")) {
    byId("latency").value = queue.latency_s * 1000;
    byId("latency-shown").textContent = latencyText(Math.round(queue.latency_s * 1000));
  }
  const steps = `${queue.recorded.toLocaleString()} ${queue.recorded === 1 ? "step" : "steps"} recorded.`;
  byId("recorded").textContent = queue.is_recorded_whole ? steps : `${steps} The recording is full: begin a new one.`;
  showState();
  refreshUpdatesSoon();
}

function showState() {
  const { queue } = state;
  const isOn = queue.is_polled || Date.now() - lastPolledAt < 2500;
  const isHooked = Boolean(queue.webhook);
  const words = isHooked ? "bot has a webhook" : isOn ? "bot is listening" : lastPolledAt ? "bot has stopped" : "waiting for a bot";
  byId("dot").className = isOn || isHooked ? "dot on" : lastPolledAt ? "dot off" : "dot";
  if (byId("state").textContent !== words) byId("state").textContent = words;
  byId("polled").textContent = isHooked ? "webhook" : isOn ? (queue.is_polled ? "listening" : "busy") : "away";
}
setInterval(showState, 1000);

/* ---- tabs ---- */

const tabs = [...byId("tabs").children];
function showTab(tab) {
  for (const each of tabs) {
    const isChosen = each === tab;
    each.setAttribute("aria-selected", String(isChosen));
    each.tabIndex = isChosen ? 0 : -1;
    byId(each.getAttribute("aria-controls")).hidden = !isChosen;
  }
  refreshUpdatesSoon();
}
for (const tab of tabs) tab.addEventListener("click", () => showTab(tab));
byId("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next.focus();
  showTab(next);
});
