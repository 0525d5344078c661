/* The choice of an emotion: heard, set, blended, or drawn as a curve over time. */
import { el, fill, segments } from "./dom.js";
import { emotionColour } from "./names.js";

const POINTS = 49, DRAW_HEIGHT = 96;

export class EmotionChoice {
  /** `changed()` is called when something else is chosen. */
  constructor(changed) {
    this.changed = changed;
    this.kind = "auto";
    this.emotions = [];
    this.drawn = {};
    this.set = el("select", { "aria-label": "Emotion", onchange: changed });
    this.sliders = el("div", { class: "sliders" });
    this.brushes = el("div", { class: "brushes", role: "radiogroup", "aria-label": "Emotion to draw" });
    this.help = el("p", { class: "faint" }, "Draw its share in the row under the waveform; what is missing to 1 is neutral.");
    this.clear = el("button", { type: "button", onclick: () => { this.drawn = {}; changed(); } }, "Clear the drawing");
    this.bodies = {
      auto: el("p", { class: "faint" }, "What the voice tells; half neutral where that is unsure."),
      set: this.set,
      mix: this.sliders,
      curve: el("div", {}, this.brushes, this.help, this.clear),
    };
    const choose = kind => { this.kind = kind; this._show(); changed(); };
    this.intensity = el("select", { "aria-label": "Intensity", id: "intensity", onchange: changed });
    fill(this.intensity, [["", "automatic"], ["1", "1, weak"], ["2", "2"], ["3", "3, strong"]]);
    this.element = el("fieldset", {}, el("legend", {}, "Emotion"),
      segments("emotion", "How the emotion is chosen", [
        ["auto", "Voice", "As heard in the voice"], ["set", "Set", "One emotion"],
        ["mix", "Blend", "Shares of several"], ["curve", "Draw", "A curve over time"],
      ], choose),
      ...Object.values(this.bodies),
      el("label", { class: "field" }, el("span", {}, "Intensity"), this.intensity));
    this._show();
  }

  /** Offer the emotions that a policy was trained on. */
  offer(emotions) {
    if (emotions.join() === this.emotions.join()) return;
    this.emotions = emotions;
    fill(this.set, emotions.map(name => [name, name]));
    this.sliders.replaceChildren(...emotions.map(name => el("label", {}, el("span", {}, name),
      el("input", { type: "range", min: "0", max: "1", step: "0.05", value: name === emotions[0] ? "1" : "0",
        "data-emotion": name, "aria-label": `Share of ${name}`, onchange: this.changed }))));
    const others = emotions.filter(name => name !== "neutral");
    this.brush = others[0];
    this.brushes.replaceChildren(...others.map(name => {
      const input = el("input", { type: "radio", name: "brush", value: name, onchange: () => { this.brush = name; this.changed(); } });
      input.checked = name === this.brush;
      const chip = el("label", {}, input, el("span", {}, name));
      chip.style.setProperty("--chip", emotionColour(name));
      return chip;
    }));
    for (const name of Object.keys(this.drawn)) if (!emotions.includes(name)) delete this.drawn[name];
  }

  _show() {
    for (const [kind, body] of Object.entries(this.bodies)) body.hidden = kind !== this.kind;
  }

  /** Return what the server is asked for, for a sound of so many seconds. */
  asked(duration) {
    const intensity = this.intensity.value ? Number(this.intensity.value) : null;
    if (this.kind === "auto") return { emotion: { kind: "auto" }, intensity };
    if (this.kind === "set") return { emotion: { kind: "mix", shares: { [this.set.value]: 1 } }, intensity };
    if (this.kind === "mix") {
      const shares = {};
      for (const input of this.sliders.querySelectorAll("input")) {
        if (Number(input.value) > 0) shares[input.dataset.emotion] = Number(input.value);
      }
      return { emotion: { kind: "mix", shares }, intensity };
    }
    return { emotion: this._curve(duration), intensity };
  }

  _curve(duration) {
    const times_s = Array.from({ length: POINTS }, (_, i) => i / (POINTS - 1) * duration);
    const shares = {}, rest = new Array(POINTS).fill(1);
    for (const [name, values] of Object.entries(this.drawn)) {
      shares[name] = [...values];
      values.forEach((v, i) => { rest[i] -= v; });
    }
    if (this.emotions.includes("neutral")) shares.neutral = rest.map(v => Math.max(0, v));
    return { kind: "curve", times_s, shares };
  }

  /** Return the row of the timeline that is drawn in; null where nothing is drawn. */
  row() {
    if (this.kind !== "curve") return null;
    const names = [...Object.keys(this.drawn).filter(name => name !== this.brush), this.brush];
    return {
      label: `share of ${this.brush}`, height: DRAW_HEIGHT, drawn: true,
      lines: names.map(name => ({
        values: this.drawn[name] ?? new Array(POINTS).fill(0),
        colour: emotionColour(name), width: name === this.brush ? 2.4 : 1.2,
      })),
    };
  }

  /** Draw from one place to another, each `[share of the time, share of the emotion]`. */
  stroke(from, to) {
    const values = this.drawn[this.brush] ??= new Array(POINTS).fill(0);
    const a = Math.round(from[0] * (POINTS - 1)), b = Math.round(to[0] * (POINTS - 1));
    const [first, last] = a <= b ? [a, b] : [b, a];
    for (let i = first; i <= last; i++) {
      const along = a === b ? 1 : (i - a) / (b - a);
      values[i] = Math.min(Math.max(from[1] + along * (to[1] - from[1]), 0), 1);
    }
  }
}
