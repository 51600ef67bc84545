// A stream that is watched through the panel: its picture, its figures, its sender's controls.

import { Chart } from "/chart.js";
import { Video } from "/video.js";

const PERIOD = 500; // ms between two looks
const HEIGHTS = { "1920x1080": "1080p", "1280x720": "720p", "854x480": "480p", "640x360": "360p", "426x240": "240p" };

export class Monitor {
  constructor(number, url) {
    this.path = `/monitors/${number}`;
    this.element = document.getElementById("monitor").content.cloneNode(true).firstElementChild;
    this.find = (what) => this.element.querySelector(what);
    this.find("h2").textContent = url;
    const chart = (name, series, more) => new Chart(this.find(`[data-chart="${name}"]`), series, more);
    const one = [{ name: "", colour: "--accent" }];
    this.charts = {
      fps: chart("fps", one, { least: 10 }),
      latency: chart("latency", [{ name: "", colour: "--blue" }], { least: 20 }),
      bitrate: chart("bitrate", one, { digits: 2 }),
      quality: chart("quality", one, { least: 100, digits: 0 }),
      loss: chart("loss", [{ name: "lost", colour: "--bad" }, { name: "dropped", colour: "--warm" }], { least: 5 }),
    };
    const shown = ({ width, height }) => (this.find(".stage").style.aspectRatio = `${width} / ${height}`);
    const notice = (text) => {
      this.find(".notice").hidden = text === null;
      if (text !== null) this.find(".notice").textContent = text;
    };
    new Video(this.find("canvas"), `${this.path}/stream`, { shown, notice });
    this.controls();
    this.look();
  }

  controls() {
    const form = this.find("form");
    const { quality, size, fps, rate } = form.elements;
    quality.setAttribute("aria-label", "Quality");
    quality.addEventListener("input", () => (this.find("output").textContent = quality.value));
    quality.addEventListener("change", () => this.change({ quality: Number(quality.value) }));
    size.addEventListener("change", () => this.change({ size: size.value || null }));
    fps.addEventListener("change", () => this.change({ fps: Number(fps.value) || null }));
    rate.addEventListener("change", () => this.change({ rate_max: rate.value || null }));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  async change(settings) {
    const headers = { "Content-Type": "application/json" };
    const asked = fetch(`${this.path}/control`, { method: "PATCH", headers, body: JSON.stringify(settings) });
    const refused = await asked.then(async (r) => (r.ok ? "" : await r.text()), () => "vstream does not answer");
    this.find(".error").textContent = refused;
  }

  async look() {
    try {
      const response = await fetch(`${this.path}/state`, { cache: "no-store", signal: AbortSignal.timeout(6000) });
      if (!response.ok) throw new Error(await response.text());
      this.tell((await response.json()).result);
    } catch (error) {
      this.find(".told").textContent = error.message;
      this.before = null;
    }
    setTimeout(() => this.look(), PERIOD);
  }

  tell({ stats, viewers, source, control }) {
    const now = performance.now() / 1000;
    const peers = stats.filter((line) => line.peer);
    const lines = peers.length ? peers : viewers;
    const sum = (of) => lines.reduce((total, line) => total + (of(line) ?? 0), 0);
    const known = lines.find((line) => line.latency_ms != null);
    this.charts.fps.add(now, [lines.length ? Math.max(...lines.map((line) => line.fps)) : null]);
    const error = known?.latency_err_ms;
    this.charts.latency.add(now, [known?.latency_ms ?? null], error ? `±${error.toFixed(1)}` : "");
    this.charts.bitrate.add(now, [sum((line) => line.bitrate) / 1e6]);
    this.charts.loss.add(now, this.growth(now, [sum((l) => l.lost), sum(({ dropped: d }) => d.slow + d.late + d.corrupt)]));
    const [first] = stats;
    this.find('[data-chart="latency"]').hidden = first.role === "send"; // it is known where frames arrive
    this.find('[data-chart="quality"]').hidden = first.quality == null;
    this.charts.quality.add(now, [first.quality ?? null]);
    const { width, height } = source.resolution;
    const told = [{ send: "sender", recv: "receiver" }[first.role] ?? first.role, first.stream];
    if (width) told.push(`${width}×${height}`);
    if (first.rung) told.push(`rung ${first.rung}`);
    if (first.quality) told.push(`quality ${first.quality}`);
    if (!source.online) told.push("no picture");
    this.find(".told").textContent = told.filter(Boolean).join(" · ");
    this.settings(control);
  }

  growth(now, counts) {
    const last = this.before;
    this.before = { now, counts };
    if (!last) return counts.map(() => null);
    return counts.map((count, i) => Math.max(0, count - last.counts[i]) / Math.max(0.1, now - last.now));
  }

  settings(settings) {
    const form = this.find("form");
    form.hidden = !settings;
    if (!settings || form.contains(document.activeElement)) return;
    form.elements.quality.value = settings.quality ?? 80;
    this.find("output").textContent = settings.quality ?? "auto";
    choose(form.elements.size, HEIGHTS[settings.size] ?? settings.size ?? "");
    choose(form.elements.fps, settings.fps ?? "");
    choose(form.elements.rate, settings.rate_max ?? "");
  }
}

function choose(select, value) {
  const text = String(value);
  if (![...select.options].some((option) => option.value === text)) select.add(new Option(text, text));
  select.value = text;
}
