/* Elements of the page, made by one function. */

/** Return an element: `el("p", {class: "faint", onclick: f}, "text", child)`. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "style") Object.assign(made.style, value); // an attribute would be refused
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** Fill a <select>: `[[value, label], ...]`; keeps the value that is chosen if it is still there. */
export function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
  if (options.some(([value]) => value === before)) select.value = before;
}

/** Return a labelled control, `<label><span>text</span>control</label>`. */
export function field(text, control, hint) {
  return el("label", { class: "field", title: hint }, el("span", {}, text), control);
}

/** Return radio buttons that look like one row of buttons; `chosen(value)` is called on a change. */
export function segments(name, label, options, chosen) {
  const group = el("div", { class: "segments", role: "radiogroup", "aria-label": label });
  for (const [value, text, hint] of options) {
    const input = el("input", { type: "radio", name, value, onchange: () => chosen(value) });
    group.append(el("label", { title: hint }, input, el("span", {}, text)));
  }
  group.querySelector("input").checked = true;
  return group;
}

/** Return a colour of the style sheet, which follows light and dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Fit a canvas to its place on the screen; return its pen, width and height in CSS pixels. */
export function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return [pen, width, height];
}

export const seconds = time => `${time.toFixed(2)} s`;
