// The page: what is changed, when images are asked for, and what is shown of the answers.
import {ask, frame, openTab, Stopped} from './server.js';
import {colorTable, PanelImage, Window} from './image.js';
import {nameOfNumber, ordered, Parameters, refinementTable, traceTables} from './controls.js';

const $ = (id) => document.getElementById(id);

/// What the page shows; the address has it.
const state = {changes: [], scale: 'sqrt', colors: 'heat', white: null, rings: [], beside: '', slope: '', seen: null};

const seen = new Window();
const image = new PanelImage($('image'), seen), other = new PanelImage($('other'), seen);
const parameters = new Parameters($('parameters'), (name, values, atRest) => {
  turn = null;
  change(name, values);
  update(!atRest);
});
let session = {}, turn = null, white = 1, otherWhite = 1;

// ---- State --------------------------------------------------------------------------------------

function readAddress() {
  if (location.hash.length < 2) return;
  try {
    const kept = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    for (const key of Object.keys(state)) if (key in kept) state[key] = kept[key];
  } catch { /* an address that somebody has cut off: as at the start */ }
}

function keepInAddress() {
  state.seen = seen.fitted ? null : {zoom: seen.zoom, x: seen.x, y: seen.y};
  history.replaceState(null, '', '#' + encodeURIComponent(JSON.stringify(state)));
}

function change(name, values) {
  const known = state.changes.find((c) => c[0] === name);
  if (known) known[1] = values;
  else state.changes.push([name, values]);
}

// ---- Images -------------------------------------------------------------------------------------

const aFrame = 0.045;  // seconds that an image may take while something moves
const steps = [1, 2, 3, 4, 6, 8, 12, 16];
/// What images of each coarseness took [s]; of one that was not made yet it is what its number of
/// pixels lets one expect.
const cost = {model: {}, slopes: {}, difference: {}};

/// The finest that is fast enough; where none is, one that is hardly slower than the fastest.
function everyOf(shows) {
  let known = null;
  const expected = steps.map((n) => {
    if (n in cost[shows]) known = n;
    return known === null ? 0 : cost[shows][known] * (known / n) ** 2;
  });
  const enough = Math.max(aFrame, 1.3 * Math.min(...expected));
  return steps[expected.findIndex((seconds) => seconds <= enough)];
}

function learn(shows, every, seconds) {
  const before = cost[shows][every] ?? seconds;
  cost[shows][every] = (before + seconds) / 2;
}

const question = () => turn ? {changes: turn.changes, turn: turn.question} : {changes: state.changes};

let wanted = null, running = false, runningAtRest = false, serial = 0, restTimer = 0;

/// Asks for the image; `coarse`: while something moves, and for all of it a little later.
function update(coarse) {
  clearTimeout(restTimer);
  if (coarse) restTimer = setTimeout(() => update(false), 150);
  wanted = {coarse};
  if (running && !(runningAtRest && coarse)) return;  // an image at rest gives way
  run(++serial);
}

async function run(mine) {
  running = true;
  while (wanted && mine === serial) {
    const {coarse} = wanted;
    wanted = null;
    runningAtRest = !coarse;
    try {
      await renew(coarse, mine);
      if (mine === serial) problem(null);
    } catch (error) {
      if (mine === serial && !(error instanceof Stopped)) problem(error);
    }
  }
  if (mine === serial) running = false;
}

async function get(shows, coarse, more = {}) {
  const began = performance.now();
  const answer = await frame({...question(), show: shows, every: coarse ? everyOf(shows) : 1, ...more});
  answer.milliseconds = performance.now() - began;
  if (answer.seconds !== undefined) learn(shows, answer.every, answer.seconds);
  return answer;
}

async function renew(coarse, mine) {
  const asked = turn;
  const answer = await get('model', coarse);
  if (mine !== serial) return;
  // The crystal as it was turned is what the next question begins with
  if (asked && asked === turn) {
    change('misset', answer.misset);
    parameters.setValues('misset', answer.misset);
    if (!coarse) turn = null;
  }
  if (answer.white !== undefined) white = answer.white;
  if (!coarse) await showState(mine);
  if (mine !== serial) return;
  image.show(answer, imageTable());
  if (answer.sum_of_squares !== undefined) $('squares').value = Number(answer.sum_of_squares.toPrecision(8));
  $('image-caption').textContent = (answer.every > 1 ? `every ${answer.every} × ${answer.every} pixels, ` : '') +
      `${Math.round(answer.milliseconds)} ms`;
  document.body.dataset.shown = `${answer.every}`;
  document.body.dataset.frames = Number(document.body.dataset.frames ?? 0) + 1;
  if (state.beside) await showBeside(coarse, mine);
  if (!coarse && mine === serial) {
    keepInAddress();
    $('status').textContent = 'at rest';
    document.body.dataset.rest = Number(document.body.dataset.rest ?? 0) + 1;
  }
}

async function showBeside(coarse, mine) {
  if (state.beside === 'measured' && other.frame?.shows === 'measured') return;
  const chosen = slopes.find((s) => s.label === state.slope) ?? slopes[0];
  const answer = await get(state.beside, coarse && state.beside !== 'measured',
                           state.beside === 'slopes' ? {parameter: chosen.name, index: chosen.index} : {});
  if (mine !== serial) return;
  answer.shows = state.beside;
  otherWhite = answer.shows === 'measured' ? answer.white : usualSize(answer.values);
  other.show(answer, otherTable(answer.shows));
  $('other-caption').textContent =
      state.beside === 'slopes' ? `derivative with ${chosen.label}, red above zero, blue below; full colour at ${Number(otherWhite.toPrecision(3))} photons${chosen.unit ? '/' + chosen.unit : ''}` :
      state.beside === 'difference' ? `measured less model, red above zero, blue below; full colour at ${Number(otherWhite.toPrecision(3))} photons` :
      `measured: ${session.measured}`;
}

/// What 99.5 % of the numbers that are not zero stay below, of some thousand of them.
function usualSize(values) {
  const some = [], step = Math.max(1, Math.floor(values.length / 200000));
  for (let i = 0; i < values.length; i += step) {
    const size = Math.abs(values[i]);
    if (size > 0 && size < Infinity) some.push(size);
  }
  some.sort((a, b) => a - b);
  return some.length ? some[Math.floor(0.995 * (some.length - 1))] : 1;
}

const imageTable = () => colorTable({scale: state.scale, colors: state.colors, white: state.white ?? white, signed: false});
const otherTable = (shows) => shows === 'measured' ?
    colorTable({scale: state.scale, colors: state.colors, white: state.white ?? otherWhite, signed: false}) :
    colorTable({scale: state.scale, colors: state.colors, white: otherWhite, signed: true});

function recolor() {
  image.recolor(imageTable());
  if (other.frame) other.recolor(otherTable(other.frame.shows));
  keepInAddress();
}

let slopes = [];

/// Numbers, places and texts of what is shown.
async function showState(mine) {
  const answer = await ask('state', {changes: state.changes, rings: state.rings});
  if (mine !== undefined && mine !== serial) return;
  parameters.show(answer.parameters, Boolean(session.measured));
  image.places = other.places = answer;
  if (seen.fitted) image.fit();
  const all = ordered(answer.parameters).flatMap((p) => p.numbers.map((n, index) => ({name: p.name, index, unit: n.unit, label: nameOfNumber(p, index)})));
  if (all.map((s) => s.label).join() !== slopes.map((s) => s.label).join()) {
    slopes = all;
    $('slope').replaceChildren(...all.map((s) => new Option(s.label, s.label)));
    if (!all.some((s) => s.label === state.slope)) state.slope = all.find((s) => s.name === 'misset')?.label ?? all[0].label;
    $('slope').value = state.slope;
  }
  $('command-line').textContent = answer.command_line;
  $('python').textContent = answer.python;
  $('experiment').textContent = answer.experiment;
  $('not-in-flags').replaceChildren(...answer.not_in_flags.map((text) => Object.assign(document.createElement('li'), {textContent: text})));
}

function problem(error) {
  $('problem').hidden = !error;
  $('problem').textContent = error ? error.message : '';
  if (error) $('status').textContent = '';
}

// ---- Zoom, turning, the pixel under the pointer -------------------------------------------------

function drawAll() {
  image.draw();
  if (state.beside) other.draw();
}

function zoomBy(factor, canvas = $('image'), at = [canvas.width / 2, canvas.height / 2]) {
  const [x, y] = seen.toImage(canvas, at);
  seen.zoom = Math.min(64, Math.max(0.02, seen.zoom * factor));
  seen.x = x - (at[0] - canvas.width / 2) / seen.zoom;
  seen.y = y - (at[1] - canvas.height / 2) / seen.zoom;
  seen.fitted = false;
  drawAll();
  keepInAddress();
}

function moveBy(dx, dy) {
  seen.x -= dx / seen.zoom;
  seen.y -= dy / seen.zoom;
  seen.fitted = false;
  drawAll();
}

function turnBy(towards, degrees) {
  turn = null;
  const pending = {changes: structuredClone(state.changes), question: towards ? {towards, degrees} : {about_beam: true, degrees}};
  // Key after key: each begins where the one before has ended
  keyTurns = keyTurns.then(async () => {
    const answer = await ask('state', {changes: state.changes, turn: pending.question});
    const values = answer.parameters.find((p) => p.name === 'misset').numbers.map((n) => n.value);
    change('misset', values);
    parameters.setValues('misset', values);
    update(true);
  }).catch(problem);
}
let keyTurns = Promise.resolve();

function pointOf(event, canvas) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}

function watch(shown) {
  const {canvas} = shown;
  let press = null;
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus();
    const how = event.button === 1 || event.button === 2 || event.shiftKey ? 'pan' : document.querySelector('input[name=drag]:checked').value;
    press = {at: pointOf(event, canvas), last: pointOf(event, canvas), how, moved: false, changes: structuredClone(state.changes)};
    press.from = shown.pointAt(press.at, true);
    event.preventDefault();
  });
  canvas.addEventListener('pointermove', (event) => {
    const at = pointOf(event, canvas);
    if (!press) return hover(shown, at);
    if (!press.moved && Math.hypot(at[0] - press.at[0], at[1] - press.at[1]) < 3) return;
    press.moved = true;
    if (press.how === 'pan') moveBy(at[0] - press.last[0], at[1] - press.last[1]);
    else if (press.from) {
      turn = {changes: press.changes, question: {from: press.from, to: shown.pointAt(at, true), about_beam: press.how === 'beam', share: $('fine').checked ? 0.1 : 1}};
      $('status').textContent = 'turning';
      update(true);
    }
    press.last = at;
  });
  const release = (event) => {
    if (!press) return;
    const {moved, how, at} = press;
    press = null;
    if (!moved && event.type === 'pointerup') return click(shown.pointAt(at));
    if (how === 'pan') return keepInAddress();
    update(false);
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), canvas, pointOf(event, canvas));
  }, {passive: false});
  canvas.addEventListener('keydown', (event) => {
    const degrees = event.shiftKey ? 1 : event.altKey ? 0.01 : 0.1, far = 40;
    const keys = {
      ArrowLeft: () => turnBy([-1, 0], degrees), ArrowRight: () => turnBy([1, 0], degrees),
      ArrowUp: () => turnBy([0, -1], degrees), ArrowDown: () => turnBy([0, 1], degrees),
      q: () => turnBy(null, -degrees), e: () => turnBy(null, degrees),
      w: () => moveBy(0, far), s: () => moveBy(0, -far), a: () => moveBy(far, 0), d: () => moveBy(-far, 0),
      '+': () => zoomBy(1.25), '=': () => zoomBy(1.25), '-': () => zoomBy(0.8), '0': whole,
      Enter: () => $('trace-it').click(),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!keys[key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[key]();
  });
}

function whole() {
  image.fit();
  drawAll();
  keepInAddress();
}

let asking = false, nextHover = null;

async function hover(shown, at) {
  const point = shown.pointAt(at);
  if (!point) {
    nextHover = null;
    $('cursor').textContent = 'beside the detector';
    return;
  }
  nextHover = {point, value: shown.valueAt(point)};
  if (asking) return;
  asking = true;
  while (nextHover) {
    const {point: here, value} = nextHover;
    nextHover = null;
    try {
      const answer = await ask('pixel', {changes: state.changes, ...here});
      $('cursor').textContent = `fast ${Math.floor(here.fast)} slow ${Math.floor(here.slow)}` +
          (image.places.panels.length > 1 ? ` panel ${here.panel}` : '') +
          `: ${value === undefined || Number.isNaN(value) ? 'no measurement' : Number(value.toPrecision(6))}` +
          (answer.d_A === null ? '' : `, d ${answer.d_A.toFixed(3)} Å`) +
          `, hkl ${answer.hkl.map((x) => x.toFixed(2)).join(' ')}`;
    } catch { /* the next movement asks again */ }
  }
  asking = false;
}

function click(point) {
  if (!point) return;
  $('fast').value = Math.floor(point.fast);
  $('slow').value = Math.floor(point.slow);
  $('panel').value = point.panel;
  $('trace').open = true;
  trace();
}

async function trace() {
  try {
    const answer = await ask('trace', {changes: state.changes, fast: $('fast').valueAsNumber, slow: $('slow').valueAsNumber, panel: $('panel').valueAsNumber});
    $('steps').replaceChildren(...traceTables(answer));
  } catch (error) {
    $('steps').textContent = error.message;
  }
}

// ---- Refinement ---------------------------------------------------------------------------------

async function refine() {
  const chosen = [...parameters.ticked].filter((name) => parameters.parameters.has(name));
  if (!chosen.length) return problem(new Error('no parameter is ticked'));
  $('refine').disabled = true;
  $('stop').hidden = false;
  $('refined').replaceChildren();
  $('progress').textContent = 'refining';
  const watching = setInterval(async () => {
    try {
      const {progress, refines} = await ask('progress');
      if (refines && progress?.stage)
        $('progress').textContent = `${progress.stage}, iteration ${progress.iteration}: residual ${progress.residual.toPrecision(5)}`;
    } catch { /* the answer of the refinement says why */ }
  }, 300);
  try {
    const answer = await ask('refine', {changes: state.changes, refine: chosen});
    turn = null;
    for (const [name, values] of answer.changes) change(name, values);
    const last = answer.stages?.at(-1);
    $('progress').textContent = (answer.stopped ? 'stopped' : 'refined') + (last ? `; residual ${last.residual.toPrecision(5)}` : '') +
        answer.warnings.map((w) => '; ' + w).join('');
    $('refined').replaceChildren(refinementTable(answer));
    update(false);
  } catch (error) {
    $('progress').textContent = error.message;
  }
  clearInterval(watching);
  $('refine').disabled = false;
  $('stop').hidden = true;
}

// ---- Beginning ----------------------------------------------------------------------------------

function setBeside() {
  $('second').hidden = !state.beside;
  $('slope-label').hidden = state.beside !== 'slopes';
  other.frame = null;
  resize();
}

function resize() {
  image.resize();
  if (state.beside) other.resize();
  if (!image.places.panels.length) return;
  if (seen.fitted) image.fit();
  drawAll();
}

function wire() {
  watch(image);
  watch(other);
  const take = (id, key, read, then) => $(id).addEventListener('change', () => {
    state[key] = read($(id).value);
    then();
  });
  take('scale', 'scale', String, recolor);
  take('colors', 'colors', String, recolor);
  take('white', 'white', (text) => Number(text) > 0 ? Number(text) : null, recolor);
  take('rings', 'rings', (text) => text.split(',').map(Number).filter((d) => d > 0), async () => {
    await showState().catch(problem);
    drawAll();
    keepInAddress();
  });
  take('beside', 'beside', String, () => {
    setBeside();
    update(false);
  });
  take('slope', 'slope', String, () => update(false));
  $('zoom-in').addEventListener('click', () => zoomBy(1.5));
  $('zoom-out').addEventListener('click', () => zoomBy(1 / 1.5));
  $('fit').addEventListener('click', whole);
  $('find').addEventListener('input', () => parameters.find($('find').value));
  $('reset').addEventListener('click', () => {
    turn = null;
    state.changes = [];
    update(false);
  });
  $('trace-it').addEventListener('click', trace);
  $('refine').addEventListener('click', refine);
  $('stop').addEventListener('click', () => ask('stop-refining').catch(problem));
  for (const button of document.querySelectorAll('.copy'))
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText($(button.dataset.text).textContent);
      $('status').textContent = 'copied';
    });
  for (const button of document.querySelectorAll('.save'))
    button.addEventListener('click', () => $(button.dataset.canvas).toBlob((blob) => {
      const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(blob), download: `${button.dataset.canvas}.png`});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }));
  new ResizeObserver(resize).observe($('pictures'));
}

async function begin() {
  readAddress();
  await openTab((connecting) => problem(new Error(connecting ? 'the connection is lost; trying again' : 'nablabragg view has ended')));
  session = await ask('session');
  $('notices').querySelector('ul').replaceChildren(...session.notices.map((text) => Object.assign(document.createElement('li'), {textContent: text})));
  $('notices').hidden = !session.notices.length;
  if (session.measured) {
    $('refinement').hidden = false;
    $('measured-name').textContent = session.measured;
    $('beside').append(new Option('measured image', 'measured'), new Option('difference', 'difference'));
  } else if (state.beside === 'measured' || state.beside === 'difference') {
    state.beside = '';
  }
  for (const id of ['scale', 'colors', 'white', 'beside']) $(id).value = state[id] ?? '';
  $('rings').value = state.rings.join(', ');
  if (state.seen) Object.assign(seen, state.seen, {fitted: false});
  wire();
  setBeside();
  update(false);
}

begin().catch(problem);
