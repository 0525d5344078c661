/* Animate: a file or the microphone becomes a face that speaks. */
import { bytes, followed, get, motionOf, post, Refused, remove, upload } from "./api.js";
import { el, field, fill, seconds } from "./dom.js";
import { EmotionChoice } from "./emotions.js";
import { CHANNELS } from "./mesh.js";
import { SHAPES, SHOWN } from "./names.js";
import { Recorder } from "./record.js";
import { Stage } from "./stage.js";

export const title = "Animate";
const DECODINGS = [
  ["auto", "automatic"], ["greedy", "greedy"], ["expected-distance", "expected distance"],
  ["median", "median of samples"], ["sampled", "sampled"], ["beam", "beam search"],
];

export function mount(studio) { return new Animate(studio); }

class Animate {
  constructor(studio) {
    this.studio = studio;
    this.sound = null;
    this.job = null;
    this.takes = [];
    this.chosen = new Set(SHOWN);
    this.stage = new Stage(studio);
    this.stage.headChanged = () => this._offer();
    this.recorder = new Recorder(() => this._record());
    this.emotion = new EmotionChoice(() => { this._rows(); this._later(); });
    this._controls();
    this._results();
    this.element = el("section", { class: "animate" },
      this.panel, this.stage.element, this.results, this.stage.timeline.element);
    this.stage.timeline.taken = event => this._drawn(event);
    this._drops();
    this._policy();
    this._warm();
  }

  show() { this.stage.start(); }
  hide() { this.stage.stop(); }

  _controls() {
    const again = () => this._later();
    this.file = el("input", { type: "file", id: "file", accept: "audio/*,video/*", hidden: true,
      onchange: () => { if (this.file.files[0]) this._take(this.file.files[0]); this.file.value = ""; } });
    this.choose = el("button", { type: "button", onclick: () => this.file.click() }, "Choose a file");
    this.mic = el("button", { type: "button", id: "record", onclick: () => this._record() }, "Record");
    this.shelf = el("select", { "aria-label": "Speech of the folder", onchange: () => this._fromFolder() });
    fill(this.shelf, [["", `from ${this.studio.folder} …`], ...this.studio.sounds.map(name => [name, name])]);
    this.shelf.hidden = !this.studio.sounds.length;
    this.drop = el("div", { class: "drop" }, this.file,
      el("p", {}, "Drop speech here"), el("div", { class: "row" }, this.choose, this.mic), this.shelf,
      this.heard = el("p", { class: "faint", id: "sound" }, "WAV, FLAC, MP3, Ogg; 0.2 s to 10 min"));
    this.policy = el("select", { id: "policy", onchange: () => { this._policy(); again(); } });
    fill(this.policy, this.studio.policies.map(each => [each.id, each.label]));
    this.decoding = el("select", { id: "decoding", onchange: again });
    fill(this.decoding, DECODINGS);
    this.samples = el("select", { id: "samples", onchange: again });
    fill(this.samples, Array.from({ length: 8 }, (_, i) => [String(i + 1), String(i + 1)]));
    this.speaker = el("select", { id: "speaker", onchange: again });
    this.seed = el("input", { type: "number", id: "seed", min: "0", max: "2147483000", value: "0", onchange: again });
    this.alive = el("input", { type: "checkbox", id: "alive", checked: true, onchange: again });
    this.go = el("button", { type: "submit", class: "main", id: "go" }, "Animate");
    this.panel = el("form", { class: "panel", onsubmit: event => { event.preventDefault(); this._begin(); } },
      this.drop,
      this.studio.lack ? el("p", { class: "note" }, this.studio.lack) : null,
      field("Policy", this.policy), field("Decoding", this.decoding, "How tokens are chosen"),
      field("Samples", this.samples, "Drawn one after the other; of sampled or median decoding"),
      this.emotion.element,
      field("Speaker", this.speaker, "A training speaker whose face style is used"),
      field("Seed", this.seed), field("Blinks and gaze", this.alive, "Added where the policy writes none"),
      this.go);
  }

  _results() {
    this.chips = el("div", { class: "chips", role: "radiogroup", "aria-label": "Samples" });
    this.said = el("dl", { class: "facts" });
    this.bars = el("div", { class: "bars", "aria-label": "Emotion shown" });
    this.rate = el("select", { "aria-label": "Frames per second", onchange: () => this._offer() });
    fill(this.rate, [["30", "30 fps"], ["60", "60 fps"]]);
    this.downloads = el("div", { class: "downloads", id: "downloads" });
    this.channels = el("div", { class: "channels" }, ...SHAPES.map(name => {
      const input = el("input", { type: "checkbox", value: name, onchange: () => {
        if (input.checked) this.chosen.add(name); else this.chosen.delete(name);
        this._rows();
      } });
      input.checked = this.chosen.has(name);
      return el("label", {}, input, name);
    }));
    this.results = el("aside", { class: "results", "aria-label": "What was made" },
      this.chips, this.said, this.bars,
      el("h2", {}, "Download"), el("div", { class: "row" }, this.rate, this.downloads),
      el("details", {}, el("summary", {}, "Curves shown"), this.channels));
    this._offer();
  }

  /** Offer what the chosen policy was trained on. */
  _policy() {
    const source = this.policy.value.split(":")[0], known = this.studio.conditions[source];
    this.emotion.offer(known.emotions);
    fill(this.speaker, [["", "average of all"], ...known.speakers.map(name => [name, name])]);
  }

  async _warm() {
    if (this.studio.ready) return;
    this.stage.say("loading the policy …");
    while (!this.studio.ready) {
      await new Promise(done => setTimeout(done, 400));
      try { Object.assign(this.studio, await get("/api/studio")); } catch { return; }
    }
    if (!this.job) this.stage.say(this.studio.fault ?? "");
  }

  _drops() {
    const over = on => event => { event.preventDefault(); this.drop.classList.toggle("over", on); };
    this.element.addEventListener("dragover", over(true));
    this.element.addEventListener("dragleave", over(false));
    this.element.addEventListener("drop", event => {
      over(false)(event);
      if (event.dataTransfer.files[0]) this._take(event.dataTransfer.files[0]);
    });
  }

  async _guarded(work) {
    try { this.studio.notice(""); await work(); } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      this.stage.say("");
      this.studio.notice(error.message);
    }
  }

  _take(file) {
    return this._guarded(async () => {
      const limit = this.studio.limits?.bytes ?? 128 * 2 ** 20;
      if (file.size > limit) {
        throw new Refused(`${file.name}: must have at most ${limit / 2 ** 20} MB, got ${Math.round(file.size / 2 ** 20)} MB; cut it, or convert it to FLAC or MP3`);
      }
      this.stage.say(`reading ${file.name} …`);
      await this._heard(await upload(file.name, file));
    });
  }

  _fromFolder() {
    const name = this.shelf.value;
    this.shelf.value = "";
    if (name) this._guarded(async () => this._heard(await post("/api/sounds/chosen", { name })));
  }

  _record() {
    return this._guarded(async () => {
      if (!this.recorder.active) {
        this.stage.player.pause();
        await this.recorder.start();
        this.mic.textContent = "Stop";
        this.mic.classList.add("on");
        this.stage.say("recording …");
        return;
      }
      const file = this.recorder.stop();
      this.mic.textContent = "Record";
      this.mic.classList.remove("on");
      await this._heard(await upload("recording.wav", file));
    });
  }

  async _heard(sound) {
    this.sound = sound;
    this.heard.textContent = [`${sound.name}, ${seconds(sound.duration_s)}`, ...sound.notes].join("; ");
    this.takes = [];
    this.stage.clear();
    // The face is being animated while the sound is fetched.
    await Promise.all([this._animate(), bytes(`/api/sounds/${sound.id}`).then(wave => this.stage.load(wave))]);
  }

  _later() { if (this.sound && this.job && this.emotion.kind !== "curve") this._begin(); }

  _begin() {
    if (!this.sound) { this.studio.notice("Drop a sound file first, choose one, or record."); return; }
    this._guarded(() => this._animate());
  }

  async _animate() {
    if (this.job) remove(`/api/jobs/${this.job.id}`).catch(() => {});
    const many = Number(this.samples.value);
    const job = this.job = await post("/api/animations", {
      sound: this.sound.id, policy: this.policy.value, decoding: this.decoding.value,
      speaker: this.speaker.value || null, samples: many, seed: Number(this.seed.value),
      alive: this.alive.checked, ...this.emotion.asked(this.sound.duration_s),
    });
    const takes = [];
    const fetching = [];
    const last = await followed(job, told => {
      if (this.job.id !== job.id) return;
      this.stage.say(told.state === "waiting" || told.state === "working" ? `${told.message || "waiting"} …` : "");
      while (fetching.length < told.takes.length) {
        const k = fetching.length;
        fetching.push(motionOf(job.id, k).then(motion => {
          if (this.job.id !== job.id) return;
          takes[k] = { ...told.takes[k], job: job.id, number: k, motion };
          this.takes = takes;
          if (k === 0) this._choose(0); else this._list();
        }));
      }
    });
    await Promise.all(fetching);
    if (last.state === "failed" && this.job.id === job.id) throw new Refused(last.message);
  }

  _choose(k) {
    this.take = this.takes[k];
    this.stage.setTakes([this.take]);
    this._list();
    this._facts();
    this._offer();
    this._rows();
  }

  _list() {
    const ready = this.takes.filter(Boolean);
    this.chips.replaceChildren(...(ready.length > 1 ? ready : []).map(take => {
      const input = el("input", { type: "radio", name: "take", onchange: () => this._choose(take.number) });
      input.checked = take === this.take;
      return el("label", {}, input, el("span", {}, String(take.number + 1)));
    }));
  }

  _facts() {
    const { emotion, policy, decoding, seed, n_frames: frames } = this.take;
    const facts = [["policy", policy], ["decoding", decoding], ["seed", seed], ["length", `${seconds(frames / 30)}, ${frames} frames`]];
    if (emotion) facts.push([{ voice: "heard", curve: "drawn" }[emotion.source] ?? "emotion", emotion.words]);
    this.said.replaceChildren(...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
    const shares = Object.entries(emotion?.shares ?? {}).slice(0, 5);
    this.bars.replaceChildren(...shares.map(([name, share]) => {
      const bar = el("meter", { min: "0", max: "1", value: String(share), "aria-label": name });
      return el("label", {}, el("span", {}, name), bar, el("span", {}, share.toFixed(2)));
    }));
  }

  _offer() {
    const take = this.take;
    const rate = Number(this.rate.value), { formats } = this.studio;
    const order = [...formats].sort((a, b) => a.suffix.localeCompare(b.suffix) || a.name.localeCompare(b.name));
    this.downloads.replaceChildren(...order.map(({ name, suffix, description, rates_hz: rates, lack }) => {
      const shared = formats.filter(each => each.suffix === suffix).length > 1;
      const label = suffix.slice(1) + (shared ? ` (${name})` : "");
      const why = lack ?? (rates.includes(rate) ? null : `written at ${rates.join(" or ")} fps alone`);
      const link = el("a", { class: "button", title: why ?? description, "data-format": name, download: true }, label);
      if (!take || why) { link.setAttribute("aria-disabled", "true"); return link; }
      const head = encodeURIComponent(this.stage.named ?? "esarm");
      link.href = `/api/jobs/${take.job}/takes/${take.number}/export?format=${encodeURIComponent(name)}&rate=${rate}&head=${head}`;
      return link;
    }));
  }

  _rows() {
    const rows = [], drawing = this.emotion.row();
    if (drawing) rows.push(drawing);
    if (this.take) {
      for (const name of SHAPES.filter(each => this.chosen.has(each))) {
        const c = SHAPES.indexOf(name), values = [];
        for (let i = c; i < this.take.motion.length; i += CHANNELS) values.push(this.take.motion[i]);
        rows.push({ label: name, lines: [{ values }] });
      }
    }
    this.stage.timeline.setRows(rows);
  }

  /** Draw an emotion's share in the first row of curves; return whether the pointer is there. */
  _drawn(event) {
    const { curves, area } = this.stage.timeline, row = this.emotion.row();
    if (!row) return false;
    const place = pointer => {
      const box = curves.getBoundingClientRect();
      return [(pointer.clientX - box.left) / box.width, 1 - (pointer.clientY - box.top - 3) / (row.height - 6)];
    };
    const box = curves.getBoundingClientRect();
    if (event.clientY < box.top || event.clientY > box.top + row.height) return false;
    let last = place(event);
    const move = pointer => { const next = place(pointer); this.emotion.stroke(last, next); last = next; this._rows(); };
    move(event);
    area.setPointerCapture(event.pointerId);
    area.addEventListener("pointermove", move);
    area.addEventListener("pointerup", () => {
      area.removeEventListener("pointermove", move);
      if (this.sound) this._begin();
    }, { once: true });
    return true;
  }
}
