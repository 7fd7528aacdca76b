// MMEL's dials: Grad-ECLIP's map, the gate, their product, and how little or how much the order changes.
(() => {
  const { kinds, start, el, range, choice, canvas, speaker, ends, drawMap, ink, gate: { Gate } } = window.mmelPlay;
  const SIZE = 280;
  const CHOICES = {
    reduction: ["From a matrix to a number", [["mean", "mean over patches"], ["sum", "sum over patches"], ["relevance", "weighed by the map"]]],
    gate: ["Blocks", [["mean", "mean of their levels"], ["sum", "sum of their levels"], ["each", "a gate for each"]]],
    temperature_place: ["Temperature goes", [["none", "nowhere (no equation has it)"], ["attention", "under the attention"], ["softmax", "into a softmax"]]],
    beta_place: ["\u03b2 goes", [["none", "nowhere (no equation has it)"], ["base", "in place of the 1"]]],
    head_wise: ["Eq. 5 reads the queries", [[false, "over their whole width (as printed)"], [true, "head by head, then averaged"]]],
    contrast_share: ["Contrast of the map", [[null, "as it is (no equation has it)"], [0, "stretched to 0..1"], [0.02, "2 % cut off at either end"], [0.1, "10 % cut off at either end"]]],
  };

  kinds.dials ??= (live, data, pictures) => {
    const gate = new Gate(data), names = Object.keys(data.presets), said = speaker(), fresh = (name) => structuredClone(data.presets[name]);
    const state = { scene: 0, text: 0, stretch: false }, at = fresh(names[0]);
    let waiting = false;
    const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
    const turn = (name) => (value) => { at[name] = value; preset.set("own"); later(); };
    const digits = (count) => (value) => value.toFixed(count);

    const scene = choice("Scene", data.texts.map(([caption], i) => [String(i), caption]), "0", (value) => {
      state.scene = Number(value);
      text.fill(data.texts[value].map((each, i) => [String(i), each]));
      text.set(String(state.text));
      later();
    });
    const text = choice("Text", data.texts[0].map((each, i) => [String(i), each]), "0", (value) => { state.text = Number(value); later(); });
    const preset = choice("Reading", [...names.map((name) => [name, name]), ["own", "your own"]], names[0], (value) => {
      if (value !== "own") { Object.assign(at, fresh(value)); show(); later(); }
    });
    const alpha = range("\u03b1, strength", { min: 0, max: 16, step: 0.1, value: at.alpha, say: digits(1) }, turn("alpha"));
    const temperature = range("temperature", { min: 0.02, max: 1, step: 0.01, value: at.temperature, say: digits(2) }, turn("temperature"));
    const beta = range("\u03b2, preservation", { min: 0, max: 8, step: 0.1, value: at.beta, say: digits(1) }, turn("beta"));
    const shares = names.map((name) => data.presets[name].contrast_share).filter((share) => CHOICES.contrast_share[1].every(([known]) => known !== share));
    const more = { contrast_share: [...new Set(shares)].map((share) => [share, `${Number((100 * share).toPrecision(3))} % cut off at either end`]) };
    /** A list for a reading: what a preset alone has is in it too. */
    const reading = (name) => {
      const [label, known] = CHOICES[name], list = [...known, ...(more[name] ?? [])].map(([value, says]) => [JSON.stringify(value), says]);
      const made = choice(label, list, JSON.stringify(at[name]), (value) => { turn(name)(JSON.parse(value)); show(); }), { set } = made;
      return Object.assign(made, { set: (value) => set(JSON.stringify(value)) });
    };
    const offered = Object.keys(CHOICES).filter((name) => name !== "head_wise" || data.heads > 1);
    const selects = Object.fromEntries(offered.map((name) => [name, reading(name)]));
    const scales = at.scales.map((value, i) => range(`s${"\u2081\u2082\u2083\u2084\u2085"[i] ?? i + 1}`, { min: 0, max: 4, step: 0.05, value, say: digits(2) }, (to) => {
      at.scales[i] = to;
      preset.set("own");
      later();
    }));
    const thetas = at.theta.map((value, i) => range(`${i + 1}`, { min: -6, max: 12, step: 0.1, value, say: digits(1), tall: true }, (to) => {
      at.theta[i] = to;
      preset.set("own");
      later();
    }));
    for (const [i, each] of thetas.entries()) each.input.setAttribute("aria-label", `\u03b8 of block ${i + 1}`);
    const together = range("all blocks", { min: -6, max: 12, step: 0.1, value: at.theta[0], say: digits(1) }, (to) => {
      at.theta.fill(to);
      thetas.forEach((each) => each.set(to));
      preset.set("own");
      later();
    });
    const stretch = el("input", { type: "checkbox", onchange: () => { state.stretch = stretch.checked; later(); } });
    const stretched = el("label", { className: "mp-check" }, stretch, " stretch the gate's colours to its own range");

    /** The controls as the settings are; a dial that is in no equation rests until it is given a place. */
    const show = () => {
      alpha.set(at.alpha); temperature.set(at.temperature); beta.set(at.beta);
      for (const [name, select] of Object.entries(selects)) select.set(at[name]);
      scales.forEach((each, i) => each.set(at.scales[i]));
      thetas.forEach((each, i) => each.set(at.theta[i]));
      together.set(at.theta[0]);
      temperature.input.disabled = at.temperature_place === "none";
      beta.input.disabled = at.beta_place === "none";
    };

    const tall = Math.round((SIZE * pictures.height) / pictures.width);
    const panels = ["Grad-ECLIP, all blocks", "the gate", "MMEL: their product"].map((name) => {
      const place = canvas(SIZE, "", tall), under = el("figcaption", { textContent: name });
      return { place, under, box: el("figure", {}, place, under) };
    });
    const dots = canvas(SIZE, "", tall), gauge = canvas(840, "", 60), numbers = { order: el("b"), low: el("b"), ratio: el("b"), ten: el("b"), map: el("b") };
    const bounds = [el("span"), el("span")];

    const drawOrder = ([before, after]) => {
      const pen = dots.getContext("2d"), tint = ink(live), count = before.length, w = dots.width, h = dots.height, pad = 26;
      pen.clearRect(0, 0, w, h);
      pen.strokeStyle = tint.line;
      pen.lineWidth = 1.5;
      pen.strokeRect(pad, 6, w - pad - 6, h - pad - 6);
      pen.beginPath();
      pen.moveTo(pad, h - pad);
      pen.lineTo(w - 6, 6);
      pen.stroke();
      pen.fillStyle = tint.soft;
      pen.font = "15px system-ui, sans-serif";
      pen.fillText("rank in Grad-ECLIP \u2192", pad, h - 7);
      pen.save();
      pen.translate(16, h - pad);
      pen.rotate(-Math.PI / 2);
      pen.fillText("rank in MMEL \u2192", 0, 0);
      pen.restore();
      before.forEach((rank, i) => {
        const x = pad + ((rank - 0.5) / count) * (w - pad - 6), y = h - pad - ((after[i] - 0.5) / count) * (h - pad - 6);
        pen.beginPath();
        pen.arc(x, y, 4, 0, 2 * Math.PI);
        pen.fillStyle = rank === after[i] ? tint.accent : data.colours.hues[1];
        pen.fill();
      });
      dots.setAttribute("aria-label", `Ranks of ${count} patches in both maps; ${before.filter((rank, i) => rank === after[i]).length} hold their place.`);
    };

    /** The gate of every patch on the line from its lowest possible value to its highest. */
    const drawGauge = (found) => {
      const pen = gauge.getContext("2d"), tint = ink(live), { width: w, height: h } = gauge, middle = h / 2, top = found.keep + at.alpha, pad = 30;
      const x = (value) => pad + ((value - found.keep) / (at.alpha || 1)) * (w - 2 * pad);
      pen.clearRect(0, 0, w, h);
      pen.strokeStyle = tint.line;
      pen.lineWidth = 6;
      pen.lineCap = "round";
      pen.beginPath();
      pen.moveTo(pad, middle);
      pen.lineTo(w - pad, middle);
      pen.stroke();
      if (Number.isFinite(found.low)) {
        pen.strokeStyle = tint.accent;
        pen.globalAlpha = 0.45;
        pen.lineWidth = 22;
        pen.beginPath();
        pen.moveTo(x(found.low), middle);
        pen.lineTo(Math.max(x(found.low) + 0.1, x(found.high)), middle);
        pen.stroke();
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        for (const value of found.gate) {
          if (!Number.isFinite(value)) continue;
          pen.beginPath();
          pen.moveTo(x(value), middle - 13);
          pen.lineTo(x(value), middle + 13);
          pen.stroke();
        }
      }
      bounds[0].textContent = `${found.keep.toFixed(1)}, least possible`;
      bounds[1].textContent = `most possible, ${top.toFixed(1)}`;
      gauge.setAttribute("aria-label", `Gates of all patches between ${found.keep.toFixed(1)} and ${top.toFixed(1)}: from ${found.low.toFixed(3)} to ${found.high.toFixed(3)}.`);
    };

    const draw = () => {
      const found = gate.explain(state.scene, state.text, at), picture = pictures.scaled(state.scene, SIZE), { side } = data;
      const filled = found.gate.map((value) => (Number.isFinite(value) ? value : found.keep)), here = Number.isFinite(found.low);
      const limits = state.stretch && here ? [found.low, found.high] : [found.keep, found.keep + at.alpha];
      drawMap(panels[0].place, data.colours, found.base, { picture, rows: side, columns: side });
      drawMap(panels[1].place, data.colours, filled, { rows: side, columns: side, limits, smooth: false });
      drawMap(panels[2].place, data.colours, found.map, { picture, rows: side, columns: side });
      drawOrder(found.ranks);
      drawGauge(found);
      const first = (values) => new Set(Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b).slice(0, 10)), [ten, then] = [found.base, found.map].map(first);
      const kept = [...ten].filter((i) => then.has(i)).length;
      numbers.order.textContent = Number.isFinite(found.order) ? found.order.toFixed(4) : "none: a flat map";
      numbers.low.textContent = here ? `${found.low.toFixed(3)} to ${found.high.toFixed(3)}` : "none";
      numbers.ratio.textContent = here ? (found.high / found.low).toFixed(3) : "none";
      numbers.ten.textContent = String(kept);
      numbers.map.textContent = ends(found.map).map((value) => (value ? value.toPrecision(3) : "0")).join(" to ");
      const asked = data.texts[state.scene][state.text];
      ["Grad-ECLIP's map", "The gate of each patch, where the map is not 0,", "MMEL's map"].forEach((name, i) => panels[i].place.setAttribute("aria-label", `${name} for \u201c${asked}\u201d.`));
      said.say(`Rank correlation with Grad-ECLIP ${numbers.order.textContent}; gate from ${numbers.low.textContent}; of the first ten patches ${kept} stay.`);
    };

    const read = (name, value) => el("div", {}, el("dt", { textContent: name }), el("dd", {}, value));
    const group = (title, className, ...inside) => el("fieldset", { className }, el("legend", { textContent: title }), ...inside);
    live.append(
      el("div", { className: "mp-row" }, scene, text, preset),
      el("div", { className: "mp-four" }, ...panels.map(({ box }) => box), el("figure", {}, dots, el("figcaption", { textContent: "the order of the patches" }))),
      el("div", { className: "mp-gauge" }, gauge, el("div", { className: "mp-bounds" }, ...bounds)), stretched,
      el("dl", { className: "mp-numbers" }, read("rank correlation", numbers.order), read("gate, lowest to highest", numbers.low),
        read("highest over lowest", numbers.ratio), read("first ten that stay", numbers.ten), read("MMEL, lowest to highest", numbers.map)),
      el("div", { className: "mp-groups" }, group("Dials", "", alpha, temperature, beta), group("Scales", "", ...scales),
        group("Readings", "mp-across mp-readings", ...Object.values(selects)), group("\u03b8, a weight for each block", "mp-across", together, el("div", { className: "mp-bank" }, ...thetas))),
      said);
    show();
    return draw;
  };
  start();
})();
