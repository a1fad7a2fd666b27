// The graph of a model: laid out by dagre, drawn as SVG; pan, zoom, search, models and blocks that open and close.

const { nodes, edges, facts } = JSON.parse(document.getElementById("graph").textContent);
const find = (id) => document.getElementById(id);
const byId = new Map(nodes.map((node) => [node.id, node]));
const view = find("view"), canvas = find("canvas"), details = find("details");
/** From how many nodes on models within the model are closed at first; blocks always are. */
const MANY = 80;

const closed = new Set();
let at = { x: 0, y: 0, scale: 1 };
let places = new Map();
let hits = [], hit = -1, chosen = null;

find("facts").textContent = facts.join(" · ");

// ------------------------------------------------------------------- layout

const ancestors = (node) => (node.parent === null ? [] : [...ancestors(byId.get(node.parent)), byId.get(node.parent)]);

/** What stands for a node: itself, or the outermost closed model or block that it is in. */
const shown = (node) => ancestors(node).find((group) => closed.has(group.id)) ?? node;

const pen = document.createElement("canvas").getContext("2d");
function width(text, size, weight = 400) {
  pen.font = `${weight} ${size}px system-ui, sans-serif`;
  return pen.measureText(text).width;
}

/** The lines of a node: class, name, shape of the output, and what it costs where that was asked for. */
const linesOf = (node) =>
  [["kind", node.kind], ["name", node.name], ["shape", node.shape], ["shape", node.cost]].filter(([, text]) => text);

const PAD = 12, LINE = 17, HEAD = 26;
function sizeOf(node) {
  const lines = linesOf(node);
  const longest = Math.max(...lines.map(([look, text]) => width(text, look === "kind" ? 13 : 11.5, look === "kind" ? 600 : 400)));
  return { width: longest + 2 * PAD + (node.group ? 24 : 0), height: lines.length * LINE + PAD };
}

function layout() {
  const graph = new dagre.graphlib.Graph({ compound: true });
  const titles = nodes.some((node) => node.group && shown(node) === node && !closed.has(node.id));
  graph.setGraph({ rankdir: "TB", nodesep: 26, ranksep: titles ? 44 : 30, marginx: 24, marginy: 24 });
  for (const node of nodes) {
    if (shown(node) !== node) continue;
    const open = node.group && !closed.has(node.id);
    graph.setNode(node.id, open ? {} : sizeOf(node));
    if (node.parent !== null) graph.setParent(node.id, node.parent);
  }
  for (const [from, to] of edges) {
    const [source, target] = [shown(byId.get(from)), shown(byId.get(to))];
    if (source !== target) graph.setEdge(source.id, target.id, {});
  }
  dagre.layout(graph);
  return graph;
}

// ------------------------------------------------------------------ drawing

function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function toggle(node, x, y) {
  const open = !closed.has(node.id);
  const button = draw("g", {
    class: "toggle", role: "button", tabindex: 0, "aria-expanded": open,
    "aria-label": `${open ? "Collapse" : "Expand"} ${node.name}`,
  }, draw("rect", { x: x - 10, y: y - 10, width: 20, height: 20, fill: "transparent" }),
    draw("text", { x, y: y + 5, "text-anchor": "middle" }, open ? "−" : "+"));
  press(button, () => turn(node, open));
  return button;
}

/** A click, or the key that stands for one. */
function press(element, act) {
  element.addEventListener("click", (event) => { event.stopPropagation(); act(); });
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
  });
}

function drawGroup(node, { x, y, width: w, height: h }) {
  const left = x - w / 2, top = y - h / 2;
  const label = `${node.kind} ${node.name}`;
  const drawn = draw("g", { class: "group", "data-id": node.id },
    draw("rect", { x: left, y: top, width: w, height: h }),
    draw("text", { x: left + 28, y: top + 18, class: "kind" }, label), toggle(node, left + 15, top + 13));
  drawn.querySelector("text.kind").addEventListener("click", () => choose(node));
  return drawn;
}

function drawNode(node, { x, y, width: w, height: h }) {
  const top = y - h / 2;
  const looks = ["node", node.look, node.group ? "closed" : ""].filter(Boolean).join(" ");
  const shift = node.group ? 10 : 0;
  const lines = linesOf(node).map(([look, text], i) =>
    draw("text", { x: x + shift, y: top + PAD / 2 + LINE * (i + 0.78), "text-anchor": "middle", class: look }, text));
  const drawn = draw("g", { class: looks, "data-id": node.id, role: "button", tabindex: 0, "aria-label": `${node.kind} ${node.name}` },
    draw("rect", { x: x - w / 2, y: top, width: w, height: h }), ...lines);
  press(drawn, () => choose(node));
  if (node.group) {
    drawn.append(toggle(node, x - w / 2 + 16, y));
    drawn.addEventListener("dblclick", () => turn(node, false));
  }
  return drawn;
}

const rounded = (points) => {
  const [first, ...rest] = points;
  let path = `M${first.x} ${first.y}`;
  rest.forEach((point, i) => {
    const next = rest[i + 1];
    path += next ? ` Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}` : ` L${point.x} ${point.y}`;
  });
  return path;
};

function redraw() {
  const graph = layout();
  places = new Map(graph.nodes().map((id) => [Number(id), graph.node(id)]));
  const drawn = nodes.filter((node) => places.has(node.id));
  const open = drawn.filter((node) => node.group && !closed.has(node.id));
  for (const node of open.toReversed()) grow(node);
  view.replaceChildren(
    ...open.map((node) => drawGroup(node, places.get(node.id))),
    ...graph.edges().map(({ v, w }) => draw("path", {
      class: "edge", "data-from": v, "data-to": w, d: rounded(graph.edge(v, w).points),
    })),
    ...drawn.filter((node) => !open.includes(node)).map((node) => drawNode(node, places.get(node.id))));
  mark();
}

/** Room for the title of an open model, above what is inside and as wide as it is. */
function grow(node) {
  const place = places.get(node.id);
  const inside = nodes.filter((other) => other.parent === node.id).map((other) => places.get(other.id));
  const bottom = place.y + place.height / 2;
  const top = Math.min(place.y - place.height / 2, ...inside.map((box) => box.y - box.height / 2 - HEAD));
  const wide = Math.max(place.width, width(`${node.kind} ${node.name}`, 13, 600) + 44);
  places.set(node.id, { x: place.x, y: (top + bottom) / 2, width: wide, height: bottom - top });
}

/** Opens or closes a model or block; it stays where it is on the screen. */
function turn(node, close) {
  const before = places.get(node.id);
  if (close) closed.add(node.id); else closed.delete(node.id);
  redraw();
  const after = places.get(node.id);
  if (before && after) {
    at.x += (before.x - after.x) * at.scale;
    at.y += (before.y - before.height / 2 - after.y + after.height / 2) * at.scale;
    move();
  }
}

function turnAll(close) {
  for (const node of nodes) if (node.group) { if (close) closed.add(node.id); else closed.delete(node.id); }
  redraw();
  fit();
}

// --------------------------------------------------------------- pan and zoom

const move = () => view.setAttribute("transform", `translate(${at.x} ${at.y}) scale(${at.scale})`);

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(4, Math.max(0.02, at.scale * factor));
  at = { scale, x: x - (x - at.x) * (scale / at.scale), y: y - (y - at.y) * (scale / at.scale) };
  move();
}

function bounds() {
  const boxes = [...places.values()];
  return {
    width: Math.max(...boxes.map((box) => box.x + box.width / 2)) + 24,
    height: Math.max(...boxes.map((box) => box.y + box.height / 2)) + 24,
  };
}

/** All of the graph; at first, of a long one, its beginning in letters that can be read. */
function fit(least = 0.02) {
  const { width: w, height: h } = bounds();
  const scale = Math.max(least, Math.min(1.4, canvas.clientWidth / w, canvas.clientHeight / h));
  at = { scale, x: (canvas.clientWidth - w * scale) / 2, y: Math.max(0, (canvas.clientHeight - h * scale) / 2) };
  if (w * scale > canvas.clientWidth) {
    const first = places.get(nodes[0].id);
    at.x = canvas.clientWidth / 2 - first.x * scale;
  }
  move();
}

function center(node) {
  const place = places.get(node.id);
  at = { scale: Math.max(at.scale, 0.7), x: 0, y: 0 };
  at.x = canvas.clientWidth / 2 - place.x * at.scale;
  at.y = canvas.clientHeight / 2 - place.y * at.scale;
  move();
}

/** In a notebook the wheel scrolls past the graph. */
const embedded = window.self !== window.top;
canvas.addEventListener("wheel", (event) => {
  if (embedded && !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const { left, top } = canvas.getBoundingClientRect();
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY / 200), event.clientX - left, event.clientY - top);
  else { at.x -= event.deltaX; at.y -= event.deltaY; move(); }
}, { passive: false });

const fingers = new Map();
canvas.addEventListener("pointerdown", (event) => fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, far: 0 }));
canvas.addEventListener("pointermove", (event) => {
  const finger = fingers.get(event.pointerId);
  if (!finger) return;
  const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
  finger.far += Math.hypot(dx, dy);
  if (finger.far > 4) { canvas.setPointerCapture(event.pointerId); canvas.classList.add("dragged"); }
  const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const before = Math.hypot(finger.x - other.x, finger.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    const { left, top } = canvas.getBoundingClientRect();
    if (before > 0) zoom(after / before, (event.clientX + other.x) / 2 - left, (event.clientY + other.y) / 2 - top);
  } else { at.x += dx; at.y += dy; move(); }
  [finger.x, finger.y] = [event.clientX, event.clientY];
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => { fingers.delete(event.pointerId); canvas.classList.remove("dragged"); });
}

find("in").onclick = () => zoom(1.3);
find("out").onclick = () => zoom(1 / 1.3);
find("fit").onclick = () => fit();
find("fold").onclick = () => turnAll(true);
find("unfold").onclick = () => turnAll(false);
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => fit(), Escape: () => choose(null),
    "/": () => find("words").focus(),
    ArrowLeft: () => { at.x += 60; move(); }, ArrowRight: () => { at.x -= 60; move(); },
    ArrowUp: () => { at.y += 60; move(); }, ArrowDown: () => { at.y -= 60; move(); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

// --------------------------------------------------------------------- search

function search() {
  const words = find("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const told = (node) => `${node.kind} ${node.path} ${node.shape}`.toLowerCase();
  hits = words.length ? nodes.filter((node) => words.every((word) => told(node).includes(word))) : [];
  hit = -1;
  find("found").textContent = words.length && !hits.length ? "nothing" : "";
  if (hits.length) step(1);
  else mark();
}

/** Goes to the next hit, and opens what it is in. */
function step(by) {
  if (!hits.length) return;
  hit = (hit + by + hits.length) % hits.length;
  find("found").textContent = `${hit + 1} of ${hits.length}`;
  const around = ancestors(hits[hit]);
  if (around.some((group) => closed.has(group.id))) {
    around.forEach((group) => closed.delete(group.id));
    redraw();
  }
  center(hits[hit]);
  mark();
}

find("words").addEventListener("input", search);
find("words").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { find("words").value = ""; search(); find("words").blur(); }
  if (event.key === "Enter") { event.preventDefault(); step(event.shiftKey ? -1 : 1); }
});
find("search").addEventListener("submit", (event) => event.preventDefault());

/** Colours what was found and what is chosen. */
function mark() {
  const found = new Set(hits.map((node) => shown(node).id));
  for (const drawn of view.querySelectorAll("[data-id]")) {
    const id = Number(drawn.dataset.id);
    drawn.classList.toggle("found", found.has(id));
    drawn.classList.toggle("current", hits[hit]?.id === id);
    drawn.classList.toggle("chosen", chosen?.id === id);
  }
  const one = chosen && String(shown(chosen).id);
  for (const edge of view.querySelectorAll(".edge")) {
    edge.classList.toggle("lit", one !== null && (edge.dataset.from === one || edge.dataset.to === one));
  }
}

// -------------------------------------------------------------------- details

function html(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function listed(title, pairs) {
  if (!pairs.length) return [];
  const list = html("dl", null, ...pairs.flatMap(([key, value]) => [html("dt", key), html("dd", value)]));
  return title ? [html("h3", title), list] : [list];
}

function choose(node) {
  chosen = node;
  details.hidden = node === null;
  if (node !== null) {
    const close = html("button", "×");
    close.className = "close";
    close.ariaLabel = "Close";
    close.onclick = () => choose(null);
    details.replaceChildren(close, html("h2", node.kind), html("p", node.path),
      ...listed("", node.told), ...listed("Weights", node.weights), ...listed("Arguments", node.config));
  }
  mark();
}

canvas.addEventListener("click", (event) => { if (event.target === canvas) choose(null); });

// ---------------------------------------------------------------------- start

for (const node of nodes) if (node.group && (!node.model || nodes.length > MANY)) closed.add(node.id);
redraw();
fit(0.75);
document.body.dataset.ready = "yes";
