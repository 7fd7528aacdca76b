// Stored maps: scene, text, layers; two methods with a wipe between them.
(() => {
  const { kinds, start, unpack, el, range, choice, canvas, speaker, ends, drawMap, peak } = window.mmelPlay;
  const SIZE = 448;

  kinds.explorer ??= (live, data, pictures) => {
    const methods = Object.keys(data.maps), maps = Object.fromEntries(methods.map((name) => [name, unpack(data.maps[name])]));
    const state = { scene: 0, text: 0, layer: 0, sides: [...data.pair], wipe: 0.5 };
    const place = canvas(SIZE, "", Math.round((SIZE * pictures.height) / pictures.width)), said = speaker(true);
    const change = (more) => { Object.assign(state, more); draw(); };
    const texts = () => data.texts[state.scene].map((text, i) => [String(i), i ? text : `${text} (caption)`]);
    const scene = choice("Scene", data.texts.map(([caption], i) => [String(i), caption]), "0", (value) => {
      change({ scene: Number(value) });
      text.fill(texts());
      text.set(String(state.text));
    });
    const text = choice("Text", texts(), "0", (value) => change({ text: Number(value) }));
    const layer = choice("Blocks", data.layers.map((name, i) => [String(i), name]), "0", (value) => change({ layer: Number(value) }));
    const sides = ["Left", "Right"].map((side, i) => choice(`${side} of the wipe`, methods, state.sides[i], (value) => {
      state.sides[i] = value;
      draw();
    }));
    const wipe = range("Wipe", { min: 0, max: 100, step: 1, value: 50, say: (v) => `${v} %`, plain: true }, (value) => change({ wipe: value / 100 }));
    const follow = (event) => {
      if (!event.buttons && event.type !== "pointerdown") return;
      const { left, width } = place.getBoundingClientRect();
      const to = Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
      wipe.set(to);
      change({ wipe: to / 100 });
    };
    place.addEventListener("pointerdown", follow);
    place.addEventListener("pointermove", follow);
    const score = el("span", { className: "mp-big" }), words = el("div", { className: "mp-words-all" });
    const tags = [el("span", { className: "mp-tag mp-left" }), el("span", { className: "mp-tag mp-right" })];

    const mapOf = (name) => {
      const { shape, row } = maps[name], layer = shape[2] > 1 ? state.layer : 0;
      return { map: row((state.scene * shape[1] + state.text) * shape[2] + layer), rows: shape[3], columns: shape[4] };
    };

    const strip = (name) => {
      const found = data.words[name]?.[state.scene];
      if (!found || state.text) return el("p", { className: "mp-quiet", textContent: state.text ? `${name}: words are shown for the caption.` : `${name}: no map of words.` });
      const values = found.map(([, value]) => value), [low, high] = ends(values), signed = low < 0;
      const most = Math.max(Math.abs(low), Math.abs(high)) || 1, table = signed ? data.colours.RdBu_r : data.colours.viridis;
      return el("p", { className: "mp-words" }, el("span", { className: "mp-quiet", textContent: `${name}: ` }), ...found.map(([word, value]) => {
        const at = 3 * Math.round(255 * (signed ? (value / most + 1) / 2 : high > low ? (value - low) / (high - low) : 0.5));
        const [r, g, b] = table.slice(at, at + 3), light = 0.299 * r + 0.587 * g + 0.114 * b > 127;
        const chip = el("span", { className: "mp-word", textContent: word, title: value.toPrecision(3) });
        chip.style.cssText = `background: rgb(${r} ${g} ${b}); color: ${light ? "#000" : "#fff"}`;
        return chip;
      }));
    };

    const draw = () => {
      const picture = pictures.scaled(state.scene, SIZE), pen = place.getContext("2d"), x = Math.round(state.wipe * SIZE);
      const shown = state.sides.map(mapOf), halves = [[0, state.wipe], [state.wipe, 1]];
      shown.forEach(({ map, rows, columns }, i) => drawMap(place, data.colours, map, { picture, rows, columns, left: halves[i][0], right: halves[i][1] }));
      pen.fillStyle = "#fff";
      pen.fillRect(x - 2, 0, 4, place.height);
      pen.fillStyle = "#000";
      pen.fillRect(x - 2, 0, 1, place.height);
      pen.fillRect(x + 1, 0, 1, place.height);
      tags.forEach((tag, i) => { tag.textContent = state.sides[i]; });
      tags[0].hidden = state.wipe < 0.25;
      tags[1].hidden = state.wipe > 0.75;
      score.textContent = data.scores[state.scene][state.text].toFixed(3);
      words.replaceChildren(...[...new Set(state.sides)].map(strip));
      const fixed = state.sides.filter((name) => maps[name].shape[2] === 1 && data.layers.length > 1);
      note.textContent = fixed.length ? `No choice of blocks: ${[...new Set(fixed)].join(" and ")}.` : "";
      const asked = data.texts[state.scene][state.text];
      const parts = shown.map(({ map, rows, columns }, i) => `${state.sides[i]} is ${peak(map, rows, columns)}`);
      place.setAttribute("aria-label", `Two maps for \u201c${asked}\u201d, ${Math.round(100 * state.wipe)} % of the width from the left one. ${parts.join("; ")}.`);
      said.say(`\u201c${asked}\u201d, score ${score.textContent}. ${parts.join("; ")}.`);
    };

    const note = el("p", { className: "mp-quiet mp-note" });
    live.append(
      el("div", { className: "mp-two" },
        el("div", { className: "mp-stage" }, el("div", { className: "mp-frame" }, place, ...tags), wipe),
        el("div", { className: "mp-side" }, el("div", { className: "mp-row mp-long" }, scene, text), el("div", { className: "mp-row" }, ...sides, layer), note,
          el("p", { className: "mp-read" }, score, el("span", { textContent: " score of the picture and the text" })), words)),
      said);
    return draw;
  };
  start();
})();
