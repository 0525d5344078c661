/* What came of judging: agreement with oneself, with others and with the reward model. */
import { el } from "./dom.js";

const percent = value => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
const decimal = value => (value === null || value === undefined ? "–" : value.toFixed(2));

/** Return the elements of a summary as the server tells it. */
export function results({ agreement, by_rater: raters, reward, sources, command, problems }) {
  return [
    el("div", { class: "card wide" }, el("h2", {}, "Raters"), raterTable(raters, reward),
      el("p", { class: "faint" }, reward.lack
        ? `Agreement with the reward model is left out: ${reward.lack}.`
        : "Reward model: how often it scores the animation more that the rater prefers; ties and “cannot tell” are left out. In brackets, 95 % by bootstrap over utterances.")),
    el("div", { class: "card" }, el("h2", {}, "Between raters"), ...between(agreement)),
    el("div", { class: "card" }, el("h2", {}, "What is preferred"), ...preferred(sources)),
    el("div", { class: "card wide" }, el("h2", {}, "Next: let the reward learn from the answers"), commandLine(command),
      problems.length ? el("div", { class: "problems" }, el("p", {}, "Lines that cannot be read, and are left out:"), el("ul", {}, ...problems.map(line => el("li", {}, line)))) : null),
  ];
}

function table(head, rows, attributes = {}) {
  return el("table", attributes, el("thead", {}, el("tr", {}, ...head.map(text => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map(cells => el("tr", {}, ...cells.map((cell, k) => (k ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))))));
}

function raterTable(raters, reward) {
  const rows = Object.entries(raters).map(([name, own]) => {
    const total = Object.values(own.answers)[0], with_reward = reward.by_rater[name];
    const cells = [name, String(total), String(own.ties), String(own.cannot_tell), percent(own.left),
      own.repeats ? `${percent(own.with_itself)} of ${own.repeats}` : "no repeat yet"];
    if (!reward.lack) cells.push(rewardCell(with_reward));
    return cells;
  });
  if (!rows.length) return el("p", {}, "Nobody has judged yet.");
  const head = ["Rater", "Answers", "Equal", "Cannot tell", "Left preferred", "With themselves"];
  return table(reward.lack ? head : [...head, "With the reward model"], rows, { id: "raters" });
}

function rewardCell(told) {
  if (!told?.answers) return "–";
  const range = told.low === null ? "" : ` [${Math.round(100 * told.low)}, ${Math.round(100 * told.high)}]`;
  return `${percent(told.share)}${range} of ${told.answers}`;
}

function between({ shared, between: same, alpha, kappas }) {
  if (!shared) return [el("p", { class: "faint" }, "No pair was judged by two raters yet. A second rater gets some of the first one's pairs.")];
  return [
    el("p", {}, `${percent(same)} of ${shared} shared ${shared === 1 ? "pair" : "pairs"} answered alike; Krippendorff's alpha ${decimal(alpha)}.`),
    table(["Raters", "Cohen's kappa"], Object.entries(kappas).map(([names, kappa]) => [names, decimal(kappa)])),
  ];
}

function preferred(sources) {
  if (!sources.length) return [el("p", { class: "faint" }, "Nothing can be told yet.")];
  return [el("div", { class: "bars wins" }, ...sources.map(({ source, share, pairs }) =>
    el("label", { title: `${pairs} answers` }, el("span", {}, source), el("meter", { min: "0", max: "1", value: String(share), "aria-label": source }), el("span", {}, percent(share))))),
  el("p", { class: "faint" }, "Share of the answers that prefer it over another source; equal counts one half.")];
}

function commandLine(command) {
  const copy = el("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
  } }, "Copy");
  return el("div", { class: "command" }, el("code", { id: "command" }, command), copy);
}
