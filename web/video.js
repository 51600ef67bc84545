// A stream on a canvas: multipart parts are read, decoded and painted one by one.
//
// An <img> would do, but browsers show a part only when the next has begun, which is a frame of delay, and they do not tell
// a part's time. While a frame is being decoded nothing is read, so that a slow page gets newer frames, not later ones.

const END_OF_HEAD = [13, 10, 13, 10];

/** The bytes of a stream, taken in pieces of known length or up to a mark. */
class Bytes {
  constructor(reader) {
    this.reader = reader;
    this.data = new Uint8Array(0);
  }

  async more() {
    const { done, value } = await this.reader.read();
    if (done) throw new Error("the stream is over");
    const joined = new Uint8Array(this.data.length + value.length);
    joined.set(this.data);
    joined.set(value, this.data.length);
    this.data = joined;
  }

  cut(length) {
    const taken = this.data.subarray(0, length);
    this.data = this.data.subarray(length);
    return taken;
  }

  async head() {
    for (let from = 0; ; from = Math.max(0, this.data.length - 3), await this.more()) {
      for (let at = from; at + 4 <= this.data.length; at++) {
        if (END_OF_HEAD.every((byte, i) => this.data[at + i] === byte)) {
          return new TextDecoder("latin1").decode(this.cut(at + 4));
        }
      }
      if (this.data.length > 16384) throw new Error("this is no stream of pictures");
    }
  }

  async exactly(length) {
    if (this.data.length < length) {
      const whole = new Uint8Array(length);
      let at = this.data.length;
      whole.set(this.data);
      while (at < length) {
        const { done, value } = await this.reader.read();
        if (done) throw new Error("the stream is over");
        const fits = Math.min(value.length, length - at);
        whole.set(value.subarray(0, fits), at);
        this.data = value.subarray(fits);
        at += fits;
      }
      return whole;
    }
    return this.cut(length);
  }
}

const field = (head, name) => head.match(new RegExp(`^${name}:\\s*(.+?)\\s*$`, "im"))?.[1];

/**
 * Shows `url` on a canvas, again and again until `stop()`.
 * `shown({ captured, bytes, width, height })` is called after each painted frame, `notice(text or null)` when that changes.
 */
export class Video {
  constructor(canvas, url, { shown = () => {}, notice = () => {} } = {}) {
    Object.assign(this, { canvas, url, shown, notice, stopped: false });
    this.pen = canvas.getContext("2d", { alpha: false });
    document.addEventListener("visibilitychange", () => document.hidden && this.abort?.abort());
    this.run();
  }

  stop() {
    this.stopped = true;
    this.abort?.abort();
  }

  async run() {
    let wait = 250;
    while (!this.stopped) {
      if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      this.abort = new AbortController();
      try {
        await this.play(() => (wait = 250));
      } catch (error) {
        if (this.stopped) return;
        if (!document.hidden) this.notice(error.message === "Failed to fetch" ? "waiting for vstream…" : error.message);
      }
      await new Promise((later) => setTimeout(later, wait));
      wait = Math.min(wait * 2, 4000);
    }
  }

  async play(fine) {
    const waiting = setTimeout(() => this.notice("waiting for a picture…"), 800);
    try {
      const response = await fetch(this.url, { signal: this.abort.signal, cache: "no-store" });
      if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
      const bytes = new Bytes(response.body.getReader());
      for (;;) {
        const head = await bytes.head();
        const length = Number(field(head, "Content-Length"));
        if (!(length > 0 && length <= 64 << 20)) throw new Error("this is no stream of pictures");
        const data = await bytes.exactly(length);
        await this.paint(data, Number(field(head, "X-Timestamp")));
        clearTimeout(waiting);
        fine();
      }
    } finally {
      clearTimeout(waiting);
    }
  }

  async paint(data, captured) {
    const picture = await createImageBitmap(new Blob([data], { type: "image/jpeg" })).catch(() => null);
    if (!picture) return; // a damaged frame: the next one stands for itself
    const { width, height } = picture;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.pen.drawImage(picture, 0, 0);
    picture.close();
    this.notice(null);
    this.shown({ captured, bytes: data.length, width, height });
  }
}
