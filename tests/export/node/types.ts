// What a user of the package may write, and may not: `tsc` reads it, nothing runs it.

import { load, type Model, Tensor } from "cornu-runtime";

const model: Model = await load("model.onnx", { session: { executionProviders: ["wasm"] } });
const { digit } = await model.predict({ image: [[0, 1]], words: ["a"] });
await model.predict(new ImageData(2, 2));
await model.predict(new Float32Array(4));
await model.predict({ data: new Float32Array(4), shape: [1, 4] });
const sizes: readonly (number | null)[] = model.inputs[0].shape;
const pixels = digit.image(0, 255).data;
await load(new Uint8Array(), { preprocessing: { words: { dtype: "string", shape: [null], layers: [] } } });
await model.dispose();

// @ts-expect-error A model is loaded from somewhere.
await load();
// @ts-expect-error Options are named.
await load("model.onnx", { backends: "cpu" });
// @ts-expect-error A dtype has a name.
new Tensor([1], [1], "float");
// @ts-expect-error Inputs are values.
await model.predict({ image: () => 1 });

export { pixels, sizes };
