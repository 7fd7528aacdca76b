// Loaded after require.js and before embed-amd.js: every module and font comes from this folder, none from elsewhere.
requirejs.config({ baseUrl: document.currentScript.src.replace(/[^/]*$/, "") });
// Widgets ask MathJax 2 to set their labels; the pages have MathJax 3.
document.addEventListener("DOMContentLoaded", () => {
  if (window.MathJax && !MathJax.Hub) {
    MathJax.Hub = { Queue: (call) => MathJax.startup.promise.then(() => MathJax.typesetPromise([call[2]])) };
  }
});
