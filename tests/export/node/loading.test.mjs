// What `load` takes: small models of TensorFlow.js, made by hand, and what is refused.

import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import * as tf from "@tensorflow/tfjs";
import { load } from "cornu-runtime";

const folder = await mkdtemp(join(tmpdir(), "cornu-"));
const written = async (name, content) => {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" || ArrayBuffer.isView(content) ? content : JSON.stringify(content));
  return path;
};

const type = (value) => ({ T: { type: value } });
const info = (name, dtype, ...sizes) => ({ name, dtype, tensorShape: { dim: sizes.map((size) => ({ size: String(size) })) } });
const constant = (name, ...sizes) => ({ name, op: "Const", attr: {
  dtype: { type: "DT_FLOAT" }, value: { tensor: { dtype: "DT_FLOAT", tensorShape: { dim: sizes.map((size) => ({ size: String(size) })) } } } } });
const placeholder = (name, dtype) => ({ name, op: "Placeholder", attr: { dtype: { type: dtype }, shape: { shape: { unknownRank: true } } } });

/** `left @ kernel + right`, whether the left is above 1, and where the right is not 0. */
const GRAPH = {
  format: "graph-model",
  signature: {
    inputs: { left: info("l:0", "DT_FLOAT", -1, 2), right: info("r:0", "DT_INT32", -1, 1) },
    outputs: { sum: info("add:0", "DT_FLOAT", -1, 1), above: info("greater:0", "DT_BOOL", -1, 2) },
  },
  modelTopology: { library: {}, versions: {}, node: [
    placeholder("l", "DT_FLOAT"), placeholder("r", "DT_INT32"), constant("kernel", 2, 1), constant("one"),
    { name: "matmul", op: "MatMul", input: ["l", "kernel"], attr: { ...type("DT_FLOAT"), transpose_a: { b: false }, transpose_b: { b: false } } },
    { name: "float", op: "Cast", input: ["r"], attr: { SrcT: { type: "DT_INT32" }, DstT: { type: "DT_FLOAT" } } },
    { name: "add", op: "AddV2", input: ["matmul", "float"], attr: type("DT_FLOAT") },
    { name: "greater", op: "Greater", input: ["l", "one"], attr: type("DT_FLOAT") },
    { name: "where", op: "Where", input: ["float"], attr: type("DT_FLOAT") },
  ] },
  weightsManifest: [{ paths: ["a.bin", "b.bin"], weights: [
    { name: "kernel", shape: [2, 1], dtype: "float32" }, { name: "one", shape: [], dtype: "float32" }] }],
};
/** `2 x + 1` in layers. */
const LAYERS = {
  format: "layers-model",
  modelTopology: { keras_version: "2.15.0", backend: "tensorflow", model_config: { class_name: "Sequential", config: { name: "m", layers: [
    { class_name: "Dense", config: { name: "line", units: 1, use_bias: true, activation: "linear", batch_input_shape: [null, 1], dtype: "float32" } }] } } },
  weightsManifest: [{ paths: ["line.bin"], weights: [
    { name: "line/kernel", shape: [1, 1], dtype: "float32" }, { name: "line/bias", shape: [1], dtype: "float32" }] }],
};
const graph = await written("graph.json", GRAPH);
await written("a.bin", Float32Array.of(3));
await written("b.bin", Float32Array.of(4, 1));
await written("line.bin", Float32Array.of(2, 1));

test("a graph-model", async () => {
  const model = await load(graph, { backend: "cpu" });
  assert.deepEqual(model.inputs, [
    { name: "left", dtype: "float32", shape: [null, 2] }, { name: "right", dtype: "int32", shape: [null, 1] }]);
  const before = tf.memory().numTensors;
  const { sum, above } = await model.predict({ left: [[1, 2], [0, 1]], right: [10, 20] });
  assert.deepEqual([sum.nested(), above.nested(), above.dtype], [[[21], [24]], [[false, true], [false, false]], "bool"]);
  assert.equal(tf.memory().numTensors, before);
  await model.dispose();
});

test("a graph whose sizes depend on values", async () => {
  const signature = { inputs: { right: GRAPH.signature.inputs.right }, outputs: { places: info("where:0", "DT_INT64", -1, 2) } };
  const model = await load(pathToFileURL(await written("dynamic.json", { ...GRAPH, signature })), { runtime: tf });
  for (let i = 0; i < 2; i++)
    assert.deepEqual((await model.predict([0, 5, 0, 7])).places.nested(), [[1, 0], [3, 0]]);
});

test("a layers-model", async () => {
  const model = await load(await written("layers.json", LAYERS));
  assert.deepEqual(model.inputs.map(({ shape, dtype }) => [shape, dtype]), [[[null, 1], "float32"]]);
  assert.deepEqual((await model.predict([1, 2])).line.nested(), [[3], [5]]);
  await model.dispose();
});

test("what a page has in its memory", async () => {
  const { weightsManifest, ...rest } = LAYERS;
  const artifacts = { ...rest, weightSpecs: weightsManifest[0].weights, weightData: Float32Array.of(2, 1).buffer };
  const model = await load({ load: async () => artifacts });
  assert.deepEqual((await model.predict(3)).line.nested(), [[7]]);
});

test("layers before an input", async () => {
  const config = { vocabulary: ["one", "two"], mask_token: null };
  const layers = [{ class_name: "StringLookup", config }, { class_name: "Rescaling", config: { scale: 10, offset: 0 } }];
  const preprocessing = { line_input: { dtype: "string", shape: [null, 1], layers } };
  const model = await load(join(folder, "layers.json"), { preprocessing });
  assert.deepEqual(model.inputs, [{ name: "line_input", dtype: "string", shape: [null, 1] }]);
  assert.deepEqual((await model.predict(["two", "three"])).line.nested(), [[41], [1]]);
});

const before = (...layers) => ({ preprocessing: { line_input: { dtype: "float32", shape: [null, 1], layers } } });
const REFUSED = [
  ["a shard is cut off", ["short.json", { ...GRAPH, weightsManifest: [{ ...GRAPH.weightsManifest[0], paths: ["a.bin"] }] }],
    {}, /^RangeError: Shards hold all weights\. Received: 4 bytes of 12 beside file:.*short\.json\. Copy all files\.$/],
  ["a file is no model", ["other.json", { a: 1 }], {},
    /^TypeError: A model\.json has a topology and a manifest of weights\. Received: file:.*other\.json with a\. Look whether/],
  ["a file is no JSON", ["text.json", "# text"], {},
    /^SyntaxError: A file that ends in \.json must hold JSON\. Received: file:.*text\.json, "# text"\.$/],
  ["a shard is missing", ["lost.json", { ...LAYERS, weightsManifest: [{ ...LAYERS.weightsManifest[0], paths: ["c.bin"] }] }], {}, /ENOENT.*c\.bin/],
  ["a backend is missing", ["layers.json", LAYERS], { backend: "wasm" }, /TensorFlow\.js must have the backend\. Received: backend="wasm"/],
  ["an input is missing", ["layers.json", LAYERS], { preprocessing: { word: { layers: [] } } },
    /^TypeError: Layers stand before inputs: line_input\. Received: layers for word\.$/],
  ["a layer is unknown", ["layers.json", LAYERS], before({ class_name: "Hashing", config: {} }),
    /^TypeError: Layers before a model are Rescaling, Normalization, Resizing, .*\. Received: Hashing\.$/],
  ["an argument is unknown", ["layers.json", LAYERS], before({ class_name: "Resizing", config: { interpolation: "bicubic" } }),
    /^TypeError: A Resizing before a model has `interpolation` of \["bilinear","nearest"\]\. Received: interpolation="bicubic"/],
];
for (const [what, file, options, message] of REFUSED)
  test(`${what}: an error`, async () => assert.rejects(load(await written(...file), options), (error) => message.test(String(error)) || assert.fail(String(error))));

test("inputs go by name", async () => {
  const model = await load(graph);
  const told = "A model takes its inputs by name: left, right. Received: ";
  for (const [given, received] of [[[1], "object"], [{ left: 1 }, "left"], [{ left: 1, Right: 2 }, "left, Right"], [{}, "none"]])
    await assert.rejects(model.predict(given), { message: `${told}${received}. \`model.inputs\` has their shapes.` });
});

after(() => import("node:fs/promises").then(({ rm }) => rm(folder, { recursive: true })));
