// Going live: this device's camera or screen, as JPEGs, one on its way at a time.

import { address, pause } from "/room.js";

const HEIGHTS = { "1080p": 1080, "720p": 720, "480p": 480, "360p": 360 };
const FPS = 30;
const QUALITY = 0.8;

export class Sending {
  /** Asks for the device and streams as `name`. `on`: word(word), sent(picture), notice(text or null), gone(), over(why or null). */
  static async begin(video, { name, user, device, size, takeOver }, on) {
    const height = HEIGHTS[size];
    const wanted = { video: { height: { ideal: height }, frameRate: { ideal: FPS } }, audio: false };
    const media = device === "screen" ? navigator.mediaDevices.getDisplayMedia(wanted) : navigator.mediaDevices.getUserMedia(wanted);
    return new Sending(video, await media, { name, user, height, takeOver }, on);
  }

  constructor(video, media, { name, user, height, takeOver }, on) {
    Object.assign(this, { video, media, height, on });
    video.srcObject = media;
    video.hidden = false;
    video.play();
    media.getVideoTracks()[0].onended = () => this.end(null);
    this.canvas = document.createElement("canvas");
    this.seq = 0;
    this.query = new URLSearchParams({ name, live: 1 });
    if (user) this.query.set("user", user);
    if (takeOver) this.query.set("take_over", 1);
    this.tries = 0;
    this.been = false; // live, once
    this.call();
    // A hidden page gets no frames for its video element, but timers once a second.
    this.timer = setInterval(() => this.frame(), 1000 / FPS);
  }

  call() {
    this.busy = true; // until the hub has let us in
    this.socket = new WebSocket(address(this.query));
    this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    this.socket.onclose = () => this.closed();
  }

  hear(word) {
    if (word.type === "refused") return this.end(word.reason);
    if (word.shown !== undefined) return (this.busy = false);
    if (word.type === "entered") {
      this.busy = false;
      this.been = true;
      this.tries = 0;
      this.query.delete("take_over"); // once: who takes our place keeps it
      this.on.notice(null);
    }
    this.on.word(word);
  }

  /** A hub that dies while we are live may come back; the camera stays on meanwhile, and what it sees is seen here. */
  closed() {
    if (this.ended) return;
    if (!this.been) return this.end("The hub has closed the connection.");
    this.busy = true;
    this.on.gone();
    this.on.notice("The hub does not answer. It is called again.");
    this.again = setTimeout(() => this.call(), pause(this.tries++));
  }

  frame() {
    const { videoWidth, videoHeight } = this.video;
    if (this.busy || !videoWidth || this.socket.readyState !== WebSocket.OPEN) return;
    this.busy = true;
    const scale = Math.min(1, this.height / videoHeight);
    const even = (length) => Math.max(16, 2 * Math.round((length * scale) / 2));
    const [width, height] = [even(videoWidth), even(videoHeight)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, width, height);
    const captured = BigInt(Math.round(Date.now() * 1000));
    this.canvas.toBlob((blob) => this.send(blob, captured, width, height), "image/jpeg", QUALITY);
  }

  async send(blob, captured, width, height) {
    if (!blob || this.ended) return;
    const data = new Uint8Array(16 + blob.size);
    const view = new DataView(data.buffer);
    view.setBigUint64(0, BigInt(this.seq++), true);
    view.setBigInt64(8, captured, true);
    data.set(new Uint8Array(await blob.arrayBuffer()), 16);
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(data);
    this.on.sent({ bytes: data.length, width, height });
  }

  say(word) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(word));
  }

  end(why) {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.media.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    this.video.hidden = true;
    this.socket.close();
    this.on.over(why);
  }
}
