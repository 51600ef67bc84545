// The panel: settings of each direction, scenes, live charts, and the streams that are watched through it.

import { Chart } from "/chart.js";
import { Monitor } from "/monitor.js";
import { SETTINGS, place } from "/values.js";

const at = (id) => document.getElementById(id);
const PERIOD = 500; // ms between two looks
const STEPS = 400; // positions of a slider: two pixels each on a wide screen

/** Asks the API; what it refuses is an error with its reason. */
async function api(path, method = "GET", body) {
  const asked = { method, cache: "no-store", signal: AbortSignal.timeout(5000) };
  if (body !== undefined) Object.assign(asked, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const response = await fetch(path, asked);
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let why = text.trim();
  try {
    why = JSON.parse(text).error;
  } catch {}
  throw new Error(why.replace(/^bad request body: /, ""));
}

// --- changes: one on its way at a time, what is said meanwhile goes together after it

let proxy = null;
let waiting = null;
let sending = false;
let changes = 0;

function merge(into, more) {
  for (const [way, settings] of Object.entries(more)) into[way] = { ...into[way], ...settings };
  return into;
}

async function change(settings) {
  changes += 1;
  waiting = merge(waiting ?? {}, settings);
  if (sending) return;
  sending = true;
  while (waiting) {
    const now = waiting;
    waiting = null;
    await act(() => api(`/proxies/${encodeURIComponent(proxy)}`, "PATCH", now));
  }
  sending = false;
}

async function act(what) {
  try {
    await what();
    at("refused").textContent = "";
    return true;
  } catch (error) {
    at("refused").textContent = error.message;
    return false;
  }
}

// --- the directions

const WAYS = { up: "Up: client → target", down: "Down: target → client" };
const rows = { up: {}, down: {} };

function build(way) {
  const panel = at("way").content.cloneNode(true).firstElementChild;
  panel.classList.add(way);
  panel.querySelector("legend").textContent = WAYS[way];
  const [plain, more] = panel.querySelectorAll(".rows");
  for (const setting of SETTINGS) (setting.more ? more : plain).append(row(way, setting));
  at("ways").append(panel);
}

function row(way, setting) {
  const { name, label, slider, hint, choices } = setting;
  const id = `${way}-${name}`;
  const line = Object.assign(document.createElement("div"), { className: "row" });
  line.append(Object.assign(document.createElement("label"), { htmlFor: id, textContent: label }));
  const say = (value) => {
    at("profile").value = "";
    for (const to of targets(way)) show(rows[to][name], value ?? "");
    change(Object.fromEntries(targets(way).map((to) => [to, { [name]: value }])));
  };
  const parts = (rows[way][name] = { setting });
  if (choices) {
    parts.text = document.createElement("select");
    parts.text.append(...choices.map((choice) => new Option(choice, choice)));
    parts.text.addEventListener("change", () => say(parts.text.value));
  } else {
    parts.text = Object.assign(document.createElement("input"), { type: "text", placeholder: hint, autocomplete: "off", spellcheck: false });
    parts.text.addEventListener("change", () => say(parts.text.value.trim() || null));
    if (!slider) parts.text.classList.add("wide");
  }
  parts.text.id = id;
  if (slider) {
    parts.slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: STEPS, id: `${id}-slider` });
    parts.slider.setAttribute("aria-label", `${label}, ${way}`);
    parts.slider.addEventListener("input", () => {
      say(slider.text(parts.slider.value / STEPS));
    });
    line.append(parts.slider);
  }
  line.append(parts.text);
  return line;
}

const targets = (way) => (at("alike").checked ? ["up", "down"] : [way]);

/** Shows a value: not under the hands of whoever types, and a slider that says it already stays where it is. */
function show({ setting, slider, text }, value) {
  if (slider) {
    if (setting.slider.text(slider.value / STEPS) !== (value || null)) slider.value = Math.round(place(setting.slider, value) * STEPS);
    slider.setAttribute("aria-valuetext", value || setting.hint);
  }
  if (text !== document.activeElement) text.value = value || (setting.choices ? setting.choices[0] : "");
}

// --- scenes

async function scenes() {
  const [profiles, scripts] = await Promise.all([api("/profiles"), api("/scripts")]);
  for (const { name, about } of profiles) at("profile").add(new Option(`${name} – ${about}`, name));
  for (const { name, about } of scripts) at("script").add(new Option(`${name} – ${about}`, name));
  at("profile").addEventListener("change", () => {
    const profile = profiles.find(({ name }) => name === at("profile").value);
    if (profile) change({ up: whole(profile.up), down: whole(profile.down) });
  });
}

/** `delay=50ms,loss=2%` as an object, in which what is not named is taken away. */
function whole(text) {
  const named = text.split(",").filter(Boolean).map((part) => part.split("="));
  const none = SETTINGS.map(({ name }) => [name, null]);
  return Object.fromEntries([...none, ...named.map(([name, value]) => [name.replaceAll("-", "_"), value])]);
}

let playing = null;

at("play").addEventListener("click", () => {
  if (playing) return act(() => api("/script", "DELETE"));
  return act(() => api("/script", "POST", { name: at("script").value, scale: Number(at("scale").value) || 1 }));
});
at("clear").addEventListener("click", async () => {
  await act(() => api("/script", "DELETE"));
  at("profile").value = "";
  change({ up: whole(""), down: whole("") });
});
at("cut").addEventListener("click", () => {
  const enabled = at("cut").getAttribute("aria-pressed") === "true";
  act(() => api(`/proxies/${encodeURIComponent(proxy)}`, "PATCH", { enabled }));
});
at("proxy").addEventListener("change", () => {
  proxy = at("proxy").value;
  before = null;
});

// --- the charts

const two = [{ name: "up", colour: "--accent" }, { name: "down", colour: "--blue" }];
const charts = {
  rate: new Chart(at("chart-rate"), two, { least: 0.1, digits: 2 }),
  queue: new Chart(at("chart-queue"), two, { least: 10 }),
  drops: new Chart(at("chart-drops"), two, { least: 5 }),
  connections: new Chart(at("chart-connections"), [two[0]], { least: 4, digits: 0 }),
};
let before = null;

function figures(stats) {
  const now = performance.now() / 1000;
  const last = before;
  before = { now, ...stats };
  if (!last) return;
  const seconds = Math.max(0.1, now - last.now);
  const grown = (way, ...names) => names.reduce((sum, name) => sum + Math.max(0, stats[way][name] - last[way][name]), 0);
  const both = (of) => ["up", "down"].map(of);
  charts.rate.add(now, both((way) => (grown(way, "bytes") * 8) / 1e6 / seconds));
  charts.queue.add(now, both((way) => grown(way, "queued_us") / 1000 / Math.max(1, grown(way, "packets"))));
  charts.drops.add(now, both((way) => grown(way, "lost", "overflowed") / seconds));
  charts.connections.add(now, [stats.connections]);
}

// --- what is

async function look() {
  const known = sending ? -1 : changes; // what is on its way may not be in the answer
  try {
    const [proxies, script] = await Promise.all([api("/proxies"), api("/script")]);
    tell(proxies, script, known === changes);
  } catch {
    status("bad", "vstream does not answer");
  }
  setTimeout(look, PERIOD);
}

/** `settled`: nothing was changed here while the answer was on its way. */
function tell(proxies, script, settled) {
  const names = Object.keys(proxies);
  if (!names.includes(proxy)) proxy = names.find((name) => name === "shape") ?? names[0] ?? null; // the command line's first
  const listed = [...at("proxy").options].map((option) => option.value);
  if (listed.join("\n") !== names.join("\n")) at("proxy").replaceChildren(...names.map((name) => new Option(name, name)));
  at("proxy").value = proxy;
  at("which").hidden = names.length < 2;
  playing = script.playing;
  at("play").textContent = playing ? "Stop" : "Start";
  at("script").disabled = at("scale").disabled = Boolean(playing);
  const now = proxies[proxy];
  at("ways").hidden = !now;
  if (!now) return status("", "no proxy");
  at("about").textContent = `${now.protocol} · ${now.listen} → ${now.upstream}`;
  at("cut").setAttribute("aria-pressed", !now.enabled);
  status(now.enabled ? "good" : "bad", playing ? `playing ${playing}` : now.enabled ? "shaping" : "cut");
  for (const way of settled ? ["up", "down"] : []) {
    for (const [name, parts] of Object.entries(rows[way])) show(parts, now[way][name] ?? "");
  }
  figures(now.stats);
}

function status(kind, text) {
  at("status").className = `status ${kind}`;
  at("status").textContent = text;
}

async function monitors() {
  for (const { url } of await api("/monitors")) at("monitors").append(new Monitor(at("monitors").childElementCount, url).element);
}

build("up");
build("down");
act(scenes);
act(monitors);
look();
