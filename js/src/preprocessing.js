// Layers that stand before a model: what its file can't hold, computed here as Cornu computes it.

import { ARRAYS, Tensor, tensorOf } from "./tensors.js";

/** @import { Layer, Prepared } from "./types.d.ts" */
/** @import { Opened } from "./index.js" */

/**
 * The layers by their class: what each makes of a tensor, by its config.
 * @type {Record<string, (tensor: Tensor, config: any) => Tensor>}
 */
const LAYERS = {
  Rescaling: (tensor, { scale, offset }) =>
    elementwise(tensor, (x, i) => fround(x * fround(of(scale, i))) + fround(of(offset, i))),

  Normalization: (tensor, { mean, variance, invert }) => {
    const spread = variance.map((/** @type {number} */ x) => Math.max(fround(Math.sqrt(x)), 1e-7));
    return elementwise(tensor, invert
      ? (x, i) => fround(x * of(spread, i)) + fround(of(mean, i))
      : (x, i) => fround(x - fround(of(mean, i))) / of(spread, i));
  },

  Resizing: resized,
  StringLookup: looked,
  IntegerLookup: looked,
  TextVectorization: vectorized,
};

/**
 * A model with layers before its inputs.
 * @param {Opened} opened
 * @param {Record<string, Prepared>} before
 * @returns {Opened}
 */
export function prepared(opened, before) {
  const names = opened.inputs.map(({ name }) => name);
  const unknown = Object.keys(before).filter((name) => !names.includes(name));
  if (unknown.length)
    throw new TypeError(`Layers stand before inputs: ${names.join(", ")}. Received: layers for ${unknown.join(", ")}.`);
  Object.values(before).forEach(({ layers }) => layers.forEach(check));
  const made = (/** @type {Tensor} */ x, /** @type {number} */ i) => {
    const layers = before[names[i]]?.layers;
    if (!layers) return x;
    const last = layers.reduce((tensor, { class_name: name, config }) => LAYERS[name](tensor, config), x);
    return tensorOf(last, opened.inputs[i]);
  };
  const inputs = opened.inputs.map((spec) => {
    const { dtype, shape } = before[spec.name] ?? spec;
    return { name: spec.name, dtype, shape };
  });
  return { ...opened, inputs, run: (tensors) => opened.run(tensors.map(made)) };
}

/**
 * The values of arguments, where not all are known here.
 * @type {Record<string, Record<string, unknown[]>>}
 */
const KNOWN = {
  Resizing: {
    interpolation: ["bilinear", "nearest"], antialias: [false], fill_mode: ["constant"], data_format: ["channels_last"] },
  StringLookup: { num_oov_indices: [1], invert: [false], output_mode: ["int"] },
  IntegerLookup: { num_oov_indices: [1], invert: [false], output_mode: ["int"] },
  TextVectorization: {
    standardize: [null, "lower", "strip_punctuation", "lower_and_strip_punctuation"],
    split: ["whitespace", "character"], output_mode: ["int", "multi_hot", "count"], ragged: [false] },
};

/** @param {Layer} layer */
function check({ class_name: name, config }) {
  if (!Object.hasOwn(LAYERS, name))
    throw new TypeError(`Layers before a model are ${Object.keys(LAYERS).join(", ")}. Received: ${name}.`);
  for (const [key, values] of Object.entries(KNOWN[name] ?? {}))
    if (key in config && !values.includes(config[key]))
      throw new TypeError(
        `A ${name} before a model has \`${key}\` of ${JSON.stringify(values)}. Received: ` +
        `${key}=${JSON.stringify(config[key])}. Call the layer before \`predict\`.`);
}

// ------------------------------------------------------------------------------ numbers

const { fround } = Math; // layers compute in 32 bits

/** @param {number | number[]} values @param {number} i */
const of = (values, i) => (Array.isArray(values) ? values[i % values.length] : values);

/**
 * @param {Tensor} tensor
 * @param {(x: number, i: number) => number} f Of a value and its place: the last axis counts fastest.
 */
const elementwise = ({ data, shape }, f) => new Tensor(Float32Array.from(/** @type {ArrayLike<any>} */ (data), f), shape);

/**
 * Images of another size: each place is the middle of a pixel, and lies between the pixels around it.
 * @param {Tensor} tensor `(batch, height, width, channels)`
 * @param {any} config
 */
function resized({ data, shape, dtype }, config) {
  const [batch, height, width, channels] = shape;
  const part = partOf(height, width, config);
  const isNearest = config.interpolation === "nearest", isWhole = !dtype.startsWith("float");
  const rows = places(config.height, part.height, isNearest), columns = places(config.width, part.width, isNearest);
  const found = new ARRAYS[dtype](batch * config.height * config.width * channels);
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
          found[i++] = isWhole ? rounded(value) : value;
        }
  return new Tensor(found, [batch, config.height, config.width, channels], dtype);
}

/** The nearest whole number; of two the even one. @param {number} x */
const rounded = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

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
 * What finds the index of a token: masked ones have 0, unknown ones the next, then the vocabulary comes.
 * @param {any[]} vocabulary
 * @param {any} masked The token that is masked; null where none is.
 * @returns {(token: any) => number}
 */
function finder(vocabulary, masked) {
  const first = masked === null ? 0 : 1;
  const table = new Map(vocabulary.map((token, i) => [token, first + 1 + i]));
  if (masked !== null) table.set(masked, 0);
  return (token) => table.get(token) ?? first;
}

/** @param {Tensor} tensor @param {any} config */
function looked({ data, shape }, { vocabulary, mask_token: masked }) {
  const find = finder(vocabulary, masked ?? null);
  return new Tensor(Int32Array.from(/** @type {ArrayLike<any>} */ (data), (x) => find(typeof x === "bigint" ? Number(x) : x)), shape);
}

const PUNCTUATION = /[!"#$%&()*+,\-./:;<=>?@[\\\]^_`{|}~']/g;

/**
 * Documents as rows of indices, or of counts.
 * @param {Tensor} tensor
 * @param {any} config
 */
function vectorized({ data }, config) {
  const isSequence = config.output_mode === "int";
  const find = finder(config.vocabulary, isSequence ? "" : null);
  const rows = Array.from(/** @type {string[]} */ (data), (document) => {
    const found = ngrams(tokens(document, config), config.ngrams);
    return (isSequence ? found : found.filter(Boolean)).map(find);
  });
  const longest = Math.max(0, ...rows.map((row) => row.length));
  const size = config.pad_to_max_tokens ? config.max_tokens : config.vocabulary.length + 1;
  const width = isSequence ? config.output_sequence_length ?? longest : size;
  const found = new (isSequence ? Int32Array : Float32Array)(rows.length * width);
  rows.forEach((row, i) => {
    const place = i * width;
    if (isSequence) found.set(row.slice(0, width), place);
    else for (const index of row) found[place + index] = config.output_mode === "count" ? found[place + index] + 1 : 1;
  });
  return new Tensor(found, [rows.length, width]);
}

/** @param {string} document @param {{ standardize: string | null, split: string | null }} config */
function tokens(document, { standardize, split }) {
  let text = document;
  if (standardize?.startsWith("lower")) text = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (standardize?.endsWith("punctuation")) text = text.replace(PUNCTUATION, "");
  if (split !== "character") return text.split(/[ \t\n\r\v\f]+/).filter(Boolean);
  return [...text];
}

/** @param {string[]} words @param {number | number[] | null} lengths */
function ngrams(words, lengths) {
  if (lengths == null) return words;
  const all = typeof lengths === "number" ? Array.from({ length: lengths }, (_, i) => i + 1) : lengths;
  return all.flatMap((n) => words.slice(0, Math.max(0, words.length - n + 1)).map((_, i) => words.slice(i, i + n).join(" ")));
}
