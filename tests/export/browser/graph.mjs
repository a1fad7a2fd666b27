// Opens the page of a model's graph in Chromium and uses it as a person would; prints what it saw as JSON.
// node graph.mjs CHROMIUM URL SCREENSHOTS WIDTH STEPS
// STEPS is JSON: [{"search": "dense"}, {"key": "Enter"}, {"click": "Collapse all"}, {"wheel": [dx, dy]}, ...]

import { chromium } from "playwright-core";

const [, , executablePath, address, screenshots, width, steps] = process.argv;
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: quiet });
const tab = await browser.newPage({ viewport: { width: Number(width), height: 850 } });
const errors = [], requests = [];
tab.on("pageerror", (error) => errors.push(String(error)));
tab.on("console", (message) => message.type() === "error" && errors.push(message.text()));
tab.on("request", (request) => /^(https?|file):/.test(request.url()) && requests.push(request.url()));

const middle = [Number(width) / 2, 450];
/** Where the graph is: the page, or a frame in it, as a notebook has it. */
let graph = tab;
const doing = {
  search: (words) => graph.getByRole("searchbox").fill(words),
  key: (key) => tab.keyboard.press(key),
  click: (name) => graph.getByRole("button", { name, exact: true }).click(),
  double: (name) => graph.getByRole("button", { name, exact: true }).dblclick(),
  wheel: async ([dx, dy]) => { await tab.mouse.move(...middle); await tab.mouse.wheel(dx, dy); },
  pinch: async (dy) => {
    await tab.mouse.move(...middle);
    await tab.keyboard.down("Control");
    await tab.mouse.wheel(0, dy);
    await tab.keyboard.up("Control");
  },
  drag: async ([dx, dy]) => {
    await tab.mouse.move(20, 800);
    await tab.mouse.down();
    await tab.mouse.move(20 + dx, 800 + dy, { steps: 5 });
    await tab.mouse.up();
  },
};

/** What the page shows. */
const seen = () => graph.evaluate(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const { a, e, f } = document.getElementById("view").transform.baseVal.consolidate().matrix;
  const canvas = document.getElementById("canvas").getBoundingClientRect();
  const inside = (box) => box.left >= canvas.left && box.right <= canvas.right && box.top >= canvas.top && box.bottom <= canvas.bottom;
  const current = document.querySelector(".current > rect");
  const groups = all(".group > rect").map((x) => x.getBoundingClientRect());
  const nodes = all(".node > rect").map((x) => x.getBoundingClientRect());
  const apart = (p, q) => p.right <= q.left + 1 || q.right <= p.left + 1 || p.bottom <= q.top + 1 || q.bottom <= p.top + 1;
  return {
    nodes: all(".node").map((node) => node.getAttribute("aria-label")),
    groups: all(".group > text").map((text) => text.textContent),
    edges: all(".edge").length,
    scale: a, x: e, y: f,
    found: document.getElementById("found").textContent,
    hits: all(".found").length,
    sees: current === null ? null : inside(current.getBoundingClientRect()),
    details: document.getElementById("details").hidden ? "" : document.getElementById("details").innerText,
    whole: [...groups, ...nodes].every(inside),
    overlaps: nodes.filter((one, i) => nodes.slice(i + 1).some((other) => !apart(one, other))).length,
  };
});

await tab.goto(address);
graph = tab.frames().at(-1);
await graph.waitForFunction(() => document.body.dataset.ready === "yes");
const states = [await seen()];
for (const step of JSON.parse(steps)) {
  for (const [what, with_] of Object.entries(step)) await doing[what](with_);
  await tab.waitForTimeout(30);
  states.push(await seen());
}
const overflow = await tab.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
await tab.screenshot({ path: screenshots });
console.log(JSON.stringify({ states, errors, requests, overflow }));
await browser.close();
