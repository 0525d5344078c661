/* The player: sound by an AudioContext, whose clock is the only one; pictures ask it for the time. */

let shared;
/** Return the context of the page, made at the first sound. */
export function context() { return shared ??= new AudioContext({ latencyHint: "interactive" }); }

export class Player {
  constructor() {
    this.buffer = null;
    this.playing = false;
    this.loop = false;
    this.rate = 1;
    this.offset = 0; // where it stands while it does not play
    this.begun = 0; // of the context's clock, when `offset` was heard
    this.changed = () => {};
  }

  get duration() { return this.buffer ? this.buffer.duration : 0; }

  /** Take a WAV file, and stand at its beginning. */
  async load(wave) {
    this.pause();
    this.buffer = await context().decodeAudioData(wave);
    this.offset = 0;
    this.changed();
  }

  async play() {
    if (!this.buffer || this.playing) return;
    const sound = context();
    this.playing = true;
    await sound.resume();
    if (!this.playing) return;
    if (this.offset >= this.duration - 0.01) this.offset = 0;
    this._start();
    this.changed();
  }

  _start() {
    const sound = context(), source = sound.createBufferSource();
    source.buffer = this.buffer;
    source.playbackRate.value = this.rate;
    source.loop = this.loop;
    source.connect(sound.destination);
    if (this.tap) source.connect(this.tap);
    source.onended = () => { if (this.source === source) this._ended(); };
    this.begun = sound.currentTime + 0.01;
    source.start(this.begun, this.offset);
    this.source = source;
  }

  _stop() {
    const source = this.source;
    this.source = null;
    if (source) { source.onended = null; source.stop(); source.disconnect(); }
  }

  _ended() {
    this.source = null;
    this.playing = false;
    this.offset = this.duration;
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.time();
    this.playing = false;
    this._stop();
    this.changed();
  }

  toggle() { return this.playing ? this.pause() : this.play(); }

  seek(time) {
    const to = Math.min(Math.max(time, 0), this.duration);
    if (this.playing && this.source) {
      this._stop();
      this.offset = to;
      this._start();
    } else this.offset = to;
    this.changed();
  }

  setLoop(on) { const at = this.time(); this.loop = on; if (this.playing) this.seek(at); }

  setRate(rate) { const at = this.time(); this.rate = rate; if (this.playing) this.seek(at); }

  /** Return the context's time of what is heard at this moment, behind the output's delay. */
  _heard() {
    const sound = context(), stamp = sound.getOutputTimestamp?.();
    if (stamp && stamp.performanceTime > 0) {
      const since = (performance.now() - stamp.performanceTime) / 1000;
      if (since >= 0 && since < 1) return Math.min(stamp.contextTime + since, sound.currentTime);
    }
    return sound.currentTime - (sound.outputLatency || 0);
  }

  /** Return the place in the sound that is heard now, in seconds: what the face has to show. */
  time() {
    if (!this.playing || !this.source) return this.offset;
    const since = Math.max(this._heard() - this.begun, 0) * this.rate;
    const at = this.offset + since;
    if (this.loop) return this.duration ? at % this.duration : 0;
    return Math.min(at, this.duration);
  }
}
