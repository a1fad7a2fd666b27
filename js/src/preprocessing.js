// Layers that stand before a model: what its file can't hold, computed here as Cornu computes it.

import { shown, Tensor, tensorOf } from "./tensors.js";

/** @import { Layer, Spec } from "./types.d.ts" */
/** @import { Opened } from "./index.js" */

/**
 * A layer: what it takes, where it must give a spec, and what it makes of that.
 * @typedef {{ takes: (spec: Spec) => Spec, apply: (tensor: Tensor) => Tensor }} Step
 */

/**
 * The layers by their class, made from their configs.
 * @type {Record<string, (config: any) => Step>}
 */
const LAYERS = {
  Rescaling: ({ scale, offset }) =>
    elementwise((x, i) => fround(x * fround(of(scale, i))) + fround(of(offset, i))),

  Normalization: ({ mean, variance, invert }) => {
    const means = [mean].flat(Infinity), spreads = [variance].flat(Infinity).map((x) => Math.max(fround(Math.sqrt(x)), 1e-7));
    return elementwise(invert
      ? (x, i) => fround(x * of(spreads, i)) + fround(of(means, i))
      : (x, i) => fround(x - fround(of(means, i))) / of(spreads, i));
  },

  Resizing: (config) => ({
    takes: (spec) => ({ ...spec, shape: [spec.shape[0], null, null, spec.shape[3]] }),
    apply: (tensor) => resized(tensor, config),
  }),

  StringLookup: (config) => lookup(config, "string"),
  IntegerLookup: (config) => lookup(config, "int64"),
  TextVectorization: (config) => ({
    takes: (spec) => ({ ...spec, dtype: "string", shape: [spec.shape[0]] }),
    apply: (tensor) => vectorized(/** @type {string[]} */ (tensor.data), config),
  }),
};

/**
 * A model with layers before its inputs.
 * @param {Opened} opened
 * @param {Record<string, readonly Layer[]>} layers
 * @returns {Opened}
 */
export function prepared(opened, layers) {
  const names = opened.inputs.map(({ name }) => name);
  const unknown = Object.keys(layers).filter((name) => !names.includes(name));
  if (unknown.length)
    throw new TypeError(`Layers stand before inputs: ${names.join(", ")}. Received: layers for ${unknown.join(", ")}.`);
  const steps = names.map((name) => (layers[name] ?? []).map(stepOf));
  const inputs = opened.inputs.map((spec, i) => steps[i].reduceRight((last, step) => step.takes(last), spec));
  const made = (/** @type {Tensor} */ x, /** @type {number} */ i) =>
    steps[i].length ? tensorOf(steps[i].reduce((last, step) => step.apply(last), x), opened.inputs[i]) : x;
  return { ...opened, inputs, run: (tensors) => opened.run(tensors.map(made)) };
}

/** @param {Layer} layer */
function stepOf({ class_name: name, config }) {
  if (!Object.hasOwn(LAYERS, name))
    throw new TypeError(`Layers before a model are ${Object.keys(LAYERS).join(", ")}. Received: ${name}.`);
  return LAYERS[name](config);
}

/** @param {string} layer @param {any} config @param {Record<string, unknown[]>} known */
function check(layer, config, known) {
  for (const [key, values] of Object.entries(known))
    if (!values.includes(config[key] ?? values[0]))
      throw new TypeError(
        `A ${layer} before a model has ${key} of ${JSON.stringify(values)}. Received: ${key}=${JSON.stringify(config[key])}. ` +
        "Call the layer in Python, or before `predict`.");
}

// ------------------------------------------------------------------------------ numbers

const { fround } = Math; // layers compute in 32 bits

/** @param {number | number[]} values @param {number} i */
const of = (values, i) => (Array.isArray(values) ? values[i % values.length] : values);

/**
 * @param {(x: number, i: number) => number} f Of a value and its place; the last axis counts fastest.
 * @returns {Step}
 */
const elementwise = (f) => ({
  takes: (spec) => ({ ...spec, dtype: "float32" }),
  apply: ({ data, shape }) => new Tensor(Float32Array.from(/** @type {Float32Array} */ (data), f), shape),
});

/**
 * Images of another size: each place is the middle of a pixel, and lies between the pixels around it.
 * @param {Tensor} tensor `(batch, height, width, channels)`
 * @param {any} config
 */
function resized({ data, shape, dtype }, config) {
  check("Resizing", config, {
    interpolation: ["bilinear", "nearest"], antialias: [false], fill_mode: ["constant"], data_format: ["channels_last"] });
  const [batch, height, width, channels] = shape;
  const part = partOf(height, width, config);
  const isNearest = config.interpolation === "nearest";
  const rows = places(config.height, part.height, isNearest), columns = places(config.width, part.width, isNearest);
  const isWhole = !dtype.startsWith("float");
  const found = new /** @type {any} */ (data).constructor(batch * config.height * config.width * channels);
  const at = (/** @type {number} */ n, /** @type {number} */ y, /** @type {number} */ x, /** @type {number} */ c) => {
    const [row, column] = [y + part.top, x + part.left];
    const isInside = row >= 0 && row < height && column >= 0 && column < width;
    return isInside ? Number(data[((n * height + row) * width + column) * channels + c]) : (config.fill_value ?? 0);
  };
  let i = 0;
  for (let n = 0; n < batch; n++)
    for (const [y0, y1, down] of rows)
      for (const [x0, x1, right] of columns)
        for (let c = 0; c < channels; c++) {
          const above = at(n, y0, x0, c) * (1 - right) + at(n, y0, x1, c) * right;
          const below = at(n, y1, x0, c) * (1 - right) + at(n, y1, x1, c) * right;
          const value = above * (1 - down) + below * down;
          found[i++] = isWhole ? Math.round(value) : value;
        }
  return new Tensor(found, [batch, config.height, config.width, channels], dtype);
}

/**
 * The part of an image that is resized: all of it, its middle in other proportions, or it with margins.
 * @param {number} height @param {number} width @param {any} config
 */
function partOf(height, width, config) {
  const high = Math.trunc((width * config.height) / config.width), wide = Math.trunc((height * config.width) / config.height);
  if (config.crop_to_aspect_ratio) {
    const size = { height: Math.max(Math.min(height, high), 1), width: Math.max(Math.min(width, wide), 1) };
    return { ...size, top: Math.floor((height - size.height) / 2), left: Math.floor((width - size.width) / 2) };
  }
  const isPadded = config.pad_to_aspect_ratio;
  const above = isPadded ? Math.floor(Math.max(high - height, 0) / 2) : 0;
  const beside = isPadded ? Math.floor(Math.max(wide - width, 0) / 2) : 0;
  return { top: -above, left: -beside, height: height + 2 * above, width: width + 2 * beside };
}

/**
 * Of each new place along an axis the two old ones around it, and how near it is to the second.
 * @param {number} size @param {number} old @param {boolean} isNearest
 */
function places(size, old, isNearest) {
  return Array.from({ length: size }, (_, i) => {
    const place = ((i + 0.5) * old) / size - (isNearest ? 0 : 0.5);
    const first = Math.floor(place), within = (/** @type {number} */ x) => Math.min(Math.max(x, 0), old - 1);
    return [within(first), within(isNearest ? first : first + 1), isNearest ? 0 : place - first];
  });
}

// ------------------------------------------------------------------------------ strings

/**
 * The indices of tokens: those that are masked 0, unknown ones the first after it, then the vocabulary.
 * @param {any} config @param {boolean} masks
 */
function indexed(config, masks) {
  check("lookup", config, { num_oov_indices: [1], invert: [false] });
  const first = Number(masks);
  const table = new Map(config.vocabulary.map((/** @type {any} */ token, /** @type {number} */ i) => [token, first + 1 + i]));
  if (masks) table.set(config.mask_token, 0);
  return (/** @type {any} */ token) => table.get(token) ?? first;
}

/** @param {any} config @param {"string" | "int64"} dtype @returns {Step} */
function lookup(config, dtype) {
  check("lookup", config, { output_mode: ["int"] });
  const find = indexed(config, config.mask_token != null);
  return {
    takes: (spec) => ({ ...spec, dtype }),
    apply: ({ data, shape }) =>
      new Tensor(Int32Array.from(/** @type {ArrayLike<any>} */ (data), (x) => find(typeof x === "bigint" ? Number(x) : x)), shape),
  };
}

const PUNCTUATION = /[!"#$%&()*+,\-./:;<=>?@[\\\]^_`{|}~']/g;

/**
 * Documents as rows of indices, or of counts.
 * @param {string[]} documents @param {any} config
 */
function vectorized(documents, config) {
  check("TextVectorization", config, {
    standardize: [null, "lower", "strip_punctuation", "lower_and_strip_punctuation"],
    split: [null, "whitespace", "character"], output_mode: ["int", "multi_hot", "count"], ragged: [false] });
  const isInt = config.output_mode === "int";
  const find = indexed({ ...config, mask_token: "" }, isInt);
  const rows = documents.map((document) => ngrams(tokens(document, config), config.ngrams).map(find));
  const longest = Math.max(0, ...rows.map((row) => row.length));
  const size = config.vocabulary.length + 1;
  const width = isInt ? config.output_sequence_length ?? longest : config.pad_to_max_tokens ? config.max_tokens : size;
  const found = isInt ? new Int32Array(rows.length * width) : new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    if (isInt) found.set(row.slice(0, width), i * width);
    else for (const index of row) found[i * width + index] = config.output_mode === "count" ? found[i * width + index] + 1 : 1;
  });
  return new Tensor(found, [rows.length, width]);
}

/** @param {string} document @param {{ standardize: string | null, split: string | null }} config */
function tokens(document, { standardize, split }) {
  let text = document;
  if (standardize?.startsWith("lower")) text = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (standardize?.endsWith("punctuation")) text = text.replace(PUNCTUATION, "");
  if (split === "whitespace") return text.split(/[ \t\n\r\v\f]+/).filter(Boolean);
  return split === "character" ? [...text] : [text];
}

/** @param {string[]} words @param {number | number[] | null} lengths */
function ngrams(words, lengths) {
  if (lengths == null) return words;
  const all = typeof lengths === "number" ? Array.from({ length: lengths }, (_, i) => i + 1) : lengths;
  return all.flatMap((n) => words.slice(0, Math.max(0, words.length - n + 1)).map((_, i) => words.slice(i, i + n).join(" ")));
}
