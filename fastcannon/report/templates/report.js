"use strict";
(() => {
  const MOST_ROWS = 20; // selected stars in the table
  const NO_FLUX = 65535;
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const element = (id) => document.getElementById(id);

  // Tables: a click on a head sorts, another one turns the order round.
  function keyOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent.trim().replaceAll(",", "");
    const number = Number(text);
    return text === "" || text === "-" ? null : Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b);
  }

  function sort(table, head) {
    const down = head.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row, head.cellIndex), row]);
    const known = rows.filter(([key]) => key !== null);
    known.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
    const empty = rows.filter(([key]) => key === null);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...known, ...empty].map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.rows[0].cells) {
      head.querySelector("button").addEventListener("click", () => sort(table, head));
    }
  }

  // Words and numbers.
  function withUnit(view, name) {
    const word = view.words[name] ?? name;
    return view.units[name] ? `${word} (${view.units[name]})` : word;
  }

  function written(value, name, view) {
    if (value === null || !Number.isFinite(value)) return "\u2013";
    return value.toFixed(view.units[name] === "K" ? 0 : 3);
  }

  // Plots follow the colours of the page; on paper they are dark on white.
  const COLOURS = {
    light: { ink: "#1b1f24", quiet: "#5c6570", line: "#e1e3e6", paper: "#fdfdfc", first: "#0072b2", second: "#d55e00" },
    dark: { ink: "#e4e7ea", quiet: "#9aa4af", line: "#2c3239", paper: "#14171b", first: "#56b4e9", second: "#e69f00" },
  };

  function paintModel(model, colours) {
    if (model.type === "LinearAxis") {
      model.setv({
        axis_label_text_color: colours.ink, major_label_text_color: colours.quiet,
        axis_line_color: colours.quiet, major_tick_line_color: colours.quiet,
        minor_tick_line_color: null, axis_label_text_font_style: "normal",
      });
    } else if (model.type === "Grid") {
      model.grid_line_color = colours.line;
    } else if (model.type === "Legend") {
      model.setv({
        label_text_color: colours.ink, background_fill_color: colours.paper,
        border_line_color: null,
      });
    }
  }

  function paintLines(plots, colours) {
    const surveys = data.catalogue.surveys ?? [];
    const shades = { observed: colours.ink, model: colours.second, residual: colours.first };
    for (const renderer of plots.flatMap((plot) => plot.renderers)) {
      if (renderer.name in shades) {
        renderer.glyph.line_color = { value: shades[renderer.name] };
      }
      const number = surveys.indexOf(renderer.name);
      if (number < 0) continue;
      const colour = { value: number === 0 ? colours.first : colours.second };
      for (const glyph of ["glyph", "selection_glyph", "nonselection_glyph"]) {
        renderer[glyph].fill_color = colour;
      }
    }
  }

  function paint(plots, isDark) {
    const colours = isDark ? COLOURS.dark : COLOURS.light;
    for (const model of Bokeh.documents[0].all_models) paintModel(model, colours);
    paintLines(plots, colours);
  }

  function setRange(range, [start, end], reversed) {
    const [a, b] = reversed ? [end, start] : [start, end];
    range.setv({ start: a, end: b, reset_start: a, reset_end: b });
  }

  const axisOf = (plot, side) => plot[side].find((one) => one.type === "LinearAxis");
  const named = (plot, name) => plot.renderers.find((one) => one.name === name);

  // The stars.
  function showIn(plot, view, scale, key, fields, ranges, reversed) {
    const image = named(plot, "counts").glyph;
    const [[x0, x1], [y0, y1]] = ranges;
    image.setv({
      image: { field: `${key}_on_${scale}` }, x: { value: x0 }, y: { value: y0 },
      dw: { value: x1 - x0 }, dh: { value: y1 - y0 },
    });
    for (const survey of view.surveys) {
      const renderer = named(plot, survey);
      for (const glyph of ["glyph", "selection_glyph", "nonselection_glyph", "muted_glyph"]) {
        renderer[glyph].setv({ x: { field: fields[0] }, y: { field: fields[1] } });
      }
    }
    setRange(plot.x_range, ranges[0], reversed[0]);
    setRange(plot.y_range, ranges[1], reversed[1]);
    const hover = plot.toolbar.tools.find((tool) => tool.type === "HoverTool");
    hover.tooltips = [["id", "@id"], ["x", `@${fields[0]}`], ["y", `@${fields[1]}`]];
  }

  function showCatalogue(view, plots) {
    const scale = element("scale").value;
    const name = element("label").value;
    const ranges = view.ranges[scale];
    const [x, y] = view.axes;
    const turned = view.axes.map((one) => one === "teff" || one === "logg");
    showIn(plots.kiel, view, scale, "kiel", [`${x}_on_${scale}`, `${y}_on_${scale}`], ranges.kiel, turned);
    axisOf(plots.kiel, "below").axis_label = withUnit(view, x);
    axisOf(plots.kiel, "left").axis_label = withUnit(view, y);
    showIn(plots.one, view, scale, name, [`${name}_given`, `${name}_on_${scale}`], [ranges[name], ranges[name]], [false, false]);
    axisOf(plots.one, "below").axis_label = `survey's own ${withUnit(view, name)}`;
    axisOf(plots.one, "left").axis_label = `${scale}-scaled ${withUnit(view, name)}`;
    showSelected(view);
  }

  function statistics(differences) {
    const sorted = differences.filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => {
      const place = share * (sorted.length - 1);
      const low = Math.floor(place);
      const high = Math.min(low + 1, sorted.length - 1);
      return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
    };
    const mean = sorted.reduce((sum, one) => sum + one, 0) / sorted.length;
    return { n: sorted.length, mean, scatter: (at(0.84) - at(0.16)) / 2 };
  }

  function headOf(view) {
    const labels = view.names.map((name) => withUnit(view, name));
    return ["id", "survey", ...labels, "S/N", "reduced chi2", "D", "flags"];
  }

  function rowOf(view, scale, column, i) {
    const labels = view.names.map((name) => {
      const [value, error, given] = [`${name}_on_${scale}`, `e_${name}_on_${scale}`, `${name}_given`]
        .map((one) => written(column(one)[i], name, view));
      return `${value} \u00b1 ${error} (${given})`;
    });
    const plain = ["snr", `r_chi_sq_on_${scale}`, `Cannon_distance_on_${scale}`]
      .map((one) => column(one)[i])
      .map((value) => (Number.isFinite(value) ? value.toPrecision(3) : "\u2013"));
    const flags = view.flags[scale];
    return [column("id")[i], column("survey")[i], ...labels, ...plain, flags.texts[flags.which[i]]];
  }

  function fill(part, rows, tag) {
    part.replaceChildren(...rows.map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((text) => {
        const cell = document.createElement(tag);
        cell.textContent = text;
        return cell;
      }));
      return row;
    }));
  }

  function showSelected(view) {
    const source = Bokeh.documents[0].get_model_by_name("stars");
    const column = (name) => source.get_column(name);
    const scale = element("scale").value;
    const name = element("label").value;
    const chosen = [...source.selected.indices];
    const table = element("details");
    const shown = chosen.slice(0, MOST_ROWS);
    fill(table.tHead, chosen.length ? [headOf(view)] : [], "th");
    fill(table.tBodies[0], shown.map((i) => rowOf(view, scale, column, i)), "td");
    element("selected").textContent = chosen.length
      ? wordsOn(view, name, chosen, shown, column(`${name}_on_${scale}`), column(`${name}_given`))
      : "No star is selected.";
  }

  function wordsOn(view, name, chosen, shown, found, given) {
    const { n, mean, scatter } = statistics(chosen.map((i) => found[i] - given[i]));
    const stars = chosen.length === 1 ? "1 star is selected" : `${chosen.length} stars are selected`;
    const rest = shown.length < chosen.length ? `; the first ${shown.length} are listed` : "";
    const numbers = n === 0 ? "" : ` ${view.words[name]}, ours minus the survey's own: mean ${written(mean, name, view)}, scatter ${written(scatter, name, view)} ${view.units[name]} (${n} stars).`;
    return `${stars}${rest}.${numbers} In brackets: the survey's own values.`;
  }

  function startCatalogue(view, plots) {
    const source = Bokeh.documents[0].get_model_by_name("stars");
    const show = () => showCatalogue(view, plots);
    element("scale").addEventListener("change", show);
    element("label").addEventListener("change", show);
    element("clear").addEventListener("click", () => { source.selected.indices = []; });
    source.selected.properties.indices.change.connect(() => showSelected(view));
    show();
  }

  // The spectra.
  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  }

  function fluxOf(view, text) {
    const steps = new Uint16Array(bytes(text));
    return Float64Array.from(steps, (s) => (s === NO_FLUX ? NaN : view.lowest + s * view.step));
  }

  // A pixel without flux after each arm, so that no line crosses the gap.
  function columnsOf(view, star) {
    const survey = view.surveys[star.survey];
    const wavelength = new Float32Array(bytes(survey.wavelength));
    const ends = survey.arms.slice(1).map(([first]) => first);
    const observed = fluxOf(view, star.observed);
    const model = fluxOf(view, star.model);
    const found = { wavelength: [], observed: [], model: [], residual: [] };
    wavelength.forEach((at, i) => {
      if (ends.length && at >= ends[0] - 1e-2) {
        ends.shift();
        for (const one of Object.values(found)) one.push(NaN);
      }
      found.wavelength.push(at);
      found.observed.push(observed[i]);
      found.model.push(model[i]);
      found.residual.push(observed[i] - model[i]);
    });
    return found;
  }

  function quantile(values, share) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    return sorted.length ? sorted[Math.floor(share * (sorted.length - 1))] : NaN;
  }

  function fitHeights(found, plots) {
    const low = quantile(found.observed, 0.002);
    const high = quantile(found.observed, 0.998);
    const margin = Math.max(0.08 * (high - low), 0.02);
    if (Number.isFinite(low)) {
      setRange(plots.flux.y_range, [low - margin, high + margin], false);
    }
    const most = quantile(found.residual.map(Math.abs), 0.99);
    const reach = Number.isFinite(most) ? Math.max(1.5 * most, 0.02) : 1;
    setRange(plots.residual.y_range, [-reach, reach], false);
  }

  function showStar(view, plots) {
    const star = view.stars[element("star").value];
    const survey = view.surveys[star.survey];
    const found = columnsOf(view, star);
    const at = Bokeh.documents[0];
    at.get_model_by_name("spectrum").data = found;
    at.get_model_by_name("windows").data = {
      element: survey.windows.map(([name]) => name),
      x0: survey.windows.map(([, start]) => start),
      x1: survey.windows.map(([, , end]) => end),
    };
    fitHeights(found, plots);
    const labels = Object.entries(star.labels)
      .map(([name, value]) => `${view.words[name]} ${written(value, name, view)} ${view.units[name]}`);
    const chi2 = star.r_chi2 === null ? "unknown" : star.r_chi2.toPrecision(3);
    element("star-details").textContent =
      `${labels.join(", ")}. Reduced chi2 ${chi2}. Flags: ${star.flags}.`;
    if (element("arm").dataset.survey !== star.survey) listArms(survey, star.survey, plots);
  }

  function listArms(survey, name, plots) {
    const all = [survey.arms[0][0], survey.arms.at(-1)[1]];
    const ranges = survey.arms.length > 1 ? [...survey.arms, all] : [all];
    const select = element("arm");
    select.dataset.survey = name;
    select.replaceChildren(...ranges.map(([first, last]) => {
      const words = `${first.toFixed(0)} \u2013 ${last.toFixed(0)} \u00c5`;
      return new Option(words, `${first} ${last}`);
    }));
    showArm(plots);
  }

  function showArm(plots) {
    setRange(plots.flux.x_range, element("arm").value.split(" ").map(Number), false);
  }

  function startSpectra(view, plots) {
    element("star").addEventListener("change", () => showStar(view, plots));
    element("arm").addEventListener("change", () => showArm(plots));
    showStar(view, plots);
  }

  async function start() {
    const places = Object.entries(data.roots);
    const roots = Object.fromEntries(places.map(([place, id]) => [id, `plot-${place}`]));
    const content = JSON.parse(document.getElementById("document").textContent);
    const item = { docid: "report", roots, root_ids: Object.keys(roots) };
    await Bokeh.embed.embed_items({ report: content }, [item]);
    const all = Bokeh.documents[0].roots();
    const plot = (name) => all.find((one) => one.name === name);
    if (data.catalogue.names) {
      startCatalogue(data.catalogue, { kiel: plot("kiel"), one: plot("one-to-one") });
    }
    if (data.spectra.stars) {
      startSpectra(data.spectra, { flux: plot("flux"), residual: plot("residual") });
    }
    paint(all, dark.matches);
    dark.addEventListener("change", () => paint(all, dark.matches));
    window.addEventListener("beforeprint", () => paint(all, false));
    window.addEventListener("afterprint", () => paint(all, dark.matches));
    document.documentElement.dataset.ready = "yes";
  }

  // The numbers first: plots are made when the page has been painted.
  if (Object.keys(data.roots).length) {
    requestAnimationFrame(() => setTimeout(start, 0));
  }
})();
