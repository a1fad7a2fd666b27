// Graph-models and layers-models, on TensorFlow.js.

import { content, json, located } from "./files.js";
import { Tensor } from "./tensors.js";

/** @import { Dtype, Spec } from "./types.d.ts" */
/** @import { Opened } from "./index.js" */

/**
 * The bytes of a value in a shard, and of a string the least: its length.
 * @type {Record<string, number>}
 */
const SIZES = { string: 4, float32: 4, int32: 4, complex64: 8, bool: 1, uint8: 1, uint16: 2, float16: 2 };

async function installed() {
  const loaded = /** @type {any} */ (globalThis).tf; // of a page's script
  try {
    return loaded?.loadGraphModel ? loaded : await import("@tensorflow/tfjs");
  } catch (cause) {
    throw new Error(
      "A model.json needs TensorFlow.js. Received: no module that can be imported. `npm install @tensorflow/tfjs`, " +
      "or pass it as `runtime`.", { cause });
  }
}

/**
 * @param {any} source
 * @param {any} options
 * @returns {Promise<Opened>}
 */
export async function openTfjs(source, options) {
  const found = options.runtime ?? (await installed());
  const tf = found.loadGraphModel ? found : found.default;
  const { backend } = options;
  if (backend !== undefined && !(tf.findBackendFactory(backend) && (await tf.setBackend(backend))))
    throw new Error(
      `TensorFlow.js must have the backend. Received: backend="${backend}". ` +
      "Import its package first, such as @tensorflow/tfjs-backend-wasm.");
  await tf.ready();
  const artifacts = typeof source.load === "function" ? await source.load() : await read(located(source));
  const handler = { load: async () => artifacts };
  const graph = artifacts.format !== "layers-model";
  const model = graph ? await tf.loadGraphModel(handler) : await tf.loadLayersModel(handler);
  return { ...(graph ? ofGraph(tf, model, artifacts.signature) : ofLayers(tf, model)), close: async () => model.dispose() };
}

/**
 * What a `model.json` and its shards hold.
 * @param {URL} address
 */
async function read(address) {
  const { weightsManifest, ...rest } = await json(address);
  if (!rest.modelTopology || !weightsManifest)
    throw new TypeError(
      `A model.json has a topology and a manifest of weights. Received: ${address} with ${Object.keys(rest)}. ` +
      "Look whether it is what `model.export` wrote.");
  const weightSpecs = weightsManifest.flatMap((/** @type {any} */ group) => group.weights);
  const paths = weightsManifest.flatMap((/** @type {any} */ group) => group.paths);
  const shards = await Promise.all(paths.map((/** @type {string} */ path) => content(new URL(path, address))));
  const weightData = await new Blob(shards).arrayBuffer();
  const wanted = weightSpecs.reduce((/** @type {number} */ total, /** @type {any} */ { shape, dtype, quantization }) =>
    shape.reduce((/** @type {number} */ x, /** @type {number} */ size) => x * size, SIZES[quantization?.dtype ?? dtype]) + total, 0);
  if (weightData.byteLength < wanted)
    throw new RangeError(
      `Shards hold all weights. Received: ${weightData.byteLength} bytes of ${wanted} beside ${address}. Copy all files.`);
  return { ...rest, weightSpecs, weightData };
}

/**
 * @param {any} tf
 * @param {any} model
 * @param {any} signature
 * @returns {Omit<Opened, "close">}
 */
function ofGraph(tf, model, signature) {
  const inputs = Object.entries(signature.inputs), outputs = Object.entries(signature.outputs);
  const places = outputs.map(([, { name }]) => name);
  let isDynamic = false; // loops, and sizes that depend on values
  return {
    inputs: inputs.map(specOf),
    outputs: outputs.map(specOf),
    run: (tensors) => within(tf, tensors, (given) => {
      const feeds = Object.fromEntries(given.map((x, i) => [inputs[i][1].name, x]));
      if (isDynamic) return model.executeAsync(feeds, places);
      try {
        return model.execute(feeds, places);
      } catch (error) {
        if (!/executeAsync/.test(String(error))) throw error;
        isDynamic = true;
        return model.executeAsync(feeds, places);
      }
    }),
  };
}

/**
 * @param {[string, any]} entry
 * @returns {Spec}
 */
function specOf([name, { dtype, tensorShape }]) {
  const sizes = (tensorShape?.dim ?? []).map((/** @type {any} */ { size }) => Number(size));
  return { name, dtype: DTYPES[dtype], shape: sizes.map((/** @type {number} */ size) => (size < 0 ? null : size)) };
}

/**
 * TensorFlow's names of what TensorFlow.js has.
 * @type {Record<string, Dtype>}
 */
const DTYPES = { DT_FLOAT: "float32", DT_INT32: "int32", DT_INT64: "int32", DT_BOOL: "bool", DT_STRING: "string" };

/**
 * @param {any} tf
 * @param {any} model
 * @returns {Omit<Opened, "close">}
 */
function ofLayers(tf, model) {
  const specOf = (/** @type {any} */ { sourceLayer, dtype, shape }) => ({ name: sourceLayer.name, dtype, shape });
  return {
    inputs: model.inputs.map(specOf),
    outputs: model.outputs.map(specOf),
    run: (tensors) => within(tf, tensors, (given) => model.predict(given)),
  };
}

/**
 * What a call gives for tensors; those of TensorFlow.js give their memory back.
 * @param {any} tf
 * @param {Tensor[]} tensors
 * @param {(given: any[]) => any} call
 */
async function within(tf, tensors, call) {
  const held = tensors.map(({ data, shape, dtype }) => tf.tensor(data, shape, dtype));
  try {
    const results = [await call(held)].flat();
    held.push(...results);
    const values = await Promise.all(results.map((x) => x.data()));
    return results.map(({ shape, dtype }, i) => new Tensor(values[i], shape, dtype));
  } finally {
    tf.dispose(held);
  }
}
