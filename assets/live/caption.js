// Captions: one that is explained, more for the bars; words are completed, and unknown ones are named.
import { button, el } from "./dom.js";
import { completions, tokenize } from "./tokenizer.js";

export class Captions {
  #rows = [];

  constructor(store, world) {
    Object.assign(this, { store, world });
    this.list = el("div", { className: "live-captions" });
    this.offers = el("div", { className: "live-offers", role: "group", "aria-label": "Words to complete" });
    this.notice = el("p", { className: "live-notice", role: "status" });
    const more = button("Add a caption to compare", () => this.#add(), { className: "live-button" });
    this.place = el("div", {}, this.list, this.offers, this.notice, more);
    this.more = more;
  }

  #add() {
    const { captions } = this.store.state;
    if (captions.length < 6) this.store.change({ captions: [...captions, ""] });
    this.#rows.at(-1).input.focus();
  }

  #row(index) {
    const input = el("input", { type: "text", autocomplete: "off", spellcheck: false, "aria-label": index ? `Caption ${index + 1}` : "Caption that is explained" });
    let begun = false;
    input.addEventListener("focus", () => (begun = false));
    input.addEventListener("input", () => {
      if (!begun) this.store.mark();
      begun = true;
      this.#write(index, input.value);
      this.#offer(index);
    });
    input.addEventListener("keydown", (event) => {
      const first = this.offers.querySelector("button");
      if (event.key === "Tab" && !event.shiftKey && first && this.offers.dataset.row === String(index)) {
        event.preventDefault();
        first.click();
      } else if (event.key === "Escape") this.offers.replaceChildren();
    });
    const explain = button("Explain this one", () => this.#swap(index), { className: "live-small" });
    const remove = button("×", () => this.#remove(index), { className: "live-small", "aria-label": `Remove caption ${index + 1}` });
    const place = el("div", { className: "live-caption" }, input, ...(index ? [explain, remove] : []));
    return { place, input };
  }

  #write(index, text) {
    const captions = [...this.store.state.captions];
    captions[index] = text;
    this.store.change({ captions }, { mark: false });
  }

  #swap(index) {
    const captions = [...this.store.state.captions];
    [captions[0], captions[index]] = [captions[index], captions[0]];
    this.store.change({ captions });
  }

  #remove(index) { this.store.change({ captions: this.store.state.captions.filter((_, i) => i !== index) }); }

  #offer(index) {
    const { input } = this.#rows[index], caret = input.selectionStart ?? input.value.length;
    this.offers.dataset.row = index;
    this.offers.replaceChildren(...completions(this.world, input.value, caret).map((word) => button(word, () => {
      const before = input.value.slice(0, caret).replace(/[\p{L}\p{N}]+$/u, word), after = input.value.slice(caret);
      input.value = `${before} ${after.trimStart()}`;
      this.#write(index, input.value);
      this.offers.replaceChildren();
      input.focus();
      input.setSelectionRange(before.length + 1, before.length + 1);
    }, { className: "live-small" })));
  }

  /** What the reader has to be told of the captions: words left out, words behind the end. */
  #say(captions) {
    const said = captions.flatMap((text) => {
      const { unknown, cut, words } = tokenize(this.world, text), lines = [];
      if (unknown.length) lines.push(`The model has never seen ${unknown.map((word) => `“${word}”`).join(", ")}: left out.`);
      if (cut.length) lines.push(`A text longer than 75 tokens is cut: the model does not see “${cut.slice(0, 4).join(" ")}${cut.length > 4 ? " …" : ""}”.`);
      if (!words.length && !unknown.length && captions.length === 1) lines.push("An empty caption has no score.");
      return lines;
    });
    const text = [...new Set(said)].join(" ");
    if (this.notice.textContent !== text) this.notice.textContent = text;
  }

  draw({ captions }) {
    if (this.#rows.length !== captions.length) {
      this.#rows = captions.map((_, index) => this.#row(index));
      this.list.replaceChildren(...this.#rows.map(({ place }) => place));
    }
    captions.forEach((text, i) => {
      if (this.#rows[i].input.value !== text) this.#rows[i].input.value = text;
    });
    this.more.disabled = captions.length >= 6;
    this.#say(captions);
  }
}
