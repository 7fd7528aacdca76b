// The randomisation ladder: all methods' maps dissolve together.
(() => {
  const { kinds, start, unpack, el, range, choice, canvas, speaker, drawMap, drawCurves } = window.mmelPlay;
  const SIZE = 168;

  kinds.ladder ??= (live, data, pictures) => {
    const state = { order: 0, scene: 0, rung: 0 }, said = speaker(), change = (more) => { Object.assign(state, more); draw(); };
    const stored = data.orders.map(({ methods }) => methods.map(({ maps }) => unpack(maps)));
    const names = [...new Set(data.orders.flatMap(({ methods }) => methods.map(({ name }) => name)))];
    const tiles = names.map((name) => {
      const place = canvas(SIZE, "", Math.round((SIZE * pictures.height) / pictures.width)), spark = canvas(SIZE, "", 56), value = el("b");
      const box = el("figure", { className: "mp-tile" }, place, el("figcaption", {}, el("span", { textContent: name }), value), spark);
      spark.setAttribute("aria-hidden", "true");
      return { name, place, spark, value, box };
    });
    const rung = range("Rung", { min: 0, max: data.orders[0].steps.length - 1, step: 1, value: 0, say: (v) => data.orders[state.order].steps[v] }, (value) => change({ rung: value }));
    const order = choice("Order", data.orders.map(({ name }, i) => [String(i), name]), "0", (value) => {
      const last = data.orders[value].steps.length - 1;
      Object.assign(state, { order: Number(value), rung: Math.min(state.rung, last) });
      rung.limit(last);
      rung.set(state.rung);
      draw();
    });
    const scene = choice("Picture", Array.from({ length: pictures.count }, (_, i) => [String(i), data.texts[i] ?? `picture ${i + 1}`]), "0", (value) => change({ scene: Number(value) }));
    const filled = el("span"), told = el("p", { className: "mp-read" }), meter = el("div", { className: "mp-meter", "aria-hidden": "true" }, filled);

    const draw = () => {
      const now = data.orders[state.order], picture = pictures.scaled(state.scene, SIZE), heard = [];
      const all = now.methods.flatMap(({ likeness }) => likeness.flat()).filter((value) => value !== null), low = Math.min(0, ...all);
      for (const tile of tiles) {
        const at = now.methods.findIndex(({ name }) => name === tile.name);
        tile.box.hidden = at < 0;
        if (at < 0) continue;
        const { shape, row } = stored[state.order][at], likeness = now.methods[at].likeness[state.scene], value = likeness[state.rung];
        drawMap(tile.place, data.colours, row(state.scene * shape[1] + state.rung), { picture, rows: shape[2], columns: shape[3] });
        tile.value.textContent = value === null ? "flat" : value.toFixed(2).replace("-0.00", "0.00");
        tile.value.style.setProperty("--left", value === null ? 0 : Math.max(0, value));
        tile.place.setAttribute("aria-label", `Map of ${tile.name}; ${data.measure} with the trained model's map: ${tile.value.textContent}.`);
        drawCurves(tile.spark, live, [{ xs: likeness.map((_, i) => i / Math.max(1, likeness.length - 1)), ys: likeness, colour: data.colours.hues[0], wide: true }], { at: state.rung, limits: [low - 0.1, 1.1] });
        heard.push(`${tile.name} ${tile.value.textContent}`);
      }
      const share = now.shares[state.rung];
      meter.hidden = share === undefined;
      filled.style.width = `${100 * (share ?? 0)}%`;
      told.textContent = `${now.steps[state.rung]}${share === undefined ? "" : `: ${(100 * share).toFixed(share && share < 0.1 ? 1 : 0)} % of the tower's numbers are drawn anew`}`;
      said.say(`${told.textContent}. ${data.measure}: ${heard.join(", ")}.`);
    };

    live.append(
      el("div", { className: "mp-row" }, scene, order), el("div", { className: "mp-wide" }, rung), meter, told,
      el("div", { className: "mp-tiles" }, ...tiles.map(({ box }) => box)),
      el("p", { className: "mp-quiet", textContent: `Number and curve: ${data.measure} with the same map of the trained model.` }), said);
    return draw;
  };
  start();
})();
