// Sliders of the parameters, and tables.

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

export const nameOfNumber = (parameter, index) =>
    parameter.numbers.length > 1 ? `${parameter.name}[${index}]` : parameter.name;

/// What one reaches for first, first; the others in the order of the program.
const first = ['misset', 'mosaic_spread', 'mosaic_spread_axes', 'cell', 'cells', 'distance', 'wavelength', 'fluence'];
const last = ['a_matrix'];
const rank = (p) => first.includes(p.name) ? first.indexOf(p.name) : last.includes(p.name) ? 1000 : 100;
export const ordered = (parameters) => [...parameters].sort((a, b) => rank(a) - rank(b));

const shortNumber = (x) => Number(x.toPrecision(8)).toString();

/// A slider and a field for each number of each parameter; changed(name, values, atRest) is called
/// as they move.
export class Parameters {
  constructor(folder, changed) {
    this.folder = folder;
    this.changed = changed;
    this.names = '';
    this.rows = new Map();
    this.ticked = new Set(['misset']);
    this.shown = '';
  }

  show(parameters, withTicks) {
    this.parameters = new Map(parameters.map((p) => [p.name, p]));
    const names = parameters.map((p) => `${p.name}/${p.numbers.length}`).join(' ') + withTicks;
    if (names !== this.names) {
      this.names = names;
      this.build(parameters, withTicks);
    }
    for (const p of parameters) this.setValues(p.name, p.numbers.map((n) => n.value));
  }

  build(parameters, withTicks) {
    this.rows.clear();
    this.folder.replaceChildren();
    for (const p of ordered(parameters)) {
      const group = element('fieldset', {className: 'parameter'});
      group.dataset.name = p.name;
      const legend = element('legend', {textContent: p.name});
      if (withTicks) {
        const tick = element('input', {type: 'checkbox', checked: this.ticked.has(p.name)});
        tick.setAttribute('aria-label', `refine ${p.name}`);
        tick.addEventListener('change', () => this.ticked[tick.checked ? 'add' : 'delete'](p.name));
        legend.prepend(tick, ' ');
      }
      group.append(legend);
      const rows = [];
      // Of a long list (sources, say) the first numbers; the others are the command line's
      p.numbers.slice(0, 18).forEach((number, i) => rows.push(this.row(group, p, number, i)));
      if (p.numbers.length > 18) group.append(`and ${p.numbers.length - 18} more numbers, which have no sliders`);
      this.rows.set(p.name, rows);
      this.folder.append(group);
    }
    this.find(this.shown);
  }

  row(group, p, number, index) {
    const toSlider = (x) => number.logarithmic ? Math.log10(x) : x,
          fromSlider = (x) => number.logarithmic ? 10 ** x : x;
    const label = nameOfNumber(p, index), unit = number.unit;
    const slider = element('input', {type: 'range', min: toSlider(number.low), max: toSlider(number.high),
                                     step: (toSlider(number.high) - toSlider(number.low)) / 2000 || 'any'});
    const field = element('input', {type: 'number', step: 'any'});
    const spoken = unit ? `${label}, ${unit}` : label;
    slider.setAttribute('aria-label', `${spoken}, slider`);
    field.setAttribute('aria-label', spoken);
    slider.dataset.name = field.dataset.name = label;
    const give = (value, atRest) => {
      if (!Number.isFinite(value)) return;
      const values = this.parameters.get(p.name).numbers.map((n) => n.value);
      values[index] = value;
      this.setValues(p.name, values);
      this.changed(p.name, values, atRest);
    };
    slider.addEventListener('input', () => give(fromSlider(slider.valueAsNumber), false));
    field.addEventListener('change', () => give(field.valueAsNumber, true));
    group.append(element('div', {className: 'number'}, element('span', {textContent: label}), slider, field,
                         element('span', {className: 'unit', textContent: unit})));
    return {slider, field, toSlider};
  }

  setValues(name, values) {
    const parameter = this.parameters.get(name), rows = this.rows.get(name);
    if (!parameter || !rows) return;
    values.forEach((value, i) => {
      parameter.numbers[i].value = value;
      const row = rows[i];
      if (!row) return;
      if (document.activeElement !== row.slider) {
        const at = row.toSlider(value);
        if (at < Number(row.slider.min)) row.slider.min = at;
        if (at > Number(row.slider.max)) row.slider.max = at;
        row.slider.value = at;
      }
      if (document.activeElement !== row.field) row.field.value = shortNumber(value);
      row.slider.setAttribute('aria-valuetext', `${shortNumber(value)} ${parameter.numbers[i].unit}`);
    });
  }

  find(text) {
    this.shown = text;
    for (const group of this.folder.children) group.hidden = !group.dataset.name.includes(text);
  }
}

export function table(head, rows) {
  const box = element('div', {className: 'table', tabIndex: 0});
  const made = element('table', {}, element('thead', {}, element('tr', {}, ...head.map((text) => {
    const cell = element('th', {textContent: text});
    cell.scope = 'col';
    return cell;
  }))));
  made.append(element('tbody', {}, ...rows.map((row) =>
      element('tr', {}, ...row.map((text) => element('td', {textContent: text}))))));
  box.append(made);
  return box;
}

const digits = (x, n = 6) => typeof x === 'number' ? Number(x.toPrecision(n)).toString() : String(x ?? '');

/// What -trace_pixel says of a pixel.
export function traceTables(trace) {
  const made = [];
  const several = trace.lattices ?? [trace];
  made.push(element('p', {textContent: `${digits(trace.photons, 9)} photons` +
      (trace.materials ?? []).map((m) => `, of which ${digits(m.photons, 9)} of ${m.name}`).join('')}));
  several.forEach((lattice, i) => {
    if (several.length > 1)
      made.push(element('h3', {textContent: `lattice ${i} of ${several.length}: ${digits(lattice.photons, 9)} photons`}));
    made.push(element('p', {textContent: `sum ${digits(lattice.sum, 9)} × scale ${digits(lattice.scale, 9)}, ` +
        `solid angle ${digits(lattice.omega_sr)} sr, polarization ${digits(lattice.polarization)}, ` +
        `capture ${digits(lattice.capture)}; ${lattice.steps} steps` +
        (lattice.steps > lattice.steps_traced ? `, of which the first ${lattice.steps_traced}` : '')}));
    made.push(table(
        ['layer', 'subS', 'subF', 'source', 'phi', 'domain', 'h', 'k', 'l', 'nearest', 'F_latt', 'F_cell', 'term', 'sum'],
        lattice.trace.map((s) => [s.layer, s.sub_slow, s.sub_fast, s.source, s.phi_step, s.domain,
                                  ...s.hkl.map((x) => x.toFixed(4)), s.hkl_nearest.join(' '),
                                  digits(s.F_latt), digits(s.F_cell), digits(s.term), digits(s.sum)])));
  });
  return made;
}

export function refinementTable(answer) {
  return table(['', 'start', 'refined', 'deviation', 'unit'],
               (answer.numbers ?? []).map((n) => [n.name, digits(n.start, 8), digits(n.value, 8),
                                                  n.deviation === null ? 'unknown' : digits(n.deviation, 3), n.unit]));
}
