// Inputs that fit a model, and answers to look at: what pages share.

const element = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// --------------------------------------------------------------------------------- images

const CELL = 8; // drawings are read at this many times the model's resolution

/** The smallest box around what is not empty, or null. */
function inked(ink, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (ink[y * width + x] > 0.15) {
        left = Math.min(left, x); right = Math.max(right, x);
        top = Math.min(top, y); bottom = Math.max(bottom, y);
      }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function brightness(pixels) {
  const values = new Float32Array(pixels.length / 4);
  for (let i = 0; i < values.length; i++)
    values[i] = (0.299 * pixels[4 * i] + 0.587 * pixels[4 * i + 1] + 0.114 * pixels[4 * i + 2]) / 255;
  return values;
}

function imageInput(spec, changed) {
  const [rows, columns, channels] = spec.shape;
  const size = { width: columns * CELL, height: rows * CELL };
  while (size.width < 256) { size.width *= 2; size.height *= 2; }
  const slate = make("canvas", { ...size, className: "slate", tabIndex: 0, id: `input-${spec.name}` });
  slate.setAttribute("role", "img");
  slate.setAttribute("aria-label",
    "Drawing area. Draw with mouse, pen or finger. By keyboard: arrow keys move the pen, shift and arrow keys draw, delete clears.");
  const context = slate.getContext("2d", { willReadFrequently: true });
  const seen = make("canvas", { width: columns, height: rows, className: "seen" });
  const pen = { x: size.width / 2, y: size.height / 2, shown: false };
  let values = new Float32Array(rows * columns * channels);
  let drawn = false; // whether what is there was drawn, and so is fitted to the box of the examples

  const strokes = make("canvas", size).getContext("2d", { willReadFrequently: true });
  const empty = () => { strokes.fillStyle = "#000"; strokes.fillRect(0, 0, size.width, size.height); };

  function show() {
    context.drawImage(strokes.canvas, 0, 0);
    if (pen.shown && document.activeElement === slate) {
      context.strokeStyle = "#f0845c";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(pen.x, pen.y, size.width / 30, 0, 2 * Math.PI);
      context.stroke();
    }
    const small = seen.getContext("2d");
    const image = small.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      for (let c = 0; c < 3; c++) {
        const value = values[i * channels + Math.min(c, channels - 1)];
        image.data[4 * i + c] = 255 * (value - spec.low) / (spec.high - spec.low);
      }
      image.data[4 * i + 3] = 255;
    }
    small.putImageData(image, 0, 0);
  }

  /** What the model sees: the picture, scaled down by averaging. */
  function read() {
    const source = strokes.getImageData(0, 0, size.width, size.height).data;
    const box = drawn && spec.box ? inked(brightness(source), size.width, size.height) : null;
    const fine = make("canvas", { width: columns * CELL, height: rows * CELL });
    const target = fine.getContext("2d", { willReadFrequently: true });
    target.fillStyle = "#000";
    target.fillRect(0, 0, fine.width, fine.height);
    target.imageSmoothingQuality = "high";
    if (box) {
      const scale = Math.min(spec.box.height * CELL / box.height, spec.box.width * CELL / box.width);
      const [width, height] = [box.width * scale, box.height * scale];
      const [x, y] = [spec.box.x * CELL - width / 2, spec.box.y * CELL - height / 2];
      target.drawImage(strokes.canvas, box.left, box.top, box.width, box.height, x, y, width, height);
    } else {
      target.drawImage(strokes.canvas, 0, 0, fine.width, fine.height);
    }
    const pixels = target.getImageData(0, 0, fine.width, fine.height).data;
    values = new Float32Array(rows * columns * channels);
    for (let y = 0; y < fine.height; y++)
      for (let x = 0; x < fine.width; x++) {
        const at = 4 * (y * fine.width + x);
        const place = (Math.floor(y / CELL) * columns + Math.floor(x / CELL)) * channels;
        const gray = 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
        for (let c = 0; c < channels; c++) values[place + c] += channels === 1 ? gray : pixels[at + c];
      }
    const scale = (spec.high - spec.low) / (255 * CELL * CELL);
    values = values.map((total) => spec.low + total * scale);
    show();
    changed();
  }

  function line(from, to) {
    strokes.strokeStyle = "#fff";
    strokes.lineCap = strokes.lineJoin = "round";
    strokes.lineWidth = size.width * spec.stroke;
    strokes.beginPath();
    strokes.moveTo(from.x, from.y);
    strokes.lineTo(to.x, to.y);
    strokes.stroke();
    drawn = true;
  }

  const place = (event) => {
    const frame = slate.getBoundingClientRect();
    return {
      x: (event.clientX - frame.left) * size.width / frame.width,
      y: (event.clientY - frame.top) * size.height / frame.height,
    };
  };
  let last = null;
  slate.addEventListener("pointerdown", (event) => {
    if (!drawn) empty();
    slate.setPointerCapture(event.pointerId);
    pen.shown = false;
    last = place(event);
    line(last, last);
    read();
  });
  slate.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) {
      const next = place(step);
      line(last, next);
      last = next;
    }
    read();
  });
  for (const end of ["pointerup", "pointercancel"]) slate.addEventListener(end, () => { last = null; });

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  slate.addEventListener("keydown", (event) => {
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); clear(); return; }
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const from = { ...pen };
    const distance = size.width / 24;
    pen.x = Math.min(Math.max(pen.x + step[0] * distance, 0), size.width);
    pen.y = Math.min(Math.max(pen.y + step[1] * distance, 0), size.height);
    pen.shown = true;
    if (event.shiftKey) {
      if (!drawn) empty();
      line(from, pen);
      read();
    } else show();
  });
  slate.addEventListener("focus", show);
  slate.addEventListener("blur", show);

  function clear() {
    drawn = false;
    empty();
    read();
  }

  async function load(file) {
    if (!file?.type.startsWith("image/")) throw new Error(`This is not an image: ${file?.name ?? "nothing"}.`);
    const picture = await createImageBitmap(file);
    const scale = Math.max(size.width / picture.width, size.height / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    empty();
    strokes.drawImage(picture, (size.width - width) / 2, (size.height - height) / 2, width, height);
    const shades = brightness(strokes.getImageData(0, 0, size.width, size.height).data);
    drawn = Boolean(spec.box);
    if (spec.box && shades[0] + shades[shades.length - 1] > 1) { // dark ink on light paper
      strokes.globalCompositeOperation = "difference";
      strokes.fillStyle = "#fff";
      strokes.fillRect(0, 0, size.width, size.height);
      strokes.globalCompositeOperation = "source-over";
    }
    read();
  }
  slate.addEventListener("dragover", (event) => { event.preventDefault(); slate.classList.add("over"); });
  slate.addEventListener("dragleave", () => slate.classList.remove("over"));
  slate.addEventListener("drop", (event) => {
    event.preventDefault();
    slate.classList.remove("over");
    load(event.dataTransfer.files[0]).catch(fail);
  });

  const chooser = make("input", { type: "file", accept: "image/*" });
  chooser.addEventListener("change", () => { load(chooser.files[0]).catch(fail); chooser.value = ""; });
  const wipe = make("button", { type: "button", textContent: "Clear" });
  wipe.addEventListener("click", clear);
  const file = make("label", { className: "file", textContent: "Choose an image" });
  file.append(chooser);
  const node = make("div", {}, slate,
    make("div", { className: "row" }, wipe, file, make("figure", {}, seen, "what the model sees")),
    make("p", { className: "hint", textContent: "By keyboard: arrow keys move the pen, with shift they draw, delete clears." }));
  empty();
  show();
  return {
    node,
    get: () => ({ data: values, shape: spec.shape }),
    set(data) {
      const image = make("canvas", { width: columns, height: rows });
      values = Float32Array.from(data);
      drawn = false;
      show();
      image.getContext("2d").drawImage(seen, 0, 0);
      strokes.imageSmoothingEnabled = false;
      strokes.drawImage(image, 0, 0, size.width, size.height);
      strokes.imageSmoothingEnabled = true;
      show();
      changed();
    },
    thumbnail(data) {
      const image = make("canvas", { width: columns, height: rows });
      const target = image.getContext("2d");
      const pixels = target.createImageData(columns, rows);
      for (let i = 0; i < rows * columns; i++) {
        for (let c = 0; c < 3; c++)
          pixels.data[4 * i + c] = 255 * (data[i * channels + Math.min(c, channels - 1)] - spec.low) / (spec.high - spec.low);
        pixels.data[4 * i + 3] = 255;
      }
      target.putImageData(pixels, 0, 0);
      return image;
    },
  };
}

// -------------------------------------------------------------------------------- numbers

function numbersInput(spec, changed) {
  const fields = Array.from({ length: spec.shape[0] }, (_, i) => {
    const field = make("input", { type: "number", step: "any", value: "0", inputMode: "decimal", id: `input-${spec.name}-${i}` });
    field.addEventListener("input", changed);
    return field;
  });
  const node = make("div", { className: "fields" },
    ...fields.map((field, i) => make("label", {}, spec.labels?.[i] ?? `${spec.name} ${i + 1}`, field)));
  return {
    node,
    get: () => ({ data: fields.map((field) => Number(field.value)), shape: spec.shape }),
    set(data) { fields.forEach((field, i) => { field.value = String(Number(data[i].toPrecision(6))); }); changed(); },
  };
}

function textInput(spec, changed) {
  const rest = spec.shape.slice(1).reduce((a, b) => a * b, 1);
  const area = make("textarea", { spellcheck: false, id: `input-${spec.name}` });
  const length = spec.shape[0];
  const wanted = length === null ? `numbers, ${rest} for each step` : `${length * rest} numbers`;
  const plot = make("div");
  const label = make("label", { textContent: `${spec.name}: ${wanted}, separated by spaces, commas or lines` });
  label.append(area);
  const numbers = () => area.value.split(/[\s,;]+/).filter(Boolean).map(Number);
  const update = () => {
    if (spec.kind === "series") plot.replaceChildren(chart([{ values: firstOf(numbers(), rest), name: "given" }]));
    changed();
  };
  area.addEventListener("input", update);
  area.value = Array((length ?? 16) * rest).fill(0).join(" ");
  return {
    node: make("div", {}, plot, label),
    get() {
      const data = numbers();
      if (data.some(Number.isNaN)) throw new Error(`“${spec.name}” must hold numbers only.`);
      const steps = data.length / rest;
      if (!Number.isInteger(steps) || steps < 1 || (length !== null && steps !== length))
        throw new Error(`“${spec.name}” needs ${wanted}; there are ${data.length}.`);
      return { data, shape: [steps, ...spec.shape.slice(1)] };
    },
    set(data) { area.value = Array.from(data, (x) => spec.kind === "tokens" ? x : Number(x.toPrecision(5))).join(" "); update(); },
  };
}

const firstOf = (data, stride) => data.filter((_, i) => i % stride === 0);

function chart(lines) {
  const [width, height, margin] = [420, 150, 26];
  const all = lines.flatMap((line) => line.values).filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const longest = Math.max(...lines.map((line) => (line.start ?? 0) + line.values.length));
  const x = (i) => margin + i * (width - 2 * margin) / Math.max(longest - 1, 1);
  const y = (value) => height - margin + (low - value) * (height - 2 * margin) / (high - low || 1);
  const drawn = lines.map(({ values, name, start = 0 }) => {
    const points = values.map((value, i) => `${x(start + i).toFixed(1)},${y(value).toFixed(1)}`);
    return values.length > 1
      ? `<polyline class="${name}" points="${points.join(" ")}"/>`
      : `<circle class="${name}" r="4" cx="${x(start)}" cy="${y(values[0])}"/>`;
  });
  const frame = make("div");
  frame.innerHTML = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${longest} steps from ${short(low)} to ${short(high)}">
    <line class="axis" x1="${margin}" x2="${width - margin}" y1="${height - margin}" y2="${height - margin}"/>
    <text x="2" y="${y(high) + 4}">${short(high)}</text><text x="2" y="${y(low) + 4}">${short(low)}</text>${drawn.join("")}</svg>`;
  return frame.firstElementChild;
}

const short = (value) => Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–";

// -------------------------------------------------------------------------------- answers

function classesAnswer(spec, { data }) {
  const order = Array.from(data.keys()).sort((a, b) => data[b] - data[a]).slice(0, 10);
  const name = (i) => spec.labels?.[i] ?? String(i);
  const percent = (value) => `${(100 * value).toFixed(value > 0.0995 ? 0 : 1)} %`;
  const best = name(order[0]);
  const bars = make("div", { className: "bars" });
  const shown = spec.labels && data.length <= 10 ? Array.from(data.keys()) : order;
  for (const i of shown) {
    const bar = make("div", { className: i === order[0] ? "bar first" : "bar" });
    bar.style.width = `${Math.max(100 * data[i], 0)}%`;
    bars.append(make("span", { textContent: name(i) }), make("div", {}, bar),
      make("span", { className: "share", textContent: percent(data[i]) }));
  }
  return [
    make("div", { className: best.length > 4 ? "best long" : "best", textContent: best }),
    make("p", { className: "sure", textContent: `${percent(data[order[0]])} sure` }),
    bars,
  ];
}

function numberAnswer(spec, { data }) {
  return [make("div", { className: "best", textContent: short(data[0]) }), make("p", { className: "sure", textContent: spec.name })];
}

function seriesAnswer(spec, { data, dims }) {
  const stride = dims.length > 2 ? dims[2] : 1;
  return [chart([{ values: firstOf(Array.from(data), stride), name: "found" }]),
    make("p", { className: "sure", textContent: spec.name })];
}

function imageAnswer(spec, { data, dims }) {
  const [, rows, columns, channels] = dims;
  const image = make("canvas", { width: columns, height: rows });
  const [low, high] = [Math.min(...data), Math.max(...data)];
  const context = image.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    for (let c = 0; c < 3; c++)
      pixels.data[4 * i + c] = 255 * (data[i * channels + Math.min(c, channels - 1)] - low) / (high - low || 1);
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return [image];
}

function valuesAnswer(spec, { data, dims }) {
  const shown = Array.from(data).slice(0, 64).map(short).join("  ");
  return [make("p", { className: "sure", textContent: `${spec.name}: ${dims.join(" × ")}` }),
    make("p", { textContent: data.length > 64 ? `${shown} …` : shown })];
}

const INPUTS = { image: imageInput, numbers: numbersInput, series: textInput, tokens: textInput, values: textInput };
const ANSWERS = { classes: classesAnswer, number: numberAnswer, series: seriesAnswer, image: imageAnswer, values: valuesAnswer };

// ------------------------------------------------------------------------------- together

function fail(error) {
  console.error(error);
  element("outputs").replaceChildren(make("p", { className: "error", textContent: error.message }));
}

function facts(entries) {
  element("facts").replaceChildren(...Object.entries(entries).map(([name, value]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
}

const sized = (bytes) => bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
