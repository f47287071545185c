// One chart: uPlot with our axes, a legend that says the value under the pointer or the latest one, and
// the marks. All charts share a cursor.

import { clock, compact } from "./format.js";
import { HISTORY_S, lastSeconds, state, subscribe } from "./store.js";
import { html, useEffect, useRef } from "./vendor/preact.js";

const HEIGHT = 132;
/** Shorter gaps are bridged: what comes every few seconds is a line, not dots. */
const BRIDGED_S = 10;

/** A server that has just begun has its charts filled all the same. */
const LEAST_S = 60;

export const view = { range: 300, frozen: null };

const began = () => state.epoch + (state.samples.size ? state.first : 0);

const color = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function withAlpha(value, alpha) {
  const hex = value.replace("#", "");
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

/** Columns of the visible seconds: one of instants, one for each series (as it is, and as it is drawn). */
function columns(series, stacked) {
  const end = view.frozen ?? state.now;
  const samples = lastSeconds(Math.min(view.range, HISTORY_S), end);
  const first = end - samples.length + 1;
  const times = samples.map((_, place) => state.epoch + first + place);
  const raw = series.map(({ value }) => samples.map(value));
  if (!stacked) return { times, raw, drawn: raw.map(bridged) };
  const sums = new Array(samples.length).fill(0);
  const drawn = raw.map((values) => values.map((value, at) => (sums[at] += value || 0)));
  return { times, raw, drawn };
}

function bridged(values) {
  const found = values.slice();
  let last = -1;
  for (let at = 0; at < found.length; at += 1) {
    if (values[at] === null) continue;
    if (last >= 0 && at - last <= BRIDGED_S) for (let k = last + 1; k < at; k += 1) found[k] = undefined;
    last = at;
  }
  return found;
}

/** Values that have no neighbour would not be seen: uPlot is told to draw them as points. */
const lonely = (u, place) => {
  const values = u.data[place];
  const found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
};

function drawMarks(u) {
  const { ctx } = u;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  for (const mark of state.marks) {
    const at = state.epoch + mark.at;
    if (at < u.scales.x.min || at > u.scales.x.max) continue;
    const x = Math.round(u.valToPos(at, "x", true));
    ctx.strokeStyle = ctx.fillStyle = color(mark.kind === "incident" ? "mark" : "phase");
    ctx.setLineDash(mark.kind === "incident" ? [] : [3 * ratio, 3 * ratio]);
    ctx.lineWidth = ratio * 1.25;
    ctx.beginPath();
    ctx.moveTo(x, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + u.bbox.height);
    ctx.stroke();
    if (mark.kind !== "incident") continue;
    ctx.beginPath();
    ctx.moveTo(x - 4 * ratio, u.bbox.top);
    ctx.lineTo(x + 4 * ratio, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + 6 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

function options(chart, series, width, legend) {
  const axis = {
    stroke: color("ink-3"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    padding: [6, 18, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: "all" },
      y: false,
      drag: { x: false, y: false },
      points: { size: 5 },
    },
    scales: {
      x: { time: true, range: (u, low, high) => [Math.max(low, Math.min(began(), high - LEAST_S)), high] },
      y: { range: (u, low, high) => range(chart, low, high) },
    },
    axes: [
      { ...axis, size: 22, space: (u, place, low, high) => (high - low < 240 ? 76 : 48), values: (u, ticks, place, space, step) => ticks.map((at) => clock(at, step < 60)) },
      { ...axis, size: 40, space: 28, gap: 4, values: (u, ticks) => ticks.map(compact) },
    ],
    series: [
      {},
      ...series.map((one) => {
        const stroke = color(one.color);
        const fill = chart.kind === "stacked" ? withAlpha(stroke, 0.75) : one.fill && withAlpha(stroke, 0.12);
        return {
          label: one.label,
          stroke,
          width: chart.kind === "stacked" ? 0 : one.width ?? 1.5,
          fill: chart.kind === "stacked" ? undefined : fill || undefined,
          points: chart.kind === "stacked" ? { show: false } : { show: true, filter: lonely, size: 4, fill: stroke, width: 0 },
          paths: chart.kind === "stacked" ? uPlot.paths.stepped({ align: 1 }) : undefined,
        };
      }),
    ],
    bands: chart.kind === "stacked" ? bands(series) : undefined,
    hooks: { draw: [drawMarks], setCursor: [(u) => legend(u.cursor.idx)] },
  };
}

/** Each series is filled down to the one below it. */
function bands(series) {
  return series.map((one, at) => ({
    series: [at + 1, at],
    fill: withAlpha(color(one.color), 0.75),
  })).slice(1);
}

function range(chart, low, high) {
  if (chart.max) return [0, chart.max];
  if (high == null) return [0, 1];
  if (chart.floating) return [Math.floor(low - 2), Math.ceil(high + 2)];
  return [0, high <= 0 ? 1 : high * 1.08];
}

/** `series` is a row of CHARTS' with its series settled. */
export function Chart({ chart, series, theme }) {
  const place = useRef();
  const values = useRef();
  const names = series.map((one) => one.label).join("|");
  useEffect(() => {
    let now = { times: [], raw: series.map(() => []), drawn: series.map(() => []) };
    const texts = [...values.current.querySelectorAll("b")];
    const legend = (at) => {
            texts.forEach((text, k) => {
        const value = at == null ? latest(now.raw[k]) : now.raw[k][at];
        const said = value == null ? "–" : compact(value);
        if (text.textContent !== said) text.textContent = said;
        // Of a stack, only what there is: the others would push it into a second line.
        if (chart.kind === "stacked") text.parentElement.hidden = k > 0 && !now.raw[k].some((each) => each > 0);
      });
    };
    const made = options(chart, series, place.current.clientWidth, legend);
    if (chart.kind === "stacked" && made.series[1]) made.series[1].fill = withAlpha(color(series[0].color), 0.75);
    const u = new uPlot(made, [[], ...series.map(() => [])], place.current);
    let seen = true;
    const draw = () => {
      if (!seen || document.hidden) return;
      now = columns(series, chart.kind === "stacked");
      u.setData([now.times, ...now.drawn]);
      legend(u.cursor.idx);
    };
    const eyes = new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; draw(); });
    const size = new ResizeObserver(() => {
      const width = place.current?.clientWidth;
      if (width && width !== u.width) u.setSize({ width, height: HEIGHT });
    });
    eyes.observe(place.current);
    size.observe(place.current);
    document.addEventListener("visibilitychange", draw);
    const ends = ["sample", "view", "marks"].map((topic) => subscribe(topic, draw));
    draw();
    return () => {
      ends.forEach((end) => end());
      document.removeEventListener("visibilitychange", draw);
      eyes.disconnect();
      size.disconnect();
      u.destroy();
    };
  }, [names, theme]);
  return html`<figure class="chart" id=${`chart-${chart.id}`}>
    <figcaption title=${chart.help}>
      <h3>${chart.title}${chart.unit && html` <span class="unit">${chart.unit}</span>`}</h3>
      <ul class="legend" ref=${values} key=${names}>
        ${series.map((one) => html`<li><i class=${`swatch ${one.color}`}></i>${one.label} <b>–</b></li>`)}
      </ul>
    </figcaption>
    <div class="plot" ref=${place} role="img" aria-label=${`${chart.title}: ${chart.help}`}></div>
  </figure>`;
}

/** The last that is known, if it is not old. */
function latest(values) {
  for (let at = values.length - 1; at >= Math.max(0, values.length - BRIDGED_S); at -= 1) {
    if (values[at] != null) return values[at];
  }
  return null;
}
