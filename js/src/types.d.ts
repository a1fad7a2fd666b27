// What `cornu-runtime` offers.

export type Dtype =
  | "float16" | "float32" | "float64" | "int8" | "int16" | "int32" | "int64"
  | "uint8" | "uint16" | "uint32" | "uint64" | "bool" | "string";

export type TypedArray =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Uint8Array | Uint8ClampedArray | Uint16Array | Uint32Array | BigUint64Array;

export type Scalar = number | bigint | boolean | string;
export type Nested = Scalar | readonly Nested[] | TypedArray;

/** A browser's `ImageData`, or what a package for Node.js has in its place: RGBA, row by row. */
export interface Pixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** An input or output of a model. A size is null where it is free; the batch comes first. */
export interface Spec {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly (number | null)[];
}

/** Values in the order of rows. Half floats are held as `Float32Array`, truth as 0 and 1. */
export class Tensor {
  /** Throws a `RangeError` if there are not as many values as the shape has places. */
  constructor(data: TypedArray | readonly string[], shape: readonly number[], dtype?: Dtype);
  readonly data: TypedArray | readonly string[];
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** The values as arrays in arrays; 64-bit integers as numbers where these are exact. */
  nested(): Nested;
  /**
   * The first image `(batch, height, width, 1 or 3 channels)`, or the only one without a batch:
   * an `ImageData` where the platform has it. `low` is drawn as black, `high` as white.
   */
  image(low?: number, high?: number): Pixels;
}

/**
 * What a model takes for an input. Nested arrays and tensors have the input's shape. Flat values, and
 * arrays of fewer axes, are laid into it in order: four numbers are one row for `(batch, 4)`. Pixels
 * have values from 0 to 255, and as many channels as the input: gray, RGB or RGBA.
 */
export type Input = Nested | Tensor | Pixels | readonly Pixels[] | { data: TypedArray; shape: readonly number[] };

export interface Model {
  readonly inputs: readonly Spec[];
  readonly outputs: readonly Spec[];
  /**
   * The outputs by name.
   * @param inputs The inputs by name; the value alone, where there is one input.
   */
  predict(inputs: Input | Record<string, Input>): Promise<Record<string, Tensor>>;
  /** Give the memory back. */
  dispose(): Promise<void>;
}

/** A layer before a model, as its `get_config()` describes it. */
export interface Layer {
  readonly class_name: string;
  readonly config: Record<string, unknown>;
}

/** What an input takes where layers stand before it. */
export interface Prepared {
  readonly dtype: Dtype;
  readonly shape: readonly (number | null)[];
  readonly layers: readonly Layer[];
}

export interface Options {
  /**
   * The module that runs the model: `onnxruntime-web`, `onnxruntime-node` or `@tensorflow/tfjs`. Where it is
   * left out, the one that is installed is imported: for ONNX in Node.js `onnxruntime-node` first.
   */
  runtime?: unknown;
  /** Options of ONNX Runtime's `InferenceSession.create`, such as `executionProviders`. */
  session?: Record<string, unknown>;
  /** TensorFlow.js's backend: `cpu`, `webgl`, or one whose package was imported, such as `wasm`. */
  backend?: string;
  /** What stands before inputs, by name, or where it lies: `model.export(..., preprocessing="model.json")` wrote it. */
  preprocessing?: string | URL | Record<string, Prepared>;
}

/** TensorFlow.js's way to files: an object whose `load` gives what `model.json` and its shards hold. */
export interface IOHandler {
  load(): Promise<unknown>;
}

/**
 * Load a model: `model.onnx`, or the `model.json` of a graph-model or layers-model.
 *
 *     const model = await load("digits.onnx");
 *     const { digit } = await model.predict(context.getImageData(0, 0, 28, 28));
 *
 * @param source A path (Node.js), an address, the bytes of an ONNX file, or an `IOHandler`.
 */
export function load(source: string | URL | ArrayBuffer | Uint8Array | IOHandler, options?: Options): Promise<Model>;
