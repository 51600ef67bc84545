// A room of the hub: its picture, one frame on its way at a time, so that a slow page gets newer frames, not later ones;
// the words of its guests; what is seen of the network.

const AGAIN = [500, 1000, 2000, 5000];

/** How long until a hub that does not answer is called again after so many tries, in ms. */
export const pause = (tries) => AGAIN[Math.min(tries, AGAIN.length - 1)];

export class Room {
  /**
   * Watches stream `name` as `user` on a canvas. `on`: shown(picture), word(word), notice(text or null), gone(what is so now), refused(why).
   */
  constructor(canvas, name, user, rung, on) {
    Object.assign(this, { canvas, name, user, rung, on });
    this.pen = canvas.getContext("2d");
    this.tries = 0;
    this.been = false; // in the room, once
    this.call();
  }

  call() {
    const query = new URLSearchParams({ name: this.name, rung: this.rung });
    if (this.user) query.set("user", this.user);
    this.socket = new WebSocket(address(query));
    this.answered = this.inside = false;
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.paint(data));
    this.socket.onclose = ({ wasClean }) => this.closed(wasClean);
  }

  hear(word) {
    this.answered = true;
    if (word.type === "refused") {
      // What is over may come again. Where we have been, the hub may be back before its stream is, or not know yet that we
      // were gone; but not if it has sent us off. Everything else is for the user to mend.
      if (this.waiting) this.notice("The stream is over. It goes on here when somebody streams again.");
      else if (this.been && !this.sentOff) this.notice(`Waiting: ${word.reason}`);
      else return this.end(word.reason);
      this.on.gone("no streamer");
    } else if (word.type === "out") {
      this.end(word.why);
    } else if (word.type === "over") {
      this.waiting = true;
      this.on.gone("no streamer");
    } else {
      if (word.type === "entered") {
        this.tries = 0;
        this.waiting = false;
        if (this.been && this.at) this.goBack(this.at);
        this.been = this.inside = true;
        this.notice("waiting for the picture");
      }
      if (word.type === "at") this.at = word.position < word.duration ? word : null;
      this.on.word(word);
    }
  }

  /** On in a video where it was, though the hub does not know any more. */
  goBack({ position, paused }) {
    this.send({ type: "seek", to: position });
    if (paused) this.send({ type: "pause", paused });
  }

  async paint(data) {
    const view = new DataView(data);
    const seq = Number(view.getBigUint64(0, true));
    const captured = Number(view.getBigInt64(8, true)) / 1000;
    const begun = performance.now();
    const jpeg = new Blob([new Uint8Array(data, 16)], { type: "image/jpeg" });
    const picture = await createImageBitmap(jpeg).catch(() => null); // a damaged one: the next stands for itself
    if (picture) {
      const { width, height } = picture;
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      this.pen.drawImage(picture, 0, 0);
      picture.close();
      this.notice(null);
      this.on.shown({ captured, bytes: data.byteLength, width, height });
    }
    this.send({ shown: seq, ms: performance.now() - begun });
  }

  notice(text) {
    if (text !== this.noticed) this.on.notice(text);
    this.noticed = text;
  }

  send(word) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(word));
  }

  choose(rung) {
    this.rung = rung;
    this.send({ type: "choose", rung });
  }

  closed(wasClean) {
    if (this.ended) return;
    // A hub that says good bye means us, unless it does not answer then: it was stopped.
    if (this.inside || !this.answered) this.sentOff = this.inside && wasClean;
    if (!this.waiting && (this.inside || !this.answered)) {
      this.on.gone(null);
      this.notice("The hub does not answer. It is called again.");
    }
    const wait = this.waiting ? 2000 : pause(this.tries++);
    this.timer = setTimeout(() => this.call(), wait);
  }

  end(why) {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket.close();
    if (why) this.on.refused(why);
  }
}

/** Where the hub's WebSocket is. */
export function address(query) {
  return `${location.origin.replace(/^http/, "ws")}/ws?${query}`;
}
