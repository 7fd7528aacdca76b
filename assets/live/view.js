// What the model says: the maps over the scene with a wipe between two methods, the words in their colours, the score.
import { colour, el, pictureCanvas, short } from "./dom.js";
import { upsample } from "./metrics.js";

const SIDE = 336; // pixels of the maps' canvas

/** One map as a canvas of colours, its largest value at the top of the scale. */
function heat(map) {
  const most = Math.max(...map), values = upsample(map, 112), data = new ImageData(112, 112);
  values.forEach((value, i) => {
    const share = most > 0 ? value / most : 0; // low values let the picture through
    data.data.set([...colour(share), 255 * (0.45 + 0.55 * share)], 4 * i);
  });
  const canvas = el("canvas", { width: 112, height: 112 });
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export class View {
  #answer = null;
  #heats = [];
  #picture = null;
  hidden = false; // while the reader predicts

  /** `moved` hears where the reader drags the line to, from 0 to 1. */
  constructor(moved) {
    this.canvas = el("canvas", { width: SIDE, height: SIDE, className: "live-map", role: "img", "aria-label": "Map over the scene" });
    this.canvas.addEventListener("pointerdown", (event) => this.canvas.setPointerCapture(event.pointerId));
    for (const what of ["pointerdown", "pointermove"]) this.canvas.addEventListener(what, (event) => {
      const box = this.canvas.getBoundingClientRect();
      if (event.buttons) moved(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)), what === "pointerdown");
    });
    this.words = el("p", { className: "live-words" });
    this.score = el("p", { className: "live-score", role: "status" });
    this.facts = el("dl", { className: "live-facts" });
    this.bar = el("div", { className: "live-colours" }, el("span", {}, "0"), el("i"), el("span", {}, "largest"));
    this.bar.children[1].style.background = `linear-gradient(90deg, ${Array.from({ length: 11 }, (_, i) => `rgb(${colour(i / 10)})`)})`;
  }

  show(answer, state, names) {
    this.#answer = answer;
    this.#picture = pictureCanvas(answer.pixels);
    this.#heats = answer.results.map(({ image }) => heat(image));
    this.draw(state, names);
    this.#showWords(names);
    this.#showScore();
    this.#showFacts(names);
  }

  draw({ wipe, opacity }, names) {
    if (!this.#picture) return;
    const context = this.canvas.getContext("2d"), line = Math.round(wipe * SIDE);
    context.globalAlpha = 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#picture, 0, 0, SIDE, SIDE);
    if (this.hidden || !this.#heats.length) return;
    for (const [i, [from, to]] of [[0, line], [line, SIDE]].entries()) {
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, SIDE);
      context.clip();
      context.globalAlpha = opacity;
      context.drawImage(this.#heats[i], 0, 0, SIDE, SIDE);
      context.restore();
    }
    context.fillStyle = "#fff";
    context.fillRect(line - 1, 0, 2, SIDE);
    this.canvas.setAttribute("aria-label", `Maps over the scene: ${names.join(" on the left, ")} on the right of the line`);
  }

  #showWords(names) {
    const { words, results } = this.#answer, side = results.at(-1)?.text ? results.length - 1 : 0, map = results[side]?.text;
    this.words.replaceChildren();
    if (!map || this.hidden) return;
    const values = words.words.map(({ from, to }) => map.slice(from, to).reduce((a, b) => a + b, 0)), most = Math.max(...values, 0);
    this.words.title = `The words by ${names[side]}`;
    words.words.forEach((word, i) => {
      const share = most > 0 ? values[i] / most : 0, mark = el("span", { className: "live-word", title: values[i].toPrecision(3) }, word.text);
      mark.style.backgroundColor = `rgb(255 ${Math.round(255 - 105 * share)} ${Math.round(255 - 225 * share)})`;
      this.words.append(mark, " ");
    });
  }

  #showScore() {
    const { score, intact } = this.#answer;
    if (score === null) return this.score.replaceChildren("Type a caption: a score needs words that the model knows.");
    const lost = intact - score, parts = ["Score (cosine) ", el("b", {}, score.toFixed(3))];
    if (Math.abs(lost) > 0) parts.push(`, ${Math.abs(lost).toFixed(3)} ${lost > 0 ? "below" : "above"} the whole picture's`);
    this.score.replaceChildren(...parts);
  }

  #showFacts(names) {
    const { results, agreement } = this.#answer, lines = [];
    results.forEach(({ gate, correlation, moved }, i) => {
      if (gate) lines.push([`Gate of ${names[i]}`, `${short(gate[0])} to ${short(gate[1])}`]);
      if (correlation !== undefined) lines.push([`${names[i]} and Grad-ECLIP over the same blocks, rank correlation`, correlation === null ? "none: a map is constant" : correlation.toFixed(3)]);
      if (moved !== undefined) lines.push(["Of its first five patches, in another place than there", String(moved)]);
    });
    if (results.length) lines.push(["The two maps, rank correlation", agreement === null ? "none: a map is constant" : agreement.toFixed(3)]);
    this.facts.replaceChildren(...(this.hidden ? [] : lines.flatMap(([what, value]) => [el("dt", {}, what), el("dd", {}, value)])));
  }
}
