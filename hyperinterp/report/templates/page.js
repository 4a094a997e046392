(() => {
  "use strict";
  const root = document.documentElement;
  const themes = JSON.parse(document.getElementById("theme-data").textContent);
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const hovers = window.matchMedia("(hover: hover)").matches;
  const charts = new Map();
  let printing = false;

  const dark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  // Exchange whole colour values for their dark edition; text is never touched.
  function recolour(value, key) {
    if (typeof value === "string") return /color|scale/i.test(key) ? themes.swaps[value] || value : value;
    if (Array.isArray(value)) return value.map((item) => recolour(item, key));
    if (value && typeof value === "object") {
      const copy = {};
      for (const name of Object.keys(value)) {
        copy[name] = recolour(value[name], typeof value[name] === "object" && /color|scale/i.test(key) ? key : name);
      }
      return copy;
    }
    return value;
  }

  // Row labels above their rows instead of beside them, where the page is narrow.
  function labelsAbove(data, layout) {
    for (const trace of data) {
      trace.y = trace.y.map((y) => y === null ? y : Math.round(y) + 0.62 * (y - Math.round(y)) + 0.12);
      if (trace.width) trace.width *= 0.62;
    }
    const rows = layout.yaxis.ticktext;
    layout.yaxis.showticklabels = false;
    layout.yaxis.ticks = "";
    layout.yaxis.range = [rows.length - 0.5, -0.75];
    layout.margin.l = 8;
    layout.yaxis.tickvals = rows.map((_, row) => row + 0.12);
    rows.forEach((text, row) => layout.annotations.push({
      x: 0, xref: "paper", xanchor: "left", y: row - 0.2, yanchor: "bottom", showarrow: false,
      text: text.replaceAll("<br>", " ").replaceAll(/<\/?b>/g, ""),
      font: { size: 11.5, weight: text.startsWith("<b>") ? "bold" : "normal" },
      bgcolor: getComputedStyle(document.body).backgroundColor, borderpad: 0, // a dotted line ends at the words
    }));
  }

  const narrow = (width) => width < 520;

  function height(layout, width) {
    const labels = layout.meta && layout.meta.rows ? layout.yaxis.ticktext : [];
    const rows = labels.length;
    if (printing) { // rows stand as far apart as two labels of several lines need
      const lines = labels.map((text) => text.split("<br>").length);
      const apart = Math.max(1, ...lines.map((count, row) => (count + (lines[row + 1] || 1)) / 2));
      return Math.max(200, 0.7 * layout.height, apart > 1 ? 170 + 16 * apart * rows : 0);
    }
    return narrow(width) ? layout.height + 40 + 18 * rows : layout.height;
  }

  const chosen = (chart) => chart.switches.map((part) => (part.select || part.inputs.find((input) => input.checked)).value);

  // The place of a figure is kept before it is drawn, so that nothing below it moves.
  function reserve(chart) {
    const spec = chart.data.variants[chosen(chart).join("|")];
    if (spec) chart.plot.style.minHeight = `${height(spec.layout, chart.plot.clientWidth)}px`;
  }

  // What is folded has no width to be drawn in; it is drawn when it is opened.
  const hidden = (chart) => !printing && !chart.figure.offsetWidth;

  function draw(chart) {
    if (hidden(chart)) {
      chart.width = 0;
      return;
    }
    const keys = chosen(chart);
    const spec = chart.data.variants[keys.join("|")];
    chart.none.hidden = Boolean(spec);
    chart.plot.hidden = !spec;
    chart.figure.dataset.drawn = spec ? keys.join("|") || "only" : "none";
    if (!spec) return;
    const night = dark();
    const data = night ? recolour(spec.data, "") : structuredClone(spec.data);
    const layout = night ? recolour(spec.layout, "") : structuredClone(spec.layout);
    layout.template = themes[night ? "dark" : "light"];
    layout.width = printing ? 660 : chart.plot.clientWidth;
    layout.dragmode = hovers ? "zoom" : false;
    layout.height = height(spec.layout, layout.width);
    chart.plot.style.minHeight = `${layout.height}px`;
    if (narrow(layout.width)) {
      layout.margin = { l: 44, r: 8, t: 26, b: 44 };
      if (layout.meta && layout.meta.rows) labelsAbove(data, layout);
    }
    const more = { displaylogo: false, typesetMath: false, showTips: false, modeBarButtons: [["toImage", "resetScale2d"]] };
    more.displayModeBar = hovers ? "hover" : false;
    more.toImageButtonOptions = { format: "svg", filename: chart.figure.id };
    window.Plotly.react(chart.plot, data, layout, more);
    chart.width = layout.width;
    if (chart.clicked) return;
    chart.clicked = true;
    chart.plot.on("plotly_click", (event) => reveal((event.points[0].customdata || [])[2]));
  }

  // Open whatever folds a part of the page away, and go there.
  function reveal(id) {
    const part = id && document.getElementById(id);
    if (!part) return;
    for (let fold = part.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    part.scrollIntoView();
  }

  function prepare(figure) {
    const chart = {
      figure,
      plot: figure.querySelector(".plot"),
      none: figure.querySelector(".not-computed"),
      data: JSON.parse(figure.querySelector("script").textContent),
      switches: [...figure.querySelectorAll("[data-choice]")].map((part) => ({
        select: part.querySelector("select"),
        inputs: [...part.querySelectorAll("input")],
      })),
      drawn: false,
    };
    figure.addEventListener("change", () => { if (chart.drawn) draw(chart); });
    charts.set(figure, chart);
    reserve(chart);
  }

  function show(chart) {
    if (chart.drawn) return;
    chart.drawn = true;
    draw(chart);
  }

  const again = () => charts.forEach((chart) => { if (chart.drawn) draw(chart); });

  function choose(theme) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    try {
      if (theme) localStorage.setItem("hyperinterp-theme", theme);
      else localStorage.removeItem("hyperinterp-theme");
    } catch (_) { /* not kept */ }
    document.querySelectorAll("[data-set-theme]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.setTheme === (theme || "")));
    });
    again();
  }

  document.querySelectorAll("figure.chart").forEach(prepare);
  document.querySelectorAll("[data-set-theme]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === (root.dataset.theme || "")));
    button.addEventListener("click", () => choose(button.dataset.setTheme));
  });
  system.addEventListener("change", again);

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      show(charts.get(entry.target));
    }
  }, { rootMargin: "600px 0px" });
  charts.forEach((_, figure) => near.observe(figure));

  function settle(chart) {
    if (hidden(chart)) return;
    if (!chart.drawn) reserve(chart);
    else if (chart.width !== chart.plot.clientWidth) draw(chart);
  }

  let timer = 0;
  window.addEventListener("resize", () => {
    if (printing) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      charts.forEach(settle);
      stops();
    }, 150);
  });

  // Only what scrolls is a stop for the keyboard.
  function stops() {
    document.querySelectorAll(".text, .scroll").forEach((part) => {
      const scrolls = part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1;
      if (scrolls) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    });
  }
  document.addEventListener("toggle", (event) => {
    if (!printing) charts.forEach((chart) => { if (event.target.contains(chart.figure)) settle(chart); });
    stops();
  }, true);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("main a[href^='#']");
    if (link) reveal(link.hash.slice(1));
  });
  stops();

  const folded = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    document.querySelectorAll("details:not([open], .fold)").forEach((part) => { part.open = true; folded.push(part); });
    charts.forEach((chart) => { chart.drawn = true; draw(chart); });
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    folded.splice(0).forEach((part) => { part.open = false; });
    again();
  });

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  function follow(link) {
    const nav = link.closest("nav");
    links.forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
    nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
    nav.scrollTop = link.offsetTop - (nav.clientHeight - link.offsetHeight) / 2;
  }
  const here = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && links.has(entry.target.id)) follow(links.get(entry.target.id));
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => here.observe(section));

  const target = document.getElementById(location.hash.slice(1));
  if (target) reveal(target.id);  // the places of figures were not kept yet when it was found
})();
