/* Requests to the server of the studio, and arrays as it sends them (see packing.py). */

export class Refused extends Error {}

async function asked(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The studio does not answer. Is `esarm studio` still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text;
  try { said = JSON.parse(text).error; } catch { /* plain text */ }
  throw new Refused(said || `The studio answered ${answer.status}.`);
}

export async function get(address, options) { return (await asked(address, options)).json(); }

export async function post(address, body) {
  const headers = { "Content-Type": "application/json" };
  return (await asked(address, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export async function remove(address) { return (await asked(address, { method: "DELETE" })).json(); }

export async function upload(name, body) {
  const address = `/api/sounds?name=${encodeURIComponent(name)}`;
  return (await asked(address, { method: "POST", body })).json();
}

export async function bytes(address) { return (await asked(address)).arrayBuffer(); }

const TYPES = {
  uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, float32: Float32Array,
};

/** Return `{...told, arrays: {name: typed array}}` of packed bytes. */
export function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, place] of Object.entries(told.arrays)) {
    const count = place.shape.reduce((a, b) => a * b, 1);
    arrays[name] = new TYPES[place.type](buffer, 4 + length + place.at, count);
  }
  return { ...told, arrays };
}

/** Return `values * step` as numbers. */
export function scaled(values, step) {
  const out = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = values[i] * step;
  return out;
}

/** Return a take's motion: one Float32Array of frames by 52. */
export async function motionOf(job, take) {
  const { step, arrays } = unpacked(await bytes(`/api/jobs/${job}/takes/${take}/motion`));
  return scaled(arrays.motion, step);
}

const EVERY_MS = 80;

/** Ask for a job until it has ended; `heard(job)` is called whenever it was told of. */
export async function followed(job, heard) {
  let told = job;
  heard(told);
  while (told.state === "waiting" || told.state === "working") {
    await new Promise(done => setTimeout(done, EVERY_MS));
    told = await get(`/api/jobs/${job.id}`);
    heard(told);
  }
  return told;
}
