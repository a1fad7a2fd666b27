// Runs TensorFlow.js graph-models: a line of standard input is a request in JSON, a line of standard output its answer.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const tf = createRequire(`${process.cwd()}/`)("@tensorflow/tfjs");
const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };
let model;

/** A model of a folder: `model.json`, and the shards of its weights. */
async function load(folder) {
  const file = JSON.parse(readFileSync(`${folder}/model.json`, "utf8"));
  const [{ paths, weights }] = file.weightsManifest;
  const shards = paths.map((path) => readFileSync(`${folder}/${path}`));
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  return tf.loadGraphModel({ load: async () => ({ ...file, weightSpecs: weights, weightData }) });
}

function tensor({ dtype, shape, data }) {
  if (dtype === "string") return tf.tensor(data, shape, dtype);
  const bytes = new Uint8Array(Buffer.from(data, "base64"));
  return tf.tensor(new ARRAYS[dtype](bytes.buffer), shape, dtype);
}

async function told({ dtype, shape, data }, values) {
  const array = ARRAYS[dtype].from(values); // what was cast may hold integers still
  return { dtype, shape, data: Buffer.from(array.buffer).toString("base64") };
}

/** What outputs are; a graph with loops runs asynchronously. */
async function run({ inputs, outputs }) {
  const given = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, tensor(x)]));
  let results;
  let loops = false;
  try {
    results = model.execute(given, outputs);
  } catch (error) {
    if (!/executeAsync/.test(error.message)) throw error;
    loops = true;
    results = await model.executeAsync(given, outputs);
  }
  const found = await Promise.all([results].flat().map(async (x) => told(x, await x.data())));
  return { loops, outputs: found };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    if (request.folder) model = await load(request.folder);
    answer = request.folder ? {} : await run(request);
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
