/* Watch: the trainings of the run, as they go on. */
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { el } from "./dom.js";

export const title = "Watch";
const EVERY_MS = 1000;
// What belongs together in one chart, the first that knows a column has it.
const GROUPS = [
  ["Score, the proxy", ["score", "validation_score"]],
  ["True errors on validation, mm", ["validation_lve_mm", "validation_eve_mm"]],
  ["KL divergence from the clone", ["kl"]],
  ["Strength of the KL term", ["kl_coef"]],
  ["Loss", ["loss", "train_loss", "validation_loss"]],
];
const UNSHOWN = ["step", "alarm"];

export function mount(studio) { return new Watch(studio); }

class Watch {
  constructor(studio) {
    this.studio = studio;
    this.stages = el("ol", { class: "stages", "aria-label": "Stages" });
    this.list = el("div", { class: "utterances", role: "radiogroup", "aria-label": "Trainings" });
    this.about = el("p", { class: "said", role: "status" });
    this.alarm = el("p", { class: "alarm", role: "status" });
    this.charts = el("div", { class: "charts" });
    this.shown = new Map();
    this.element = el("section", { class: "watch" },
      el("div", { class: "panel" }, el("h2", {}, "Stages"), this.stages, el("h2", {}, "Trainings"), this.list),
      el("div", { class: "board" }, this.about, this.alarm, this.charts));
  }

  show() { this.open = true; this._look(); }
  hide() { this.open = false; }

  async _look() {
    if (!this.open || this.looking) return;
    this.looking = true;
    try {
      await this._trainings();
      if (this.chosen) await this._rows();
    } catch (error) { this.about.textContent = error.message; }
    this.looking = false;
    setTimeout(() => this._look(), EVERY_MS);
  }

  async _trainings() {
    const told = await get("/api/watch");
    if (!told.run) {
      this.about.textContent = "No run is open. Start with `esarm studio RUN` to watch its trainings, also while they go on.";
      return;
    }
    this.stages.replaceChildren(...told.stages.map(stage => el("li", { "data-state": stage.state }, stage.name, el("span", {}, stage.state))));
    const names = told.trainings.map(each => `${each.name}${each.at_work}`).join();
    if (!told.trainings.length) this.about.textContent = "Nothing was trained yet; this page shows it as soon as it is.";
    if (names === this.names) return;
    this.names = names;
    if (!told.trainings.some(each => each.name === this.chosen)) {
      this._choose((told.trainings.find(each => each.at_work) ?? told.trainings[0])?.name);
    }
    this.list.replaceChildren(...told.trainings.map(each => {
      const input = el("input", { type: "radio", name: "training", value: each.name, onchange: () => { this._choose(each.name); this._rows(); } });
      input.checked = each.name === this.chosen;
      return el("label", {}, input, el("span", {}, el("b", {}, each.name), el("small", {}, each.at_work ? "at work" : "finished")));
    }));
  }

  _choose(name) {
    this.chosen = name;
    this.shown.clear();
    this.charts.replaceChildren();
  }

  async _rows() {
    const name = this.chosen;
    const told = await get(`/api/watch/rows?${new URLSearchParams({ name })}`);
    if (this.chosen !== name) return;
    const { columns, rows } = told, step = columns.indexOf("step");
    const points = column => {
      const k = columns.indexOf(column);
      return rows.map((row, i) => [step < 0 ? i + 1 : row[step], row[k]]).filter(([s, v]) => s !== null && v !== null);
    };
    const since = told.changed_s < 90 ? `${Math.round(told.changed_s)} s ago` : `${Math.round(told.changed_s / 60)} min ago`;
    this.about.textContent = told.at_work
      ? `${name}: at work, ${rows.length} rows, the last one ${since}` : `${name}: finished, ${rows.length} rows`;
    const alarms = points("alarm").filter(([, v]) => v > 0).map(([s]) => s);
    const listened = columns.includes("alarm") || told.alarms.length;
    this.alarm.textContent = told.alarms.join("; ") || (alarms.length ? `Alarm of reward hacking at step ${alarms.join(", ")}.` : listened ? "No alarm of reward hacking so far." : "");
    this.alarm.classList.toggle("raised", alarms.length > 0 || told.alarms.length > 0);
    const rest = columns.filter(each => !UNSHOWN.includes(each) && !GROUPS.some(([, names]) => names.includes(each)));
    for (const [heading, names] of [...GROUPS, ...rest.map(each => [each.replaceAll("_", " "), [each]])]) {
      const lines = names.filter(each => columns.includes(each)).map(each => ({ name: each, points: points(each) })).filter(line => line.points.length);
      if (!lines.length) continue;
      if (!this.shown.has(heading)) {
        const chart = new Chart(heading);
        this.shown.set(heading, chart);
        this.charts.append(chart.element);
      }
      this.shown.get(heading).set(lines, alarms);
    }
  }
}
