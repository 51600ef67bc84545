// Settings of a network as sliders have them, and as vstream writes them.

const number = (text, units) => {
  const [, value, unit] = text.match(/^([\d.]+)\s*([a-zA-Z%]*)$/) ?? [];
  return unit in units ? Number(value) * units[unit] : NaN;
};

const trimmed = (value, digits) => String(Number(value.toFixed(digits)));

/** A slider from 0 to 1 that is finer at its low end. */
const bent = (most, power) => ({ read: (share) => most * share ** power, place: (value) => (value / most) ** (1 / power) });

/** A whole number of the largest unit that has it whole, as vstream writes it. */
const written = (value, units) => {
  const [unit, factor] = units.find(([, factor]) => value % factor === 0);
  return `${value / factor}${unit}`;
};

/** Milliseconds. */
const time = (most) => {
  const { read, place } = bent(most, 2);
  const us = (ms) => (ms < 10 ? Math.round(ms * 10) * 100 : Math.round(ms) * 1000);
  return {
    text: (share) => (share ? written(us(read(share)), [["s", 1e6], ["ms", 1000], ["us", 1]]) : null),
    share: (text) => place(number(text, { us: 1e-3, ms: 1, s: 1000, "": 1000, m: 6e4 })),
  };
};

const percent = (most) => {
  const { read, place } = bent(most, 2);
  return {
    text: (share) => (share ? `${trimmed(read(share), read(share) < 1 ? 2 : 1)}%` : null),
    share: (text) => place(number(text, { "%": 1, "": 1 })),
  };
};

/** Bits a second, each step the same factor; the right end is no limit. */
const LEAST = 5e4;
const MOST = 1e9;
const rate = {
  none: 1,
  text(share) {
    if (share >= 0.995) return null;
    const bits = LEAST * (MOST / LEAST) ** share;
    const step = 10 ** (Math.floor(Math.log10(bits)) - 1);
    return written(Math.round(bits / step) * step, [["gbit", 1e9], ["mbit", 1e6], ["kbit", 1000], ["bit", 1]]);
  },
  share: (text) => {
    const bits = number(text, { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 });
    return Math.log(bits / LEAST) / Math.log(MOST / LEAST);
  },
};

/** As a time, and never none; it rests where vstream has it. */
const queue = { ...time(2000), text: (share) => time(2000).text(Math.max(share, 0.025)), none: Math.sqrt(300 / 2000) };

/** Name in the API, label, slider (none: only its text), hint for the text, whether it is behind "More". */
export const SETTINGS = [
  { name: "delay", label: "Delay", slider: time(1000), hint: "none" },
  { name: "jitter", label: "Jitter", slider: time(300), hint: "none" },
  { name: "loss", label: "Loss", slider: percent(50), hint: "none" },
  { name: "rate", label: "Rate", slider: rate, hint: "no limit" },
  { name: "queue", label: "Queue", slider: queue, hint: "300ms" },
  { name: "burst_loss", label: "Burst loss", hint: "none; 2%:5 is 2 %, 5 at a time", more: true },
  { name: "reorder", label: "Reorder", slider: percent(20), hint: "none", more: true },
  { name: "duplicate", label: "Duplicate", slider: percent(20), hint: "none", more: true },
  { name: "corrupt", label: "Corrupt", slider: percent(10), hint: "none", more: true },
  { name: "bandwidth", label: "Each rate", slider: rate, hint: "no limit", more: true },
  { name: "distribution", label: "Jitter is", choices: ["uniform", "normal", "pareto"], more: true },
];

/** Where a slider stands for a text; at rest where the text is none of its own (a trace, bytes). */
export function place(slider, text) {
  const rest = slider.none ?? 0;
  const share = text ? slider.share(text) : rest;
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : rest;
}
