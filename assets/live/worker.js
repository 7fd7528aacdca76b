// The model runs here, beside the page, so that the page never freezes. A message in: {id, kind, ...}; out: {id, ...}.
import { Lab } from "./lab.js";
import { buildModel, fetchWeights } from "./weights.js";

let lab = null;

async function load({ url, world, sheet }, said) {
  const buffer = await fetchWeights(url, world.weights, said);
  lab = new Lab(buildModel(buffer, world), sheet);
  return true;
}

onmessage = async ({ data: { id, kind, ...asked } }) => {
  const said = (progress) => postMessage({ id, progress }), started = performance.now();
  try {
    const answer = kind === "load" ? await load(asked, said) : await lab[kind](asked, said);
    postMessage({ id, answer, milliseconds: performance.now() - started });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
