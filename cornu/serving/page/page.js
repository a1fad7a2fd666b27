// ------------------------------------------------------------------------------ the server

const POINTS = 90; // seconds that lines show
let token = sessionStorage.getItem("token");

async function asked(path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = body ? { method: "POST", body: JSON.stringify(body), headers } : { headers };
  const answer = await fetch(path, options);
  element("token").hidden = answer.status !== 401;
  const text = await answer.text();
  if (answer.ok) return text;
  let message = text;
  try { message = JSON.parse(text).error; } catch { /* it is no JSON */ }
  throw new Error(message || `The server answers ${answer.status}.`);
}

const read = async (path, body) => JSON.parse((await asked(path, body)).replace(/([[,:]\s*)-?(?:NaN|Infinity)\b/g, "$1null"));

/** The rows of Prometheus's text that belong to a model: [name, labels, value]. */
function measured(text, model) {
  const rows = [];
  for (const line of text.split("\n")) {
    const [, name, told = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (!name) continue;
    const labels = Object.fromEntries(Array.from(told.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g),
      ([, key, quoted]) => [key, quoted.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c)]));
    if (labels.model === model) rows.push([name, labels, Number(value)]);
  }
  const total = (wanted) => rows.reduce((sum, [name, , value]) => sum + (name === wanted ? value : 0), 0);
  const buckets = (wanted) => {
    const found = new Map();
    for (const [name, { le }, value] of rows)
      if (name === `${wanted}_bucket`) found.set(Number(le.replace("+Inf", "Infinity")), (found.get(Number(le.replace("+Inf", "Infinity"))) ?? 0) + value);
    return found;
  };
  return {
    requests: total("cornu_request_latency_seconds_count"), latency: buckets("cornu_request_latency_seconds"),
    runs: total("cornu_batch_rows_count"), rows: total("cornu_batch_rows_sum"), sizes: buckets("cornu_batch_rows"),
    queue: total("cornu_queue_rows"), memory: Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]),
  };
}

/** How many there are in each bucket since another time: the buckets of Prometheus hold those below as well. */
function since(now, before) {
  let below = 0;
  return Array.from(now).sort(([a], [b]) => a - b).map(([end, count]) => {
    const all = count - (before?.get(end) ?? 0);
    const own = all - below;
    below = all;
    return [end, own];
  });
}

function quantile(counts, share) {
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  let [below, start] = [0, 0];
  for (const [end, count] of counts) {
    if (count && below + count >= share * all)
      return end === Infinity ? start : start + (end - start) * (share * all - below) / count;
    below += count;
    start = end;
  }
  return NaN;
}

// ------------------------------------------------------------------------------- the lines

const lines = new Map();

function line(name) {
  const value = make("div", { className: "value" });
  const node = make("div", {}, make("h3", { textContent: name }), value, make("div", { className: "plot" }));
  element("lines").append(node);
  lines.set(name, { value, plot: node.lastChild, series: [[], []] });
}
for (const name of ["Requests a second", "Latency, half and 99 %", "Rows a run", "Rows that wait"]) line(name);
line("Sizes of runs");

const svg = (content, label, [width, height] = [POINTS - 1, 40]) =>
  `<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${label}">${content}</svg>`;

function draw(name, unit, ...values) {
  const { value, plot, series } = lines.get(name);
  values.forEach((x, i) => { series[i].push(x); series[i].splice(0, series[i].length - POINTS); });
  const top = Math.max(...series.flat().filter(Number.isFinite), 1e-9);
  const drawn = series.map((points, i) => {
    const at = (x, j) => `${POINTS - points.length + j},${(39 - 37 * x / top).toFixed(2)}`;
    // Where nothing was asked, nothing is drawn.
    const runs = points.reduce((all, x, j) => {
      if (!Number.isFinite(x)) all.push([]);
      else all.at(-1).push(at(x, j));
      return all;
    }, [[]]);
    return runs.filter((run) => run.length).map((run) =>
      `<polyline class="${i ? "second" : "first"}" points="${run.length > 1 ? run.join(" ") : `${run[0]} ${run[0]}`}" stroke-linecap="round"/>`).join("");
  }).reverse().join("");
  const shown = values.map(short).join(" / ");
  value.replaceChildren(shown, make("small", { textContent: ` ${unit}` }));
  plot.innerHTML = svg(drawn, `${name} in the last ${series[0].length} seconds, at most ${short(top)} ${unit}`);
}

function bars(name, counts) {
  const { value, plot } = lines.get(name);
  const sizes = counts.filter(([end, count]) => end !== Infinity && count > 0);
  const most = Math.max(...sizes.map(([, count]) => count), 1);
  const often = sizes.find(([, count]) => count === most);
  value.replaceChildren(often ? short(often[0]) : "–", make("small", { textContent: " rows most often" }));
  const all = counts.filter(([end]) => end !== Infinity);
  plot.innerHTML = svg(all.map(([, count], i) =>
    `<rect x="${10 * i + 1}" width="8" y="${39 - 37 * count / most}" height="${37 * count / most}"/>`).join(""),
  sizes.map(([end, count]) => `${count} of ${end} rows`).join(", ") || "none", [Math.max(10 * all.length, 10), 40]);
}

let last = null, window_ = [];

async function measure() {
  if (!chosen) return;
  const { name } = chosen;
  const now = { ...measured(await asked("metrics"), name), name, time: performance.now() };
  const before = last?.name === name ? last : null;
  last = now;
  if (!before) { window_ = [now]; return; }
  const seconds = (now.time - before.time) / 1e3;
  const fresh = now.requests >= before.requests ? before : { ...now, latency: null }; // a process may have begun anew
  const latency = since(now.latency, fresh.latency);
  draw("Requests a second", "/s", Math.max(now.requests - before.requests, 0) / seconds);
  draw("Latency, half and 99 %", "ms", 1e3 * quantile(latency, 0.5), 1e3 * quantile(latency, 0.99));
  draw("Rows a run", "rows", (now.rows - before.rows) / (now.runs - before.runs));
  draw("Rows that wait", "rows", now.queue);
  window_ = [...window_, now].slice(-POINTS);
  bars("Sizes of runs", since(now.sizes, window_[0].runs <= now.runs ? window_[0].sizes : null));
  if (now.memory) told.Memory = sized(now.memory);
  facts(told);
}

// ------------------------------------------------------------------------------ the models

function stringsInput(spec, changed) {
  const area = make("textarea", { id: `input-${spec.name}` });
  const count = spec.shape.reduce((product, size) => product * (size ?? 1), 1);
  area.value = "\n".repeat(count - 1);
  const label = make("label", { textContent: `${spec.name}: ${count === 1 ? "text" : `${count} lines of text`}` });
  label.append(area);
  area.addEventListener("input", changed);
  return {
    node: label,
    get: () => {
      const data = count === 1 ? [area.value] : area.value.split("\n");
      if (data.length !== count) throw new Error(`“${spec.name}” needs ${count} lines; there are ${data.length}.`);
      return { data, shape: spec.shape.map((size) => size ?? 1) };
    },
    set(data) { area.value = data.join("\n"); changed(); },
  };
}

Object.assign(INPUTS, { strings: stringsInput });
Object.assign(ANSWERS, { strings: (spec, { data }) => [make("div", { className: "best long", textContent: data.join(" ") })] });

let chosen = null, known = "", told = {}, widgets = [], timer, turn = 0;

async function predict() {
  const own = ++turn, model = chosen;
  element("outputs").ariaBusy = "true";
  try {
    const inputs = widgets.map((widget, i) => {
      const { data, shape } = widget.get(), { name, datatype, batched } = model.inputs[i];
      const values = Array.from(data, (x) => datatype === "BOOL" ? Boolean(x) : x);
      return { name, datatype, shape: batched ? [1, ...shape] : shape, data: values };
    });
    const before = performance.now();
    const answer = await read(`v2/models/${encodeURIComponent(model.name)}/infer`, { inputs });
    const seconds = performance.now() - before;
    if (own !== turn) return; // there is a later one
    const found = Object.fromEntries(answer.outputs.map((output) => [output.name, { data: output.data, dims: output.shape }]));
    element("outputs").replaceChildren(...model.outputs.flatMap((spec) => ANSWERS[spec.kind](spec, found[spec.name])));
    told["Answer in"] = `${seconds.toFixed(1)} ms`;
    facts(told);
    document.body.dataset.runs = String(Number(document.body.dataset.runs ?? 0) + 1);
  } catch (error) {
    if (own === turn) fail(error);
  } finally {
    if (own === turn) element("outputs").ariaBusy = "false";
  }
}

const soon = () => { element("outputs").ariaBusy = "true"; clearTimeout(timer); timer = setTimeout(predict, 60); };

async function choose(name) {
  chosen = await read(`models/${encodeURIComponent(name)}.json`);
  location.replace(`#${encodeURIComponent(name)}`);
  lines.forEach((one) => { one.series = one.series.map(() => []); });
  document.querySelector("main").hidden = false;
  element("title").textContent = document.title = name;
  element("signature").textContent = chosen.signature;
  element("command").textContent = chosen.command;
  told = { Runs: `on ${chosen.platform}`, Weights: sized(chosen.nbytes), Version: String(chosen.version) };
  facts(told);
  widgets = chosen.inputs.map((spec) => INPUTS[spec.kind](spec, soon));
  element("inputs").replaceChildren(...widgets.map((widget) => widget.node));
  element("outputs").replaceChildren();
  const chips = chosen.examples.map(({ label, values }) => {
    const chip = make("button", { type: "button" }, widgets[0].thumbnail?.(values[0]) ?? label);
    chip.setAttribute("aria-label", `Example ${label}`);
    chip.addEventListener("click", () => widgets.forEach((widget, i) => widget.set(values[i])));
    return chip;
  });
  element("examples").hidden = !chips.length;
  element("examples").querySelector(".chips").replaceChildren(...chips);
  if (chips.length) chips[0].click(); else soon();
}

/** All models with their versions; that one which is looked at is read anew once another version answers. */
async function look() {
  const models = await read("models.json");
  const name = chosen?.name ?? decodeURIComponent(location.hash.slice(1));
  const answers = ({ versions }) => versions.some(({ state }) => state === "AVAILABLE");
  const one = models.find((model) => model.name === name) ?? models.find(answers) ?? models[0];
  if (JSON.stringify(models) !== known) {
    element("models").replaceChildren(...models.map((model) => {
      const button = make("button", { type: "button", textContent: model.name });
      button.addEventListener("click", () => choose(model.name).then(mark).catch(fail));
      return button;
    }));
    element("models").hidden = models.length < 2;
    if (!one) element("signature").textContent = "There are no models yet.";
    if (one && answers(one)) await choose(one.name);
    known = JSON.stringify(models);
  }
  mark();

  function mark() {
    for (const button of element("models").children) button.ariaCurrent = String(button.textContent === chosen?.name);
    const { versions = [] } = models.find((model) => model.name === chosen?.name) ?? one ?? {};
    element("versions").replaceChildren(...versions.map(({ version, state, reason }) => make("tr", {},
      make("td", { textContent: version }), make("td", { className: `state ${state}`, textContent: state }),
      make("td", { textContent: reason }))));
  }
}

element("predict").addEventListener("click", predict);
element("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = new FormData(element("token")).get("token");
  sessionStorage.setItem("token", token);
});

async function forever(job) {
  for (;;) {
    try { await job(); } catch (error) { told.Server = error.message; facts(told); }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

forever(look);
forever(measure);
