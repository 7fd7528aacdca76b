// Small helpers for building the page.

/** An element with properties, attributes (with a dash) and children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "for" || name === "role" || name === "list" || name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

let count = 0;

/** A labelled control on a line of its own. */
export function field(text, control, output = null) {
  control.id ||= `live-${++count}`;
  return el("div", { className: "live-field" }, el("label", { for: control.id }, text), control, output);
}

/** A range with its value beside it; `changed` hears of every step, `begun` of the first of a row. */
export function range(text, { min, max, step, value, changed, begun = () => {} }) {
  const shown = el("output", {}, short(value)), input = el("input", { type: "range", min, max, step, value });
  let moving = false;
  input.addEventListener("input", () => {
    if (!moving) begun();
    moving = true;
    shown.textContent = short(input.valueAsNumber);
    changed(input.valueAsNumber);
  });
  for (const end of ["change", "blur"]) input.addEventListener(end, () => (moving = false));
  const line = field(text, input, shown);
  line.set = (now) => {
    if (!moving) input.value = now;
    shown.textContent = short(now);
  };
  return line;
}

export function choice(text, options, changed) {
  const select = el("select", { onchange: () => changed(options[select.selectedIndex][0]) }); // a value need not be a text
  for (const [value, name] of options) select.append(el("option", { value: String(value) }, name));
  const line = field(text, select);
  line.set = (value) => (select.value = String(value));
  return line;
}

export const short = (value) => String(Math.round(value * 100) / 100);

/** The colours of a map from 0 to 1: viridis, as in the book's figures. */
const STOPS = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
export function colour(value) {
  const at = Math.max(0, Math.min(0.9999, value)) * (STOPS.length - 1), low = Math.floor(at);
  return STOPS[low].map((from, i) => Math.round(from + (STOPS[low + 1][i] - from) * (at - low)));
}

/** RGB bytes of a square picture as a canvas of that size. */
export function pictureCanvas(pixels) {
  const size = Math.sqrt(pixels.length / 3), canvas = el("canvas", { width: size, height: size });
  const data = new ImageData(size, size);
  for (let i = 0, { data: bytes } = data; i < size * size; i++) {
    for (let c = 0; c < 3; c++) bytes[4 * i + c] = pixels[3 * i + c];
    bytes[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export function save(name, blob) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
