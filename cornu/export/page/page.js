// A model in a page: the input that fits it, and its answer. The data is in the page itself.

const page = JSON.parse(document.getElementById("page").textContent);

// ------------------------------------------------------------------ what the page carries

async function unpacked(id) {
  const holder = element(id);
  const packed = Uint8Array.from(atob(holder.textContent.trim()), (c) => c.charCodeAt(0));
  holder.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function session() {
  const code = new Blob([await unpacked("runtime")], { type: "text/javascript" });
  const address = URL.createObjectURL(code);
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1; // more would need headers that a file on disk can't have
  ort.env.wasm.wasmBinary = await unpacked("wasm");
  const model = await ort.InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"] });
  return { ort, model };
}

// ------------------------------------------------------------------------------- together

const numbersOf = ({ data, dims }) => ({ dims, data: Array.from(data, Number) }); // some come as BigInt
const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array, float64: Float64Array, uint8: Uint8Array, int8: Int8Array };

function tensor(ort, spec, { data, shape }, samples = 1) {
  const values = spec.dtype === "int64" ? BigInt64Array.from(data, (x) => BigInt(Math.round(x))) : ARRAYS[spec.dtype].from(data);
  return new ort.Tensor(spec.dtype, values, [samples, ...shape]);
}

async function start() {
  const started = performance.now();
  let run = () => {};
  const widgets = page.inputs.map((spec) => INPUTS[spec.kind](spec, () => run()));
  element("inputs").append(...widgets.map((widget) => widget.node));
  const { ort, model } = await session();
  const loading = performance.now() - started;
  const timings = [];
  let busy = false, again = false, last = Promise.resolve();
  const inTurn = (job) => (last = last.then(job, job)); // the runtime does one thing at a time
  const given = () => widgets.map((widget) => widget.get());
  const learns = page.learn && await learner(ort, model);

  async function once() {
    const feeds = { ...learns?.weights() };
    given().forEach((values, i) => { feeds[page.inputs[i].name] = tensor(ort, page.inputs[i], values); });
    const before = performance.now();
    const found = await model.run(feeds);
    timings.push(performance.now() - before);
    element("outputs").replaceChildren(...page.outputs.flatMap((spec) => ANSWERS[spec.kind](spec, numbersOf(found[spec.name]))));
    const recent = timings.slice(-20).sort((a, b) => a - b);
    facts({
      "Answer in": `${recent[Math.floor(recent.length / 2)].toFixed(1)} ms`,
      Model: sized(page.size), Parameters: page.parameters.toLocaleString("en"),
      "Ready after": `${(loading / 1000).toFixed(1)} s`, Runtime: `ONNX Runtime Web ${page.runtime}`,
    });
    document.body.dataset.runs = String(timings.length);
  }
  run = async () => {
    if (busy) { again = true; return; }
    busy = true;
    element("outputs").ariaBusy = "true";
    try {
      do { again = false; await inTurn(once); } while (again);
    } catch (error) {
      fail(error);
    } finally {
      busy = false;
      element("outputs").ariaBusy = "false";
    }
  };

  if (learns) teaching(learns, { inTurn, given, run });
  if (page.examples.length) {
    element("examples").hidden = false;
    const chips = element("examples").querySelector(".chips");
    for (const example of page.examples) {
      const picture = widgets[0].thumbnail?.(example.values[0]);
      const chip = make("button", { type: "button" }, picture ?? example.label);
      chip.setAttribute("aria-label", `Example ${example.label}`);
      chip.addEventListener("click", () => widgets.forEach((widget, i) => widget.set(example.values[i])));
      chips.append(chip);
    }
    page.inputs.forEach((_, i) => widgets[i].set(page.examples[0].values[i]));
  } else {
    await run();
  }
}

start().catch(fail);
