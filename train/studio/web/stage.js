/* The stage: faces, their sound, and the controls of both; the sound's clock moves the faces. */
import { el, fill, seconds } from "./dom.js";
import { weightsAt, CHANNELS } from "./mesh.js";
import { Pictures } from "./pictures.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";
import { canDraw, Viewer } from "./viewer.js";

const KEPT = 600; // frames whose clocks are kept for whoever looks

export class Stage {
  constructor(studio, { count = 1 } = {}) {
    this.studio = studio;
    this.takes = [];
    this.count = count;
    this.clocks = [];
    this.weights = new Float32Array(CHANNELS);
    this.player = new Player();
    this.player.changed = () => this._controls();
    this.timeline = new Timeline(time => this.player.seek(time));
    this.timeline.now = () => this.player.time();
    this.status = el("p", { class: "status", role: "status" });
    this.captions = el("div", { class: "captions" });
    this.canvas = el("canvas", { class: "face", "aria-label": "The animated face; drag to turn it", role: "img" });
    this._buttons();
    this.frame = el("div", { class: "frame" }, this.canvas, this.captions, this.status);
    this.element = el("div", { class: "stage" }, this.tools, this.frame, this.transport);
    this.drawable = canDraw();
    if (this.drawable) this.viewer = new Viewer(this.canvas);
    else this._withoutDrawing();
    this._head(this.head.value);
  }

  _buttons() {
    this.head = el("select", { "aria-label": "Head", class: "head", onchange: () => this._head(this.head.value) });
    fill(this.head, this.studio.heads.map(name => [name, name === "esarm" ? "own head" : name]));
    this.wire = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const on = this.wire.getAttribute("aria-pressed") !== "true";
      this.wire.setAttribute("aria-pressed", String(on));
      if (this.viewer) this.viewer.wireframe = on;
    } }, "Wireframe");
    this.front = el("button", { type: "button", onclick: () => this.viewer?.reset() }, "Front");
    this.tools = el("div", { class: "tools" }, this.head, this.wire, this.front);
    this.playing = el("button", { type: "button", class: "play", "aria-keyshortcuts": "Space", onclick: () => this.player.toggle() }, "Play");
    this.loop = el("input", { type: "checkbox", onchange: () => this.player.setLoop(this.loop.checked) });
    this.speed = el("select", { "aria-label": "Speed", onchange: () => this.player.setRate(Number(this.speed.value)) });
    fill(this.speed, [["1", "speed 1"], ["0.5", "speed 0.5"], ["0.25", "speed 0.25"]]);
    this.clock = el("output", { class: "clock" }, "0.00 s");
    this.fps = el("output", { class: "fps", title: "Pictures a second" });
    this.transport = el("div", { class: "transport", role: "group", "aria-label": "Playback" },
      this.playing, el("label", {}, this.loop, "Loop"), this.speed, this.clock, this.fps);
  }

  _withoutDrawing() {
    this.pictures = new Pictures(this.captions);
    this.canvas.replaceWith(this.pictures.element);
    this.wire.disabled = this.front.disabled = true;
  }

  async _head(name) {
    try {
      if (this.viewer) await this.viewer.show(name, this.count);
      else this.pictures.head = name;
      this.named = name;
      this.headChanged?.();
    } catch (error) {
      this.studio.notice(error.message);
      this.head.value = this.named ?? "esarm";
    }
    this.drawn = undefined;
  }

  /** Show takes side by side, `{motion, rate_hz, job, number, label}` each. */
  async setTakes(takes) {
    this.takes = takes;
    const count = Math.max(1, takes.length);
    if (this.viewer && count !== this.count) { this.count = count; await this.viewer.show(this.named ?? "esarm", count); }
    this.pictures?.setTakes(takes);
    this.captions.replaceChildren(...(takes.length > 1 ? takes : []).map(take => el("span", {}, take.label)));
    this.drawn = undefined;
    this._controls();
  }

  async load(wave) {
    await this.player.load(wave);
    this.timeline.setSound(this.player.buffer);
  }

  clear() {
    this.player.pause();
    this.player.buffer = null;
    this.setTakes([]);
    this.timeline.setSound(null);
    this.timeline.setRows([]);
    this.viewer?.pose(0, new Float32Array(CHANNELS));
  }

  say(text) { this.status.textContent = text; }

  _controls() {
    this.drawn = undefined; // so that the clock is exact where it stops
    this.playing.textContent = this.player.playing ? "Pause" : "Play";
    this.playing.disabled = !this.player.buffer;
  }

  start() {
    if (this.running) return;
    this.running = true;
    window.studio.stage = this;
    this.key ??= event => this._key(event);
    addEventListener("keydown", this.key);
    const tick = () => { if (!this.running) return; this._tick(); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }

  stop() {
    this.running = false;
    this.player.pause();
    removeEventListener("keydown", this.key);
  }

  _tick() {
    const time = this.player.time();
    if (time !== this.drawn) {
      this.takes.forEach((take, k) => this.viewer?.pose(k, weightsAt(take.motion, take.rate_hz, time, this.weights)));
      this.pictures?.at(time);
      this.timeline.at(time);
      const now = this.player.playing ? `${time.toFixed(1)} s` : seconds(time);
      const said = `${now} / ${seconds(this.player.duration)}`;
      if (said !== this.said) this.clock.textContent = this.said = said;
      this.drawn = time;
    }
    const drew = this.viewer?.draw() ?? false;
    this._count(performance.now(), time, drew);
  }

  /** Keep when which moment was drawn, and how many pictures a second there were. */
  _count(now, time, drew) {
    if (drew) {
      this.clocks.push({ now, picture: time, sound: this.player.time() });
      if (this.clocks.length > KEPT) this.clocks.shift();
    }
    if (now - (this.since ?? 0) < 500) return;
    const recent = this.clocks.filter(each => each.now > now - 1000).length;
    this.fps.textContent = this.player.playing && recent ? `${recent} fps` : "";
    this.since = now;
  }

  _key(event) {
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox") return;
    if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); this.player.toggle(); }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !event.defaultPrevented && !["A"].includes(event.target.tagName)) {
      event.preventDefault();
      this.player.seek(this.player.time() + step / 30);
    }
  }
}
