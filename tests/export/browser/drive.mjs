// Opens a page in Chromium and uses it as a person would; prints what it saw as JSON.
// node drive.mjs CHROMIUM URL SCREENSHOTS WIDTH STEPS
// STEPS is JSON: [{"draw": [[x, y], ...]}, {"keys": [...]}, {"click": "Clear"}, {"fill": [label, text]}, ...]

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

const runs = () => tab.evaluate(() => Number(document.body.dataset.runs ?? 0));

/** There is an answer to all that was done: the page says while it works on one. */
const settled = (before) => tab.waitForFunction((n) =>
  Number(document.body.dataset.runs ?? 0) > n && document.getElementById("outputs").ariaBusy !== "true",
before, { timeout: 60000 });

async function draw(points) {
  const box = await tab.locator("canvas.slate").boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await tab.mouse.move(...at(points[0]));
  await tab.mouse.down();
  for (const point of points.slice(1)) await tab.mouse.move(...at(point), { steps: 8 });
  await tab.mouse.up();
}

const doing = {
  draw,
  keys: async (keys) => { for (const key of keys) await tab.keyboard.press(key); },
  click: (name) => tab.getByRole("button", { name }).click(),
  fill: ([label, text]) => tab.getByLabel(label).fill(text),
  scheme: (colorScheme) => tab.emulateMedia({ colorScheme }),
  download: async (file) => {
    const [download] = await Promise.all([tab.waitForEvent("download"), doing.click("Download the weights")]);
    await download.saveAs(file);
  },
  choose: (file) => tab.locator("input[type=file]").setInputFiles(file),
};

const answers = [];
await tab.goto(address);
await settled(0);
const silent = ["scheme", "download"]; // after these there is no new answer
for (const step of JSON.parse(steps)) {
  const before = await runs();
  for (const [what, with_] of Object.entries(step)) await doing[what](with_);
  if (!silent.some((what) => what in step)) await settled(before);
  answers.push((await tab.locator("#outputs").innerText()).split("\n")[0]);
}
const overflow = await tab.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
await tab.screenshot({ path: screenshots, fullPage: true });
console.log(JSON.stringify({ answers, facts: await tab.locator("#facts").innerText(), errors, requests, overflow }));
await browser.close();
