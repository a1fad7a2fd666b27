// The calls of openapi.json: what each takes, and a button that asks.

const element = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const secret = element("token").querySelector("input");
secret.value = sessionStorage.getItem("token") ?? "";
const headers = () => secret.value ? { Authorization: `Bearer ${secret.value}` } : {};

/** The smallest value that a schema takes. */
function example(schema) {
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.type === "object")
    return Object.fromEntries(schema.required.map((name) => [name, example(schema.properties[name])]));
  if (schema.prefixItems) return schema.prefixItems.map(example);
  if (schema.type === "array") return Array.from({ length: schema.minItems ?? 1 }, () => example(schema.items));
  return { number: 0, integer: schema.minimum ?? 0, boolean: false, string: "" }[schema.type] ?? null;
}

/** An example of a whole body: flat data has as many values as its shape says. */
function body(schema) {
  const made = example(schema);
  for (const tensor of made.inputs?.map ? made.inputs : [])
    if (tensor.shape && tensor.data) tensor.data = Array(tensor.shape.reduce((a, b) => a * b, 1)).fill(tensor.data[0]);
  return made;
}

function call(path, method, { summary, parameters = [], requestBody }) {
  const schema = requestBody?.content["application/json"].schema;
  const fields = parameters.map(({ name, schema: { enum: known = [] } }) =>
    make("input", { name, value: known[0] ?? "", type: "text" }));
  const area = schema && make("textarea", { value: JSON.stringify(body(schema)), spellcheck: false, ariaLabel: `Body of ${path}` });
  const shown = make("pre", { hidden: true, tabIndex: 0 });
  const button = make("button", { type: "button", textContent: "Ask" });
  button.addEventListener("click", async () => {
    const place = fields.reduce((text, field) => text.replace(`{${field.name}}`, encodeURIComponent(field.value)), path);
    shown.hidden = false;
    try {
      const before = performance.now();
      const answer = await fetch(`.${place}`, { method: method.toUpperCase(), headers: headers(), body: area?.value });
      const text = await answer.text();
      const said = `${answer.status} in ${(performance.now() - before).toFixed(1)} ms`;
      let value = text;
      try { value = JSON.stringify(JSON.parse(text), null, 1); } catch { /* it is no JSON */ }
      shown.textContent = `${said}\n${value}`;
    } catch (error) {
      shown.textContent = error.message;
    }
  });
  return make("details", {},
    make("summary", {}, make("code", { textContent: `${method.toUpperCase()} ${path}` }), " ", make("span", { textContent: summary })),
    ...fields.map((field) => make("label", {}, `${field.name} `, field)), area ?? "",
    make("div", { className: "row" }, button), shown);
}

async function show() {
  const answer = await fetch("openapi.json", { headers: headers() });
  if (!answer.ok) throw new Error(`The server answers ${answer.status}.`);
  sessionStorage.setItem("token", secret.value);
  const groups = new Map([["Predictions", []], ["About models", []], ["Server", []]]);
  for (const [path, methods] of Object.entries((await answer.json()).paths))
    for (const [method, operation] of Object.entries(methods)) groups.get(operation.tags[0]).push(call(path, method, operation));
  element("calls").replaceChildren(...Array.from(groups).flatMap(([name, calls]) =>
    calls.length ? [make("h2", { textContent: name }), ...calls] : []));
}

const told = () => show().catch((error) => element("calls").replaceChildren(make("p", { className: "error", textContent: error.message })));
secret.addEventListener("change", told);
told();
