// One exchange, opened: when it waited, when its prompt was computed, and each chunk of its answer.

import { get } from "./api.js";
import { mayBeMissed } from "./cassettes.js";
import { bytes, clock, count, duration, time, usd } from "./format.js";
import { isStream } from "./exchanges.js";
import { arrivedAt } from "./store.js";
import { Copy, Drawer, Fact } from "./parts.js";
import { html, useEffect, useState } from "./vendor/preact.js";

const WIDTH = 640;
const LANE = 26;
/** More ticks than this would be one block. */
const TICKS = 1200;

function axis(whole) {
  const step = [1, 2, 5].flatMap((n) => [0.1, 1, 10, 100, 1000, 10_000, 100_000].map((m) => n * m))
    .sort((a, b) => a - b).find((each) => whole / each <= 6) ?? whole;
  const found = [];
  for (let at = 0; at <= whole; at += step) found.push(at);
  return found;
}

function Lane({ y, label, from, until, x, kind, said }) {
  const width = Math.max(1.5, x(until) - x(from));
  const inside = x(until) > WIDTH - 80 && width > 80;
  return html`<g><text class="lane" x="0" y=${y + 16}>${label}</text>
    <rect class=${kind} x=${x(from)} y=${y + 5} width=${width} height=${LANE - 10} rx="2" />
    <text class=${inside ? "said inside" : "said"} x=${inside ? x(until) - 6 : x(until) + 5} y=${y + 16.5}>${said}</text></g>`;
}

function Picture({ entry, timeline }) {
  const whole = Math.max(entry.total_ms, 0.001);
  const x = (ms) => 70 + ((WIDTH - 90) * Math.min(ms, whole)) / whole;
  const queue = Math.min(timeline?.queue_ms ?? entry.queue_ms ?? 0, whole);
  const first = Math.min(Math.max(entry.ttft_ms ?? whole, queue), whole);
  const tokens = (timeline?.token_ms ?? []).slice(0, TICKS);
  const y = (isStream(entry) ? 3 : 2) * LANE + 8;
  return html`<svg class="timeline" viewBox=${`0 0 ${WIDTH} ${y + 28}`} role="img"
      aria-label=${`Queue ${time(queue)}, prefill ${time(first - queue)}, answer ${time(whole - first)}`}>
    ${axis(whole).map((at) => html`<g><line class="grid" x1=${x(at)} x2=${x(at)} y1="0" y2=${y + 6} />
      <text class="tick" x=${x(at)} y=${y + 22}>${duration(at).join(" ")}</text></g>`)}
    <${Lane} y=${0} label="queue" from=${0} until=${queue} x=${x} kind="part-queue" said=${time(queue)} />
    ${!isStream(entry) && html`<${Lane} y=${LANE} label="answer" from=${queue} until=${whole} x=${x} kind="part-whole" said=${time(whole - queue)} />`}
    ${isStream(entry) && html`<${Lane} y=${LANE} label="prefill" from=${queue} until=${first} x=${x} kind="part-prefill" said=${time(first - queue)} />
    <text class="lane" x="0" y=${2 * LANE + 16}>answer</text>
    <rect class="part-decode faint" x=${x(first)} y=${2 * LANE + 5} width=${Math.max(1.5, x(whole) - x(first))} height=${LANE - 10} rx="2" />
    <path class="token" d=${tokens.map((at) => `M${x(at).toFixed(2)} ${2 * LANE + 3}v${LANE - 6}`).join("")} />`}
  </svg>`;
}

/** Gaps between chunks as a histogram, for the eye to find the odd one. */
function Gaps({ instants }) {
  const gaps = instants.slice(1).map((at, k) => at - instants[k]);
  const most = Math.max(...gaps);
  if (gaps.length < 8 || most <= 0) return null;
  const bins = new Array(40).fill(0);
  for (const gap of gaps) bins[Math.min(39, Math.floor((40 * gap) / most))] += 1;
  const tall = Math.max(...bins);
  return html`<figure class="gaps"><svg viewBox="0 0 400 56" preserveAspectRatio="none" role="img" aria-label="How long the gaps between chunks were">
    ${bins.map((n, k) => n > 0 && html`<rect x=${k * 10} y=${56 - (54 * n) / tall} width="8.5" height=${(54 * n) / tall} rx="1" />`)}
  </svg><figcaption><span>0 ms</span><span>gaps between ${count(gaps.length + 1)} chunks</span><span>${time(most)}</span></figcaption></figure>`;
}

export function Timeline({ entry, close }) {
  const [whole, setWhole] = useState(null);
  const [miss, setMiss] = useState(null);
  useEffect(() => {
    setWhole(null);
    setMiss(null);
    get(`journal/${encodeURIComponent(entry.id)}`).then(setWhole, () => {});
    if (mayBeMissed(entry)) {
      get(`cassettes/misses/${encodeURIComponent(entry.id)}`).then(setMiss, () => {});
    }
  }, [entry.id]);
  const told = whole ?? entry;
  const itl = told.itl_ms;
  return html`<${Drawer} title=${`${told.method} ${told.path}`} close=${close}>
    <p class="sub">${clock(arrivedAt(told))} · ${told.model || "no model"} · ${told.status || "no status"} · ${told.end}</p>
    <${Picture} entry=${told} timeline=${whole?.timeline} />
    ${whole?.timeline && html`<${Gaps} instants=${whole.timeline.token_ms} />`}
    ${miss?.explanation && html`<div class="miss"><h3>Why the cassette had no answer</h3><p>${miss.explanation}</p></div>`}
    <dl class="facts">
      <${Fact} name="Source">${told.source || "none: refused"}<//>
      ${told.worker && html`<${Fact} name="Worker">${told.worker}<//>`}
      <${Fact} name="First byte">${time(told.ttft_ms)}<//>
      <${Fact} name="Whole answer">${time(told.total_ms)}<//>
      ${itl && html`<${Fact} name="Between chunks">p50 ${time(itl.p50)}, p90 ${time(itl.p90)}, p99 ${time(itl.p99)}, longest ${time(itl.max)}<//>`}
      ${told.prompt_tokens != null && html`<${Fact} name="Prompt">${count(told.prompt_tokens)} tokens, ${count(told.cached_tokens || 0)} of them cached<//>`}
      ${told.output_tokens != null && html`<${Fact} name="Output">${count(told.output_tokens)} tokens<//>`}
      <${Fact} name="Sent">${bytes(told.bytes)}<//>
      ${told.cost_usd != null && html`<${Fact} name="Cost">$${usd(told.cost_usd)}<//>`}
      ${told.error && html`<${Fact} name="Refused as"><code>${told.error}</code><//>`}
      ${told.finish && html`<${Fact} name="Finish reason">${told.finish}<//>`}
      ${told.route && html`<${Fact} name="Route">${told.route}<//>`}
      ${told.host && html`<${Fact} name="Host">${told.host}<//>`}
      ${told.project && html`<${Fact} name="Project">${told.project}<//>`}
      ${told.key_id && html`<${Fact} name="Key">${told.key_id}<//>`}
      ${told.faults.length > 0 && html`<${Fact} name="Faults">${told.faults.join(", ")}<//>`}
      ${told.phase && html`<${Fact} name="Phase">${told.phase}<//>`}
      <${Fact} name="Id"><code>${told.id}</code> <${Copy} text=${told.id} /><//>
    </dl>
  <//>`;
}
