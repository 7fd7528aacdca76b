// The settings of "MMEL by your dials", as controls. None but `layers` asks the model again.
import { button, choice, el, range } from "./dom.js";
import { CHOICES } from "./explain.js";

const DEPTH = 12;
const dialled = ({ text, layers, theta, key_similarity, ...rest }) => rest; // those with a dial of their own, or one for each block, set apart
const [working, LITERAL] = ["working", "literal"].map((name) => dialled(CHOICES[name].settings));

/** The dials as they start: WORKING, with a theta for each layer. */
export const DIALS = Object.freeze({ ...working, theta: Array(DEPTH).fill(1), layers: DEPTH });

/** Are these dials those of LITERAL or of WORKING, with no turn of the reader's own? */
export function isPreset(dials) {
  return [DIALS, { ...DIALS, ...LITERAL }].some((preset) => Object.keys(DIALS).every((name) => `${preset[name]}` === `${dials[name]}`));
}

/** The method and settings of one of the page's choices, the reader's dials included. */
export function askOf(name, dials) {
  const { method, settings } = CHOICES[name];
  return { method, settings: name === "mine" ? { ...settings, ...dials } : settings };
}

const NUMBERS = [
  ["alpha", "α, strength of the gate (Eq. 9)", 0, 60, 0.5], ["temperature", "Temperature (Sec. 3.4)", 0.02, 1, 0.02],
  ["beta", "β, in place of Eq. 9's 1 if chosen below", 0, 10, 0.1], ["layers", "Last blocks that are summed (Eq. 8)", 1, DEPTH, 1],
];
const CHOSEN = [
  ["temperature_place", "Temperature works", [["none", "nowhere (as printed)"], ["attention", "A divided by it"], ["softmax", "in a softmax"]]],
  ["reduction", "From matrix to patch", [["mean", "mean"], ["sum", "sum"], ["relevance", "weighted by relevance"]]],
  ["gate", "Gates of the blocks", [["mean", "averaged"], ["sum", "summed"], ["each", "one for each block"]]],
  ["beta_place", "β works", [["none", "nowhere (as printed)"], ["base", "in place of the 1"]]],
  ["head_wise", "Eq. 5 reads the queries", [[false, "over their whole width (as printed)"], [true, "head by head, then averaged"]]],
  ["contrast_share", "Contrast of the image map (Sec. 3.4)", [[null, "as it is"], [0, "stretched to 0..1"], [0.02, "2 % cut off at either end"], [0.1, "10 % cut off at either end"]]],
];

export class Dials {
  #lines = {};

  constructor(store) {
    this.store = store;
    const begun = () => store.mark();
    for (const [name, text, min, max, step] of NUMBERS) {
      this.#lines[name] = range(text, { min, max, step, value: DIALS[name], begun, changed: (value) => this.#turn({ [name]: value }) });
    }
    for (const [name, text, options] of CHOSEN) {
      this.#lines[name] = choice(text, options, (value) => {
        store.mark();
        this.#turn({ [name]: value });
      });
    }
    const several = (name, text, count, min, max, step) => Array.from({ length: count }, (_, i) => {
      const changed = (value) => this.#turn({ [name]: this.store.state.dials[name].map((old, j) => (j === i ? value : old)) });
      return (this.#lines[`${name} ${i}`] = range(text(i), { min, max, step, value: DIALS[name][i], begun, changed }));
    });
    const thetas = several("theta", (i) => `θ of block ${i + 1}`, DEPTH, -4, 4, 0.1);
    const scales = several("scales", (i) => `Scale ${i + 1} (Eq. 1b)`, 3, 0.05, 2, 0.05);
    const reset = (settings) => () => this.store.change({ dials: { ...DIALS, ...settings }, right: "mine" });
    this.place = el("details", { className: "live-dials" }, el("summary", {}, "The dials of MMEL"),
      el("p", {}, button("Set all to LITERAL", reset(LITERAL), { className: "live-small" }), " ", button("Set all to WORKING", reset({}), { className: "live-small" })),
      ...NUMBERS.map(([name]) => this.#lines[name]), ...CHOSEN.map(([name]) => this.#lines[name]), ...scales,
      el("details", {}, el("summary", {}, "θ, one for each block (Eq. 6)"), ...thetas));
  }

  #turn(change) { this.store.change({ dials: { ...this.store.state.dials, ...change }, right: "mine" }, { mark: false }); }

  draw({ dials }) {
    for (const [name, line] of Object.entries(this.#lines)) {
      const [key, index] = name.split(" ");
      line.set(index === undefined ? dials[key] : dials[key][index]);
    }
  }
}
