/* A small chart of curves over steps, with the values at the pointer. */
import { colour, el, fitted } from "./dom.js";

const COLOURS = ["--accent", "--second", "--third", "--fourth"];

export class Chart {
  constructor(heading) {
    this.canvas = el("canvas", { role: "img" });
    this.values = el("p", { class: "faint values" });
    this.element = el("figure", { class: "chart" }, el("figcaption", {}, heading), this.canvas, this.values);
    this.heading = heading;
    this.lines = [];
    this.canvas.addEventListener("pointermove", event => { this.pointed = event.offsetX; this.draw(); });
    this.canvas.addEventListener("pointerleave", () => { this.pointed = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Show lines `{name, points: [[step, value], ...]}`, and marks at steps. */
  set(lines, marks = []) { this.lines = lines; this.marks = marks; this.draw(); }

  draw() {
    if (!this.canvas.clientWidth) return;
    const [pen, width, height] = fitted(this.canvas);
    const all = this.lines.flatMap(line => line.points);
    if (!all.length) return;
    const steps = all.map(point => point[0]), values = all.map(point => point[1]);
    const first = Math.min(...steps), last = Math.max(...steps, first + 1);
    let low = Math.min(...values), high = Math.max(...values);
    if (high - low < 1e-9) { low -= 0.5; high += 0.5; }
    const left = 48, bottom = 18, x = s => left + (s - first) / (last - first) * (width - left - 8);
    const y = v => 6 + (high - v) / (high - low) * (height - bottom - 10);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour("--faint");
    pen.strokeStyle = colour("--line");
    for (const v of [low, (low + high) / 2, high]) {
      pen.beginPath(); pen.moveTo(left, y(v)); pen.lineTo(width - 8, y(v)); pen.stroke();
      pen.textAlign = "right"; pen.fillText(short(v), left - 6, y(v) + 4);
    }
    pen.textAlign = "left"; pen.fillText(String(first), left, height - 4);
    pen.textAlign = "right"; pen.fillText(String(last), width - 8, height - 4);
    pen.strokeStyle = colour("--warn");
    for (const step of this.marks) { pen.beginPath(); pen.moveTo(x(step), 6); pen.lineTo(x(step), height - bottom); pen.stroke(); }
    this.lines.forEach((line, k) => {
      pen.strokeStyle = pen.fillStyle = colour(COLOURS[k % COLOURS.length]);
      pen.lineWidth = 1.8;
      pen.beginPath();
      line.points.forEach(([s, v], i) => i ? pen.lineTo(x(s), y(v)) : pen.moveTo(x(s), y(v)));
      pen.stroke();
      if (line.points.length < 40) for (const [s, v] of line.points) { pen.beginPath(); pen.arc(x(s), y(v), 2.4, 0, 7); pen.fill(); }
    });
    this._say(pointed => first + (pointed - left) / (width - left - 8) * (last - first));
  }

  _say(stepAt) {
    const at = this.pointed === null || this.pointed === undefined ? Infinity : stepAt(this.pointed);
    const parts = this.lines.filter(line => line.points.length).map((line, k) => {
      const near = line.points.reduce((a, b) => Math.abs(b[0] - at) <= Math.abs(a[0] - at) || at === Infinity ? b : a);
      const mark = el("span", { class: "dot" });
      mark.style.background = colour(COLOURS[k % COLOURS.length]);
      return el("span", {}, mark, `${line.name} ${short(near[1])} at ${near[0]} `);
    });
    this.values.replaceChildren(...parts);
    this.canvas.setAttribute("aria-label", `${this.heading}: ${this.values.textContent}`);
  }
}

function short(value) {
  const size = Math.abs(value);
  return size && (size < 0.01 || size >= 10000) ? value.toExponential(1) : value.toFixed(size < 1 ? 3 : 2);
}
