/* Before judging: who judges, which pairs, and what is made to be judged. */
import { el, field, segments } from "./dom.js";

const DECODINGS = {
  sampled: "sampled", auto: "automatic", greedy: "greedy",
  "expected-distance": "expected distance", median: "median of samples",
};
export const KEYS = [
  ["A", "←", "A is better"], ["B", "→", "B is better"], ["T", null, "they are equal"],
  ["C", null, "cannot tell"], ["U", null, "undo the last answer"], ["Space", null, "play both again"],
  ["1", null, "play A alone"], ["2", null, "play B alone"],
];

export class Setup {
  /** `begin(asked)` seats a rater, `make(asked)` makes animations. */
  constructor({ begin, make }) {
    this.begin = begin;
    this.make = make;
    this.choice = "random";
    this.name = el("input", { type: "text", id: "rater", maxlength: "60", autocomplete: "off", required: true, spellcheck: "false" });
    this.name.value = localStorage.getItem("esarm-rater") ?? "";
    this.pairs = el("input", { type: "number", id: "pairs", min: "1", max: "10000", value: "50", required: true });
    this.how = segments("choice", "Which pairs", [
      ["random", "Random", "Utterances equally often, pairs by chance"],
      ["active", "In doubt", "Pairs about which the run's reward models disagree most"],
    ], value => { this.choice = value; });
    this.why = el("p", { class: "faint", id: "no-active", hidden: true });
    this.go = el("button", { type: "submit", class: "main", id: "begin" }, "Begin");
    this.question = el("div", { class: "question", role: "alertdialog", "aria-labelledby": "question-text", hidden: true });
    this.element = el("div", { class: "setup" }, this.lack = el("p", { class: "note", id: "lack", hidden: true }),
      this.who = el("form", { class: "card", onsubmit: event => { event.preventDefault(); this._ask({}); } },
        el("h2", {}, "Who judges"), field("Your name", this.name, "Under it your answers are kept; any name will do, the same one each time"),
        el("div", { class: "field" }, el("span", {}, "Pairs"), this.how), this.why,
        field("How many", this.pairs, "Answers of yours after which you are shown the results; more can follow"),
        this.go, this.question,
        el("h2", {}, "Keys"), keysTable()),
      this._pool());
  }

  _pool() {
    this.policies = el("div", { class: "checks", role: "group", "aria-label": "Policies" });
    this.decodings = el("div", { class: "checks", role: "group", "aria-label": "Decodings" });
    this.samples = number("samples", "2", 1, 8);
    this.utterances = number("utterances", "60", 0, 100000);
    this.seed = number("judge-seed", "0", 0, 2147483647);
    this.recordings = el("input", { type: "checkbox", id: "recordings", checked: true });
    this.more = el("button", { type: "submit", id: "make" }, "Add animations");
    this.state = el("p", { id: "pool", role: "status" });
    this.bar = el("progress", { max: "1", value: "0", "aria-label": "Utterances that are made" });
    this.file = el("p", { class: "faint path", id: "file" });
    this.problems = el("div", { class: "problems", role: "note", hidden: true });
    return el("form", { class: "card", onsubmit: event => { event.preventDefault(); this.make(this.pool()); } },
      el("h2", {}, "What is judged"), this.state, this.bar,
      el("div", { class: "field top" }, el("span", {}, "Policies"), this.policies),
      el("div", { class: "field top" }, el("span", {}, "Decodings"), this.decodings),
      field("Samples", this.samples, "Of each policy where its decoding draws"),
      field("Recordings", this.recordings, "Whether recorded motion is among the animations"),
      field("Utterances", this.utterances, "Of training and validation, evenly spaced; 0 means all"),
      field("Seed", this.seed, "Of samples, sides and order"), el("div", {}, this.more),
      el("h2", {}, "Answers are written to"), this.file, this.problems);
  }

  /** Show what the server tells. */
  show(told) {
    this.told = told;
    this.lack.hidden = !told.lack;
    this.lack.textContent = told.lack ?? "";
    for (const control of this.element.querySelectorAll("input, button")) control.disabled = Boolean(told.lack);
    this.file.textContent = told.file ?? "";
    this._problems(told.problems ?? []);
    const active = this.how.querySelector("[value=active]");
    active.disabled = Boolean(told.active || told.lack);
    this.why.hidden = !told.active || Boolean(told.lack);
    this.why.textContent = told.active ? `Pairs in doubt need a reward model: ${told.active}.` : "";
    if (active.disabled && this.choice === "active") { this.how.querySelector("[value=random]").checked = true; this.choice = "random"; }
    if (!this.policies.children.length) {
      this.policies.append(...checks("policy", (told.policies ?? []).map(name => [name, name]), told.policies));
      this.decodings.append(...checks("decoding", told.decodings.map(name => [name, DECODINGS[name] ?? name]), ["sampled"]));
    }
    this._state(told.pool);
  }

  _state(pool) {
    this.bar.hidden = true;
    if (!pool) { this.state.textContent = ""; return; }
    this.asked = Boolean(pool.asked);
    this.more.hidden = !this.asked;
    const made = `${pool.animations} animations of ${pool.utterances} utterances`;
    const texts = {
      asleep: "", opening: "The run is being opened …", failed: pool.message,
      making: `${made}; more are being made …`,
      ready: pool.animations ? `${made} are ready.` : "They are made when you begin; the first pair takes some seconds.",
    };
    this.state.textContent = texts[pool.state];
    this.state.classList.toggle("wrong", pool.state === "failed");
    this.bar.hidden = pool.state !== "making";
    this.bar.max = pool.wanted || 1;
    this.bar.value = pool.done;
  }

  _problems(lines) {
    this.problems.hidden = !lines.length;
    this.problems.replaceChildren(el("p", {}, "Lines of this file that cannot be read; they stay as they are, and all others count:"),
      el("ul", {}, ...lines.map(line => el("li", {}, line))));
  }

  /** Return what is to be made. */
  pool() {
    const chosen = box => [...box.querySelectorAll("input:checked")].map(input => input.value);
    return {
      policies: chosen(this.policies), decodings: chosen(this.decodings), samples: Number(this.samples.value),
      recordings: this.recordings.checked, utterances: Number(this.utterances.value), seed: Number(this.seed.value),
    };
  }

  _ask(decided) {
    this.question.hidden = true;
    this.begin({ rater: this.name.value, choice: this.choice, pairs: Number(this.pairs.value), ...decided });
  }

  /** Ask whether a name that is taken is the rater's own. */
  taken({ rater, answers, at_work: busy }) {
    const given = `${answers} ${answers === 1 ? "answer" : "answers"}`;
    const text = busy
      ? `${rater} is judging in another window of this studio. Go on here, which ends it there?`
      : `${rater} has given ${given} already. Are you ${rater}?`;
    const yes = el("button", { type: "button", class: "main", id: "go-on", onclick: () => this._ask(busy ? { take_over: true } : { go_on: true }) },
      busy ? "Go on here" : `Yes, go on as ${rater}`);
    const no = el("button", { type: "button", id: "other-name", onclick: () => { this.question.hidden = true; this.name.select(); this.name.focus(); } }, "No, take another name");
    this.question.replaceChildren(el("p", { id: "question-text" }, text), el("div", { class: "row" }, yes, no));
    this.question.hidden = false;
    yes.focus();
  }
}

function number(id, value, min, max) {
  return el("input", { type: "number", id, min: String(min), max: String(max), value, required: true });
}

function checks(name, options, chosen) {
  return options.map(([value, label]) => {
    const input = el("input", { type: "checkbox", name, value });
    input.checked = chosen.includes(value);
    return el("label", {}, input, label);
  });
}

function keysTable() {
  return el("dl", { class: "keys" }, ...KEYS.flatMap(([key, other, what]) => [
    el("dt", {}, el("kbd", {}, key), ...(other ? [" ", el("kbd", {}, other)] : [])), el("dd", {}, what)]));
}
