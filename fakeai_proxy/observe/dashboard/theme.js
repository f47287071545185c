// Before the first paint: the theme that was chosen, if one was. A classic script, so that it is not
// deferred as modules are.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("fakeai-theme"); } catch { /* private windows may refuse */ }
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
