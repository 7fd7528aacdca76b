// A picture with a text alternative, which ipywidgets' own has no room for. The old one stays until the new one is there.
function render({ model, el }) {
  const picture = document.createElement("img");
  picture.style.cssText = "display: block; max-width: 100%; height: auto; margin: 0; filter: none";
  el.append(picture);
  let url = null;

  function draw() {
    const old = url;
    url = URL.createObjectURL(new Blob([model.get("value")], { type: "image/png" }));
    picture.src = url;
    if (old) URL.revokeObjectURL(old);
  }
  const name = () => { picture.alt = model.get("alt"); };
  model.on("change:value", draw);
  model.on("change:alt", name);
  name();
  draw();
  return () => url && URL.revokeObjectURL(url);
}

export default { render };
