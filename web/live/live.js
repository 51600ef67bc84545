// The page of a live stream: picture, figures, the sender's controls.

import { Chart } from "/chart.js";
import { Video } from "/video.js";

const at = (id) => document.getElementById(id);
const charts = {
  fps: new Chart(at("chart-fps"), [{ name: "fps", colour: "--accent" }], { least: 10 }),
  latency: new Chart(at("chart-latency"), [{ name: "latency", colour: "--blue" }], { least: 20 }),
  bitrate: new Chart(at("chart-bitrate"), [{ name: "bit rate", colour: "--accent" }], { least: 1, digits: 2 }),
  loss: new Chart(at("chart-loss"), [{ name: "lost", colour: "--bad" }, { name: "dropped", colour: "--warm" }], { least: 5 }),
};
const PERIOD = 500; // ms between two looks at the figures: the stats' fps is over half a second

// --- the picture

/** The server's clock minus this page's, in ms, and how wrong that may be: from the question with the least round trip. */
let clock = null;
let video = null;
/** Of the frames painted since the last look: how many, how old. */
let painted = { count: 0, latency: 0 };

function shown({ captured, width, height }) {
  painted.count += 1;
  if (clock && captured) painted.latency += Date.now() + clock.offset - captured * 1000;
  document.documentElement.dataset.frames = Number(document.documentElement.dataset.frames ?? 0) + 1;
  at("stage").style.aspectRatio = `${width} / ${height}`;
}

function notice(text) {
  at("notice").hidden = text === null;
  if (text !== null) at("notice").textContent = text;
}

function watch() {
  video?.stop();
  const size = at("view").value;
  video = new Video(at("video"), size ? `/stream?size=${size}` : "/stream", { shown, notice });
  at("snapshot").href = size ? `/snapshot?size=${size}` : "/snapshot";
}

function freeze() {
  const frozen = at("pause").getAttribute("aria-pressed") !== "true";
  at("pause").setAttribute("aria-pressed", frozen);
  if (frozen) {
    video.stop();
    video = null;
  } else {
    watch();
  }
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else at("stage").requestFullscreen?.().catch(() => {});
}

at("view").addEventListener("change", () => at("pause").getAttribute("aria-pressed") === "true" || watch());
at("pause").addEventListener("click", freeze);
at("full").addEventListener("click", full);
at("stage").addEventListener("dblclick", full);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, button, a")) return;
  const keys = { " ": freeze, f: full, p: () => at("snapshot").click() };
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// --- the figures

async function ask() {
  const asked = Date.now();
  const response = await fetch("/state", { cache: "no-store", signal: AbortSignal.timeout(5000) });
  const { result } = await response.json();
  const back = Date.now();
  const error = (back - asked) / 2;
  if (!clock || error <= clock.error || back - clock.at > 60000) {
    clock = { offset: result.time / 1000 - (asked + back) / 2, error, at: back };
  }
  return result;
}

const sum = (lines, of) => lines.reduce((total, line) => total + (of(line) ?? 0), 0);
let before = null;

/** How much a counter grew a second since the last look; 0 where a peer has left with its count. */
function growth(now, counts) {
  const last = before;
  before = { now, counts };
  if (!last) return counts.map(() => null);
  return counts.map((count, i) => Math.max(0, count - last.counts[i]) / Math.max(0.1, now - last.now));
}

function tell(result) {
  const { stats, viewers, source, control } = result;
  const [first] = stats;
  const now = performance.now() / 1000;
  const own = painted.count > 0;
  const peers = stats.filter((line) => line.peer);
  const links = peers.filter((line) => line.lost != null); // the others are of a coordinator's peers, told by them
  charts.fps.add(now, [own || !peers.length ? fps(now) : Math.max(...peers.map((line) => line.fps))]);
  const latency = own && clock ? painted.latency / painted.count : null;
  const known = peers.find((line) => line.latency_ms != null);
  charts.latency.add(
    now,
    [latency ?? known?.latency_ms ?? null],
    latency != null ? `±${clock.error.toFixed(0)}` : known ? `±${known.latency_err_ms}` : "",
  );
  charts.bitrate.add(now, [sum(first.role === "send" && !links.length ? viewers : links, (line) => line.bitrate) / 1e6]);
  const dropped = ({ slow, late, corrupt }) => slow + late + corrupt;
  charts.loss.add(now, growth(now, [sum(stats, (l) => l.lost), sum([...stats, ...viewers], (l) => dropped(l.dropped))]));
  painted = { count: 0, latency: 0 };

  at("stream").textContent = first.stream ?? "vstream";
  document.title = `${first.stream ?? "live"} · vstream`;
  const { width, height } = source.resolution;
  const parts = [{ send: "sender", recv: "receiver" }[first.role] ?? first.role];
  if (width) parts.push(`${width}×${height}`);
  if (first.rung) parts.push(`rung ${first.rung}`);
  if (first.quality) parts.push(`quality ${first.quality}`);
  if (first.encode_ms) parts.push(`encode ${first.encode_ms.toFixed(1)} ms`);
  if (first.viewers != null) parts.push(first.viewers === 1 ? "1 viewer" : `${first.viewers} viewers`);
  at("about").textContent = parts.join(" · ");
  status(source.online ? "good" : "", source.online ? "live" : "no picture");
  list(peers, viewers);
  controls(control);
}

let counted = null;
/** Frames painted a second since the last look. */
function fps(now) {
  const last = counted;
  counted = now;
  return last ? painted.count / Math.max(0.1, now - last) : null;
}

function status(kind, text) {
  at("status").className = `status ${kind}`;
  at("status").textContent = text;
}

function list(peers, viewers) {
  const rows = [...peers.map((line) => [line, ""]), ...viewers.map((line) => [line, " · browser"])];
  at("peers").hidden = rows.length === 0;
  const ms = (value, error) => (value == null ? "–" : `${value.toFixed(1)} ms${error ? ` ±${error.toFixed(1)}` : ""}`);
  const added = (value) => (value == null ? "" : `, ${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`);
  at("rows").replaceChildren(
    ...rows.map(([line, kind]) => {
      const { slow, late, corrupt } = line.dropped;
      const cells = [
        line.peer + (line.upstream ? ` · from ${line.upstream}` : kind),
        line.fps.toFixed(1),
        (line.bitrate / 1e6).toFixed(2),
        ms(line.latency_ms, line.latency_err_ms) + added(line.added_ms),
        ms(line.rtt_ms),
        line.lost == null || kind ? "–" : `${line.lost} (${line.lost_pct} %)`,
        slow + late + corrupt,
      ];
      const row = document.createElement("tr");
      row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }),
  );
}

async function look() {
  try {
    tell(await ask());
  } catch {
    status("bad", "vstream does not answer");
  }
  setTimeout(look, PERIOD);
}

// --- the sender's controls

let changing = 0;

function controls(settings) {
  at("control").hidden = !settings;
  if (!settings || changing || at("control").contains(document.activeElement)) return;
  at("quality").value = settings.quality ?? 80;
  at("quality-now").textContent = settings.quality ?? "auto";
  choose(at("size"), settings.size ?? "");
  choose(at("fps"), settings.fps ?? "");
  choose(at("rate"), settings.rate_max ?? "");
}

const HEIGHTS = { "1920x1080": "1080p", "1280x720": "720p", "854x480": "480p", "640x360": "360p", "426x240": "240p" };

function choose(select, value) {
  const text = HEIGHTS[value] ?? String(value);
  if (![...select.options].some((option) => option.value === text)) select.add(new Option(text, text));
  select.value = text;
}

async function change(settings) {
  changing += 1;
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("/control", { method: "PATCH", headers, body: JSON.stringify(settings) });
    at("refused").textContent = response.ok ? "" : await response.text();
  } catch {
    at("refused").textContent = "vstream does not answer";
  }
  changing -= 1;
}

at("quality").addEventListener("input", () => (at("quality-now").textContent = at("quality").value));
at("quality").addEventListener("change", () => change({ quality: Number(at("quality").value) }));
at("size").addEventListener("change", () => change({ size: at("size").value || null }));
at("fps").addEventListener("change", () => change({ fps: Number(at("fps").value) || null }));
at("rate").addEventListener("change", () => change({ rate_max: at("rate").value || null }));
at("control").addEventListener("submit", (event) => event.preventDefault());

watch();
look();
