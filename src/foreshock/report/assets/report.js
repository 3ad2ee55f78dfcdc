"use strict";
// Draws the panels of the report with uPlot: zoom and cursor go over all of them, smoothing is an overlay.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const plots = new Map(); // panel name -> {plot, box, panel}
  const STRIP = 24; // pixels above a chart, for the names of its phases
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  const NAMED = 4; // events with a label in one chart
  const NEAR = 9; // pixels within which the cursor is at an event
  const WHOLE = [...Array(27)].map((_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3)); // no half steps
  let smooth = data.smooth;
  let zooming = false;

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  // Plain digits, powers of ten only where digits would not do.
  function text(value, digits) {
    if (value == null) return "-";
    const size = Math.abs(value);
    if (size >= 1e7 || (size > 0 && size < 10 ** -Math.min(digits, 6))) return value.toExponential(2);
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function ticks(u, splits) {
    const gap = splits.length > 1 ? splits[1] - splits[0] : Math.abs(splits[0]) || 1;
    const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(gap) + 1e-9)));
    const exact = Math.abs(gap * 10 ** digits - Math.round(gap * 10 ** digits)) < 1e-6 ? digits : digits + 1;
    return splits.map((value) => {
      if (value == null) return "";
      return gap < 1e-5 && value !== 0 ? value.toExponential(2) : text(Math.abs(value) < gap / 1e6 ? 0 : value, exact);
    });
  }

  // Median over the steps within half a window on both sides: for the eye only.
  function smoothed(panel) {
    const { x } = panel;
    const y = panel.smooth || panel.y;
    if (smooth < 3) return x.map(() => null);
    const sorted = []; // finite values inside the window
    const place = (value) => {
      let low = 0;
      let high = sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle] < value) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    let first = 0;
    let next = 0;
    return y.map((value, i) => {
      for (; next < x.length && x[next] <= x[i] + smooth / 2; next++)
        if (y[next] !== null) sorted.splice(place(y[next]), 0, y[next]);
      for (; x[first] < x[i] - smooth / 2; first++) if (y[first] !== null) sorted.splice(place(y[first]), 1);
      if (value === null || panel.y[i] === null) return null;
      const half = sorted.length >> 1;
      return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    });
  }

  // Phases behind the grid, their names in the strip above it; the interval of each onset.
  function shade(u, panel) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const dpr = devicePixelRatio || 1;
    const strip = STRIP * dpr;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top - strip, width, height + strip);
    ctx.clip();
    ctx.font = `${11 * dpr}px ${FONT}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    panel.phases.forEach((phase, i) => {
      const next = panel.phases[i + 1];
      const a = Math.max(u.valToPos(phase.from, "x", true), left);
      const b = Math.min(u.valToPos(next ? next.from : phase.to, "x", true), left + width);
      if (b <= a) return;
      ctx.fillStyle = phase.falls ? css("--fall") : css(`--shade-${i % 2}`);
      ctx.fillRect(a, top - strip, b - a, height + strip);
      ctx.fillStyle = css("--muted");
      const name = phase.texts.find((words) => ctx.measureText(words).width <= b - a - 6 * dpr);
      if (name) ctx.fillText(name, (a + b) / 2, top - strip / 2);
    });
    ctx.globalAlpha = 0.14;
    ctx.fillStyle = css("--mark");
    for (const mark of panel.marks) {
      const a = u.valToPos(mark.interval[0], "x", true);
      const b = u.valToPos(mark.interval[1], "x", true);
      if (b > a) ctx.fillRect(a, top, b - a, height);
    }
    ctx.restore();
  }

  // The curve in canvas pixels, as far as it is in view.
  function inView(u, panel) {
    const { min, max } = u.scales.x;
    const points = [];
    panel.x.forEach((x, i) => {
      const near = x >= min && x <= max;
      if (near) points.push(panel.y[i] === null ? null : [u.valToPos(x, "x", true), u.valToPos(panel.y[i], "y", true)]);
    });
    return points;
  }

  // Whether the curve passes through a box.
  function covers(points, box) {
    for (let i = 0; i < points.length; i++) {
      const b = points[i];
      if (!b || b[0] < box.x) continue;
      const a = points[i - 1] || b;
      if (a[0] > box.x + box.w) return false;
      const at = (x) => (b[0] > a[0] ? a[1] + ((b[1] - a[1]) * (x - a[0])) / (b[0] - a[0]) : b[1]);
      const first = at(Math.max(a[0], box.x));
      const last = at(Math.min(b[0], box.x + box.w));
      if (Math.max(first, last) > box.y && Math.min(first, last) < box.y + box.h) return true;
    }
    return false;
  }

  // The place nearest to (x, y) where a label covers neither the curve nor another label; null if there is none.
  function spot(area, x, y, w, h, points, taken, dpr) {
    let best = null;
    for (const far of [8, 24, 60, 120, 200])
      for (const left of [x + far * dpr, x - w - far * dpr]) {
        if (left < area.left || left + w > area.left + area.width) continue;
        for (let top = area.top + 2 * dpr; top + h < area.top + area.height; top += 8 * dpr) {
          const away = Math.hypot(far * dpr, Math.max(0, top - y, y - top - h));
          if (best && away >= best.away) continue;
          const box = { x: left, y: top, w, h };
          const free = taken.every((t) => left > t.x + t.w || t.x > left + w || top > t.y + t.h || t.y > top + h);
          const margin = { x: left - 3 * dpr, y: top - 3 * dpr, w: w + 6 * dpr, h: h + 6 * dpr };
          if (free && !covers(points, margin)) best = { away, box };
        }
      }
    return best && best.box;
  }

  function triangle(ctx, x, y, size, up) {
    ctx.beginPath();
    ctx.moveTo(x, y + (up ? -size : size));
    ctx.lineTo(x - size, y + (up ? size : -size));
    ctx.lineTo(x + size, y + (up ? size : -size));
    ctx.closePath();
    ctx.fill();
  }

  // Recorded events: a dotted line with a diamond at its foot for few, a tick at the lower edge for all others.
  function events(u, dpr) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const foot = top + height;
    const at = (step) => u.valToPos(step, "x", true);
    const inside = (x) => x >= left && x <= left + width;
    ctx.save();
    ctx.strokeStyle = css("--muted");
    ctx.fillStyle = css("--text");
    ctx.lineWidth = dpr;
    ctx.beginPath();
    for (const x of data.events.ticks.map(at).filter(inside)) {
      ctx.moveTo(x, foot);
      ctx.lineTo(x, foot - 9 * dpr);
    }
    ctx.stroke();
    const shown = data.events.lines.map((event) => ({ x: at(event.step), y: foot, lines: [event.name] })).filter(({ x }) => inside(x));
    for (const { x } of shown) {
      ctx.setLineDash([1.5 * dpr, 2.5 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, foot);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.beginPath();
      for (const [dx, dy] of [[0, -6], [3.5, 0], [0, 6], [-3.5, 0]]) ctx.lineTo(x + dx * dpr, foot + dy * dpr);
      ctx.fill();
    }
    ctx.restore();
    return shown;
  }

  // Onsets with their labels, and triangles at the edge where values lie beyond it.
  function mark(u, panel) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const dpr = devicePixelRatio || 1;
    const recorded = events(u, dpr);
    const points = panel.marks.length || recorded.length ? inView(u, panel) : [];
    const shown = panel.marks
      .map((found) => ({ ...found, x: u.valToPos(found.step, "x", true) }))
      .filter(({ x }) => x >= left && x <= left + width);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = css("--mark");
    ctx.lineWidth = 1.4 * dpr;
    for (const step of panel.above) triangle(ctx, u.valToPos(step, "x", true), top + 5 * dpr, 5 * dpr, true);
    for (const step of panel.below) triangle(ctx, u.valToPos(step, "x", true), top + height - 5 * dpr, 5 * dpr, false);
    for (const found of shown) {
      ctx.setLineDash([5 * dpr, 3 * dpr]);
      ctx.beginPath();
      ctx.moveTo(found.x, top);
      ctx.lineTo(found.x, top + height);
      ctx.stroke();
      ctx.setLineDash([]);
      const near = points.reduce((a, b) => (b && (!a || Math.abs(b[0] - found.x) < Math.abs(a[0] - found.x)) ? b : a), null);
      found.y = near ? Math.min(Math.max(near[1], top), top + height) : top + height / 2;
      ctx.beginPath();
      ctx.arc(found.x, found.y, 4 * dpr, 0, 7);
      ctx.fill();
    }
    const taken = [...shown, ...recorded].map(({ x, y }) => ({ x: x - 5 * dpr, y: y - 5 * dpr, w: 10 * dpr, h: 10 * dpr }));
    label(ctx, u.bbox, shown, points, taken, dpr, true);
    if (data.events.ticks.length) taken.push({ x: left, y: top + height - 10 * dpr, w: width, h: 10 * dpr });
    label(ctx, u.bbox, recorded.slice(0, NAMED), points, taken, dpr, false);
    ctx.restore();
  }

  function label(ctx, area, shown, points, taken, dpr, lead) {
    ctx.font = `${12 * dpr}px ${FONT}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    for (const { x, y, lines } of shown) {
      const w = Math.max(...lines.map((line) => ctx.measureText(line).width)) + 8 * dpr;
      const h = (lines.length * 15 + 5) * dpr;
      const box = spot(area, x, y, w, h, points, taken, dpr);
      if (!box) continue; // no room: the table below has it
      taken.push(box);
      ctx.lineWidth = dpr;
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(box.x > x ? box.x : box.x + w, Math.min(Math.max(y, box.y), box.y + h));
      if (lead) ctx.stroke();
      ctx.globalAlpha = 0.88;
      ctx.fillStyle = css("--box");
      ctx.fillRect(box.x, box.y, w, h);
      ctx.globalAlpha = 1;
      ctx.fillStyle = css(lead ? "--text" : "--muted");
      lines.forEach((line, i) => ctx.fillText(line, box.x + 4 * dpr, box.y + (15 * (i + 1) - 1) * dpr));
    }
  }

  // What was recorded near the cursor, in the line below the charts.
  function tell(u) {
    const { left } = u.cursor;
    if (!says || left == null || left < 0) return;
    const near = data.events.told.filter(({ step }) => Math.abs(u.valToPos(step, "x") - left) <= NEAR);
    near.sort((a, b) => a.rank - b.rank); // the rarest first
    says.textContent = near.length ? near.slice(0, 3).map(({ step, text }) => `${step}: ${text}`).join("  ") : data.events.note;
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
    const axis = {
      stroke: css("--text"),
      grid: { stroke: css("--grid"), width: 1 },
      ticks: { stroke: css("--grid") },
      font: `12px ${FONT}`,
      labelFont: `13px ${FONT}`,
      labelSize: 22,
    };
    const show = (u, value) => text(value, panel.digits);
    return {
      width: Math.max(box.clientWidth, 260),
      height: Math.max(280, Math.min(400, box.clientWidth * 0.56)),
      padding: [panel.phases.length ? STRIP + 2 : 10, 12, 0, 0],
      scales: {
        x: { time: false, range: (u, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) },
        y: {
          range: (u, low, high) => {
            if (low == null) return [0, 1];
            if (panel.limits) [low, high] = [Math.max(low, panel.limits[0]), Math.min(high, panel.limits[1])];
            if (low > high) [low, high] = panel.limits;
            const pad = high > low ? (high - low) * 0.07 : Math.abs(high) * 0.05 || 1;
            return [low - pad, high + pad * (panel.marks.length ? 2.2 : 1)];
          },
        },
      },
      axes: [
        { ...axis, label: "Step", size: 34, values: ticks, incrs: WHOLE },
        {
          ...axis,
          label: panel.axis,
          values: ticks,
          size: (u, texts) => Math.max(44, 18 + 7 * Math.max(0, ...(texts || []).map((t) => t.length))),
        },
      ],
      series: [
        { label: "Step", value: (u, value) => (value == null ? "-" : String(value)) },
        { label: panel.label, stroke: panel.colours[dark() ? 1 : 0], width: panel.x.length > 500 ? 1 : 1.6, value: show, points: { size: 5 } },
        { label: "median", stroke: css("--text"), width: 2.2, value: show, show: smooth >= 3, points: { show: false } },
      ],
      cursor: { sync: { key: "run", scales: ["x", null] }, drag: { x: true, y: false } },
      hooks: { drawClear: [(u) => shade(u, panel)], draw: [(u) => mark(u, panel)], setScale: [follow], setCursor: [tell] },
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
      note.textContent = panel.notes.join("; ");
      box.append(heading, note);
      parent.append(box);
      entry = { box, panel, plot: null };
      plots.set(panel.name, entry);
    }
    return entry;
  }

  function draw(panel, parent) {
    const entry = place(panel, parent);
    const shown = entry.plot || [...plots.values()].map(({ plot }) => plot).find(Boolean);
    const zoom = shown ? { min: shown.scales.x.min, max: shown.scales.x.max } : null;
    if (entry.plot) entry.plot.destroy();
    entry.plot = new uPlot(options(panel, entry.box), [panel.x, panel.y, smoothed(panel)], entry.box);
    if (zoom && zoom.min != null) entry.plot.setScale("x", zoom);
  }

  function redraw() {
    for (const { panel, box } of plots.values()) if (box.isConnected) draw(panel, box.parentNode);
  }

  const charts = document.getElementById("charts");
  const says = data.events.told.length ? document.getElementById("events-say") : null;
  if (says) says.textContent = data.events.note;
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
  const say = () => {
    document.getElementById("smooth-says").textContent = smooth < 3 ? "off" : `centred median of ${smooth} steps`;
  };
  slider.value = smooth;
  say();
  slider.addEventListener("input", () => {
    smooth = Number(slider.value);
    say();
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
  document.getElementById("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([document.getElementById("json").textContent], { type: "application/json" }));
    link.download = "report.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    redraw();
  });
})();
