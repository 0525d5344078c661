/* Judge: two animations of one utterance side by side, blind; which is better? */
import { get, post, Refused, remove } from "./api.js";
import { el } from "./dom.js";
import { Setup } from "./judge_setup.js";
import { results } from "./judge_results.js";
import { PairStage } from "./pair.js";

export const title = "Judge";
document.head.append(el("link", { rel: "stylesheet", href: "/web/judge.css" }));

const ANSWERS = [
  ["a", "A is better", ["A", "←"]], ["tie", "They are equal", ["T"]],
  ["cannot-tell", "Cannot tell", ["C"]], ["b", "B is better", ["B", "→"]],
];
const VERDICTS = { a: "a", arrowleft: "a", b: "b", arrowright: "b", t: "tie", c: "cannot-tell" };
const PLAYED = { " ": "both", 1: "a", 2: "b", 3: "both" };
const STRENGTHS = { 1: "weak", 2: "medium", 3: "strong" };
const LOOK_MS = 450, WAIT_S = 5, MORE = 25;

export function mount(studio) { return new Judge(studio); }

/** Ask for a seat; return `{taken}` where the name needs a decision. */
async function seated(body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try { answer = await fetch("/api/judge/sessions", options); } catch { throw new Refused("The studio does not answer. Is `esarm studio` still running?"); }
  const told = await answer.json();
  if (!answer.ok && !told.taken) throw new Refused(told.error);
  return told;
}

class Judge {
  constructor(studio) {
    this.studio = studio;
    this.stage = new PairStage(studio);
    this.stage.changed = () => this._buttons();
    this.setup = new Setup({ begin: asked => this._guarded(() => this._begin(asked)), make: asked => this._guarded(() => this._make(asked)) });
    this.element = el("section", { class: "judge" }, this.setup.element, this._judging(), this._results());
    this.key = event => this._key(event);
    this.mode("setup");
    window.studio.judge = this;
  }

  /** Show `setup`, `judging` or `results`. */
  mode(name) {
    this.shown = name;
    this.setup.element.hidden = name !== "setup";
    this.judging.hidden = name !== "judging";
    this.summary.hidden = name !== "results";
    if (name === "judging" && this.visible) this.stage.start(); else this.stage.stop();
  }

  show() {
    this.visible = true;
    addEventListener("keydown", this.key);
    this.mode(this.shown);
    if (this.shown === "setup") this._guarded(() => this._open());
  }

  hide() {
    this.visible = false;
    removeEventListener("keydown", this.key);
    this.stage.stop();
  }

  _judging() {
    this.count = el("strong", { class: "count", id: "count" });
    this.bar = el("progress", { max: "1", value: "0", "aria-label": "Pairs judged" });
    this.who = el("span", { class: "faint", id: "who" });
    this.saved = el("span", { class: "faint", id: "saved", role: "status" });
    this.undo = button("Undo", ["U"], () => this._undo(), { id: "undo" });
    this.said = el("p", { class: "spoken" });
    this.plays = [["both", "Both", ["Space"]], ["a", "A alone", ["1"]], ["b", "B alone", ["2"]]].map(([which, text, keys]) =>
      button(text, keys, () => this.stage.play(which), { id: `play-${which}` }));
    this.answers = ANSWERS.map(([verdict, text, keys]) =>
      button(text, keys, () => this._answer(verdict), { class: "answer", "data-verdict": verdict, id: `answer-${verdict}` }));
    return this.judging = el("div", { class: "judging", tabindex: "-1", role: "group", "aria-label": "Judge a pair" },
      el("div", { class: "judge-bar" }, this.count, this.bar, this.who, this.saved,
        el("div", { class: "row end" }, this.undo,
          el("button", { type: "button", id: "show-results", onclick: () => this._guarded(() => this._summary("So far")) }, "Results"),
          el("button", { type: "button", id: "leave", onclick: () => this._guarded(() => this._leave()) }, "Leave"))),
      this.said, this.stage.element,
      el("div", { class: "judge-time" }, el("div", { class: "row", role: "group", "aria-label": "Play" }, ...this.plays), this.stage.timeline.element),
      el("div", { class: "answers", role: "group", "aria-labelledby": "asked" }, el("h2", { id: "asked" }, "Which face speaks this better?"), ...this.answers));
  }

  _results() {
    this.what = el("h2", { class: "headline", tabindex: "-1", id: "headline" });
    this.body = el("div", { class: "found" });
    this.back = el("button", { type: "button", class: "main", id: "back", onclick: () => this._guarded(() => this._more()) });
    this.other = el("button", { type: "button", id: "another", onclick: () => this._guarded(() => this._leave()) }, "Another rater");
    return this.summary = el("div", { class: "summary" }, el("div", { class: "row head-line" }, this.what, el("div", { class: "row end" }, this.back, this.other)), this.body);
  }

  /** Do something; say what went wrong, and go back where a session has ended. */
  async _guarded(work) {
    if (this.busy) return;
    this.busy = true;
    try { this.studio.notice(""); await work(); } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      this.studio.notice(error.message);
      if (this.session) await this._recover(error.message);
    } finally { this.busy = false; this._buttons(); }
  }

  /** After a refusal: show the pair that the server has on the screen by now, or begin anew. */
  async _recover(message) {
    try {
      const told = await get(`/api/judge/sessions/${this.session}`);
      if (told.state === "pair" && told.number !== this.number) await this._told(told);
    } catch {
      this._forget();
      this.mode("setup");
      await this._open().catch(() => {});
      this.studio.notice(message);
    }
  }

  /** Open the page: the session of this tab goes on; else who judges is asked. */
  async _open() {
    const kept = sessionStorage.getItem("esarm-judge");
    if (kept) {
      try { await this._told(await get(`/api/judge/sessions/${kept}`)); return; } catch { this._forget(); }
    }
    await this._status();
    if (!this.setup.told.lack) this.setup.name.focus();
  }

  /** Show what can be judged, as long as it is looked at and changes. */
  async _status() {
    const told = await get("/api/judge");
    this.setup.show(told);
    const changes = ["opening", "making"].includes(told.pool?.state);
    if (changes && this.visible && this.shown === "setup") setTimeout(() => this._status().catch(() => {}), LOOK_MS);
  }

  async _make(asked) {
    await post("/api/judge/pool", asked);
    await this._status();
  }

  async _begin(asked) {
    const told = await seated(asked);
    if (told.taken) { this.setup.taken(told.taken); return; }
    localStorage.setItem("esarm-rater", told.rater);
    if (!this.setup.asked) await post("/api/judge/pool", this.setup.pool());
    this.setup.asked = true;
    await this._told(told.state === "empty" ? await get(`/api/judge/sessions/${told.session}`) : told);
  }

  /** Show what the server tells of a session: a pair, a wait, or the end. */
  async _told(told) {
    this.session = told.session;
    sessionStorage.setItem("esarm-judge", told.session);
    this.number = undefined;
    let now = told;
    this.asked = { rater: now.rater, choice: now.choice };
    this._progress(now);
    if (now.state !== "done") { this.mode("judging"); this.judging.focus(); }
    while (now.state === "waiting") {
      this.stage.say(now.message);
      now = await get(`/api/judge/sessions/${this.session}?wait=${WAIT_S}`); // answered once there is a pair
    }
    this.stage.say("");
    if (now.state === "pair") await this._pair(now);
    else if (now.state === "done") await this._summary(now.message);
    else { this._forget(); this.mode("setup"); await this._status(); }
  }

  _progress({ answered, goal, rater }) {
    this.goal = goal;
    this.count.textContent = `Pair ${Math.min(answered + 1, goal)} of ${goal}`;
    this.bar.max = goal;
    this.bar.value = answered;
    this.who.textContent = rater;
    this.answered = answered;
  }

  async _pair(now) {
    const strength = now.emotion === "neutral" ? "" : `, ${STRENGTHS[now.intensity] ?? now.intensity}`;
    this.said.replaceChildren(now.text ? el("q", {}, now.text) : "", el("span", { class: "tag" }, `${now.emotion}${strength}`));
    await this.stage.load(`/api/judge/sessions/${this.session}/pairs/${now.number}`);
    this.number = now.number;
    for (const each of this.answers) each.classList.remove("chosen");
    if (this.visible) this.stage.play("both");
  }

  _answer(verdict) {
    if (this.number === undefined) return;
    return this._guarded(async () => {
      const number = this.number, chosen = this.answers.find(each => each.dataset.verdict === verdict);
      chosen.classList.add("chosen");
      try {
        const told = await post(`/api/judge/sessions/${this.session}/answers`, { number, verdict });
        this.saved.textContent = `saved: ${ANSWERS.find(each => each[0] === verdict)[1].toLowerCase().replace("a is", "A is").replace("b is", "B is")}`;
        await this._told(told);
      } finally { chosen.classList.remove("chosen"); }
    });
  }

  _undo() {
    if (!this.session) return;
    return this._guarded(async () => {
      const told = await remove(`/api/judge/sessions/${this.session}/answers`);
      this.saved.textContent = "taken back; judge it again";
      await this._told(told);
    });
  }

  async _summary(text) {
    const told = await get("/api/judge/agreement");
    this.body.replaceChildren(...results(told));
    this.what.textContent = text;
    const done = this.answered >= this.goal;
    this.back.textContent = this.number === undefined ? `Judge ${MORE} more pairs` : "Go on judging";
    this.back.hidden = !this.session || (this.number === undefined && !done);
    this.mode("results");
    this.what.focus();
  }

  /** Go back to the pair on the screen; behind the last one, ask for more. */
  async _more() {
    if (this.number !== undefined) { this.mode("judging"); this.judging.focus(); return; }
    const told = await seated({ ...this.asked, pairs: this.goal + MORE, take_over: true });
    await this._told(told);
  }

  async _leave() {
    await remove(`/api/judge/sessions/${this.session}`).catch(() => {});
    this._forget();
    this.mode("setup");
    this.setup.name.value = "";
    await this._status();
    this.setup.name.focus();
  }

  _forget() {
    sessionStorage.removeItem("esarm-judge");
    this.session = this.number = undefined;
    this.saved.textContent = "";
    this.stage.clear();
  }

  _buttons() {
    const ready = this.number !== undefined && !this.busy;
    for (const each of [...this.answers, ...this.plays]) each.disabled = this.number === undefined;
    this.undo.disabled = !this.answered;
    const playing = this.stage.player.playing ? this.stage.which : "";
    for (const each of this.plays) each.setAttribute("aria-pressed", String(each.id === `play-${playing}`));
    this.judging.setAttribute("aria-busy", String(!ready));
  }

  _key(event) {
    if (this.shown !== "judging" || event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = event.key.toLowerCase();
    // A button that has the focus is pressed by the space bar, as everywhere.
    if (PLAYED[key] && !(key === " " && event.target.tagName === "BUTTON")) { event.preventDefault(); this.stage.play(PLAYED[key]); }
    else if (VERDICTS[key]) { event.preventDefault(); this._answer(VERDICTS[key]); }
    else if (key === "u") { event.preventDefault(); this._undo(); }
  }
}

function button(text, keys, pressed, attributes = {}) {
  const shortcuts = keys.map(key => ({ "←": "ArrowLeft", "→": "ArrowRight" }[key] ?? key)).join(" ");
  return el("button", { type: "button", "aria-keyshortcuts": shortcuts, onclick: pressed, ...attributes },
    el("span", {}, text), ...keys.map(key => el("kbd", { "aria-hidden": "true" }, key)));
}
