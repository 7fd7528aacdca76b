// The stage of the scene editor: emoji are dragged, scaled with the wheel, and moved by key. The kernel draws them.
const STEP = 2, GROW = 1.06, KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function render({ model, el }) {
  const size = model.get("size");
  const place = Object.assign(document.createElement("div"), { tabIndex: 0 });
  place.setAttribute("role", "application");
  place.setAttribute("aria-label", "The scene. Arrow keys move the chosen emoji, plus and minus scale it, Delete takes it away, Page Up and Page Down choose another.");
  place.style.cssText = "position: relative; width: min(336px, 90vw); aspect-ratio: 1; touch-action: none; cursor: grab; margin: 4px 0";
  const picture = document.createElement("img"), frame = document.createElement("div");
  picture.draggable = false;
  picture.style.cssText = "position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; display: block; filter: none";
  frame.style.cssText = "position: absolute; pointer-events: none; border: 2px solid #d55e00; outline: 1px solid #fff; border-radius: 4px; box-sizing: border-box";
  place.append(picture, frame);
  el.append(place);

  let url = null, grabbed = null;
  const chosen = () => model.get("objects")[model.get("chosen")];
  const ask = (what) => { model.set("wish", { ...what, number: model.get("wish").number + 1 || 1 }); model.save_changes(); };
  const at = (event) => {
    const box = place.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * size, (event.clientY - box.top) / box.height * size];
  };

  function draw() {
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/png" }));
    picture.src = url;
  }
  function mark() {
    const object = chosen(), share = (value) => `${100 * value / size}%`, names = model.get("objects").map((each) => each.name);
    picture.alt = `The scene as it is drawn now, from back to front: ${names.join(", ") || "nothing"}. Chosen: ${object ? object.name : "none"}.`;
    frame.hidden = !object;
    if (object) Object.assign(frame.style, { left: share(object.x - object.size / 2), top: share(object.y - object.size / 2), width: share(object.size), height: share(object.size) });
  }

  place.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event), objects = model.get("objects");
    const index = objects.findLastIndex((each) => Math.max(Math.abs(x - each.x), Math.abs(y - each.y)) <= each.size / 2);
    if (index < 0) return;
    grabbed = [x - objects[index].x, y - objects[index].y];
    place.setPointerCapture(event.pointerId);
    ask({ choose: index });
  });
  place.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    const [x, y] = at(event);
    ask({ move: [x - grabbed[0], y - grabbed[1]], dragging: true });
  });
  const drop = () => { if (grabbed) { grabbed = null; ask({ drop: true }); } };
  place.addEventListener("pointerup", drop);
  place.addEventListener("pointercancel", drop);
  place.addEventListener("wheel", (event) => {
    if (!chosen()) return;
    event.preventDefault();
    ask({ size: chosen().size * (event.deltaY < 0 ? GROW : 1 / GROW) });
  }, { passive: false });
  place.addEventListener("keydown", (event) => {
    const step = KEYS[event.key], count = model.get("objects").length, object = chosen();
    if (!object) return;
    if (step) ask({ move: [object.x + step[0], object.y + step[1]] });
    else if (event.key === "+" || event.key === "=") ask({ size: object.size * GROW });
    else if (event.key === "-") ask({ size: object.size / GROW });
    else if (event.key === "Delete" || event.key === "Backspace") ask({ remove: true });
    else if (event.key === "PageUp" || event.key === "PageDown") ask({ choose: (model.get("chosen") + (event.key === "PageUp" ? 1 : count - 1)) % count });
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has keys of its own
  });
  model.on("change:picture", draw);
  for (const part of ["objects", "chosen"]) model.on(`change:${part}`, mark);
  draw();
  mark();
  return () => url && URL.revokeObjectURL(url);
}

export default { render };
