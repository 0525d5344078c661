/* Compare: two to four methods on one utterance, in sync, with errors and scores over time. */
import { bytes, followed, get, motionOf, post, Refused } from "./api.js";
import { el, field, fill } from "./dom.js";
import { METHOD_COLOURS } from "./names.js";
import { Stage } from "./stage.js";

export const title = "Compare";
const MOST = 4, STRIP_HEIGHT = 22, CURVE_HEIGHT = 74;

export function mount(studio) { return new Compare(studio); }

class Compare {
  constructor(studio) {
    this.studio = studio;
    this.stage = new Stage(studio, { count: 2 });
    this.rows = [];
    this.takes = [];
    this._controls();
    this.table = el("table", { class: "figures" });
    this.about = el("p", { class: "said" });
    this.legend = el("p", { class: "faint" });
    this.element = el("section", { class: "animate compare" }, this.panel, this.stage.element,
      el("aside", { class: "results", "aria-label": "Figures" }, this.about, this.table, this.legend),
      this.stage.timeline.element);
    this._list();
  }

  show() { this.stage.start(); }
  hide() { this.stage.stop(); }

  _controls() {
    const list = () => this._list();
    this.split = el("select", { "aria-label": "Split", onchange: list });
    fill(this.split, [["test", "test"], ["validation", "validation"], ["train", "train"]]);
    this.search = el("input", { type: "search", placeholder: "sentence, speaker, emotion", "aria-label": "Search utterances", oninput: () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(list, 200);
    } });
    this.list = el("div", { class: "utterances", role: "radiogroup", "aria-label": "Utterances" });
    this.count = el("p", { class: "faint" });
    this.methods = el("div", { class: "methods" });
    this.more = el("button", { type: "button", onclick: () => this._add() }, "Add a method");
    this.seed = el("input", { type: "number", min: "0", max: "2147483000", value: "0" });
    this.go = el("button", { type: "submit", class: "main" }, "Compare");
    this.panel = el("form", { class: "panel", onsubmit: event => { event.preventDefault(); this._begin(); } },
      this.studio.lack ? el("p", { class: "note" }, this.studio.lack) : null,
      el("h2", {}, "Utterance"), el("div", { class: "row find" }, this.split, this.search), this.count, this.list,
      el("h2", {}, "Methods"), this.methods, this.more, field("Seed", this.seed, "Of what is sampled"), this.go);
  }

  async _list() {
    const query = new URLSearchParams({ split: this.split.value, search: this.search.value });
    let told;
    try { told = await get(`/api/utterances?${query}`); } catch (error) { this.count.textContent = error.message; return; }
    const first = !this.known;
    this.known = told.methods;
    this.count.textContent = `${told.count} of ${told.corpus}`;
    this.list.replaceChildren(...told.utterances.map(each => {
      const input = el("input", { type: "radio", name: "utterance", value: each.id, onchange: () => { this.chosen = each.id; } });
      input.checked = each.id === this.chosen;
      return el("label", {}, input, el("span", {}, el("b", {}, each.text ?? each.id),
        el("small", {}, `${each.speaker}, ${each.emotion} ${each.intensity}`)));
    }));
    if (!told.utterances.some(each => each.id === this.chosen)) {
      this.chosen = told.utterances[0]?.id;
      const input = this.list.querySelector("input");
      if (input) input.checked = true;
    }
    if (first) {
      const { policies } = told.methods;
      for (const name of ["recording", policies[0], policies.length > 1 ? policies.at(-1) : null]) if (name) this._add(name);
    }
  }

  _add(name) {
    if (this.rows.length >= MOST || !this.known) return;
    const method = el("select", { "aria-label": `Method ${this.rows.length + 1}` });
    const decoding = el("select", { "aria-label": `Decoding of method ${this.rows.length + 1}` });
    fill(method, [...this.known.without_decoding, ...this.known.policies].map(each => [each, each]));
    fill(decoding, this.known.decodings.map(each => [each, each === "auto" ? "automatic" : each]));
    method.value = name ?? this.known.policies[0];
    const show = () => { decoding.hidden = this.known.without_decoding.includes(method.value); };
    method.addEventListener("change", show);
    show();
    const row = { method, decoding };
    const drop = el("button", { type: "button", "aria-label": "Remove this method", onclick: () => {
      this.rows.splice(this.rows.indexOf(row), 1);
      row.element.remove();
      this.more.disabled = false;
    } }, "×");
    row.element = el("div", { class: "method" }, method, decoding, drop);
    this.rows.push(row);
    this.methods.append(row.element);
    this.more.disabled = this.rows.length >= MOST;
  }

  async _begin() {
    const methods = this.rows.map(({ method, decoding }) =>
      decoding.hidden || decoding.value === "auto" ? method.value : `${method.value}:${decoding.value}`);
    this.studio.notice("");
    try {
      const job = await post("/api/comparisons", { utterance: this.chosen ?? "", methods, seed: Number(this.seed.value) });
      this.job = job;
      const done = await followed(job, told => {
        if (this.job.id === job.id) this.stage.say(told.state === "done" ? "" : `${told.message || told.state} …`);
      });
      if (this.job.id !== job.id) return;
      if (done.state !== "done") throw new Refused(done.message);
      const [wave, ...motions] = await Promise.all([
        bytes(`/api/sounds/${done.sound.id}`), ...done.takes.map((_, k) => motionOf(job.id, k)),
      ]);
      this.takes = done.takes.map((take, k) => ({ ...take, job: job.id, number: k, motion: motions[k], colour: METHOD_COLOURS[k] }));
      this.stage.clear();
      await this.stage.load(wave);
      await this.stage.setTakes(this.takes);
      this._figures(done);
      this._curves(done);
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      this.stage.say("");
      this.studio.notice(error.message);
    }
  }

  _figures({ utterance, has_reward: hasReward }) {
    this.about.replaceChildren(utterance.text ?? utterance.id, el("br"), el("small", {}, `${utterance.id}, speaker ${utterance.speaker}, ${utterance.emotion} ${utterance.intensity}`));
    const number = value => value === undefined || value === null ? "–" : value.toFixed(2);
    this.table.replaceChildren(
      el("caption", {}, "Errors in mm, and the learned score"),
      el("tr", {}, ...["", "LVE", "EVE", "score"].map(name => el("th", { scope: "col" }, name))),
      ...this.takes.map(take => {
        const mark = el("span", { class: "dot" });
        mark.style.background = take.colour;
        return el("tr", {}, el("th", { scope: "row" }, mark, take.label),
          ...[take.errors_mm?.lve, take.errors_mm?.eve, take.score].map(value => el("td", {}, number(value))));
      }));
    this.legend.textContent = hasReward
      ? "The strips under the waveform are the learned score by chunk: dark red where the reward model thinks it worst, blue where best; their mean is the score."
      : "This run has no reward model yet: no strips of its score.";
  }

  _curves({ frames_per_chunk: step }) {
    const scores = this.takes.flatMap(take => take.curves.score ?? []);
    const low = Math.min(...scores), high = Math.max(...scores);
    const duration = this.stage.player.duration;
    const strips = this.takes.filter(take => take.curves.score).map(take => ({
      label: take.label, height: STRIP_HEIGHT,
      draw: (pen, { top, width, height }) => take.curves.score.forEach((value, i) => {
        const from = i * step / take.rate_hz / duration * width;
        const to = Math.min((i + 1) * step / take.rate_hz / duration, 1) * width;
        pen.fillStyle = heat(high > low ? (value - low) / (high - low) : 0.5);
        pen.fillRect(from, top + 2, Math.max(to - from - 1, 1), height - 5);
      }),
    }));
    const rows = ["lve", "eve"].filter(name => this.takes.some(take => take.curves[name]?.some(v => v !== null))).map(name => {
      const lines = this.takes.filter(take => take.curves[name]).map(take => ({ values: take.curves[name], colour: take.colour }));
      const most = Math.max(1, ...lines.flatMap(line => line.values.map(v => v ?? 0)));
      return { label: `${name.toUpperCase()}, 0–${most.toFixed(1)} mm`, height: CURVE_HEIGHT, low: 0, high: most, lines };
    });
    this.stage.timeline.setRows([...strips, ...rows]);
  }
}

const STOPS = [[165, 30, 40], [240, 160, 110], [238, 236, 230], [130, 180, 215], [40, 90, 160]];

/** Return the colour of a share: dark red at 0, blue at 1; also told apart without red and green. */
export function heat(share) {
  const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1), i = Math.min(Math.floor(at), STOPS.length - 2);
  const mixed = STOPS[i].map((v, c) => Math.round(v + (at - i) * (STOPS[i + 1][c] - v)));
  return `rgb(${mixed.join()})`;
}
