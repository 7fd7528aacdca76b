// The page's exercises: each looks at what the model answered, and knows when it is done.

import { isPreset } from "./dials.js";

const KEPT = "mmel-live-exercises";
const sceneKey = ({ scene, erased }) => JSON.stringify([scene, erased.runs]);
const where = (patch) => `row ${Math.floor(patch / 7) + 1}, column ${(patch % 7) + 1}`;
const lead = (weights) => weights.indexOf(Math.max(...weights));

/** Each check gets {state, answer, bars, rival, guess, world} and a memory of its own; it returns what to say, or null. */
export const CHECKS = {
  confuse({ state, bars }) {
    const [only, ...more] = state.scene.objects, first = bars?.names[0];
    const there = only && !more.length && !state.erased.runs.length && only.size >= 20 && [only.x, only.y].every((v) => v >= 10 && v <= 102);
    return there && first && first.text !== only.name ? `a ${only.name} alone, and the model's first name is “${first.text}”` : null;
  },
  move({ state, answer }, memory) {
    const names = state.scene.objects.map((each) => each.name);
    if (!answer?.objects.length || !names.includes("dog") || !names.includes("car")) return null;
    const key = `${sceneKey(state)} ${state.right}`, top = names[lead(answer.objects)];
    if (memory.key !== key) Object.assign(memory, { key, seen: {} });
    memory.seen[top] = state.captions[0];
    const { dog, car } = memory.seen;
    return dog && car && dog !== car ? `“${dog}” lights the dog, “${car}” the car` : null;
  },
  predict({ answer, guess }) {
    const place = guess === null || !answer?.order ? -1 : answer.order.indexOf(guess);
    return place >= 0 && place < 5 ? `your patch is number ${place + 1} of 49` : null;
  },
  behind({ state, answer, world }, memory) {
    const text = state.captions[0].toLowerCase(), found = world.relations.find((relation) => text.includes(` ${relation} `));
    if (!found || !answer || answer.score === null) return null;
    const key = `${sceneKey(state)} ${text.replace(found, "*")} ${state.right}`;
    if (memory.key !== key) Object.assign(memory, { key, seen: {} });
    memory.seen[found] = answer.score;
    const scores = Object.entries(memory.seen);
    return scores.length > 1 ? scores.map(([relation, score]) => `“${relation}” ${score.toFixed(3)}`).join(", ") : null;
  },
  brush({ rival }) {
    if (!rival || rival.share < 0.005 || rival.share > 0.2 || rival.yours >= rival.rival) return null;
    return `with ${(100 * rival.share).toFixed(1)} % gone yours leaves ${rival.yours.toFixed(3)}, Grad-ECLIP's ${rival.rival.toFixed(3)}`;
  },
  order({ state, answer }) {
    const { risen, correlation } = (state.right === "mine" && !isPreset(state.dials) && answer?.results.at(-1)) || {};
    if (!risen) return null;
    const order = correlation === null ? "" : `, with a rank correlation of ${correlation.toFixed(3)}`;
    return `the patch in ${where(risen.rose)} came among the first five, that in ${where(risen.fell)} left them${order}`;
  },
};

export class Exercises {
  #done = {};
  #memory = Object.fromEntries(Object.keys(CHECKS).map((name) => [name, {}]));

  constructor(list) {
    this.list = list;
    try {
      this.#done = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    } catch { /* a browser that keeps nothing */ }
    for (const name of Object.keys(CHECKS)) this.#show(name);
  }

  see(seen) {
    for (const [name, check] of Object.entries(CHECKS)) {
      const said = check(seen, this.#memory[name]);
      if (!said || this.#done[name] === said) continue;
      this.#done[name] = said;
      this.#show(name);
      try {
        localStorage.setItem(KEPT, JSON.stringify(this.#done));
      } catch { /* as above */ }
    }
  }

  forget() {
    this.#done = {};
    try {
      localStorage.removeItem(KEPT);
    } catch { /* as above */ }
    for (const name of Object.keys(CHECKS)) this.#show(name);
  }

  get count() { return Object.keys(this.#done).filter((name) => name in CHECKS).length; }

  #show(name) {
    const line = this.list.querySelector(`[data-exercise="${name}"]`), said = this.#done[name];
    if (!line) return;
    const status = line.querySelector(".live-status") ?? line.appendChild(Object.assign(document.createElement("p"), { className: "live-status" }));
    status.setAttribute("role", "status");
    status.textContent = said ? `Done: ${said}.` : "Not done yet.";
    line.classList.toggle("live-done", Boolean(said));
  }
}
