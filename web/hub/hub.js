// The page of a hub: the hall and the rooms.

import { Chart } from "/chart.js";
import { Sending } from "/golive.js";
import { Room, address } from "/room.js";

const at = (id) => document.getElementById(id);
const root = document.documentElement;
const charts = {
  fps: new Chart(at("chart-fps"), [{ name: "fps", colour: "--accent" }], { least: 10 }),
  latency: new Chart(at("chart-latency"), [{ name: "latency", colour: "--blue" }], { least: 20 }),
  bitrate: new Chart(at("chart-bitrate"), [{ name: "bit rate", colour: "--accent" }], { least: 1, digits: 2 }),
  loss: new Chart(at("chart-loss"), [{ name: "lost", colour: "--bad" }, { name: "left out", colour: "--warm" }], { least: 5 }),
};
const PERIOD = 500; // ms between two looks at our own figures

at("user").value = localStorage.getItem("user") ?? "";
at("insecure").hidden = isSecureContext;
const encrypted = `https://${location.host}/`; // the same port
at("encrypted").href = encrypted;

function status(kind, text) {
  at("status").className = `status ${kind}`;
  at("status").textContent = text;
}

// --- the hall: what there is

let hall = null;

function look() {
  let why = "the hub does not answer";
  hall = new WebSocket(address(""));
  hall.onmessage = ({ data }) => {
    const word = JSON.parse(data);
    if (word.type === "refused") return (why = word.reason);
    if (word.type === "hall") list(word);
    status("good", "connected");
  };
  hall.onclose = () => {
    if (!hall) return;
    status("bad", why);
    setTimeout(() => hall && look(), 1000);
  };
}

function leaveHall() {
  const socket = hall;
  hall = null;
  socket?.close();
}

const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const clockTime = (seconds) => {
  const all = Math.floor(seconds + 0.02); // a frame before a second it is that second, as in the player
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return `${h ? `${h}:${String(m).padStart(2, "0")}` : m}:${String(s).padStart(2, "0")}`;
};

function state({ failed, preparing, rungs, seconds }) {
  const besides = failed ?? making(preparing, rungs.length > 0) ?? (rungs.length ? null : "made ready when first watched");
  return [seconds && clockTime(seconds), besides].filter(Boolean).join(" · ");
}

/** How far a video is that can be watched only then, or at more rungs. */
const making = (share, plays) =>
  share == null ? null : `${plays ? "more rungs are being made" : "being made ready"}: ${Math.round(100 * share)} %`;

/** Cards are kept while what they show stays, so that pictures do not flicker and the focus stays. */
function cards(where, items, of) {
  const old = new Map([...where.children].map((item) => [item.dataset.name, item]));
  where.replaceChildren(
    ...items.map((item) => {
      const card = old.get(item.name) ?? blank(item.name);
      const { title, line, picture } = of(item);
      card.querySelector("strong").textContent = title;
      Object.assign(card.querySelector("small"), { textContent: line, title: line });
      const image = card.querySelector("img");
      if (picture && image.dataset.src !== picture) {
        image.dataset.src = picture;
        image.src = picture;
      }
      return card;
    }),
  );
}

function blank(name) {
  const item = document.createElement("li");
  item.dataset.name = name;
  const card = Object.assign(document.createElement("button"), { className: "card" });
  const image = Object.assign(document.createElement("img"), { alt: "" });
  image.addEventListener("error", () => image.removeAttribute("src")); // there is none yet
  card.append(image, document.createElement("strong"), document.createElement("small"));
  card.addEventListener("click", () => (location.hash = encodeURIComponent(name)));
  item.append(card);
  return item;
}

function list({ streams, videos }) {
  const minute = Math.floor(Date.now() / 10000); // a new picture every ten seconds
  cards(at("streams"), streams, (live) => ({
    title: live.name,
    line: [plural(live.viewers, "viewer"), live.size, live.streamer].filter(Boolean).join(" · "),
    picture: live.fps > 0 ? `/snapshot?name=${encodeURIComponent(live.name)}&size=240p&t=${minute}` : null,
  }));
  at("nobody").hidden = streams.length > 0;
  cards(at("videos"), videos, (video) => ({
    title: video.title,
    line: state(video),
    picture: video.rungs.length ? `/poster?name=${encodeURIComponent(video.name)}` : null,
  }));
  at("library").hidden = videos.length === 0;
}

// --- a room

let room = null;
let sending = null;
/** The hub's clock minus this page's, in ms, and how wrong that may be. */
let clock = null;
let painted = { count: 0, latency: 0, bytes: 0 };

async function ask() {
  const asked = Date.now();
  const { result } = await (await fetch("/state", { cache: "no-store", signal: AbortSignal.timeout(5000) })).json();
  const back = Date.now();
  const error = (back - asked) / 2;
  if (!clock || error <= clock.error || back - clock.at > 60000) {
    clock = { offset: result.time / 1000 - (asked + back) / 2, error, at: back };
  }
}

function notice(text) {
  at("notice").hidden = text === null;
  if (text !== null) at("notice").textContent = text;
}

function shown({ captured, bytes, width, height }) {
  painted.count += 1;
  painted.bytes += bytes;
  if (clock) painted.latency += Date.now() + clock.offset - captured;
  root.dataset.frames = Number(root.dataset.frames ?? 0) + 1;
  root.dataset.size = `${width}x${height}`;
  at("stage").style.aspectRatio = `${width} / ${height}`;
}

function enter(name) {
  leaveHall();
  at("video").hidden = false;
  show(name);
  const user = at("user").value.trim();
  const rung = localStorage.getItem("rung") || "auto";
  room = new Room(at("video"), name, user, rung, { shown, notice, word, gone, refused: (why) => back(why) });
}

function show(name) {
  at("hall").hidden = true;
  at("room").hidden = false;
  at("leave").hidden = false;
  at("leave").textContent = sending ? "Stop" : "All streams";
  call(name);
  at("lines").replaceChildren();
  at("rung").replaceChildren();
  at("why").textContent = "";
  at("seek").hidden = true;
  at("snapshot").hidden = false;
  at("snapshot").href = `/snapshot?name=${encodeURIComponent(name)}`;
  at("rung-label").hidden = false;
  status("", "connecting");
}

function call(name) {
  at("title").textContent = name;
  document.title = `${name} · vstream`;
}

/** Back to the hall. */
function back(why) {
  room?.end();
  sending?.end(null);
  room = sending = null;
  at("hall").hidden = false;
  at("room").hidden = true;
  at("leave").hidden = true;
  at("title").textContent = "vstream";
  at("about").textContent = "";
  document.title = "vstream";
  at("refused").textContent = why ?? "";
  if (location.hash) history.replaceState(null, "", location.pathname);
  if (!hall) look();
}

/** The hub does not answer, or has no such stream any more: what it last said holds no more. */
function gone(what) {
  status(what ? "" : "bad", what ?? "the hub does not answer");
  at("about").textContent = "";
  leftOut(null);
}

function word(word) {
  const act = { said, told, rung, at: position, room: figures, entered: ({ user }) => (root.dataset.user = user) }[word.type];
  act?.(word);
}

function line(kind, ...parts) {
  const list = at("lines");
  const low = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
  const item = Object.assign(document.createElement("li"), { className: kind });
  item.append(...parts);
  list.append(item);
  while (list.children.length > 500) list.firstChild.remove();
  if (low) list.scrollTop = list.scrollHeight;
}

function said({ from, to, text, at: time }) {
  const name = Object.assign(document.createElement("b"), { textContent: to ? `${from} → ${to}` : from });
  name.title = new Date(time / 1000).toLocaleTimeString();
  line(to ? "private" : "said", name, ` ${text}`);
}

function told({ text }) {
  line("told", text);
}

function rung({ rung, auto, why }) {
  root.dataset.rung = rung;
  at("why").textContent = auto ? `auto: ${rung}${why ? ` – ${why}` : ""}` : why ? `${rung} – ${why}` : "";
  if (why) line("told", `quality ${rung}: ${why}`);
}

function figures(state) {
  const select = at("rung");
  const offered = ["auto", ...state.rungs];
  if (select !== document.activeElement || select.options.length !== offered.length) {
    const chosen = room?.rung ?? "auto";
    if ([...select.options].map((option) => option.value).join() !== offered.join()) {
      select.replaceChildren(...offered.map((name) => new Option(name, name)));
    }
    select.value = offered.includes(chosen) ? chosen : (offered[1] ?? "auto"); // a video's source is its best rung
  }
  const { streamer, viewers, count } = state;
  call(state.title ?? state.stream);
  const plays = !at("seek").hidden;
  const made = making(state.preparing, plays);
  const video = plays || made;
  if (made && !plays) room?.notice(made);
  const parts = [streamer ? `by ${streamer.name}` : video ? made : "nobody streams now"];
  if (streamer?.size) parts.push(streamer.size.replace("x", "×"), `${streamer.fps.toFixed(0)} fps`);
  parts.push(plural(count, "viewer"));
  at("about").textContent = parts.filter(Boolean).join(" · ");
  at("count").textContent = plural(count, "viewer");
  status(streamer || video ? "good" : "", streamer ? "live" : video ? "video" : "no streamer");
  const own = viewers.find((viewer) => viewer.name === root.dataset.user) ?? (sending && streamer);
  leftOut(own);
  const rows = [...(streamer ? [[streamer, "streams"]] : []), ...viewers.map((viewer) => [viewer, viewer.rung ?? "–"])];
  at("rows").replaceChildren(
    ...rows.map(([guest, watches]) => {
      const trip = guest.rtt_ms == null ? "–" : `${guest.rtt_ms.toFixed(1)} ms`;
      const cells = [guest.name, watches, guest.fps.toFixed(1), (guest.bitrate / 1e6).toFixed(2), trip, guest.lost, guest.dropped];
      const row = document.createElement("tr");
      row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }),
  );
}

// --- a video's position

let seeking = false;

function position({ position, duration, paused }) {
  at("seek").hidden = false;
  at("snapshot").hidden = true; // everybody is somewhere else in a video
  const over = duration > 0 && position >= duration;
  at("play").setAttribute("aria-label", paused || over ? "play" : "pause");
  Object.assign(at("play").dataset, { paused, over });
  if (seeking) return;
  Object.assign(at("position"), { max: duration });
  at("position").value = position;
  tell(position, duration);
}

const tell = (position, duration) => (at("time").textContent = `${clockTime(position)} / ${clockTime(duration)}`);

at("position").addEventListener("input", ({ target }) => {
  seeking = true;
  tell(Number(target.value), Number(target.max));
});
at("position").addEventListener("change", () => {
  room?.send({ type: "seek", to: Number(at("position").value) });
  setTimeout(() => (seeking = false), 1000); // until the hub's word is newer
});
at("play").addEventListener("click", () => {
  const { paused, over } = at("play").dataset;
  if (over === "true") room?.send({ type: "seek", to: 0 }); // again from the beginning
  if (over !== "true" || paused === "true") room?.send({ type: "pause", paused: paused !== "true" });
});

// --- what is done here

at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!text) return;
  if (sending) sending.say({ type: "say", text });
  else room?.send({ type: "say", text });
  at("text").value = "";
});

at("rung").addEventListener("change", () => {
  localStorage.setItem("rung", at("rung").value);
  room?.choose(at("rung").value);
});

at("user").addEventListener("change", () => localStorage.setItem("user", at("user").value.trim()));
at("leave").addEventListener("click", () => back());

at("golive").addEventListener("submit", async (event) => {
  event.preventDefault();
  const settings = { name: at("stream-name").value, user: at("user").value.trim(), device: at("device").value, size: at("live-size").value, takeOver: at("take-over").checked };
  const sent = ({ bytes, width, height }) => {
    painted.count += 1;
    painted.bytes += bytes;
    root.dataset.sent = Number(root.dataset.sent ?? 0) + 1;
    at("stage").style.aspectRatio = `${width} / ${height}`;
  };
  const over = (why) => {
    sending = null;
    back(why);
  };
  try {
    if (!navigator.mediaDevices) throw new Error(`browsers give camera and screen to pages of https alone: open ${encrypted}`);
    sending = await Sending.begin(at("own"), settings, { word, sent, notice, gone, over });
    at("video").hidden = true;
  } catch (error) {
    at("refused").textContent = `Could not go live: ${error.message}`;
    return;
  }
  leaveHall();
  show(settings.name);
  at("rung-label").hidden = true;
  notice(null);
});

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else at("stage").requestFullscreen?.().catch(() => {});
}
at("full").addEventListener("click", full);
at("stage").addEventListener("dblclick", full);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, button, a")) return;
  const acts = { f: full, p: () => at("snapshot").hidden || at("snapshot").click(), " ": () => at("seek").hidden || at("play").click() };
  if (acts[event.key]) {
    event.preventDefault();
    acts[event.key]();
  }
});

// --- our own figures

let before = null;
let counted = null;
let losses = [null, null];

/** What grew since the hub's last word, a second. */
function leftOut(own) {
  const now = performance.now() / 1000;
  const counts = own ? [own.lost, own.dropped] : null;
  if (!counts) losses = [null, null];
  const span = now - (counted?.now ?? now);
  if (span > 0 && counts && counted.counts) losses = counts.map((count, i) => Math.max(0, count - counted.counts[i]) / span);
  counted = { now, counts };
}

function tick() {
  const now = performance.now() / 1000;
  const span = before ? Math.max(0.1, now - before.now) : null;
  if ((room || sending) && span) {
    const { count, latency, bytes } = painted;
    charts.fps.add(now, [count / span]);
    const here = count && clock && room ? latency / count : null;
    charts.latency.add(now, [here], here === null ? "" : `±${clock.error.toFixed(0)}`);
    charts.bitrate.add(now, [(bytes * 8) / span / 1e6]);
    charts.loss.add(now, losses);
  }
  before = { now };
  painted = { count: 0, latency: 0, bytes: 0 };
}

setInterval(tick, PERIOD);
// While a page loads an answer takes long: some soon, of which the quickest counts.
[0, 300, 600, 1000, 2000].forEach((ms) => setTimeout(() => ask().catch(() => {}), ms));
setInterval(() => ask().catch(() => {}), 5000);

/** The name after the `#`, which anybody may have written. */
function named() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

function follow() {
  const name = named();
  if (room?.name === name || sending) return;
  room?.end();
  room = null;
  if (name) enter(name);
  else back();
}
addEventListener("hashchange", follow);
follow();
