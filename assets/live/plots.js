// Zero-shot bars, and the deletion and insertion curves.
import { el } from "./dom.js";

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

function bar({ text, share, cosine }) {
  const fill = el("i"), note = cosine === undefined ? "" : `, cosine ${cosine.toFixed(3)}`;
  fill.style.width = `${Math.max(0.5, 100 * share)}%`;
  return el("li", {}, el("span", { className: "live-bar-name" }, text), el("span", { className: "live-bar" }, fill),
    el("span", { className: "live-bar-share" }, percent(share) + note));
}

/** Captions against each other, and the five likeliest of the world's names. */
export function showBars(place, { captions, names }) {
  place.replaceChildren(
    el("h3", {}, "Your captions against each other"), el("ul", { className: "live-bars", "aria-label": "Captions" }, ...captions.map(bar)),
    el("h3", {}, "Of all names, the likeliest five"), el("ul", { className: "live-bars", "aria-label": "Names" }, ...names.map(bar)));
}

const make = (tag, attributes, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
};

/** Both curves in one plot, with their areas beneath. */
export function showCurves(place, { deletion, insertion }, name) {
  const all = [...deletion.values, ...insertion.values], low = Math.min(0, ...all), high = Math.max(...all) * 1.05;
  const x = (share) => 44 + 300 * share, y = (value) => 160 - (150 * (value - low)) / (high - low || 1);
  const label = `Deletion from ${deletion.values[0].toFixed(2)} down to ${deletion.values.at(-1).toFixed(2)}; insertion back.`;
  const plot = make("svg", { viewBox: "0 0 360 200", role: "img", "aria-label": label, class: "live-plot" });
  for (const value of [low, (low + high) / 2, high]) {
    plot.append(make("line", { x1: 44, x2: 344, y1: y(value), y2: y(value), class: "grid" }), make("text", { x: 38, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)));
  }
  for (const share of [0, 0.5, 1]) plot.append(make("text", { x: x(share), y: 176, "text-anchor": "middle" }, percent(share)));
  plot.append(make("text", { x: 194, y: 194, "text-anchor": "middle" }, "share of the pixels taken away, or put back"));
  for (const [kind, { fractions, values }] of Object.entries({ deletion, insertion })) {
    plot.append(make("polyline", { points: fractions.map((share, i) => `${x(share)},${y(values[i])}`).join(" "), class: kind }));
  }
  const key = (kind, text) => el("span", { className: `live-key ${kind}` }, text);
  place.replaceChildren(plot, el("p", {}, `${name}: `, key("deletion", `deletion, area ${deletion.auc.toFixed(3)} (lower is better)`), "; ",
    key("insertion", `insertion, area ${insertion.auc.toFixed(3)} (higher is better)`), ". The pixels' own mean colour stands for what is gone."));
}
