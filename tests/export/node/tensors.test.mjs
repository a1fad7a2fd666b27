// What an input takes, and what it refuses: no runtime runs here.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Tensor } from "cornu-runtime";
import { tensorOf } from "../../../js/src/tensors.js";

const spec = (dtype, ...shape) => ({ name: "x", dtype, shape });
const pixels = (width, height, ...data) => ({ width, height, data: Uint8ClampedArray.from(data) });
const red = [255, 0, 0, 255], white = [255, 255, 255, 255];

const TAKEN = [
  ["flat values are rows", [1, 2, 3, 4], spec("float32", null, 2), [2, 2], [1, 2, 3, 4]],
  ["a typed array too", Float64Array.of(1.5, 2), spec("float32", null, 2), [1, 2], [1.5, 2]],
  ["nested arrays", [[1, 2], [3, 4]], spec("int32", null, 2), [2, 2], [1, 2, 3, 4]],
  ["rows that are typed", [Float32Array.of(1, 2)], spec("float32", null, 2), [1, 2], [1, 2]],
  ["a batch of one is left out", [[1], [2]], spec("float32", null, null, 1), [1, 2, 1], [1, 2]],
  ["a number", 3, spec("float32", null, 1), [1, 1], [3]],
  ["a word", "a", spec("string", null), [1], ["a"]],
  ["truth", [true, false], spec("bool", null), [2], [1, 0]],
  ["large integers", [2n ** 60n, 7], spec("int64", null), [2], [2n ** 60n, 7n]],
  ["a tensor", new Tensor(Int32Array.of(1, 2), [1, 2]), spec("float32", null, 2), [1, 2], [1, 2]],
  ["anything with data and a shape", { data: [1, 2], shape: [2, 1] }, spec("float32", null, 1), [2, 1], [1, 2]],
  ["no rows", { data: [], shape: [0, 2] }, spec("float32", null, 2), [0, 2], []],
  ["pixels", pixels(1, 2, ...red, ...white), spec("float32", null, 2, 1, 3), [1, 2, 1, 3], [255, 0, 0, 255, 255, 255]],
  ["pixels in gray", pixels(1, 2, ...red, ...white), spec("uint8", null, null, null, 1), [1, 2, 1, 1], [76, 255]],
  ["channels first", pixels(2, 1, ...red, ...white), spec("float32", null, 3, 1, 2), [1, 3, 1, 2], [255, 255, 0, 255, 0, 255]],
  ["a batch of images", [pixels(1, 1, ...red), pixels(1, 1, ...white)], spec("uint8", null, 1, 1, 4), [2, 1, 1, 4], [...red, ...white]],
];
for (const [what, value, wanted, shape, data] of TAKEN)
  test(what, () => {
    const found = tensorOf(value, wanted);
    assert.deepEqual([found.shape, [...found.data], found.dtype], [shape, data, wanted.dtype]);
  });

const REFUSED = [
  ["another size", [[1, 2, 3]], spec("float32", null, 2), 'The input "x" has the shape [any, 2]. Received: shape=[1, 3]. Give it the sizes that it has.'],
  ["part of a row", [1, 2, 3], spec("float32", null, 2), 'The input "x" has the shape [any, 2]. Received: shape=[3]. Give whole rows.'],
  ["too many axes", [[[1]]], spec("float32", null, 1), 'The input "x" has the shape [any, 1]. Received: shape=[1, 1, 1]. Take away the axes that it has not.'],
  ["two free lengths", [1, 2, 3, 4], spec("float32", null, null, null), 'The input "x" has the shape [any, any, any]. Received: shape=[4]. Give all axes, since more than one length is free.'],
  ["rows of two lengths", [[1, 2], [3]], spec("float32", null, 2), 'Nested arrays have rows of one length. Received: a row of 1 among rows of [2] for "x".'],
  ["a value among rows", [[1, 2], 3], spec("float32", null, 2), 'Nested arrays have rows of one length. Received: a value among rows of [2] for "x".'],
  ["half a number", [1.5], spec("int32", null), 'The input "x" takes int32. Received: 1.5. Convert it first.'],
  ["a large number", [300], spec("uint8", null), 'The input "x" takes uint8. Received: 300. Convert it first.'],
  ["a word for a number", ["a"], spec("float32", null), 'The input "x" takes float32. Received: "a". Convert it first.'],
  ["half a large integer", [0.5], spec("int64", null), 'The input "x" takes int64. Received: 0.5. Convert it first.'],
  ["a number for a word", [1], spec("string", null), 'The input "x" takes string. Received: 1. Convert it first.'],
  ["nothing", undefined, spec("float32", null), 'The input "x" takes float32. Received: undefined. Convert it first.'],
  ["a hole", [null], spec("float32", null), 'The input "x" takes float32. Received: null. Convert it first.'],
  ["an image for a row", pixels(1, 1, ...red), spec("float32", null, 4), 'Images of one size go into an input (batch, height, width, channels) with 1, 3 or 4 channels. Received: images of 1 x 1, for "x" of shape [any, 4].'],
  ["images of two sizes", [pixels(1, 1, ...red), pixels(1, 2, ...red, ...red)], spec("uint8", null, 1, 1, 3), 'Images of one size go into an input (batch, height, width, channels) with 1, 3 or 4 channels. Received: images of 1 x 1, 1 x 2, for "x" of shape [any, 1, 1, 3].'],
  ["an image of another size", pixels(1, 1, ...red), spec("float32", null, 2, 2, 3), 'The input "x" has the shape [any, 2, 2, 3]. Received: shape=[1, 1, 1, 3]. Give it the sizes that it has.'],
  ["three numbers a pixel", pixels(1, 1, 1, 2, 3), spec("float32", null, 1, 1, 3), "An image has four numbers a pixel. Received: 3 for 1 x 1."],
];
for (const [what, value, wanted, message] of REFUSED)
  test(`${what} is refused`, () => assert.throws(() => tensorOf(value, wanted), { message }));

test("what comes out is read as arrays in arrays", () => {
  assert.deepEqual(new Tensor(Int32Array.of(1, 2, 3, 4, 5, 6), [1, 3, 2]).nested(), [[[1, 2], [3, 4], [5, 6]]]);
  assert.deepEqual(new Tensor(BigInt64Array.of(1n, 2n ** 60n), [2]).nested(), [1, 2n ** 60n]);
  assert.deepEqual(new Tensor(Uint8Array.of(1, 0), [2, 1], "bool").nested(), [[true], [false]]);
  assert.deepEqual(new Tensor(Float32Array.of(0.5), []).nested(), 0.5);
  assert.deepEqual(new Tensor(["a"], [1]).nested(), ["a"]);
  assert.deepEqual(new Tensor(new Float32Array(0), [0, 2]).nested(), []);
});

test("an image comes out as pixels", () => {
  const { data, width, height } = new Tensor(Float32Array.of(0, 0.5, 1, 2), [1, 2, 2, 1]).image();
  assert.deepEqual([width, height, ...data], [2, 2, 0, 0, 0, 255, 128, 128, 128, 255, ...white, ...white]);
  assert.throws(() => new Tensor(Float32Array.of(1), [1]).image(), { message:
    "An image is (batch, height, width, channels) with 1 or 3 channels. Received: shape=[1]. Read `data` or `nested()`." });
});

test("a tensor has a value for each place", () =>
  assert.throws(() => new Tensor(Float32Array.of(1), [2]), { message:
    "A tensor has a value for each place of its shape. Received: 1 values, shape=[2]." }));
