// The filter of the claims ledger. Without this script the table stands there whole.
(() => {
  for (const page of document.querySelectorAll(".ledger-page")) {
    const form = page.querySelector(".ledger-filter");
    if (!form) continue;
    const rows = [...page.querySelectorAll("tbody tr")];
    const words = rows.map((row) => row.textContent.toLowerCase());
    const show = () => {
      const asked = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = asked.every((word) => words[i].includes(word))
          && (!form.verdict.value || row.dataset.verdict === form.verdict.value)
          && (!form.question.value || row.dataset.questions.split(" ").includes(form.question.value));
        row.hidden = !fits;
        shown += fits;
      });
      form.shown.value = `${shown} of ${rows.length} claims`;
    };
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    show();
  }
})();
