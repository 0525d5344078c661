/* The microphone: samples by an AudioWorklet, kept as they are, written as a WAV file of 16 bits. */
import { context } from "./player.js";

export const LONGEST_S = 120;

export class Recorder {
  /** `full()` is called when the longest recording is reached. */
  constructor(full) { this.full = full; }

  get active() { return Boolean(this.stream); }

  get duration() { return this.count / context().sampleRate; }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error("This browser offers no microphone here.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      throw new Error(error.name === "NotFoundError" ? "There is no microphone." : "The microphone may not be used: allow it for this page.");
    }
    const sound = context();
    await sound.resume();
    if (!this.loaded) { await sound.audioWorklet.addModule("/web/tap.js"); this.loaded = true; }
    this.blocks = [];
    this.count = 0;
    this.source = sound.createMediaStreamSource(this.stream);
    this.node = new AudioWorkletNode(sound, "tap", { numberOfOutputs: 0 });
    this.node.port.onmessage = event => {
      this.blocks.push(event.data);
      this.count += event.data.length;
      if (this.duration >= LONGEST_S) this.full();
    };
    this.source.connect(this.node);
  }

  /** End it; return the WAV file. */
  stop() {
    this.source.disconnect();
    this.node.port.onmessage = null;
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = null;
    return wave(this.blocks, this.count, context().sampleRate);
  }
}

function wave(blocks, count, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const block of blocks) {
    for (const v of block) { view.setInt16(at, Math.max(-1, Math.min(1, v)) * 32767, true); at += 2; }
  }
  return new Blob([view], { type: "audio/wav" });
}
