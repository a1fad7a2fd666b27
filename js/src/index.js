// Runs what Cornu exports, in browsers and Node.js. `types.d.ts` says what is here.

import { json, located } from "./files.js";
import { openOnnx } from "./onnx.js";
import { prepared } from "./preprocessing.js";
import { isNamed, Tensor, tensorOf } from "./tensors.js";
import { openTfjs } from "./tfjs.js";

/** @import { load as Load, Model, Spec } from "./types.d.ts" */

/**
 * A model in a runtime: tensors go in and come out in the order of the specs.
 * @typedef {{ inputs: Spec[], outputs: Spec[], run: (inputs: Tensor[]) => Promise<Tensor[]>, close: () => Promise<void> }} Opened
 */

export { Tensor };

/** @type {typeof Load} */
export async function load(source, options = {}) {
  const isHandler = typeof source === "object" && "load" in source;
  const isJson = (typeof source === "string" || source instanceof URL) && /\.json([?#].*)?$/i.test(String(source));
  const opened = await (isHandler || isJson ? openTfjs(source, options) : openOnnx(source, options));
  const preprocessing = options.preprocessing ?? {};
  const isPlace = typeof preprocessing === "string" || preprocessing instanceof URL;
  return named(prepared(opened, isPlace ? await json(located(preprocessing)) : preprocessing));
}

/**
 * A model whose inputs and outputs go by names.
 * @param {Opened} opened
 * @returns {Model}
 */
function named({ inputs, outputs, run, close }) {
  return {
    inputs,
    outputs,
    dispose: close,
    predict: async (given) => {
      const values = ordered(given, inputs);
      const results = await run(inputs.map((spec, i) => tensorOf(values[i], spec)));
      return Object.fromEntries(outputs.map(({ name }, i) => [name, results[i]]));
    },
  };
}

/**
 * What is given for each input.
 * @param {any} given
 * @param {Spec[]} inputs
 */
function ordered(given, inputs) {
  const names = inputs.map(({ name }) => name);
  if (!isNamed(given) && inputs.length === 1) return [given];
  const received = isNamed(given) ? Object.keys(given) : [typeof given];
  if (received.length !== names.length || names.some((name) => !(name in Object(given))))
    throw new TypeError(
      `A model takes its inputs by name: ${names.join(", ")}. Received: ${received.join(", ") || "none"}. ` +
      "`model.inputs` has their shapes.");
  return names.map((name) => given[name]);
}
