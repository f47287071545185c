// What the page knows: samples of the last minutes, the fleet, exchanges, marks. Whoever draws something
// subscribes to a topic; telling is done once per frame, however much comes in.

import { ApiError, currentToken, events, get } from "./api.js";
import { useEffect, useState } from "./vendor/preact.js";

export const HISTORY_S = 900;
/** Exchanges that are kept to be looked through. */
export const KEPT = 2000;

const RATE_S = 60;

export const state = {
  /** "connecting", "live", "lost" or "denied". */
  link: "connecting",
  denied: "",
  status: null,
  paths: new Set(),
  epoch: 0,
  now: 0,
  /** The first second of which anything is known. */
  first: 0,
  /** By second of the server's clock. */
  samples: new Map(),
  fleet: null,
  marks: [],
  exchanges: [],
  /** Exchanges that came, also those that are not kept any more. */
  seen: 0,
  skipped: 0,
  paused: false,
};

const readers = new Map();
const waiting = new Set();
let frame = 0;

export function tell(topic) {
  waiting.add(topic);
  if (!frame) frame = setTimeout(deliver, 0);
}

function deliver() {
  frame = 0;
  const topics = [...waiting];
  waiting.clear();
  for (const topic of topics) for (const read of readers.get(topic) || []) read();
}

export function subscribe(topic, read) {
  if (!readers.has(topic)) readers.set(topic, new Set());
  readers.get(topic).add(read);
  return () => readers.get(topic).delete(read);
}

/** Draws the component again whenever one of the topics is told. */
export function useTopics(...topics) {
  const [, again] = useState(0);
  useEffect(() => {
    const ends = topics.map((topic) => subscribe(topic, () => again((n) => n + 1)));
    return () => ends.forEach((end) => end());
  }, topics);
}

const real = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export function has(path) {
  return state.paths.has(`/_fakeai/v1/${path}`);
}

/** Keeps the streams open for ever; a lost one is opened again. */
export async function run() {
  follow("live", onLive);
  try { state.paths = new Set(Object.keys((await get("openapi.json")).paths)); } catch { /* told by the stream */ }
  await refreshStatus();
  follow("journal/stream", onExchange);
  setInterval(refreshStatus, 5000);
}

const open = new Set();

async function follow(path, take) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    const asked = currentToken();
    try {
      for await (const [name, data] of events(path)) {
        take(name, data);
        wait = 500;
        if (name === "open" && open.add(path).size === 2) link("live");
      }
      open.delete(path);
      link("lost");
    } catch (error) {
      open.delete(path);
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        if (asked !== currentToken()) continue; // another one was given meanwhile
        state.denied = error.message;
        link("denied");
        await allowed();
        wait = 250;
      } else link("lost");
    }
    await real(wait);
  }
}

let unlock = [];
const allowed = () => new Promise((done) => unlock.push(done));

/** A token was given: try again. */
export function retry() {
  const waiting = unlock;
  unlock = [];
  link("connecting");
  for (const go of waiting) go();
  refreshStatus();
}

function link(value) {
  if (state.link === value) return;
  if (value === "live") { refreshStatus(); loadRecent(); } // what came before the streams
  state.link = value;
  tell("link");
}

export async function refreshStatus() {
  if (state.link === "denied") return;
  try {
    if (!state.paths.size) state.paths = new Set(Object.keys((await get("openapi.json")).paths));
    state.status = await get("status");
    tell("status");
  } catch { /* the stream tells of it */ }
}

function onLive(name, data) {
  if (name === "history") {
    state.epoch = data.epoch_s;
    state.now = data.now;
    // One that came with an earlier connection may know more of the fleet than this process.
    for (const sample of data.samples) {
      state.samples.set(sample.at, { ...state.samples.get(sample.at), ...sample });
    }
    for (const sample of state.samples.values()) costRate(sample);
    state.first = data.samples.length ? data.samples[0].at : data.now;
    tell("sample");
  } else if (name === "sample") {
    state.samples.set(data.at, data);
    costRate(data);
    state.now = data.at;
    for (const at of state.samples.keys()) {
      if (at >= state.now - HISTORY_S && at <= state.now) break;
      state.samples.delete(at);
    }
    tell("sample");
  } else if (name === "fleet") {
    state.fleet = data;
    tell("fleet");
  } else if (name === "marks") {
    state.marks = data.data;
    tell("marks");
  }
}

/** What an hour like the last minute would cost. */
function costRate(sample) {
  for (let back = RATE_S; back >= 5; back -= 5) {
    const before = state.samples.get(sample.at - back);
    if (before?.cost_usd === undefined || sample.cost_usd === undefined) continue;
    sample.cost_rate = Math.max(0, (3600 * (sample.cost_usd - before.cost_usd)) / back);
    return;
  }
}

const known = new Set();

function take(entry) {
  if (known.has(entry.id)) return;
  known.add(entry.id);
  state.exchanges.push(entry);
  state.seen += 1;
}

function tidy() {
  const over = state.exchanges.length - KEPT;
  if (over > KEPT / 4) for (const old of state.exchanges.splice(0, over)) known.delete(old.id);
}

let due = 0;

function onExchange(name, data) {
  if (name === "lagged") {
    state.skipped += data.missed;
    return;
  }
  if (name !== "exchange") return;
  take(data);
  tidy();
  if (!due) due = setTimeout(() => { due = 0; tell("exchanges"); }, 200);
}

async function loadRecent() {
  try {
    const page = await get("journal?limit=500");
    const before = state.exchanges.length;
    for (const entry of page.data.reverse()) take(entry);
    if (state.exchanges.length !== before) {
      state.exchanges.sort((a, b) => finishedAt(a) - finishedAt(b));
      tidy();
    }
    tell("exchanges");
  } catch { /* the stream tells of it */ }
}

export const arrivedAt = (entry) => Date.parse(entry.arrived.slice(0, 23) + "Z") / 1000;
const finishedAt = (entry) => arrivedAt(entry) + entry.total_ms / 1000;

/** The samples of the last so many seconds, one for each, {} where nothing was. */
export function lastSeconds(seconds, end = state.now) {
  const found = [];
  for (let at = end - seconds + 1; at <= end; at += 1) found.push(state.samples.get(at) || {});
  return found;
}
