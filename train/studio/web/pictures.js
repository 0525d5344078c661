/* Faces without WebGL: pictures that the server draws, a strip of the whole and the moment. */
import { el } from "./dom.js";

const STRIP = 12;

export class Pictures {
  constructor() {
    this.takes = [];
    this._head = "esarm";
    this.moments = el("div", { class: "moments" });
    this.strip = el("div", { class: "strip", "aria-label": "Pictures over time" });
    this.element = el("div", { class: "pictures" },
      el("p", { class: "note", role: "note" }, "This browser has no WebGL: the face is shown as pictures that are drawn on the server, a few a second. The sound plays as it should."),
      this.moments, this.strip);
  }

  set head(name) { this._head = name; this.setTakes(this.takes); }

  setTakes(takes) {
    this.takes = takes;
    this.images = takes.map(take => el("img", { alt: `Face at this moment, ${take.label}`, width: "320", height: "320" }));
    this.moments.replaceChildren(...this.images);
    const take = takes[0];
    const frames = take ? Array.from({ length: STRIP }, (_, i) => Math.round(i / (STRIP - 1) * (take.n_frames - 1))) : [];
    this.strip.replaceChildren(...frames.map(frame => el("img", {
      src: this._place(take, frame, 96), alt: `Face at ${(frame / take.rate_hz).toFixed(1)} s`, loading: "lazy", width: "96", height: "96",
    })));
    this.shown = takes.map(() => -1);
    if (takes.length) this.at(0);
  }

  _place(take, frame, size) {
    return `/api/jobs/${take.job}/takes/${take.number}/pictures/${frame}?size=${size}&head=${encodeURIComponent(this._head)}`;
  }

  /** Show the moment; while a picture is on its way, the next one is that of the time by then. */
  at(time) {
    this.time = time;
    this.takes.forEach((take, k) => {
      const image = this.images[k];
      const frame = Math.min(Math.max(Math.round(time * take.rate_hz), 0), take.n_frames - 1);
      if (frame === this.shown[k] || image.dataset.busy) return;
      image.dataset.busy = "true";
      this.shown[k] = frame;
      image.onload = image.onerror = () => { delete image.dataset.busy; if (image.isConnected) this.at(this.time); };
      image.src = this._place(take, frame, this.takes.length > 1 ? 160 : 320);
    });
  }
}
