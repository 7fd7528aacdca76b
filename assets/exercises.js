// Exercises in the page: numbers are checked as mmel.exercises.check does, and a solution opens after an attempt.
// Without this script every solution is a closed box that can be opened.
(() => {
  const number = (text) => {
    const thousands = /^\d{1,3}(,\d{3}){2,}$/.test(text.trim());
    const plain = text.trim().replaceAll(",", thousands ? "" : ".").replaceAll("\u2212", "-");
    const parts = plain.split("/");
    const values = parts.map((part) => (part.trim() === "" ? NaN : Number(part)));
    return values.length === 2 ? values[0] / values[1] : values.length === 1 ? values[0] : NaN;
  };
  const checked = (value, answer) => {
    if (!Number.isFinite(value)) return [false, "A number is asked for."];
    if (Math.abs(value - answer.value) <= answer.tolerance) return [true, answer.praise];
    const near = answer.mistakes
      .map(([wrong, hint]) => [Math.abs(value - wrong), hint])
      .filter(([far]) => far <= Math.max(answer.tolerance, 1e-3 * Math.abs(value)))
      .sort((a, b) => a[0] - b[0]);
    return [false, near.length ? near[0][1] : answer.otherwise];
  };
  const typeset = (box) => window.MathJax?.typesetPromise?.([box]);
  for (const form of document.querySelectorAll("form.answer, form.attempt")) {
    const solution = document.getElementById(`solution-${form.dataset.for}`);
    const said = form.querySelector("output");
    const open = () => { solution.hidden = false; };
    solution.hidden = true;
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.classList.contains("answer")) {
        const value = number(form.number.value);
        const [right, hint] = checked(value, JSON.parse(form.dataset.answer));
        said.textContent = `${right ? "Right." : "Not yet."} ${hint}`;
        said.className = right ? "right" : "wrong";
        if (Number.isFinite(value)) open();
        typeset(said);
      } else if (form.tried.value.trim().length < 20) {
        said.textContent = "First a sentence on what you tried: writing it down is half of the way.";
      } else {
        said.textContent = "One solution stands below. Yours may differ.";
        open();
      }
    });
  }
})();
