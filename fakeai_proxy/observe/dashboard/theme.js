// Before the first paint: the theme that was chosen or, until one is, that of the system. A classic script,
// so that it is not deferred as modules are.
"use strict";
(() => {
  const page = document.documentElement.dataset;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  try { page.chosen = localStorage.getItem("fakeai-theme") ?? ""; } catch { /* private windows may refuse */ }
  const follow = () => { page.theme = page.chosen || (dark.matches ? "dark" : "light"); };
  follow();
  dark.addEventListener("change", follow);
})();
