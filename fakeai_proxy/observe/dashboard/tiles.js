// The numbers that a person looks at first.

import { compact, count, duration, percent, usd } from "./format.js";
import { lastSeconds, state, useTopics } from "./store.js";
import { html } from "./vendor/preact.js";

/** Rates are over this many seconds, percentiles the last of so many. */
const RATE_S = 5;
const RECENT_S = 30;

const sum = (samples, value) => samples.reduce((all, sample) => all + (value(sample) || 0), 0);

function lastOf(samples, name) {
  for (let at = samples.length - 1; at >= 0; at -= 1) if (samples[at][name]) return samples[at][name];
  return null;
}

function Tile({ name, value, unit, below, kind = "" }) {
  return html`<div class=${`tile ${kind}`}><dt>${name}</dt>
    <dd><b>${value}</b>${unit && html`<span class="unit">${unit}</span>`}<small>${below}</small></dd></div>`;
}

function timeTile(name, times) {
  if (!times) return html`<${Tile} name=${name} value="–" below="no stream in 30 s" />`;
  const [value, unit] = duration(times.p50);
  return html`<${Tile} name=${name} value=${value} unit=${unit} below=${`p99 ${duration(times.p99).join(" ")}`} />`;
}

export function Tiles() {
  useTopics("sample", "status");
  const recent = lastSeconds(RECENT_S);
  const few = recent.slice(-RATE_S);
  const minute = lastSeconds(60);
  const rate = sum(few, (s) => s.requests) / RATE_S;
  const asked = sum(minute, (s) => s.requests);
  const bad = sum(minute, (s) => (s.outcomes?.["4xx"] || 0) + (s.outcomes?.["5xx"] || 0) + (s.outcomes?.["429"] || 0) + (s.outcomes?.cut || 0));
  const limited = sum(minute, (s) => s.outcomes?.["429"]);
  const fleet = few[few.length - 1].fleet ?? few[few.length - 2]?.fleet;
  const priced = few.findLast((s) => s.cost_usd !== undefined);
  const prompt = sum(minute, (s) => s.prompt_tokens);
  const cached = sum(minute, (s) => s.cached_tokens);
  const output = fleet ? fleet.tokens_s : sum(few, (s) => s.output_tokens) / RATE_S;
  const hits = sum(minute, (s) => s.sources?.HIT);
  const mode = state.status?.mode;
  const total = few.findLast((s) => s.requests_total !== undefined)?.requests_total ?? 0;
  return html`<dl class="tiles panel" aria-label="Now">
    <${Tile} name="Requests" value=${compact(rate)} unit="/s" below=${`${count(total)} so far`} />
    ${timeTile("First token p50", lastOf(recent, "ttft_ms"))}
    ${timeTile("Next tokens p50", lastOf(recent, "itl_ms"))}
    <${Tile} name="Output" value=${compact(output)} unit="tok/s" below=${`prompt ${compact(fleet ? fleet.prompt_tokens_s : sum(few, (s) => s.prompt_tokens) / RATE_S)} tok/s`} />
    ${fleet && html`<${Tile} name="Running" value=${count(fleet.running)} below=${`${count(fleet.waiting)} waiting`} kind=${fleet.waiting ? "warn" : ""} />
    <${Tile} name="KV in use" value=${percent(fleet.kv_usage)} unit="%" below=${prompt ? `${percent(cached / prompt)} % hit rate` : "no prompts yet"} />
    <${Tile} name="GPU power" value=${compact(fleet.power_w)} unit="W" below=${`${percent(fleet.utilization)} % busy`} />`}
    ${mode && mode !== "synth" && html`<${Tile} name="From cassettes" value=${asked ? percent(hits / asked) : "–"} unit="%" below="of the last minute" />`}
    <${Tile} name="Cost" value=${priced ? `$${usd(priced.cost_usd)}` : "–"} below=${priced?.cost_rate == null ? "by the price lists" : `$${usd(priced.cost_rate)} per hour`} />
    <${Tile} name="Errors" value=${asked ? percent(bad / asked) : "–"} unit=${asked ? "%" : ""} below=${`${count(limited)} × 429 in 1 min`} kind=${asked && bad / asked > 0.05 ? "bad" : ""} />
  </dl>`;
}
