// The report of a search: scores, importance, epochs, parameters together and one by one, all drawn as SVG.

const search = JSON.parse(document.getElementById("search").textContent);
const { trials, parameters, objectives, facts } = search;
const find = (id) => document.getElementById(id);
let goal = 0, chosen = null, order = { by: "trial", down: false };

// ------------------------------------------------------------------- values

const scored = () => trials.filter((trial) => trial.scores && Number.isFinite(trial.scores[goal]));
const score = (trial) => trial.scores[goal];
const better = (one, other) => (objectives[goal].direction === "minimize" ? one < other : one > other);
const bestOf = (list) => list.reduce((best, it) => (best && !better(score(it), score(best)) ? best : it), null);

/** The share of trials that a trial is better than: what its colour says. */
function rank(trial) {
  const all = scored();
  return all.length < 2 ? 1 : all.filter((other) => better(score(trial), score(other))).length / (all.length - 1);
}
const colour = (share) => `color-mix(in oklab, var(--good) ${Math.round(100 * share)}%, var(--poor))`;

function short(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}
const seconds = (s) => (s == null ? "" : s < 100 ? `${s.toPrecision(2)} s` : s < 6000 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

// ------------------------------------------------------------------- scales

/** Places of numbers, on a logarithmic axis where they span much; ticks at round ones. */
function numbers(values, from, to, log = false) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const bend = log ? Math.log : (x) => x;
  const at = (x) => from + ((bend(x) - bend(low)) / (bend(high) - bend(low))) * (to - from);
  const ticks = log ? powers(low, high) : rounds(low, high);
  return { at, ticks: values.every(Number.isInteger) ? ticks.filter(Number.isInteger) : ticks, label: short };
}

function rounds(low, high, most = 5) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => power * times >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-9) + 1e-12; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function powers(low, high) {
  const found = [];
  for (let p = Math.ceil(Math.log10(low) - 1e-9); 10 ** p <= high * (1 + 1e-9); p++) found.push(Number((10 ** p).toPrecision(6)));
  return found.length > 1 ? found : [low, high];
}

function categories(values, from, to) {
  const at = (x) => from + ((values.indexOf(x) + 0.5) / values.length) * (to - from);
  return { at, ticks: values, label: String };
}

const scaleOf = (parameter, from, to) =>
  parameter.kind === "choice" ? categories(parameter.values, from, to) : numbers(parameter.values, from, to, parameter.kind === "log");

/** The scores' axis. A few that are far off would leave the others no room: they are drawn at its end. */
function scoreScale(values, from, to) {
  const sorted = [...values].sort((a, b) => a - b), at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  const reach = 3 * (at(0.9) - at(0.1));
  const [low, high] = [Math.max(sorted[0], at(0.1) - reach), Math.min(sorted.at(-1), at(0.9) + reach)];
  const scale = numbers([low, high], from, to);
  return { ...scale, at: (x) => scale.at(Math.min(high, Math.max(low, x))), isOff: (x) => x < low || x > high };
}

// ------------------------------------------------------------------ drawing

function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A drawing as wide as there is room, which is what its units are. */
function canvas(place, height, label) {
  const width = Math.max(200, place.clientWidth);
  const made = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": label });
  place.replaceChildren(made);
  return [made, width];
}

function vertical(svg, scale, x0, x1) {
  for (const tick of scale.ticks) {
    const y = scale.at(tick);
    svg.append(draw("line", { class: "grid", x1: x0, x2: x1, y1: y, y2: y }));
    svg.append(draw("text", { x: x0 - 6, y: y + 4, "text-anchor": "end" }, scale.label(tick)));
  }
}

function horizontal(svg, scale, y) {
  let last = -Infinity;
  for (const tick of scale.ticks) {
    const text = scale.label(tick), x = scale.at(tick), half = 3.4 * text.length + 4;
    if (x - half < last) continue;
    last = x + half;
    svg.append(draw("text", { x, y, "text-anchor": "middle" }, text));
  }
}

/** What stands for a trial: it tells about it, and chooses it everywhere. */
function of(trial, mark) {
  mark.classList.add("trial");
  mark.dataset.trial = trial.number;
  mark.addEventListener("pointerenter", (event) => tell(trial, event));
  mark.addEventListener("pointermove", (event) => tell(trial, event));
  mark.addEventListener("pointerleave", () => (find("tip").hidden = true));
  mark.addEventListener("click", () => choose(chosen === trial.number ? null : trial.number));
  return mark;
}

function dot(trial, x, y, isOff = false) {
  const share = rank(trial);
  return of(trial, draw("circle", { cx: x, cy: y, r: 4.5, fill: isOff ? "none" : colour(share), style: isOff ? `stroke: ${colour(share)}` : "" }));
}

function tell(trial, event) {
  const lines = [`Trial ${trial.number} · ${trial.state}`];
  objectives.forEach(({ name }, i) => trial.scores && lines.push(`${name}: ${short(trial.scores[i])}`));
  for (const [name, value] of Object.entries(trial.values)) lines.push(`${name}: ${short(value)}`);
  const tip = find("tip");
  tip.textContent = lines.join("\n");
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
  tip.style.top = `${Math.max(8, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
}

function choose(number) {
  chosen = number;
  for (const mark of document.querySelectorAll("[data-trial]")) {
    const is = Number(mark.dataset.trial) === chosen;
    mark.classList.toggle("chosen", is);
    if (is && mark.ownerSVGElement) mark.parentNode.append(mark);
  }
}

// ------------------------------------------------------------------- charts

function best() {
  const found = bestOf(scored());
  const items = found === null ? [["", "no trial has a score"]] : [
    [`trial ${found.number}`, `${objectives[goal].name} ${short(score(found))}`],
    ...Object.entries(found.values).map(([name, value]) => [name, short(value)]),
  ];
  find("best").replaceChildren(...items.map(([name, text]) => make("div", {}, make("span", {}, name), make("b", {}, text))));
}

function history() {
  const [svg, width] = canvas(find("history"), 280, "Scores in the order of trials");
  const list = scored(), left = 56, right = width - 10, bottom = 244;
  if (!list.length) return;
  const x = numbers([0, Math.max(1, trials.length - 1)], left + 8, right - 8);
  const y = scoreScale(list.map(score), bottom - 8, 12);
  vertical(svg, y, left, right);
  horizontal(svg, x, bottom + 16);
  svg.append(draw("text", { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, "trial"));
  let path = "", top = null;
  for (const trial of list) {
    if (top !== null && !better(score(trial), top)) continue;
    path += top === null ? `M${x.at(trial.number)} ${y.at(score(trial))}` : `H${x.at(trial.number)}V${y.at(score(trial))}`;
    top = score(trial);
  }
  svg.append(draw("path", { class: "best", d: `${path}H${right - 8}` }));
  for (const trial of trials.filter((it) => ["FAIL", "PRUNED"].includes(it.state) && !list.includes(it))) {
    const at = x.at(trial.number);
    svg.append(of(trial, draw("path", { class: "lost", d: `M${at - 3} ${bottom - 3}l6 6m0 -6l-6 6` })));
  }
  svg.append(...list.map((trial) => dot(trial, x.at(trial.number), y.at(score(trial)), y.isOff(score(trial)))));
}

function importance() {
  const shares = objectives[goal].importance;
  const rows = shares.flatMap(([name, share]) => [
    make("span", {}, name), make("div", {}, make("i", { style: `width: ${100 * share / shares[0][1]}%` })), make("output", {}, `${Math.round(100 * share)} %`),
  ]);
  find("importance").replaceChildren(...(rows.length ? rows : ["There are too few trials, or no parameter differs."]));
}

function curves() {
  const list = trials.filter((trial) => Object.keys(trial.reports).length > 1);
  document.querySelector("[data-needs=curves]").hidden = !list.length || goal > 0;
  if (!list.length || goal > 0) return;
  const [svg, width] = canvas(find("curves"), 260, "Reports by epoch");
  const all = list.flatMap((trial) => Object.values(trial.reports)), left = 56, right = width - 10;
  const x = numbers(list.flatMap((trial) => Object.keys(trial.reports).map(Number)), left + 8, right - 8);
  const y = scoreScale(all, 216, 12);
  vertical(svg, y, left, right);
  horizontal(svg, x, 240);
  for (const trial of list) {
    const points = Object.entries(trial.reports).map(([step, value]) => `${x.at(Number(step))} ${y.at(value)}`);
    svg.append(of(trial, draw("path", { d: `M${points.join("L")}`, style: `stroke: ${colour(trial.scores ? rank(trial) : 0)}` })));
  }
}

function parallel() {
  const list = scored().sort((a, b) => rank(a) - rank(b)), place = find("parallel");
  const axes = parameters.filter((parameter) => parameter.values.length > 1);
  const [svg, width] = canvas(place, 300, "Parameters of each trial");
  if (!list.length || !axes.length) return;
  const columns = [...axes, { name: objectives[goal].name, score: true }];
  const x = (i) => 60 + (i * (width - 110)) / (columns.length - 1), every = Math.max(1, Math.ceil((columns.length * 78) / width));
  const scales = columns.map((it) => (it.score ? scoreScale(list.map(score), 262, 30) : scaleOf(it, 262, 30)));
  for (const trial of list) {
    const points = columns.map((it, i) => (it.score ? [x(i), scales[i].at(score(trial))] : it.name in trial.values ? [x(i), scales[i].at(trial.values[it.name])] : null));
    const d = points.map((point, i) => (point === null ? "" : `${i && points[i - 1] ? "L" : "M"}${point.join(" ")}`)).join("");
    svg.append(of(trial, draw("path", { d, style: `stroke: ${colour(rank(trial))}` })));
  }
  const marks = draw("g", { class: "over", "pointer-events": "none" });
  columns.forEach((column, i) => {
    marks.append(draw("line", { class: "grid", x1: x(i), x2: x(i), y1: 30, y2: 262 }));
    for (const tick of scales[i].ticks) marks.append(draw("text", { x: x(i) - 5, y: scales[i].at(tick) + 4, "text-anchor": "end" }, scales[i].label(tick).slice(0, 9)));
    marks.append(draw("text", { class: "axis", x: x(i), y: i % every ? 285 + 13 * (i % every - 1) : 16, "text-anchor": "middle" }, column.name.split("/").at(-1).slice(0, 16)));
  });
  svg.append(marks);
}

function slices() {
  const list = scored();
  const axes = parameters.filter((parameter) => parameter.values.length > 1);
  find("slices").replaceChildren(...axes.map((parameter) => make("div", { "data-name": parameter.name })));
  for (const parameter of axes) {
    const place = [...find("slices").children].find((it) => it.dataset.name === parameter.name);
    const [svg, width] = canvas(place, 190, parameter.name), having = list.filter((trial) => parameter.name in trial.values);
    if (!having.length) continue;
    const y = scoreScale(list.map(score), 148, 12), x = scaleOf(parameter, 62, width - 16);
    vertical(svg, y, 54, width - 8);
    horizontal(svg, x, 168);
    svg.append(draw("text", { class: "axis", x: (54 + width) / 2, y: 186, "text-anchor": "middle" }, parameter.name));
    svg.append(...having.map((trial) => dot(trial, x.at(trial.values[parameter.name]), y.at(score(trial)), y.isOff(score(trial)))));
  }
}

function table() {
  const columns = [
    ["trial", (trial) => trial.number], ["state", (trial) => trial.state],
    ...objectives.map(({ name }, i) => [name, (trial) => trial.scores?.[i]]),
    ...parameters.map(({ name }) => [name, (trial) => trial.values[name]]),
    ["time", (trial) => trial.seconds], ["", (trial) => trial.message],
  ];
  const get = columns.find(([name]) => name === order.by)[1];
  const sorted = [...trials].sort((a, b) => compare(get(a), get(b)) * (order.down ? -1 : 1));
  const head = make("tr", {}, ...columns.map(([name]) => {
    const button = make("button", { type: "button" }, name + (name === order.by ? (order.down ? " ↓" : " ↑") : ""));
    button.addEventListener("click", () => { order = { by: name, down: order.by === name && !order.down }; table(); });
    return make("th", {}, button);
  }));
  const rows = sorted.map((trial) => of(trial, make("tr", {}, ...columns.map(([name, value]) => {
    const found = value(trial);
    return make("td", name === "" ? { class: "why" } : {}, found == null ? "" : name === "time" ? seconds(found) : short(found));
  }))));
  find("trials").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  choose(chosen);
}

/** The order of values, with those that are none at the end. */
function compare(one, other) {
  if (one == null || other == null) return (one == null) - (other == null);
  return one < other ? -1 : one > other ? 1 : 0;
}

// --------------------------------------------------------------------- page

function all() {
  for (const chart of [best, history, importance, curves, parallel, slices, table]) chart();
  choose(chosen);
}

find("facts").textContent = facts.join(" · ");
find("goals").hidden = objectives.length < 2;
find("goal").append(...objectives.map(({ name }, i) => make("option", { value: i }, name)));
find("goal").addEventListener("change", (event) => { goal = Number(event.target.value); all(); });
let seen = 0;
new ResizeObserver(() => {
  if (innerWidth !== seen) { seen = innerWidth; all(); }
}).observe(document.body);
all();
