// The fleet as a picture: a card for each worker, with its KV blocks as a field of cells, its batch as
// dots, and what waits before it as hollow ones.

import { post } from "./api.js";
import { compact, count, percent } from "./format.js";
import { state, useTopics } from "./store.js";
import { Drawer, Fact, report } from "./parts.js";
import { html, useState } from "./vendor/preact.js";

const ACROSS = 28;
const DOWN = 5;
const PITCH = 8;
const CELL = 6.5;
const DOTS = 28;
/** More workers than this are drawn small. */
const MANY = 16;

const LIVES = {
  ready: "serving",
  starting: "starting",
  draining: "draining",
  dead: "dead",
};

function squares(from, until) {
  let path = "";
  for (let k = from; k < until; k += 1) {
    const x = Math.floor(k / DOWN) * PITCH;
    const y = (k % DOWN) * PITCH;
    path += `M${x} ${y}h${CELL}v${CELL}h-${CELL}z`;
  }
  return path;
}

function circles(from, until, y) {
  const r = 2.75;
  let path = "";
  for (let k = from; k < until; k += 1) {
    const x = k * PITCH + 0.5;
    path += `M${x} ${y}a${r} ${r} 0 1 1 ${2 * r} 0a${r} ${r} 0 1 1 -${2 * r} 0z`;
  }
  return path;
}

/** So many of the cells; what is there at all has one. */
const cells = (share) => (share > 0 ? Math.min(ACROSS * DOWN, Math.max(1, Math.round(share * ACROSS * DOWN))) : 0);

function Picture({ worker }) {
  const used = cells(worker.kv_usage);
  const cached = Math.max(used, cells(Math.min(1, worker.kv_usage + worker.cached_blocks / worker.kv_blocks)));
  const running = Math.min(worker.running, DOTS);
  const waiting = Math.min(worker.waiting, DOTS - running);
  const y = DOWN * PITCH + 8;
  return html`<svg class="blocks" viewBox=${`0 0 ${ACROSS * PITCH - 1.5} ${y + 4}`} aria-hidden="true">
    <path class="cell-free" d=${squares(cached, ACROSS * DOWN)} />
    <path class="cell-cached" d=${squares(used, cached)} />
    <path class="cell-used" d=${squares(0, used)} />
    <path class="dot-none" d=${circles(running + waiting, DOTS, y)} />
    <path class="dot-run" d=${circles(0, running, y)} />
    <path class="dot-wait" d=${circles(running, running + waiting, y)} />
  </svg>`;
}

function told(worker) {
  const parts = [
    worker.name, LIVES[worker.life] ?? worker.life,
    `${worker.running} running`, `${worker.waiting} waiting`,
    `KV cache ${percent(worker.kv_usage)} % in use`,
  ];
  if (worker.gpu) parts.push(`GPU ${percent(worker.gpu.utilization)} %, ${count(worker.gpu.power_w)} W`);
  return parts.join(", ");
}

function Worker({ worker, small, open }) {
  const life = worker.life;
  const { gpu } = worker;
  const note = life === "starting" && worker.ready_in_s ? `ready in ${Math.ceil(worker.ready_in_s)} s`
    : life === "dead" ? worker.died_of || "dead"
    : worker.slowdown > 1.02 ? `${worker.slowdown.toFixed(1)}× slow` : LIVES[life] ?? life;
  return html`<li>
    <button class=${`worker ${life} ${small ? "small" : ""}`} onClick=${() => open(worker.name)}
            aria-label=${told(worker)} title=${small ? told(worker) : "Open to drain, kill or slow it"}>
      <span class="worker-head"><i class="state"></i><strong>${worker.name}</strong>
        ${!small && html`<span class="note">${note}</span>`}</span>
      <${Picture} worker=${worker} />
      ${!small && html`<span class="worker-numbers">
        <span><b>${worker.running}</b> run</span>
        <span class=${worker.waiting ? "warn" : ""}><b>${worker.waiting}</b> wait</span>
        <span><b>${percent(worker.kv_usage)}</b> % KV</span>
        <span><b>${compact(worker.tokens_per_second)}</b> tok/s</span>
      </span>
      ${gpu && html`<span class="worker-gpu">
        <span class="meter" aria-hidden="true"><i ref=${(bar) => bar && (bar.style.width = `${gpu.utilization * 100}%`)}></i></span>
        <span><b>${percent(gpu.utilization)}</b> %</span>
        <span><b>${count(gpu.power_w)}</b> W</span>
        <span><b>${Math.round(gpu.temperature_c)}</b> °C</span>
      </span>`}`}
    </button>
  </li>`;
}

const ACTS = [
  ["drain", "Drain", {}, "Finishes what it has, takes nothing more"],
  ["resume", "Resume", {}, "A draining worker takes requests again"],
  ["slow", "Slow ×3", { factor: 3 }, "Every step takes three times as long"],
  ["slow", "Full speed", { factor: 1 }, "As fast as its GPUs are"],
  ["thermal", "Heat", { ambient_c: 45, resistance: 1.6 }, "Warm air and bad cooling: the clocks go down"],
  ["heal", "Heal GPUs", {}, "All injected faults are taken back"],
  ["xid", "XID 79", { code: 79 }, "A GPU falls off the bus: the worker dies"],
  ["kill", "Kill", { reason: "killed on the dashboard" }, "Gone at once; its requests go elsewhere or fail"],
  ["restart", "Restart", {}, "A fresh process, after its cold start"],
];
const GRAVE = new Set(["kill", "xid"]);

function WorkerDrawer({ worker, close }) {
  const act = (verb, body) => report(
    post(`fleet/workers/${encodeURIComponent(worker.name)}/${verb}`, body),
    `${worker.name}: ${verb}`,
  );
  const { gpu } = worker;
  return html`<${Drawer} title=${worker.name} close=${close}>
    <p class="sub">${LIVES[worker.life] ?? worker.life}${worker.died_of ? `: ${worker.died_of}` : ""} · pool ${worker.pool}</p>
    <${Picture} worker=${worker} />
    <p class="key"><i class="swatch used"></i>KV blocks in use <i class="swatch cached"></i>cached, free to be taken</p>
    <dl class="facts">
      <${Fact} name="Running">${count(worker.running)}<//>
      <${Fact} name="Waiting">${count(worker.waiting)}<//>
      <${Fact} name="KV blocks">${count(worker.kv_blocks)}, ${percent(worker.kv_usage)} % in use<//>
      <${Fact} name="Prefix hit rate">${percent(worker.hit_rate)} %<//>
      <${Fact} name="Preemptions">${count(worker.preemptions)}<//>
      <${Fact} name="Output">${compact(worker.tokens_per_second)} tok/s<//>
      <${Fact} name="Prompt">${compact(worker.prompt_tokens_per_second)} tok/s<//>
      <${Fact} name="Slowdown">${worker.slowdown.toFixed(2)} ×<//>
      ${gpu && html`<${Fact} name="GPU">${percent(gpu.utilization)} %, ${count(gpu.power_w)} W, ${Math.round(gpu.temperature_c)} °C<//>
      <${Fact} name="Energy">${compact(gpu.energy_j)} J<//>`}
      ${gpu?.xid ? html`<${Fact} name="Last XID">${gpu.xid}<//>` : ""}
    </dl>
    <h3>Operate</h3>
    <div class="buttons">
      ${ACTS.map(([verb, label, body, help]) => html`<button class=${GRAVE.has(verb) ? "grave" : ""} title=${help}
        onClick=${() => act(verb, body)}>${label}</button>`)}
    </div>
  <//>`;
}

export function Fleet() {
  useTopics("fleet");
  const [opened, open] = useState(null);
  const { fleet } = state;
  if (!fleet) return null;
  const small = fleet.workers.length > MANY;
  const worker = fleet.workers.find((each) => each.name === opened);
  const serving = fleet.workers.filter((each) => each.life === "ready").length;
  return html`<section class="panel" id="fleet" aria-labelledby="fleet-title">
    <header>
      <h2 id="fleet-title">Fleet</h2>
      <p class="sub">${fleet.profile}: ${serving} of ${fleet.workers.length} serving, ${fleet.router} router, ${fleet.server}</p>
      <p class="key"><i class="swatch used"></i>KV used <i class="swatch cached"></i>cached
        <i class="swatch run"></i>running <i class="swatch wait"></i>waiting</p>
    </header>
    ${fleet.pools.map((pool) => html`
      ${fleet.pools.length > 1 && html`<h3 class="pool">${pool.name} <span class="unit">${pool.model}, ${pool.role}, ${pool.gpus_per_worker} × ${pool.gpu}</span></h3>`}
      <ul class=${`workers ${small ? "many" : ""}`}>
        ${fleet.workers.filter((each) => each.pool === pool.name).map((each) => html`
          <${Worker} key=${each.name} worker=${each} small=${small} open=${open} />`)}
      </ul>`)}
    ${worker && html`<${WorkerDrawer} worker=${worker} close=${() => open(null)} />`}
  </section>`;
}
