// What `tests/export/test_node.py` exported, in the package: the same numbers.
// EXPORTS is a folder whose `rows.json` lists the models; RUNTIME the module that runs them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { load } from "cornu-runtime";

const { EXPORTS, RUNTIME } = process.env;
const runtime = RUNTIME && (await import(RUNTIME));
/** In JSON the values of an image are a list. */
const revived = (key, x) => (key === "data" ? Uint8ClampedArray.from(x) : x);
const rows = EXPORTS ? JSON.parse(await readFile(join(EXPORTS, "rows.json"), "utf8"), revived) : [];

/** Each value, within 1e-4 of the largest. */
function assertSame(found, wanted) {
  assert.deepEqual(found.shape, wanted.shape);
  const limit = 1e-4 * Math.max(1, ...wanted.values.map(Math.abs));
  found.data.forEach((x, i) => assert.ok(Math.abs(Number(x) - wanted.values[i]) <= limit, `${x} at ${i}, not ${wanted.values[i]}`));
}

for (const { name, file, preprocessing, inputs, outputs, given, wanted } of rows)
  test(name, async () => {
    const model = await load(join(EXPORTS, file), { runtime, preprocessing: preprocessing && join(EXPORTS, preprocessing) });
    assert.deepEqual(model.inputs, inputs);
    assert.deepEqual(model.outputs.map((spec) => spec.name), outputs);
    for (let i = 0; i < given.length; i++) {
      const found = await model.predict(given[i]);
      assert.deepEqual(Object.keys(found), outputs);
      for (const output of outputs) assertSame(found[output], wanted[i][output]);
    }
    await model.dispose();
  });
