/* Faces in one canvas by three.js: one of each head side by side, turned together. */
import {
  Mesh, PerspectiveCamera, Scene, ShaderMaterial, Vector3, WebGLRenderer,
} from "./vendor/three.module.min.js";
import { OrbitControls } from "./vendor/OrbitControls.js";
import { CHANNELS, Head } from "./mesh.js";

// The light of the pictures by the package's own renderer (esarm_env/face/render/shading.py).
const VERTEX = `
attribute vec3 albedo; attribute float wet;
varying vec3 vColour; varying vec3 vNormal; varying float vWet;
void main() {
  vec3 n = normalize(normalMatrix * normal);
  vec3 wrap = vec3(.42, .26, .18);
  vec3 key = .86 * max((dot(n, vec3(0., .62, .785)) + wrap) / (1. + wrap), 0.);
  vec3 ambient = mix(vec3(.15, .12, .11), vec3(.34, .35, .38), .5 + .5 * n.y);
  vColour = pow(clamp(albedo * (key + ambient), 0., 1.), vec3(1. / 2.2));
  vNormal = n; vWet = wet;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.);
}`;
const FRAGMENT = `
varying vec3 vColour; varying vec3 vNormal; varying float vWet;
void main() {
  float glint = smoothstep(.9905, .9955, dot(normalize(vNormal), vec3(0., .2, .98)));
  gl_FragColor = vec4(vColour + .9 * vWet * glint, 1.);
}`;
const FIELD = 15; // degrees: a portrait lens
const FRAMING = { up: 0.03, near: 2.85 }; // in head sizes

const STILL_MS = 250; // of no change, after which a slow drawer draws once more in fine
const FINE = 2;

/** Whether this browser draws by WebGL. */
export function canDraw() {
  if (new URLSearchParams(location.search).has("pictures")) return false;
  try {
    const gl = document.createElement("canvas").getContext("webgl2");
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(gl);
  } catch { return false; }
}

/** Whether WebGL is computed by the processor here. */
function drawsSlowly() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const about = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = about ? gl.getParameter(about.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Viewer {
  /** Draw in `canvas`; throws where there is no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    // Without a graphics card four samples a pixel halve the pictures a second: there a moving face
    // is drawn plainly, and once it stands still, in twice the resolution.
    this.slow = drawsSlowly();
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: !this.slow });
    this.renderer.setClearAlpha(0);
    this.renderer.autoClear = false;
    this.camera = new PerspectiveCamera(FIELD, 1, 10, 5000);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.addEventListener("change", () => { this.changed = true; });
    this.material = new ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT });
    this.faces = [];
    this.changed = true;
    new ResizeObserver(() => { this.changed = true; }).observe(canvas);
  }

  /** Show `count` faces of a head, at rest. */
  async show(name, count = 1) {
    const head = this.name === name ? this.head : await Head.fetched(name);
    const first = this.head === undefined;
    this.name = name;
    this.head = head;
    for (const face of this.faces) face.geometry.dispose();
    this.faces = [];
    for (let k = 0; k < count; k++) {
      const geometry = head.geometry(), scene = new Scene(), mesh = new Mesh(geometry, this.material);
      mesh.frustumCulled = false;
      scene.add(mesh);
      this.faces.push({ geometry, scene, weights: new Float32Array(CHANNELS).fill(NaN) });
      this.pose(k, new Float32Array(CHANNELS));
    }
    if (first || this.size !== head.size) this.reset();
    this.changed = true;
  }

  /** Look at the face from the front. */
  reset() {
    const [x, y, z] = this.head.middle, size = this.size = this.head.size;
    this.controls.target.set(x, y + FRAMING.up * size, z);
    const away = new Vector3(0.16, 0.04, 1).normalize().multiplyScalar(FRAMING.near * size);
    this.camera.position.copy(this.controls.target).add(away);
    this.camera.near = size / 10;
    this.camera.far = 10 * size;
    this.controls.minDistance = size;
    this.controls.maxDistance = 8 * size;
    this.controls.update();
    this.changed = true;
  }

  set wireframe(on) { this.material.wireframe = on; this.changed = true; }

  /** Give face `k` 52 weights. */
  pose(k, weights) {
    const face = this.faces[k];
    if (!face || face.weights.every((w, c) => w === weights[c])) return;
    face.weights.set(weights);
    this.head.pose(weights, face.geometry);
    this.changed = true;
  }

  /** Draw, if anything has changed; return whether it had. */
  draw() {
    const now = performance.now();
    if (this.changed) this.rough = this.slow ? now : 0;
    else if (!this.rough || now - this.rough < STILL_MS) return false;
    const fine = !this.changed;
    if (fine) this.rough = 0;
    this.changed = false;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height || !this.faces.length) return false;
    const screen = Math.min(window.devicePixelRatio || 1, FINE);
    this._draw(width, height, this.slow ? (fine ? FINE : 1) : screen);
    return !fine;
  }

  _draw(width, height, ratio) {
    const n = this.faces.length;
    const whole = [Math.floor(width * ratio), Math.floor(height * ratio)];
    if (this.canvas.width !== whole[0] || this.canvas.height !== whole[1]) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
    }
    const cell = width / n;
    this.camera.aspect = cell / height;
    // A narrow cell must not cut the cheeks: the field is that of the shorter side.
    const half = Math.tan(FIELD / 2 * Math.PI / 180) / Math.min(1, cell / height);
    this.camera.fov = 2 * Math.atan(half) * 180 / Math.PI;
    this.camera.updateProjectionMatrix();
    this.renderer.setScissorTest(false);
    this.renderer.clear();
    this.renderer.setScissorTest(true);
    this.faces.forEach((face, k) => {
      this.renderer.setViewport(k * cell, 0, cell, height);
      this.renderer.setScissor(k * cell, 0, cell, height);
      this.renderer.render(face.scene, this.camera);
    });
  }
}
