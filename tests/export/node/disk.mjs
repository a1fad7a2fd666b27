// What a page on disk has: the package, bundled into one classic script, and models in its own script.

import { load } from "cornu-runtime";
import { check, revived } from "./same.mjs";

const { rows, files } = globalThis.exported; // files by their places: their bytes in base64
const bytes = (file) => Uint8Array.from(atob(files[file]), (c) => c.charCodeAt(0));

const json = (file) => JSON.parse(new TextDecoder().decode(bytes(file)));

/** What TensorFlow.js reads of a `model.json` and its shards. */
function inMemory(file) {
  const { weightsManifest, ...rest } = json(file);
  const beside = (path) => bytes(file.replace(/[^/]+$/, path));
  const weightData = Uint8Array.from(weightsManifest.flatMap(({ paths }) => paths.flatMap((path) => [...beside(path)]))).buffer;
  return { load: async () => ({ ...rest, weightData, weightSpecs: weightsManifest.flatMap(({ weights }) => weights) }) };
}

const place = (file) => (file.endsWith("/model.json") ? inMemory(file) : json(file));

async function start() {
  const results = {};
  for (const row of JSON.parse(rows, revived))
    results[`${row.name} ${row.format}`] = await check(load, row, place).then(() => "", String);
  globalThis.results = results;
}
start();
