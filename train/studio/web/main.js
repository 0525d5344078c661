/* The page: tabs, one view for each page, and what they share. A page of its own is one module with
   `title` and `mount(studio)`, which returns {element, show?, hide?}, and one entry in PAGES. */
import { get } from "./api.js";
import { el } from "./dom.js";
import * as animate from "./animate.js";
import * as compare from "./compare.js";
import * as judge from "./judge.js";
import * as watch from "./watch.js";

const PAGES = { animate, compare, judge, watch };
const views = {};
let current;

/** Tell the user something that went wrong, until the next thing is told or it is closed. */
export function notice(text) {
  const box = document.getElementById("notice");
  box.replaceChildren(text, el("button", { type: "button", "aria-label": "Close", onclick: () => { box.hidden = true; } }, "×"));
  box.hidden = !text;
}

function open(name, studio) {
  const page = PAGES[name] ? name : "animate";
  if (page === current) return;
  if (current) { views[current].hide?.(); views[current].element.hidden = true; }
  current = page;
  if (!views[page]) {
    views[page] = PAGES[page].mount(studio);
    views[page].element.setAttribute("role", "tabpanel");
    views[page].element.setAttribute("aria-label", PAGES[page].title);
    document.getElementById("pages").append(views[page].element);
  }
  views[page].element.hidden = false;
  views[page].show?.();
  for (const tab of document.querySelectorAll("#tabs a")) {
    tab.setAttribute("aria-selected", String(tab.dataset.page === page));
  }
}

async function begin() {
  let told;
  try { told = await get("/api/studio"); } catch (error) { notice(error.message); return; }
  const studio = { ...told, notice };
  document.getElementById("tabs").replaceChildren(...Object.entries(PAGES).map(([name, page]) =>
    el("a", { href: `#${name}`, role: "tab", "data-page": name }, page.title)));
  document.getElementById("where").textContent = told.run ? `run ${told.run}` : "shipped policy";
  const go = () => open(location.hash.slice(1), studio);
  addEventListener("hashchange", go);
  go();
  document.body.dataset.ready = "true";
}

window.studio = { views };
begin();
