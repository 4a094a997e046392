(() => {
  try {
    const kept = localStorage.getItem("hyperinterp-theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch (_) { /* storage is not available: follow the system */ }
  document.documentElement.classList.add("js");
})();
