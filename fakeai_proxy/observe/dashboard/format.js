// Numbers as people read them: a few digits and a unit.

/** [text, unit] of a number of three digits, with a metric prefix where it is large. */
export function compact(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)}G`;
  if (size >= 1e6) return `${digits(value / 1e6)}M`;
  if (size >= 1e4) return `${digits(value / 1e3)}k`;
  return digits(value);
}

function digits(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return Math.round(value).toLocaleString("en-US");
  if (size >= 10) return trim(value.toFixed(1));
  return trim(value.toFixed(size >= 1 ? 2 : 3));
}

const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** Milliseconds as [number, unit]. */
export function duration(ms) {
  if (ms >= 60_000) return [trim((ms / 60_000).toFixed(1)), "min"];
  if (ms >= 1000) return [digits(ms / 1000), "s"];
  return [digits(ms), "ms"];
}

export const time = (ms) => (ms == null ? "–" : duration(ms).join(" "));
export const percent = (share) => trim((share * 100).toFixed(share < 0.1 ? 1 : 0));
export const count = (value) => Math.round(value).toLocaleString("en-US");
export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) { value /= 1000; place += 1; }
  return `${digits(value)} ${units[place]}`;
}

export function usd(value) {
  if (value === 0) return "0";
  if (value >= 1000) return compact(value);
  return value >= 0.1 ? value.toFixed(2) : Number(value.toPrecision(2)).toFixed(Math.min(8, 1 - Math.floor(Math.log10(value))));
}

/** Seconds since the epoch as a time of day. */
export function clock(wall, seconds = true) {
  const date = new Date(wall * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return seconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}
