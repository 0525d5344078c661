// Visemes that HeadAudio's processor hears in recordings: one line of JSON for each.
//
//   node visemes.mjs PACKAGE < lines of {"path": raw float32 samples, "rate": Hz}
//
// A line of the answer holds the events of a recording in order: [seconds, viseme], -1 at silence.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const load = (name) => import(pathToFileURL(join(folder, "modules", name)).href);
const { Processor } = await load("processor.mjs");
const { Training } = await load("training.mjs");
const PARAMS = await load("parameters.mjs");

const bytes = readFileSync(join(folder, "dist", "model-en-mixed.bin"));
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const training = new Training();
const model = [];
for (let at = 0; at + PARAMS.RECORD_OFFSET <= buffer.byteLength; at += PARAMS.RECORD_OFFSET) {
  model.push(training.decodeBinaryRecord(new Float32Array(buffer, at, PARAMS.RECORD_LEN)));
}

function heard(samples, sampleRate) {
  const events = [];
  const worklet = { port: { onmessage: null, postMessage: (message) => {
    if (message.event === "viseme") events.push([message.t, message.viseme]);
    if (message.event === "ended") events.push([message.t, -1]);
  } } };
  const processor = new Processor({ sampleRate }, worklet);
  processor._onmessage({ data: { event: "model", model } });
  processor.process(samples);
  return events;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { path, rate } = JSON.parse(line);
  const raw = readFileSync(path);
  const samples = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  console.log(JSON.stringify(heard(samples, rate)));
}
