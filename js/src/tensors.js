// What goes into a model and comes out: typed arrays with a shape.

/** @import { Dtype, Nested, Pixels, Scalar, Spec, TypedArray } from "./types.d.ts" */

/**
 * What holds the values of each dtype.
 * @type {Record<string, any>}
 */
export const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, int16: Int16Array, int32: Int32Array,
  int64: BigInt64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  float16: Float32Array, bool: Uint8Array, string: Array,
};

/** @param {readonly (number | null)[]} shape */
export const shown = (shape) => `[${shape.map((size) => size ?? "any").join(", ")}]`;

/** @param {readonly number[]} shape */
const count = (shape) => shape.reduce((total, size) => total * size, 1);

/** @param {unknown} x */
const isTyped = (x) => ArrayBuffer.isView(x) && !(x instanceof DataView);

/**
 * @param {any} x
 * @returns {x is Pixels}
 */
const isImage = (x) => x?.width > 0 && x.height > 0 && isTyped(x.data) && !("shape" in x);

/** Values in the order of rows: see `types.d.ts`. */
export class Tensor {
  /**
   * @param {TypedArray | readonly string[]} data
   * @param {readonly number[]} shape
   * @param {Dtype} [dtype]
   */
  constructor(data, shape, dtype = dtypeOf(data)) {
    if (data.length !== count(shape))
      throw new RangeError(
        `A tensor has a value for each place of its shape. Received: ${data.length} values, shape=${shown(shape)}.`);
    this.data = data;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** @returns {Nested} */
  nested() {
    const values = Array.from(/** @type {ArrayLike<any>} */ (this.data), (x) => readable(x, this.dtype));
    /** @type {Nested[]} */
    let rows = values;
    for (const size of this.shape.slice(1).reverse())
      rows = Array.from({ length: rows.length / (size || 1) }, (_, i) => rows.slice(i * size, (i + 1) * size));
    return this.shape.length ? rows : /** @type {Nested} */ (rows[0]);
  }

  /** @returns {Pixels} */
  image(low = 0, high = 1) {
    const [height, width, channels] = this.shape.slice(-3);
    if (this.shape.length < 3 || this.shape.length > 4 || ![1, 3].includes(channels))
      throw new RangeError(
        "An image is (batch, height, width, channels) with 1 or 3 channels. " +
        `Received: shape=${shown(this.shape)}. Read \`data\` or \`nested()\`.`);
    const pixels = new Uint8ClampedArray(4 * height * width).fill(255);
    for (let i = 0; i < height * width; i++)
      for (let c = 0; c < 3; c++)
        pixels[4 * i + c] = (255 * (Number(this.data[i * channels + (c % channels)]) - low)) / (high - low);
    if (globalThis.ImageData) return new ImageData(pixels, width, height);
    return { data: pixels, width, height };
  }
}

/**
 * @param {any} data
 * @returns {Dtype}
 */
function dtypeOf(data) {
  if (data instanceof Uint8ClampedArray) return "uint8";
  const found = Object.keys(ARRAYS).find((dtype) => data instanceof ARRAYS[dtype]);
  return /** @type {Dtype} */ (found);
}

/**
 * @param {any} x
 * @param {Dtype} dtype
 * @returns {Scalar}
 */
function readable(x, dtype) {
  if (dtype === "bool") return x !== 0;
  return typeof x === "bigint" && Number.isSafeInteger(Number(x)) ? Number(x) : x;
}

// ------------------------------------------------------------------------ what is given

/**
 * The tensor of an input, from what a user gives for it.
 * @param {any} value
 * @param {Spec} spec
 * @returns {Tensor}
 */
export function tensorOf(value, spec) {
  const images = isImage(value) ? [value] : Array.isArray(value) && value.every(isImage) ? value : [];
  const given = images.length ? ofImages(images, spec) : isTensor(value) ? value : flat(value, spec);
  return new Tensor(converted(given.data, spec), fitted(given.shape, given.data.length, spec), spec.dtype);
}

/** @param {any} x */
const isTensor = (x) => Array.isArray(x?.shape) && x.data?.length !== undefined;

/**
 * Whether a value is inputs by name.
 * @param {any} x
 * @returns {x is Record<string, any>}
 */
export const isNamed = (x) =>
  typeof x === "object" && x !== null && !Array.isArray(x) && !isTyped(x) && !isTensor(x) && !isImage(x);

/**
 * The values of nested arrays in order, and their shape.
 * @param {any} value
 * @param {Spec} spec
 */
function flat(value, spec) {
  /** @type {number[]} */
  const shape = [];
  /** @type {any} */
  let first = value;
  for (; Array.isArray(first) || isTyped(first); first = first[0]) shape.push(first.length);
  if (shape.length === 1 && isTyped(value)) return { data: value, shape };
  /** @type {any[]} */
  const data = [];
  /** @param {any} x @param {number} axis */
  const walk = (x, axis) => {
    const isArray = Array.isArray(x) || isTyped(x);
    if (isArray !== axis < shape.length || (isArray && x.length !== shape[axis]))
      throw new RangeError(
        "Nested arrays have rows of one length. Received: " +
        `${isArray ? `a row of ${x.length}` : "a value"} among rows of ${shown(shape.slice(axis))} for "${spec.name}".`);
    if (!isArray) data.push(x);
    else for (const row of x) walk(row, axis + 1);
  };
  walk(value, 0);
  return { data, shape };
}

/**
 * The shape of values as an input takes it.
 * @param {readonly number[]} shape
 * @param {number} length
 * @param {Spec} spec
 * @returns {number[]}
 */
function fitted(shape, length, spec) {
  const wanted = spec.shape;
  const refuse = (/** @type {string} */ how) => {
    throw new RangeError(
      `The input "${spec.name}" has the shape ${shown(wanted)}. Received: shape=${shown(shape)}. ${how}`);
  };
  if (shape.length > wanted.length) refuse("Take away the axes that it has not.");
  if (shape.length === wanted.length) {
    if (wanted.some((size, axis) => size !== null && size !== shape[axis])) refuse("Give it the sizes that it has.");
    return [...shape];
  }
  // In order: what is free is the length, and of more than one the first is a batch of 1.
  const free = wanted.flatMap((size, axis) => (size === null ? [axis] : []));
  const found = wanted.map((size) => size ?? 1);
  const last = free.at(-1);
  if (free.length > 2) refuse("Give all axes, since more than one length is free.");
  if (last !== undefined) found[last] = length / count(found);
  if (count(found) !== length || found.some((size) => !Number.isInteger(size))) refuse("Give whole rows.");
  return found;
}

/**
 * Values in the array of an input's dtype. Floats are rounded; anything else is kept, or refused.
 * @param {any} values
 * @param {Spec} spec
 * @returns {any}
 */
function converted(values, { name, dtype }) {
  const Kind = ARRAYS[dtype];
  if (Kind !== Array && values instanceof Kind) return values;
  const found = new Kind(values.length);
  const isKept = !dtype.startsWith("float");
  for (let i = 0; i < values.length; i++) {
    const value = valueOf(values[i], dtype);
    if (value !== undefined) found[i] = value;
    if (value === undefined || (isKept && found[i] != values[i])) // of whole numbers, true is 1 and 1n is 1
      throw new TypeError(`The input "${name}" takes ${dtype}. Received: ${quoted(values[i])}. Convert it first.`);
  }
  return found;
}

/**
 * A value as an array of a dtype takes it, or undefined.
 * @param {any} x
 * @param {Dtype} dtype
 */
function valueOf(x, dtype) {
  if (dtype === "string") return typeof x === "string" ? x : undefined;
  if (!["number", "bigint", "boolean"].includes(typeof x)) return undefined;
  if (!dtype.endsWith("int64")) return Number(x);
  return Number.isInteger(Number(x)) ? BigInt(x) : undefined;
}

/** @param {any} x */
const quoted = (x) => (typeof x === "string" ? `"${x}"` : String(x));

// ------------------------------------------------------------------------------- images

/**
 * Pixels as numbers from 0 to 255, with the channels that an input has.
 * @param {readonly Pixels[]} images
 * @param {Spec} spec
 */
function ofImages(images, spec) {
  const { shape } = spec;
  const isFirst = shape.length === 4 && ![1, 3, 4].includes(shape[3] ?? 3) && [1, 3, 4].includes(shape[1] ?? 0);
  const channels = (isFirst ? shape[1] : shape[3]) ?? 3;
  const [{ width, height }] = images;
  if (shape.length !== 4 || ![1, 3, 4].includes(channels) || images.some((x) => x.width !== width || x.height !== height))
    throw new RangeError(
      "Images of one size go into an input (batch, height, width, channels) with 1, 3 or 4 channels. Received: " +
      `images of ${[...new Set(images.map((x) => `${x.width} x ${x.height}`))].join(", ")}, for "${spec.name}" of shape ${shown(shape)}.`);
  const area = width * height;
  const data = new Float32Array(images.length * area * channels);
  images.forEach((image, n) => {
    if (image.data.length !== 4 * area)
      throw new RangeError(`An image has four numbers a pixel. Received: ${image.data.length} for ${width} x ${height}.`);
    for (let i = 0; i < area; i++)
      for (let c = 0; c < channels; c++)
        data[n * area * channels + (isFirst ? c * area + i : i * channels + c)] =
          channels === 1 ? gray(image.data, 4 * i) : image.data[4 * i + c];
  });
  const sizes = isFirst ? [channels, height, width] : [height, width, channels];
  return { data, shape: [images.length, ...sizes] };
}

/**
 * The luma of ITU-R BT.601, rounded as Pillow does: what `load_img(color_mode="grayscale")` reads.
 * @param {Uint8Array | Uint8ClampedArray} data
 * @param {number} at
 */
const gray = (data, at) => (19595 * data[at] + 38470 * data[at + 1] + 7471 * data[at + 2] + 0x8000) >> 16;
