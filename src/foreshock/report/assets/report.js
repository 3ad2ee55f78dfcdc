"use strict";
// Draws the panels of the report with uPlot: zoom and cursor go over all of them, smoothing is an overlay.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const plots = new Map(); // panel name -> {plot, box, panel}
  let smooth = 1;
  let zooming = false;

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function median(values) {
    const sorted = values.slice().sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  // Median over the steps within half a window on both sides: for the eye only.
  function smoothed(panel) {
    if (smooth < 3) return panel.y.map(() => null);
    let low = 0;
    return panel.y.map((value, i) => {
      if (value === null) return null;
      while (panel.x[low] < panel.x[i] - smooth / 2) low++;
      const near = [];
      for (let j = low; j < panel.x.length && panel.x[j] <= panel.x[i] + smooth / 2; j++)
        if (panel.y[j] !== null) near.push(panel.y[j]);
      return median(near);
    });
  }

  function shade(u, panel) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const dpr = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.font = `${11 * dpr}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    panel.phases.forEach((phase, i) => {
      const next = panel.phases[i + 1];
      const a = Math.max(u.valToPos(phase.from, "x", true), left);
      const b = Math.min(u.valToPos(next ? next.from : phase.to, "x", true), left + width);
      if (b <= a) return;
      ctx.fillStyle = /drop|decline/.test(phase.text) ? css("--fall") : css(`--shade-${i % 2}`);
      ctx.fillRect(a, top, b - a, height);
      const room = b - a - 6 * dpr;
      const text = [phase.text, phase.short].find((t) => ctx.measureText(t).width <= room);
      ctx.fillStyle = css("--muted");
      if (text) ctx.fillText(text, (a + b) / 2, top + 14 * dpr);
    });
    panel.marks.forEach((mark) => {
      const a = u.valToPos(mark.interval[0], "x", true);
      const b = u.valToPos(mark.interval[1], "x", true);
      ctx.globalAlpha = 0.18;
      ctx.fillStyle = css("--mark");
      ctx.fillRect(a, top, Math.max(b - a, 2 * dpr), height);
      ctx.globalAlpha = 1;
    });
    ctx.restore();
  }

  // How far the curve stays away from a box: the label goes where that is largest.
  function clearance(u, panel, box) {
    let best = Infinity;
    for (let i = 0; i < panel.x.length; i++) {
      if (panel.y[i] === null) continue;
      const px = u.valToPos(panel.x[i], "x", true);
      if (px < box.x - 8 || px > box.x + box.w + 8) continue;
      const py = u.valToPos(panel.y[i], "y", true);
      const dy = py < box.y ? box.y - py : py > box.y + box.h ? py - box.y - box.h : 0;
      best = Math.min(best, dy);
    }
    return best;
  }

  function label(u, panel) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const dpr = devicePixelRatio || 1;
    const taken = [];
    ctx.save();
    ctx.font = `${12 * dpr}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    panel.marks.forEach((mark) => {
      const x = u.valToPos(mark.step, "x", true);
      if (x < left || x > left + width) return;
      ctx.strokeStyle = css("--mark");
      ctx.lineWidth = 1.5 * dpr;
      ctx.setLineDash([5 * dpr, 3 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x, top + 20 * dpr);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      ctx.setLineDash([]);
      const w = Math.max(...mark.lines.map((line) => ctx.measureText(line).width)) + 10 * dpr;
      const h = (mark.lines.length * 15 + 6) * dpr;
      const candidates = [];
      for (const dx of [6 * dpr, -w - 6 * dpr])
        for (let y = top + 22 * dpr; y + h < top + height - 2 * dpr; y += 12 * dpr) {
          const box = { x: x + dx, y, w, h };
          if (box.x < left || box.x + w > left + width) continue;
          const hits = taken.some((t) => box.x < t.x + t.w && t.x < box.x + w && y < t.y + t.h && t.y < y + h);
          if (!hits) candidates.push([Math.min(clearance(u, panel, box), 40 * dpr), box]);
        }
      if (!candidates.length) return; // no room: the table below has it
      candidates.sort((a, b) => b[0] - a[0]);
      const box = candidates[0][1];
      taken.push(box);
      ctx.globalAlpha = 0.88;
      ctx.fillStyle = css("--box");
      ctx.fillRect(box.x, box.y, w, h);
      ctx.globalAlpha = 1;
      ctx.fillStyle = css("--text");
      mark.lines.forEach((line, i) => ctx.fillText(line, box.x + 5 * dpr, box.y + (15 * (i + 1) - 1) * dpr));
    });
    ctx.restore();
  }

  // Zooming one panel zooms all.
  function follow(u, key) {
    if (key !== "x" || zooming) return;
    zooming = true;
    const { min, max } = u.scales.x;
    for (const { plot } of plots.values()) if (plot && plot !== u) plot.setScale("x", { min, max });
    zooming = false;
  }

  function options(panel, box) {
    const colour = panel.colours[dark() ? 1 : 0];
    const axis = { stroke: css("--text"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid") } };
    const show = (u, value) => (value == null ? "-" : value.toFixed(panel.digits));
    return {
      width: Math.max(box.clientWidth, 260),
      height: Math.max(260, Math.min(380, box.clientWidth * 0.55)),
      scales: {
        x: { time: false },
        y: {
          range: (u, low, high) => {
            if (low == null) return [0, 1];
            if (panel.limits) [low, high] = [Math.max(low, panel.limits[0]), Math.min(high, panel.limits[1])];
            const pad = high > low ? (high - low) * 0.08 : Math.abs(high) * 0.05 || 1;
            return [low - pad, high + pad * 2.2];
          },
        },
      },
      axes: [
        { ...axis, label: "Step", labelSize: 24, labelFont: "13px system-ui, sans-serif" },
        {
          ...axis,
          size: 62,
          label: panel.unit ? `${panel.label} (${panel.unit})` : panel.label,
          labelSize: 24,
          labelFont: "13px system-ui, sans-serif",
        },
      ],
      series: [
        { label: "Step", value: (u, value) => (value == null ? "-" : String(value)) },
        { label: panel.label, stroke: colour, width: 1.6, value: show, points: { size: 5 } },
        { label: "median", stroke: css("--text"), width: 2.2, value: show, show: smooth >= 3, points: { show: false } },
      ],
      cursor: { sync: { key: "run", scales: ["x", null] }, drag: { x: true, y: false } },
      hooks: {
        drawClear: [(u) => shade(u, panel)],
        draw: [(u) => label(u, panel)],
        setScale: [follow],
      },
    };
  }

  // The box of a panel; all of them are laid out before the first is drawn, so that each knows its width.
  function place(panel, parent) {
    let entry = plots.get(panel.name);
    if (!entry) {
      const box = document.createElement("div");
      box.className = "panel";
      const heading = document.createElement("h3");
      heading.textContent = panel.title;
      const note = document.createElement("p");
      note.className = "note";
      const says = [];
      if (panel.beyond) says.push(`${panel.beyond} values beyond this range or not finite, see the table`);
      if (panel.decimated) says.push("lowest and highest value of each pixel column are drawn");
      note.textContent = says.join("; ");
      box.append(heading, note);
      parent.append(box);
      entry = { box, panel, plot: null };
      plots.set(panel.name, entry);
    }
    return entry;
  }

  function draw(panel, parent) {
    const entry = place(panel, parent);
    const zoom = entry.plot ? { ...entry.plot.scales.x } : null;
    if (entry.plot) entry.plot.destroy();
    entry.plot = new uPlot(options(panel, entry.box), [panel.x, panel.y, smoothed(panel)], entry.box);
    if (zoom && zoom.min != null) entry.plot.setScale("x", { min: zoom.min, max: zoom.max });
  }

  function redraw() {
    for (const { panel, box } of plots.values()) if (box.isConnected) draw(panel, box.parentNode);
  }

  const charts = document.getElementById("charts");
  const main = data.panels.slice(0, data.first);
  main.forEach((panel) => place(panel, charts));
  main.forEach((panel) => draw(panel, charts));

  const rest = data.panels.slice(data.first);
  const extra = document.getElementById("extra");
  if (rest.length) document.getElementById("more").hidden = false;
  rest.forEach((panel) => {
    const row = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = panel.name;
    box.addEventListener("change", () => {
      if (box.checked) return draw(panel, extra);
      const entry = plots.get(panel.name);
      entry.plot.destroy();
      entry.box.remove();
      plots.delete(panel.name);
    });
    row.append(box, ` ${panel.label}`);
    if (panel.key !== panel.label) row.title = panel.key;
    document.getElementById("picker").append(row);
  });

  const slider = document.getElementById("smooth");
  slider.addEventListener("input", () => {
    smooth = Number(slider.value);
    document.getElementById("smooth-says").textContent = smooth < 3 ? "off" : `centred median of ${smooth} steps`;
    redraw();
  });
  document.getElementById("reset").addEventListener("click", () => {
    for (const { plot, panel } of plots.values())
      plot.setScale("x", { min: panel.x[0], max: panel.x[panel.x.length - 1] });
  });
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    redraw();
  });
})();
