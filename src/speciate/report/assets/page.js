"use strict";
// Draws every figure, in the page's light or dark colours; figures are stored in the light ones.
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const options = { displayModeBar: false, responsive: true };

  function recolour(value) {
    if (typeof value === "string") {
      if (data.dark[value]) return data.dark[value];
      const alpha = /^(rgba\(\d+,\d+,\d+,)([\d.]+\))$/.exec(value);
      return alpha && data.dark[alpha[1]] ? data.dark[alpha[1]] + alpha[2] : value;
    }
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, recolour(item)]));
    }
    return value;
  }

  function draw(isDark, printing) {
    for (const [name, figure] of Object.entries(data.figures)) {
      // Plotly writes into what it is given, so it gets a copy.
      const fresh = isDark ? recolour(figure) : JSON.parse(JSON.stringify(figure));
      const place = document.getElementById(name);
      // No resize event comes before printing, so paper gets its width spelled out.
      if (printing) fresh.layout.width = place.clientWidth;
      Plotly.react(place, fresh.data, fresh.layout, options);
    }
  }

  draw(dark.matches);
  dark.addEventListener("change", () => draw(dark.matches));
  // Paper is white and narrower than most screens: the class sets the width, the redraw follows it.
  window.addEventListener("beforeprint", () => { document.body.classList.add("printing"); draw(false, true); });
  window.addEventListener("afterprint", () => { document.body.classList.remove("printing"); draw(dark.matches); });
})();
