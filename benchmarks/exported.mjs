// A model in TensorFlow.js, for `benchmarks/exported.py`: each line of the standard input asks for a run of
// `node exported.mjs MODEL INPUT`, whose milliseconds are answered.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import "@tensorflow/tfjs-backend-wasm";
import { load } from "cornu-runtime";

const [, , file, given] = process.argv;
const { data, shape } = JSON.parse(await readFile(given, "utf8"));
const input = { data: Float32Array.from(data), shape };
const model = await load(file, { backend: "wasm" });
await model.predict(input);
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  await model.predict(input);
  console.log(performance.now() - start);
}
