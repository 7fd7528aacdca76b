// The state in the address, as a file, and as a picture.
import { askOf, DIALS } from "./dials.js";
import { el, save } from "./dom.js";
import { CHOICES } from "./explain.js";
import { decode, encode, readState, startState, StateError } from "./state.js";

const MARK = "#scene=";

/** The state in the address, or the first of the paper's scenes; with a line to show if the address holds none. */
export function fromAddress(world) {
  const { hash } = location;
  if (!hash.startsWith(MARK)) return { state: startState(world, 0, DIALS), said: "" };
  try {
    return { state: readState(world, decode(hash.slice(MARK.length)), CHOICES, DIALS), said: "" };
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return { state: startState(world, 0, DIALS), said: `The address holds no scene that can be read: ${error.message}. Here is the first of the paper's scenes.` };
  }
}

let waiting = null;

/** Write the state into the address, a moment after the last change. */
export function toAddress(state) {
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", MARK + encode(state)), 250);
}

/** What `mmel explain --scene` reads: the state, and the methods that it shows with all their settings. */
export function saveJson(state) {
  const methods = [...new Set([state.left, state.right])].map((name) => ({ title: CHOICES[name].name, ...askOf(name, state.dials) }));
  save("state.json", new Blob([JSON.stringify({ ...state, methods }, null, 1)], { type: "application/json" }));
}

/** A state from a file that `saveJson` wrote. */
export async function openJson(world, file) {
  try {
    return readState(world, JSON.parse(await file.text()), CHOICES, DIALS);
  } catch (error) {
    throw new StateError(`${file.name} holds no scene that can be read: ${error instanceof StateError ? error.message : "it is no JSON"}.`);
  }
}

/** Scene, maps, caption and score in one picture. */
export function savePng(stage, view, state, score, names) {
  const side = 448, canvas = el("canvas", { width: 2 * side + 60, height: side + 130 }), context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(stage.canvas, 20, 20, side, side);
  context.drawImage(view.canvas, side + 40, 20, side, side);
  context.fillStyle = "#000";
  context.font = "600 22px sans-serif";
  context.fillText(`“${state.captions[0]}”`, 20, side + 56, canvas.width - 40);
  context.font = "18px sans-serif";
  context.fillText(`score ${score === null ? "none" : score.toFixed(3)}`, 20, side + 84);
  context.fillText(`left of the line: ${names[0]}; right: ${names[1]}`, 20, side + 110, canvas.width - 40);
  canvas.toBlob((blob) => save("mmel.png", blob));
}
