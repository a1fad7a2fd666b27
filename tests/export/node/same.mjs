// Whether a model that Python exported gives in the package what it gives there: of Node.js's tests and of a page's.

/** In JSON the values of an image are a list. */
export const revived = (key, x) => (key === "data" ? Uint8ClampedArray.from(x) : x);

function assertEqual(found, wanted) {
  const [one, two] = [found, wanted].map((x) => JSON.stringify(x));
  if (one !== two) throw new Error(`${one}, not ${two}`);
}

/** Each value, within 1e-4 of the largest. */
function assertClose({ data, shape }, wanted) {
  assertEqual(shape, wanted.shape);
  const limit = 1e-4 * Math.max(1, ...wanted.values.map(Math.abs));
  const apart = wanted.values.findIndex((x, i) => !(Math.abs(x - Number(data[i])) <= limit));
  if (apart >= 0) throw new Error(`${data[apart]} at ${apart}, not ${wanted.values[apart]}`);
}

/** Throws where a model differs from its row; `place` gives the place of a file. */
export async function check(load, row, place, options) {
  const { file, preprocessing, inputs, outputs, given, wanted } = row;
  const model = await load(place(file), { ...options, preprocessing: preprocessing && place(preprocessing) });
  assertEqual(model.inputs, inputs);
  assertEqual(model.outputs.map(({ name }) => name), outputs);
  for (let i = 0; i < given.length; i++) {
    const found = await model.predict(given[i]);
    assertEqual(Object.keys(found), outputs);
    for (const output of outputs) assertClose(found[output], wanted[i][output]);
  }
  await model.dispose();
}
