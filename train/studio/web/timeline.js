/* The timeline: waveform, rows of curves below it, and a line at the time; click or drag to go there. */
import { colour, el, fitted, seconds } from "./dom.js";

const WAVE_HEIGHT = 64, ROW_HEIGHT = 30, STEP_S = 1 / 30;

export class Timeline {
  /** `sought(time)` is called where the user points. */
  constructor(sought) {
    this.rows = []; // {label, lines: [{values, colour}], low, high, height?, draw?}
    this.duration = 0;
    this.wave = el("canvas", { class: "wave", "aria-hidden": "true" });
    this.curves = el("canvas", { class: "curves", "aria-hidden": "true" });
    this.cursor = el("div", { class: "cursor" });
    this.area = el("div", { class: "area" }, this.wave, this.curves, this.cursor);
    this.labels = el("div", { class: "labels", "aria-hidden": "true" });
    this.element = el("div", {
      class: "timeline", tabindex: "0", role: "slider", "aria-label": "Time in the recording",
      "aria-valuemin": "0", onkeydown: event => this._key(event),
    }, this.labels, this.area);
    this.sought = sought;
    this.now = () => this.shown ?? 0;
    this._drags();
    new ResizeObserver(() => this.draw()).observe(this.area);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Show a sound, an AudioBuffer or null. */
  setSound(buffer) {
    this.samples = buffer ? buffer.getChannelData(0) : null;
    this.duration = buffer ? buffer.duration : 0;
    this.element.setAttribute("aria-valuemax", this.duration.toFixed(2));
    this.draw();
  }

  setRows(rows) { this.rows = rows; this.draw(); }

  /** Move the line; cheap, for every frame. */
  at(time) {
    if (time === this.shown) return;
    this.shown = time;
    const share = this.duration ? Math.min(time / this.duration, 1) : 0;
    this.cursor.style.transform = `translateX(${share * this.area.clientWidth}px)`;
    const told = time.toFixed(1);
    if (told === this.told && time > 0) return; // ten times a second are enough for who listens
    this.told = told;
    this.element.setAttribute("aria-valuenow", time.toFixed(2));
    this.element.setAttribute("aria-valuetext", `${seconds(time)} of ${seconds(this.duration)}`);
  }

  draw() {
    const heights = this.rows.map(row => row.height ?? ROW_HEIGHT);
    const total = heights.reduce((a, b) => a + b, 0);
    this.curves.style.height = `${total}px`;
    this.curves.style.display = total ? "block" : "none";
    this.labels.replaceChildren(
      el("span", { style: { height: `${WAVE_HEIGHT}px` } }, el("i", {}, "sound")),
      ...this.rows.map((row, k) =>
        el("span", { style: { height: `${heights[k]}px` }, title: row.label }, el("i", {}, row.label))),
    );
    if (!this.area.clientWidth) return;
    this._drawWave();
    if (total) this._drawRows(heights);
    const time = this.shown ?? 0;
    this.shown = undefined;
    this.at(time);
  }

  _drawWave() {
    const [pen, width, height] = fitted(this.wave);
    pen.strokeStyle = colour("--line");
    pen.beginPath(); pen.moveTo(0, height / 2); pen.lineTo(width, height / 2); pen.stroke();
    if (!this.samples) return;
    pen.fillStyle = colour("--wave");
    const per = this.samples.length / width, peak = this._peak();
    for (let x = 0; x < width; x++) {
      let low = 0, high = 0;
      const step = Math.max(1, Math.floor(per / 200));
      for (let i = Math.floor(x * per); i < (x + 1) * per && i < this.samples.length; i += step) {
        const v = this.samples[i];
        if (v < low) low = v; else if (v > high) high = v;
      }
      const up = high / peak * (height / 2 - 3), down = -low / peak * (height / 2 - 3);
      pen.fillRect(x, height / 2 - up, 1, Math.max(up + down, 1));
    }
    this._ticks(pen, width, height);
  }

  _peak() {
    let peak = 0.05;
    const step = Math.max(1, Math.floor(this.samples.length / 20000));
    for (let i = 0; i < this.samples.length; i += step) peak = Math.max(peak, Math.abs(this.samples[i]));
    return peak;
  }

  _ticks(pen, width, height) {
    const every = [0.5, 1, 2, 5, 10, 30, 60, 120].find(s => s / this.duration * width > 56) ?? 120;
    pen.fillStyle = colour("--faint");
    pen.font = "10px system-ui, sans-serif";
    for (let t = every; t < this.duration; t += every) {
      const x = t / this.duration * width;
      pen.fillRect(x, height - 4, 1, 4);
      pen.fillText(`${+t.toFixed(1)}`, x + 3, height - 2);
    }
  }

  _drawRows(heights) {
    const [pen, width] = fitted(this.curves);
    let top = 0;
    this.rows.forEach((row, k) => {
      const height = heights[k];
      pen.strokeStyle = colour("--line");
      pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(0, top + height - 0.5); pen.lineTo(width, top + height - 0.5); pen.stroke();
      if (row.draw) row.draw(pen, { top, width, height });
      else drawLines(pen, row, { top, width, height });
      top += height;
    });
  }

  timeAt(event) {
    const box = this.area.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.duration;
  }

  _drags() {
    const seek = event => { this.sought(this.timeAt(event)); };
    this.area.addEventListener("pointerdown", event => {
      if (event.button || this.taken?.(event)) return;
      this.area.setPointerCapture(event.pointerId);
      this.dragging = true;
      seek(event);
    });
    this.area.addEventListener("pointermove", event => { if (this.dragging) seek(event); });
    for (const name of ["pointerup", "pointercancel"]) {
      this.area.addEventListener(name, () => { this.dragging = false; });
    }
  }

  _key(event) {
    const now = this.now(), big = event.shiftKey ? 15 : 1;
    const to = {
      ArrowLeft: now - big * STEP_S, ArrowRight: now + big * STEP_S, Home: 0, End: this.duration,
      PageUp: now - 1, PageDown: now + 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.sought(to);
  }
}

/** Draw curves of a row; values may have gaps (null). */
export function drawLines(pen, row, { top, width, height }) {
  const { low = 0, high = 1 } = row;
  const y = v => top + height - 3 - (Math.min(Math.max(v, low), high) - low) / (high - low || 1) * (height - 6);
  for (const line of row.lines) {
    const n = line.values.length;
    pen.strokeStyle = line.colour ?? colour("--accent");
    pen.lineWidth = line.width ?? 1.4;
    pen.beginPath();
    let open = false;
    for (let i = 0; i < n; i++) {
      const v = line.values[i];
      if (v === null || Number.isNaN(v)) { open = false; continue; }
      const x = n > 1 ? i / (n - 1) * width : 0;
      if (open) pen.lineTo(x, y(v)); else pen.moveTo(x, y(v));
      open = true;
    }
    pen.stroke();
  }
}
