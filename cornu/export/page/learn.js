// ------------------------------------------------------------------------------- learning
// A graph of one training step, and the arrays that it takes and gives back (docs/export.md).

const HALF = 16; // of a batch: corrections, and as many examples, which are not to be forgotten
const PATIENCE = 40; // steps for one correction
const SURE = 0.6;
const NEW = "new/";
const KINDS = {
  F32: ["float32", Float32Array], F64: ["float64", Float64Array], I32: ["int32", Int32Array], I64: ["int64", BigInt64Array],
  U32: ["uint32", Uint32Array], U64: ["uint64", BigUint64Array], I8: ["int8", Int8Array], U8: ["uint8", Uint8Array],
  I16: ["int16", Int16Array], U16: ["uint16", Uint16Array], BOOL: ["bool", Uint8Array],
};

/** The arrays in a safetensors file, and what gives the file with others in their places. */
function opened(ort, buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const places = Object.entries(header).map(([name, { dtype, shape, data_offsets: [start, end] }]) =>
    ({ name, dtype, shape, start: 8 + length + start, end: 8 + length + end }));
  const arrays = Object.fromEntries(places.map(({ name, dtype, shape, start, end }) => {
    const [kind, Numbers] = KINDS[dtype];
    return [name, new ort.Tensor(kind, new Numbers(buffer.slice(start, end)), shape)];
  }));
  const file = (others) => {
    const bytes = new Uint8Array(buffer.slice(0));
    for (const { name, start } of places) {
      const { data } = others[name];
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
    }
    return bytes;
  };
  return { arrays, file };
}

async function learner(ort, model) {
  const { target, examples } = page.learn;
  const step = await ort.InferenceSession.create(await unpacked("step"), { executionProviders: ["wasm"] });
  const { arrays, file } = opened(ort, await unpacked("state"));
  const classes = page.learn.classes;
  let state = arrays, corrections = [], turn = 0;

  /** What a model reads of the state. */
  const weights = () => Object.fromEntries(model.inputNames.filter((name) => name in state).map((name) => [name, state[name]]));

  /** Samples as a batch; one has data and a shape for each input. */
  function batch(samples) {
    return Object.fromEntries(page.inputs.map((spec, i) => {
      const parts = samples.map(({ inputs }) => inputs[i]);
      return [spec.name, tensor(ort, spec, { data: parts.flatMap(({ data }) => Array.from(data)), shape: parts[0].shape }, samples.length)];
    }));
  }

  function targets(samples) {
    const values = samples.flatMap(({ label }) =>
      target.shape.at(-1) === classes ? Array.from({ length: classes }, (_, i) => Number(i === label)) : [label]);
    return new ort.Tensor(target.dtype, ARRAYS[target.dtype].from(values), [samples.length, ...target.shape]);
  }

  async function answer(sample) {
    const { data } = (await model.run({ ...batch([sample]), ...weights() }))[page.outputs[0].name];
    const label = data.indexOf(Math.max(...data));
    return { label, share: data[label] };
  }

  async function train(samples) {
    const found = await step.run({ ...batch(samples), [target.name]: targets(samples), ...state });
    const fresh = Object.entries(found).filter(([name]) => name.startsWith(NEW));
    state = { ...state, ...Object.fromEntries(fresh.map(([name, value]) => [name.slice(NEW.length), value])) };
    return found.loss?.data[0];
  }

  /** Examples go by what the model said of them at first, until somebody says otherwise. */
  const kept = [];
  for (const values of examples) {
    const sample = { inputs: values.map((data, i) => ({ data: Float32Array.from(data), shape: page.inputs[i].shape })) };
    const { label } = await answer(sample);
    kept.push({ ...sample, label, first: label });
  }
  const same = (one, two) => one.inputs.every(({ data }, i) => Array.from(data).every((x, j) => Math.fround(x) === two.inputs[i].data[j]));

  /** Take steps until the model gives the label, and say how they went. */
  async function teach(sample, told) {
    const known = kept.find((example) => same(sample, example));
    if (known) known.label = sample.label;
    corrections.push(sample);
    for (let number = 1; number <= PATIENCE; number++) {
      const next = (list, at) => list[(turn * HALF + at) % list.length];
      const rows = Array.from({ length: HALF }, (_, at) => (at ? next(corrections, at) : sample));
      const loss = await train(kept.length ? rows.concat(rows.map((_, at) => next(kept, at))) : rows);
      turn++;
      const { label, share } = await answer(sample);
      const done = label === sample.label && share > SURE;
      told(done, number, loss);
      if (done) break;
      await new Promise((resolve) => { setTimeout(resolve); }); // the page may draw
    }
  }

  return {
    weights, teach,
    count: () => corrections.length,
    forget() {
      state = arrays;
      corrections = [];
      for (const example of kept) example.label = example.first;
    },
    save() {
      const address = URL.createObjectURL(new Blob([file(state)]));
      make("a", { href: address, download: page.learn.file }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1e4);
    },
  };
}

/** What asks for the right answer. `inTurn` runs one thing after the other, `given` is what the answer was for. */
function teaching(learns, { inTurn, given, run }) {
  const spec = page.outputs[0];
  const practised = page.learn.examples.length ? "; half of what it practises are the examples" : "";
  const status = make("p", { className: "hint", textContent: `The page learns it on this device${practised}.` });
  const save = make("button", { type: "button", textContent: "Download the weights" });
  const forget = make("button", { type: "button", textContent: "Forget" });
  const row = make("div", { className: "row", hidden: true }, save, forget);
  const chips = make("div", { className: "chips" });
  for (let label = 0; label < page.learn.classes; label++) {
    const name = spec.labels?.[label] ?? String(label);
    const chip = make("button", { type: "button", textContent: name, ariaLabel: `It is ${name}` });
    chip.addEventListener("click", () => {
      const sample = { inputs: given(), label };
      element("outputs").ariaBusy = "true";
      const told = (done, steps, loss) => {
        status.textContent = `“${name}” ${done ? "learned in" : "not learned yet:"} ${steps} step${steps > 1 ? "s" : ""}; ` +
          `corrections: ${learns.count()}, loss: ${short(loss ?? NaN)}.`;
      };
      inTurn(() => learns.teach(sample, told)).then(() => { row.hidden = false; return run(); }).catch(fail);
    });
    chips.append(chip);
  }
  save.addEventListener("click", () => learns.save());
  forget.addEventListener("click", () => {
    inTurn(async () => learns.forget()).then(() => { row.hidden = true; status.textContent = "Forgotten."; return run(); }).catch(fail);
  });
  element("learning").append(make("h2", { id: "wrong", textContent: "Not right? It is" }), chips, status, row);
  element("learning").hidden = false;
}

