// Deletion and insertion: the picture at each step, the point on the curve, the score.
(() => {
  const { kinds, start, bytes, unpack, el, range, choice, button, canvas, speaker, drawMap, drawCurves } = window.mmelPlay;
  const SIZE = 336;

  kinds.scrubber ??= (live, data, pictures) => {
    const state = { method: data.methods[0], kind: data.curves[0].kind, point: 0 }, last = data.curves[0].fractions.length - 1;
    const points = data.curves.map(({ point }) => bytes(point)), maps = Object.fromEntries(Object.entries(data.maps).map(([name, map]) => [name, unpack(map)]));
    const tall = Math.round((SIZE * pictures.height) / pictures.width), place = canvas(SIZE, "", tall), heat = canvas(SIZE, "", tall);
    const graph = canvas(560, "", 380), said = speaker(), kindsThere = [...new Set(data.curves.map(({ kind }) => kind))];
    const numbers = { share: el("b"), score: el("b"), area: el("b") };
    const change = (more) => { Object.assign(state, more); draw(); };
    const method = choice("Map", data.methods, state.method, (value) => change({ method: value }));
    const kind = choice("Pixels", kindsThere.map((name) => [name, name === "deletion" ? "go (deletion)" : "come (insertion)"]), state.kind, (value) => change({ kind: value }));
    const step = range("Step", { min: 0, max: last, step: 1, value: 0, say: (v) => `${v} of ${last}` }, (value) => { stop(); change({ point: value }); });
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    const next = () => {
      if (state.point >= last) return stop();
      step.set(state.point + 1);
      change({ point: state.point + 1 });
    };
    const play = button("Play", () => {
      if (timer) return stop();
      if (state.point >= last) { step.set(0); change({ point: 0 }); }
      play.textContent = "Pause";
      timer = setInterval(next, 450);
    }, { className: "mp-button" });

    const draw = () => {
      const at = data.curves.findIndex((each) => each.method === state.method && each.kind === state.kind);
      const curve = data.curves[at], point = points[at], { point: now } = state, { width, height } = pictures;
      const small = el("canvas", { width, height }), pen = small.getContext("2d"), out = pen.createImageData(width, height);
      const [from, to] = [curve.start, curve.finish].map((i) => pictures.scaled(i, width).data);
      for (let i = 0; i < point.length; i += 1) {
        const source = point[i] <= now ? to : from;
        for (let c = 0; c < 4; c += 1) out.data[4 * i + c] = source[4 * i + c];
      }
      pen.putImageData(out, 0, 0);
      const big = place.getContext("2d");
      big.imageSmoothingEnabled = false;
      big.drawImage(small, 0, 0, SIZE, tall);
      const map = maps[state.method];
      heatBox.hidden = !map;
      if (map) {
        const whole = pictures.scaled(state.kind === "deletion" ? curve.start : curve.finish, SIZE);
        drawMap(heat, data.colours, map.values, { picture: whole, rows: map.shape[0], columns: map.shape[1] });
        heat.setAttribute("aria-label", `The map of ${state.method}: its highest values go or come first.`);
      }
      const same = data.curves.filter((each) => each.kind === state.kind), all = data.curves.flatMap(({ values }) => values);
      const lines = same.map((each) => ({
        xs: each.fractions, ys: each.values, colour: data.colours.hues[data.methods.indexOf(each.method) % data.colours.hues.length],
        wide: each === curve, filled: each === curve,
      })).sort((a, b) => a.wide - b.wide);
      const [low, high] = [Math.min(...all), Math.max(...all)], room = 0.05 * (high - low);
      drawCurves(graph, live, lines, { at: now, limits: [low - room, high + room], xname: state.kind === "deletion" ? "pixels gone" : "pixels there", yname: "score" });
      let area = 0;
      for (let i = 0; i < now; i += 1) area += ((curve.fractions[i + 1] - curve.fractions[i]) * (curve.values[i] + curve.values[i + 1])) / 2;
      numbers.share.textContent = `${Math.round(100 * curve.fractions[now])} %`;
      numbers.score.textContent = curve.values[now].toFixed(3);
      numbers.area.textContent = `${area.toFixed(3)} of ${curve.area.toFixed(3)}`;
      legend.replaceChildren(...same.map((each) => {
        const chip = el("span", { className: each === curve ? "mp-key mp-on" : "mp-key" }, el("i"), el("span", { textContent: `${each.method}: area ${each.area.toFixed(3)}` }));
        chip.firstChild.style.background = data.colours.hues[data.methods.indexOf(each.method) % data.colours.hues.length];
        return chip;
      }));
      const told = `${numbers.share.textContent} of the pixels ${state.kind === "deletion" ? "gone" : "there"}: score ${numbers.score.textContent}`;
      place.setAttribute("aria-label", `The picture with ${told}.`);
      graph.setAttribute("aria-label", `The curve of ${state.kind} by ${state.method}, from ${curve.values[0].toFixed(3)} to ${curve.values[last].toFixed(3)}; area ${curve.area.toFixed(3)}.`);
      said.say(`${state.method}, ${told}, area so far ${area.toFixed(3)}.`);
    };

    const legend = el("div", { className: "mp-keys" });
    const heatBox = el("figure", {}, heat, el("figcaption", { textContent: "the map: what goes or comes first" }));
    const read = (name, value) => el("div", {}, el("dt", { textContent: name }), el("dd", {}, value));
    live.append(
      el("div", { className: "mp-row" }, method, kind, data.text ? el("p", { className: "mp-asked", textContent: `asked: \u201c${data.text}\u201d` }) : ""),
      el("div", { className: "mp-wide" }, step, play),
      el("div", { className: "mp-three" },
        el("figure", {}, place, el("figcaption", { textContent: "what the model sees" })), heatBox,
        el("figure", { className: "mp-graph" }, graph)),
      el("dl", { className: "mp-numbers" }, read("pixels edited", numbers.share), read("score", numbers.score), read("area so far", numbers.area)), legend, said);
    return draw;
  };
  start();
})();
