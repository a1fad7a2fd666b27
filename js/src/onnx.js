// ONNX files, on ONNX Runtime.

import { located, pathOrContent, readsPaths } from "./files.js";
import { ARRAYS, Tensor } from "./tensors.js";

/** @import { Dtype, Spec } from "./types.d.ts" */
/** @import { Opened } from "./index.js" */

/**
 * A module of Node.js, which bundlers for browsers leave alone.
 * @param {string} name
 */
const ofNode = (name) => import(/* webpackIgnore: true */ /* @vite-ignore */ name);

/** The module that is installed; in Node.js never both, as the later one would run on the other's backend. */
async function installed() {
  try {
    if (!readsPaths) return await import("onnxruntime-web/wasm"); // for CPUs: 14 MB, half of what it has for all
    return await ofNode("onnxruntime-node").catch((error) => {
      if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
      return ofNode("onnxruntime-web");
    });
  } catch (cause) {
    throw new Error(
      "An ONNX file needs ONNX Runtime. Received: no module that can be imported. `npm install onnxruntime-web`, or " +
      "onnxruntime-node for Node.js, or pass the module as `runtime`.", { cause });
  }
}

/**
 * @param {any} source
 * @param {any} options
 * @returns {Promise<Opened>}
 */
export async function openOnnx(source, options) {
  const found = options.runtime ?? (await installed());
  const ort = found.InferenceSession ? found : found.default;
  const isPlace = typeof source === "string" || source instanceof URL;
  const model = isPlace ? await pathOrContent(located(source)) : new Uint8Array(source);
  const session = await ort.InferenceSession.create(model, options.session);
  const inputs = session.inputMetadata.map(specOf);
  return {
    inputs,
    outputs: session.outputMetadata.map(specOf),
    run: async (tensors) => {
      const given = tensors.map((x, i) => [inputs[i].name, new ort.Tensor(x.dtype, stored(x), x.shape)]);
      const results = await session.run(Object.fromEntries(given));
      return session.outputNames.map((/** @type {string} */ name) => taken(results[name]));
    },
    close: () => session.release(),
  };
}

/**
 * @param {{ name: string, type: Dtype, shape: (number | string)[] }} metadata
 * @returns {Spec}
 */
const specOf = ({ name, type, shape }) => ({
  name, dtype: type, shape: shape.map((size) => (typeof size === "number" && size >= 0 ? size : null)),
});

/**
 * A tensor's values as the runtime takes them.
 * @param {Tensor} tensor
 */
function stored({ data, dtype }) {
  if (dtype !== "float16") return data;
  const Half = /** @type {any} */ (globalThis).Float16Array;
  if (Half) return Half.from(data);
  throw new TypeError("Inputs of half floats need a platform with `Float16Array`. Received: none. Use Node.js 24.");
}

/**
 * A result of the runtime.
 * @param {{ type: Dtype, data: any, dims: number[] }} result
 */
function taken({ type, data, dims }) {
  const isBits = type === "float16" && data instanceof Uint16Array;
  return new Tensor(isBits ? Float32Array.from(data, ofHalf) : type === "float16" ? ARRAYS.float16.from(data) : data, dims, type);
}

/**
 * The number that 16 bits stand for (IEEE 754).
 * @param {number} bits
 */
function ofHalf(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24;
}
