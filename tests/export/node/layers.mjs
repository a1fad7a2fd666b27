// Layers-models in TensorFlow.js: `node layers.mjs FOLDER` runs the model of each folder within on its `given.json`
// and writes `found.json`: the outputs, those after a step of training where targets are given, or an error.
import fs from "node:fs";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";

const [, , folder] = process.argv;
const read = (...names) => fs.readFileSync(path.join(...names));

/** What loads a model from the disk. */
function onDisk(place) {
  const { weightsManifest, modelTopology, format } = JSON.parse(read(place, "model.json"));
  const files = weightsManifest.flatMap((group) => group.paths);
  const bytes = Uint8Array.from(Buffer.concat(files.map((file) => read(place, file))));
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  return { load: async () => ({ format, modelTopology, weightSpecs, weightData: bytes.buffer }) };
}

const tensors = (list) => list.map(({ data, shape, dtype }) => tf.tensor(data, shape, dtype));
const alone = (list) => (list.length === 1 ? list[0] : list);

/** A model's outputs. */
async function found(place) {
  const model = await tf.loadLayersModel(onDisk(place));
  const { inputs, targets } = JSON.parse(read(place, "given.json"));
  const x = alone(tensors(inputs));
  const results = [model.predict(x)].flat();
  if (targets) {
    model.compile({ optimizer: tf.train.sgd(0.1), loss: "meanSquaredError" });
    await model.fit(x, alone(tensors(targets)), { epochs: 1, batchSize: targets[0].shape[0], verbose: 0 });
    results.push(...[model.predict(x)].flat());
  }
  return results.map((y) => ({ shape: y.shape, data: Array.from(y.dataSync()) }));
}

for (const name of fs.readdirSync(folder)) {
  const place = path.join(folder, name);
  const said = await found(place).catch((error) => ({ error: String(error) }));
  fs.writeFileSync(path.join(place, "found.json"), JSON.stringify(said));
}
