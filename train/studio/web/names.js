/* The 52 ARKit shapes in the order of motion, and the colours of emotions and methods. */
const SIDED = ["browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn",
  "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown",
  "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"];
const SINGLE = ["browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight",
  "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower",
  "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut"];
export const SHAPES = [...SINGLE, ...SIDED.flatMap(name => [`${name}Left`, `${name}Right`])].sort();
export const SHOWN = ["jawOpen", "mouthClose", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft"];

const FACES = {
  neutral: "#8a93a0", angry: "#d1495b", calm: "#4aa3a2", contempt: "#9a6a3a", disgusted: "#6f8f2f",
  fear: "#7e57c2", happy: "#e0a100", sad: "#3a78c2", surprised: "#f06fae",
};
export const emotionColour = name => FACES[name] ?? "#8a93a0";
export const METHOD_COLOURS = ["#2f7fb8", "#d1495b", "#e0a100", "#2f8f57"];
