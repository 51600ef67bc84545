// A small live chart on a canvas: the last minute of a few series, scaled to what is seen.

const SPAN = 60; // seconds on show

/** Rounds a maximum up so that the axis ends on a round number. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value * 0.999) * power;
}

export class Chart {
  /**
   * Fills `panel` (an element with data-title and data-unit) with a heading, the present value and a canvas.
   * `series`: [{ name, colour (a custom property of the page's style) }], `least`: the axis reaches this far at least.
   */
  constructor(panel, series, { least = 1, digits = 1 } = {}) {
    this.series = series.map((one) => ({ ...one, points: [] }));
    this.least = least;
    this.digits = digits;
    this.unit = panel.dataset.unit ?? "";
    panel.classList.add("panel", "chart");
    const heading = Object.assign(document.createElement("h2"), { textContent: panel.dataset.title });
    this.now = Object.assign(document.createElement("p"), { className: "now" });
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    panel.replaceChildren(heading, this.now, this.canvas);
    if (series.length > 1) {
      const legend = document.createElement("ul");
      for (const { name, colour } of series) {
        const item = Object.assign(document.createElement("li"), { textContent: name });
        item.style.setProperty("--mark", `var(${colour})`);
        legend.append(item);
      }
      panel.append(legend);
    }
    this.title = panel.dataset.title;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.show();
  }

  /** Adds one value a series (null where there is none) at a time in seconds. */
  add(time, values, note = "") {
    this.series.forEach((one, i) => {
      one.points.push([time, values[i] ?? null]);
      while (one.points.length && one.points[0][0] < time - SPAN - 2) one.points.shift();
    });
    this.time = time;
    this.show(note);
    this.draw();
  }

  format(value) {
    if (value == null) return "–";
    const digits = value !== 0 && Math.abs(value) < 10 ? this.digits : Math.min(this.digits, 1);
    return value.toFixed(Math.abs(value) >= 100 ? 0 : digits);
  }

  show(note = "") {
    const values = this.series.map((one) => one.points.at(-1)?.[1] ?? null);
    const text = values.map((value) => this.format(value)).join(" / ");
    const small = Object.assign(document.createElement("small"), { textContent: `${this.unit} ${note}`.trim() });
    this.now.replaceChildren(Object.assign(document.createElement("span"), { textContent: text }), small);
    this.canvas.setAttribute("aria-label", `${this.title}: ${text} ${this.unit}`);
  }

  draw() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const highest = Math.max(this.least, ...this.series.flatMap((one) => one.points.map(([, value]) => value ?? 0)));
    const top = ceiling(highest);
    const x = (time) => width - ((this.time - time) / SPAN) * width;
    const y = (value) => height - 1.5 - (value / top) * (height - 14);
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const at = Math.round(y(top * share)) + 0.5;
      pen.beginPath();
      pen.moveTo(0, at);
      pen.lineTo(width, at);
      pen.stroke();
    }
    pen.fillStyle = style.getPropertyValue("--quiet");
    pen.font = "10.5px system-ui, sans-serif";
    pen.fillText(`${+top.toPrecision(3)}`, 0, 9);
    for (const { points, colour } of this.series) this.line(pen, points, style.getPropertyValue(colour), x, y, height);
  }

  line(pen, points, colour, x, y, height) {
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    let run = [];
    const stroke = () => {
      if (run.length) {
        const path = new Path2D();
        run.forEach(([time, value], i) => path[i ? "lineTo" : "moveTo"](x(time), y(value)));
        pen.stroke(path);
        path.lineTo(x(run.at(-1)[0]), height);
        path.lineTo(x(run[0][0]), height);
        pen.globalAlpha = this.series.length > 1 ? 0.06 : 0.13;
        pen.fill(path);
        pen.globalAlpha = 1;
      }
      run = [];
    };
    for (const point of points) point[1] == null ? stroke() : run.push(point);
    stroke();
  }
}
