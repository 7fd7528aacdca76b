#!/bin/sh
# Fetch what the book's pages and their test load, at fixed versions, with the licences: assets/vendor and tests/data/axe.min.js.
# The result is committed, so only a change of version needs this again. Needs npm and the environment (`make env`).
# usage: tools/vendor_js.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
vendor=assets/vendor
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT

npm install --silent --no-audit --no-fund --prefix "$fetched" \
    requirejs@2.3.8 mathjax@3.2.2 @jupyter-widgets/html-manager@1.0.15 axe-core@4.14.1
modules=$fetched/node_modules
manager=$modules/@jupyter-widgets/html-manager/dist
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
prefix=$("$python" -c 'import sys; print(sys.prefix)')

rm -rf "$vendor"
mkdir -p "$vendor/mathjax/output/chtml/fonts" "$vendor/@jupyter-widgets/html-manager/dist"

cp "$modules/requirejs/require.js" "$vendor/require.js"
{
    echo "Copyright jQuery Foundation and other contributors, https://jquery.org/"
    echo
    sed -n '/^Permission is hereby/,$p' LICENSE
} > "$vendor/LICENSE.requirejs"

cp "$manager/embed-amd.js" "$vendor/embed-amd.js"
cat "$site"/ipywidgets-*.dist-info/licenses/LICENSE > "$vendor/LICENSE.html-manager"
{
    echo
    echo "The bundle contains these, each under its own licence:"
    echo
    cat "$manager/embed.js.LICENSE.txt"
} >> "$vendor/LICENSE.html-manager"
# Font Awesome: the bundle asks for these two fonts, and in either of two places
for font in 1551f4f60c37af51121f d878b0a6a1144760244f; do
    cp "$manager/$font.woff2" "$vendor/@jupyter-widgets/html-manager/dist/"
    cp "$manager/$font.woff2" "$vendor/@jupyter-widgets/"
done
cp "$modules/@fortawesome/fontawesome-free/LICENSE.txt" "$vendor/LICENSE.fontawesome"

cp "$modules/mathjax/es5/tex-chtml.js" "$modules/mathjax/LICENSE" "$vendor/mathjax/"
cp -r "$modules/mathjax/es5/output/chtml/fonts/woff-v2" "$vendor/mathjax/output/chtml/fonts/"

cp "$prefix/share/jupyter/nbextensions/anywidget/index.js" "$vendor/anywidget.js"
cat "$site"/anywidget-*.dist-info/licenses/LICENSE > "$vendor/LICENSE.anywidget"

cat > "$vendor/widgets-local.js" <<'JS'
// Loaded after require.js and before embed-amd.js: every module and font comes from this folder, none from elsewhere.
requirejs.config({ baseUrl: document.currentScript.src.replace(/[^/]*$/, "") });
// Widgets ask MathJax 2 to set their labels; the pages have MathJax 3.
document.addEventListener("DOMContentLoaded", () => {
  if (window.MathJax && !MathJax.Hub) {
    MathJax.Hub = { Queue: (call) => MathJax.startup.promise.then(() => MathJax.typesetPromise([call[2]])) };
  }
});
JS

mkdir -p tests/data
cp "$modules/axe-core/axe.min.js" tests/data/axe.min.js
cp "$modules/axe-core/LICENSE" tests/data/LICENSE.axe-core
du -sh "$vendor"
