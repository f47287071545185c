// The exchanges that ended last. Of thousands only the rows in view exist; while the list is scrolled or
// stopped, it stands still and says how many came since.

import { clock, compact, count, time } from "./format.js";
import { arrivedAt, state, useTopics } from "./store.js";
import { Timeline } from "./timeline.js";
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";

const ROW = 34;
/** Rows beyond the visible ones, so that scrolling shows no holes. */
const MARGIN = 6;

const KINDS = [
  ["all", "All", () => true],
  ["errors", "Errors", (e) => e.status >= 400 || e.end !== "ok"],
  ["429", "429", (e) => e.status === 429],
  ["faults", "Faults", (e) => e.faults.length > 0],
  ["HIT", "Hits", (e) => e.source === "HIT"],
  ["stream", "Slowest", (e) => e.total_ms > 0],
];

const fits = (entry, words) => words.every((word) =>
  [entry.path, entry.model, entry.id, entry.worker, entry.source, entry.host, entry.end, entry.phase,
    String(entry.status), ...entry.faults].some((text) => text?.toLowerCase().includes(word)));

export function badge(entry) {
  if (entry.end === "cut") return ["cut", "bad"];
  if (entry.end === "client_gone") return ["gone", "warn"];
  const status = entry.status || 0;
  return [String(status || "–"), status === 429 ? "warn" : status >= 500 ? "bad" : status >= 400 ? "warn" : "good"];
}

/** Only of what came in several pieces it is known when the first token was there. */
export const isStream = (entry) => entry.itl_ms != null;

/** Where the time went, as parts of one bar. */
export function Spent({ entry, whole = entry.total_ms }) {
  const queue = Math.min(entry.queue_ms || 0, entry.total_ms);
  const streams = isStream(entry);
  const first = streams ? Math.min(Math.max(entry.ttft_ms, queue), entry.total_ms) : entry.total_ms;
  const x = (ms) => (100 * ms) / (whole || 1);
  return html`<svg class="spent" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="part-queue" x="0" y="0" width=${x(queue)} height="8" />
    <rect class=${streams ? "part-prefill" : "part-whole"} x=${x(queue)} y="0" width=${x(first - queue)} height="8" />
    <rect class="part-decode" x=${x(first)} y="0" width=${x(entry.total_ms - first)} height="8" />
  </svg>`;
}

function Row({ entry, chosen, open, top, place, whole }) {
  const [text, kind] = badge(entry);
  return html`<button class=${`row ${chosen ? "chosen" : ""}`} role="row" data-place=${place} data-id=${entry.id}
      ref=${(row) => row && (row.style.transform = `translateY(${top}px)`)} onClick=${() => open(entry.id)}
      tabindex=${chosen || place === 0 ? 0 : -1}>
    <span role="cell" class="at">${clock(arrivedAt(entry))}</span>
    <span role="cell"><i class=${`badge ${kind}`}>${text}</i></span>
    <span role="cell" class=${`source ${entry.source || "none"}`}>${entry.source || "–"}</span>
    <span role="cell" class="path" title=${entry.path}>${entry.path.replace(/^\/v1/, "")}${entry.faults.length ? html` <i class="fault">⚡ ${entry.faults[0].split(":")[0]}</i>` : ""}</span>
    <span role="cell" class="model">${entry.model || "–"}</span>
    <span role="cell" class="number">${entry.output_tokens == null ? "–" : compact(entry.output_tokens)}</span>
    <span role="cell" class="number">${time(entry.ttft_ms)}</span>
    <span role="cell" class="number">${time(entry.total_ms)}</span>
    <span role="cell" class="bar"><${Spent} entry=${entry} whole=${whole} /></span>
  </button>`;
}

export function Exchanges() {
  useTopics("exchanges", "paused");
  const [kind, setKind] = useState("all");
  const [text, setText] = useState("");
  const [opened, open] = useState(null);
  const [scroll, setScroll] = useState(0);
  const [height, setHeight] = useState(442);
  const box = useRef();
  const held = useRef(null);
  // While somebody reads further down, or has stopped it, nothing moves.
  const still = state.paused || scroll > ROW;
  if (!still) held.current = null;
  else held.current ??= { list: state.exchanges.slice(), seen: state.seen };
  const all = held.current?.list ?? state.exchanges;
  const came = held.current ? state.seen - held.current.seen : 0;

  const rows = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const test = KINDS.find(([name]) => name === kind)[2];
    const found = [];
    for (let at = all.length - 1; at >= 0; at -= 1) {
      if (test(all[at]) && fits(all[at], words)) found.push(all[at]);
    }
    if (kind === "stream") found.sort((a, b) => b.total_ms - a.total_ms);
    return found;
  }, [all, all.length, all[all.length - 1], kind, text]);

  const first = Math.max(0, Math.floor(scroll / ROW) - MARGIN);
  const shown = rows.slice(first, first + Math.ceil(height / ROW) + 2 * MARGIN);
  const whole = Math.max(1, ...shown.map((entry) => entry.total_ms));
  const entry = opened && (rows.find((each) => each.id === opened) ?? state.exchanges.find((each) => each.id === opened));

  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    const from = Number(document.activeElement?.dataset.place ?? -1);
    const to = Math.min(rows.length - 1, Math.max(0, from + step));
    box.current.scrollTop = Math.max(Math.min(to * ROW, box.current.scrollTop), (to + 1) * ROW - height);
    requestAnimationFrame(() => requestAnimationFrame(() =>
      box.current.querySelector(`[data-place="${to}"]`)?.focus({ preventScroll: true })));
  };

  useEffect(() => {
    const size = new ResizeObserver(() => setHeight(box.current.clientHeight));
    size.observe(box.current);
    return () => size.disconnect();
  }, []);

  return html`<section class="panel" id="exchanges" aria-labelledby="exchanges-title">
    <header>
      <h2 id="exchanges-title">Exchanges</h2>
      <p class="sub">${count(state.seen)} seen${state.skipped ? `, ${count(state.skipped)} skipped` : ""}</p>
      <div class="filters">
        <div class="choices" role="group" aria-label="Show">
          ${KINDS.map(([name, label]) => html`<button aria-pressed=${kind === name} onClick=${() => setKind(name)}>${label}</button>`)}
        </div>
        <input type="search" id="filter" placeholder="Filter: path, model, worker, id" aria-label="Filter exchanges"
               value=${text} onInput=${(event) => setText(event.target.value)} />
      </div>
    </header>
    <div class="table" role="table" aria-label="Exchanges, newest first" aria-rowcount=${rows.length}>
      <div class="row head" role="row">
        <span role="columnheader">Arrived</span><span role="columnheader">Status</span><span role="columnheader">Source</span>
        <span role="columnheader">Path</span><span role="columnheader" class="model">Model</span>
        <span role="columnheader" class="number">Tokens</span><span role="columnheader" class="number">TTFT</span>
        <span role="columnheader" class="number">Total</span><span role="columnheader" class="bar">Queue, prefill, answer</span>
      </div>
      <div class="rows" ref=${box} onScroll=${(event) => setScroll(event.target.scrollTop)} onKeyDown=${keys}>
        <div class="tall" ref=${(tall) => tall && (tall.style.height = `${rows.length * ROW}px`)}>
          ${shown.map((each, k) => html`<${Row} key=${each.id} entry=${each} chosen=${each.id === opened} open=${open}
            top=${(first + k) * ROW} place=${first + k} whole=${whole} />`)}
        </div>
        ${!rows.length && html`<p class="nothing">${all.length ? "Nothing here fits the filter." : "Nothing yet."}</p>`}
      </div>
      ${came > 0 && html`<button class="came" onClick=${() => { state.paused = false; box.current.scrollTop = 0; setScroll(0); }}>
        ${count(came)} more since: back to the newest</button>`}
    </div>
    ${entry && html`<${Timeline} entry=${entry} close=${() => open(null)} />`}
  </section>`;
}
