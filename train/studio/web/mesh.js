/* A head: places, shapes and normals on the processor.

   Displacements are sparse (a shape moves a few hundred of 6,000 vertices), so that a frame takes
   less than a millisecond; as morph targets of a graphics card, 52 full ones would be summed for
   every vertex, and normals would stay those of the face at rest. */
import { BufferAttribute, BufferGeometry, DynamicDrawUsage } from "./vendor/three.module.min.js";
import { bytes, scaled, unpacked } from "./api.js";

export const CHANNELS = 52;
const NOTHING = 1e-5;

export class Head {
  constructor(packed) {
    const { arrays, steps } = packed;
    this.middle = packed.middle;
    this.size = packed.size;
    this.rest = scaled(arrays.vertices, steps.vertices);
    this.faces = arrays.faces;
    this.sources = arrays.sources;
    this.corners = arrays.corners;
    this.wet = Float32Array.from(arrays.wet);
    this.albedo = new Float32Array(arrays.colours.length);
    for (let i = 0; i < this.albedo.length; i++) {
      this.albedo[i] = Math.pow(arrays.colours[i] / 255, 2.2);
    }
    const deltas = scaled(arrays.deltas, steps.deltas);
    this.shapes = [];
    let at = 0;
    for (const count of packed.counts) {
      this.shapes.push([
        arrays.moved.subarray(at, at + count), deltas.subarray(3 * at, 3 * (at + count)),
      ]);
      at += count;
    }
  }

  static async fetched(name) {
    return new Head(unpacked(await bytes(`/api/head?name=${encodeURIComponent(name)}`)));
  }

  /** Return a geometry that `pose` moves. */
  geometry() {
    const made = new BufferGeometry(), n = this.sources.length;
    const moving = () => new BufferAttribute(new Float32Array(3 * n), 3).setUsage(DynamicDrawUsage);
    made.setIndex(new BufferAttribute(this.corners, 1));
    made.setAttribute("position", moving());
    made.setAttribute("normal", moving());
    made.setAttribute("albedo", new BufferAttribute(this.albedo, 3));
    made.setAttribute("wet", new BufferAttribute(this.wet, 1));
    return made;
  }

  /** Write places and normals of a face with 52 weights into a geometry. */
  pose(weights, geometry) {
    const places = this._places ??= new Float32Array(this.rest.length);
    const normals = this._normals ??= new Float32Array(this.rest.length);
    places.set(this.rest);
    for (let c = 0; c < CHANNELS; c++) {
      const w = weights[c];
      if (Math.abs(w) < NOTHING) continue;
      const [moved, deltas] = this.shapes[c];
      for (let i = 0, j = 0; i < moved.length; i++, j += 3) {
        const k = 3 * moved[i];
        places[k] += w * deltas[j];
        places[k + 1] += w * deltas[j + 1];
        places[k + 2] += w * deltas[j + 2];
      }
    }
    this._shade(places, normals);
    const { position, normal } = geometry.attributes;
    const drawn = position.array, turned = normal.array, sources = this.sources;
    for (let i = 0, j = 0; i < sources.length; i++, j += 3) {
      const k = 3 * sources[i];
      drawn[j] = places[k]; drawn[j + 1] = places[k + 1]; drawn[j + 2] = places[k + 2];
      turned[j] = normals[k]; turned[j + 1] = normals[k + 1]; turned[j + 2] = normals[k + 2];
    }
    position.needsUpdate = true;
    normal.needsUpdate = true;
  }

  /** Sum the faces' normals at their corners, weighted as Max (1999); the shader makes them 1 long. */
  _shade(p, n) {
    n.fill(0);
    const f = this.faces;
    for (let i = 0; i < f.length; i += 3) {
      const a = 3 * f[i], b = 3 * f[i + 1], c = 3 * f[i + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const wx = vx - ux, wy = vy - uy, wz = vz - uz;
      const uu = ux * ux + uy * uy + uz * uz + 1e-12, vv = vx * vx + vy * vy + vz * vz + 1e-12;
      const ww = wx * wx + wy * wy + wz * wz + 1e-12;
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      const ra = 1 / (uu * vv), rb = 1 / (uu * ww), rc = 1 / (vv * ww);
      n[a] += x * ra; n[a + 1] += y * ra; n[a + 2] += z * ra;
      n[b] += x * rb; n[b + 1] += y * rb; n[b + 2] += z * rb;
      n[c] += x * rc; n[c + 1] += y * rc; n[c + 2] += z * rc;
    }
  }
}

/** Write the weights at a time into `out`, between frames linearly; behind the end the last one. */
export function weightsAt(motion, rate, time, out) {
  const frames = motion.length / CHANNELS;
  const at = Math.min(Math.max(time * rate, 0), frames - 1);
  const before = Math.floor(at), share = at - before;
  const a = before * CHANNELS, b = Math.min(before + 1, frames - 1) * CHANNELS;
  for (let c = 0; c < CHANNELS; c++) out[c] = motion[a + c] * (1 - share) + motion[b + c] * share;
  return out;
}
