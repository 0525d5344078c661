/* Two faces side by side that speak one sound: both at once, or one while the other waits. */
import { bytes, scaled, unpacked } from "./api.js";
import { el } from "./dom.js";
import { CHANNELS, weightsAt } from "./mesh.js";
import { Pictures } from "./pictures.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";
import { canDraw, Viewer } from "./viewer.js";

const SIDES = ["a", "b"], KEPT = 600, BACK = 1.16, COARSE = 0.8;

/** Pictures of the pair on the screen, which is asked for by its session and number. */
class PairPictures extends Pictures {
  _place(take, frame, size) { return `${take.place}/pictures/${take.side}/${frame}?size=${size}`; }
}

/** Two heads that move are drawn a little coarser where there is no graphics card; still ones are not. */
class PairViewer extends Viewer {
  _draw(width, height, ratio) { super._draw(width, height, this.slow && ratio === 1 ? COARSE : ratio); }
}

export class PairStage {
  /** Show `head`; what cannot be shown is told to `studio.notice`. */
  constructor(studio) {
    this.studio = studio;
    this.takes = [];
    this.which = "both";
    this.clocks = []; // of the newest frames, for whoever looks
    this.weights = new Float32Array(CHANNELS);
    this.player = new Player();
    this.player.changed = () => this._mark();
    this.timeline = new Timeline(time => this.player.seek(time));
    this.canvas = el("canvas", { class: "face", role: "img", "aria-label": "Two animated faces, A on the left and B on the right; drag to turn both" });
    this.veils = SIDES.map(side => el("div", { class: "veil", "data-side": side }));
    const letters = SIDES.map(side => el("span", { class: "letter", "data-side": side, "aria-hidden": "true" }, side.toUpperCase()));
    this.status = el("p", { class: "status", role: "status" });
    this.element = el("div", { class: "pair" }, this.canvas, ...this.veils, ...letters, this.status);
    if (canDraw()) {
      this.viewer = new PairViewer(this.canvas);
      this.ready = this.viewer.show("esarm", 2).then(() => this._stepBack()).catch(error => studio.notice(error.message));
    } else {
      this.pictures = new PairPictures();
      this.canvas.replaceWith(this.pictures.element);
      this.ready = Promise.resolve();
    }
  }

  /** Look at the whole head: hair and chin are in the picture of a cell that is wider than high. */
  _stepBack() {
    const { camera, controls } = this.viewer;
    camera.position.sub(controls.target).multiplyScalar(BACK).add(controls.target);
    controls.update();
  }

  say(text) { this.status.textContent = text; }

  /** Fetch motion and sound of a pair at `place`, and stand at its beginning. */
  async load(place) {
    this.clear();
    const [packed, wave] = await Promise.all([bytes(`${place}/motions`), bytes(`${place}/sound`), this.ready]);
    const { step, rate_hz, arrays } = unpacked(packed);
    await this.player.load(wave);
    this.timeline.setSound(this.player.buffer);
    this.takes = SIDES.map(side => {
      const motion = scaled(arrays[side], step);
      return { place, side, motion, rate_hz, n_frames: motion.length / CHANNELS, label: side.toUpperCase() };
    });
    this.which = "both";
    this.pictures?.setTakes(this.takes);
    this._mark();
  }

  clear() {
    this.player.pause();
    this.player.buffer = null;
    this.takes = [];
    this.timeline.setSound(null);
    SIDES.forEach((_, k) => this.viewer?.pose(k, new Float32Array(CHANNELS)));
    this.drawn = undefined;
  }

  /** Play `both`, `a` or `b` from the beginning. */
  play(which = "both") {
    if (!this.player.buffer) return;
    this.which = which;
    this.player.pause();
    this.player.seek(0);
    this.drawn = undefined;
    this.player.play();
    this._mark();
  }

  _moves(k) { return this.which === "both" || this.which === SIDES[k]; }

  _mark() {
    this.drawn = undefined;
    this.veils.forEach((veil, k) => veil.classList.toggle("waits", !this._moves(k)));
    this.changed?.();
  }

  start() {
    if (this.running) return;
    this.running = true;
    const tick = () => { if (!this.running) return; this._tick(); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }

  stop() { this.running = false; this.player.pause(); }

  _tick() {
    const time = this.player.time();
    if (time !== this.drawn) {
      this.takes.forEach((take, k) => this.viewer?.pose(k, weightsAt(take.motion, take.rate_hz, this._moves(k) ? time : 0, this.weights)));
      this.pictures?.at(time);
      this.timeline.at(time);
      this.drawn = time;
    }
    if (this.viewer?.draw()) {
      this.clocks.push({ now: performance.now(), picture: time, sound: this.player.time() });
      if (this.clocks.length > KEPT) this.clocks.shift();
    }
  }
}
