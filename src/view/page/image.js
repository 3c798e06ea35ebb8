// Numbers of pixels on a canvas: colours, zoom, panels in their places.  No physics.

/// The upper bits of a float32, its sign, exponent and 9 bits of its mantissa, number a colour: so
/// a colour of every size of number is looked up, and none is computed for a pixel.
const shift = 14, tableSize = 1 << (32 - shift);
const masked = 0xff695547;  // slate, as in the program's pictures: no measurement

/// Steps of nanoBragg's heat: black, violet, red, orange, white.
const heat = [[0, 0, 0], [60, 15, 90], [150, 25, 90], [215, 50, 50], [245, 120, 25], [252, 190, 80], [255, 255, 255]];

function mixed(stops, t) {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2), part = at - i;
  const [r, g, b] = [0, 1, 2].map((k) => Math.round(stops[i][k] + part * (stops[i + 1][k] - stops[i][k])));
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}

function mapped(share, scale) {
  if (scale === 'linear') return share;
  if (scale === 'log') return Math.log1p(999 * share) / Math.log(1000);
  return Math.sqrt(share);
}

/// `signed`: red for what is above zero, blue for what is below, white at zero.
export function colorTable({scale, colors, white, signed}) {
  const numbers = new Float32Array(1), bits = new Uint32Array(numbers.buffer);
  const table = new Uint32Array(tableSize);
  const stops = {heat, grey: [[0, 0, 0], [255, 255, 255]], inverted: [[255, 255, 255], [0, 0, 0]]}[colors];
  // A number's place among 1024 colours is enough for 8 bits
  const ramp = (of) => Uint32Array.from({length: 1025}, (_, i) => mixed(of, i / 1024));
  const up = ramp(signed ? [[255, 255, 255], [250, 130, 100], [180, 0, 20], [90, 0, 10]] : stops);
  const down = ramp([[255, 255, 255], [110, 150, 250], [20, 40, 180], [10, 15, 90]]);
  for (let i = 0; i < tableSize; ++i) {
    bits[0] = (i << shift) | (1 << (shift - 1));
    let x = numbers[0];
    if (i === 0 || i === tableSize >> 1) x = 0;
    if (Number.isNaN(x)) table[i] = masked;
    else if (x >= 0) table[i] = up[Math.round(1024 * mapped(Math.min(x / white, 1), scale))];
    else table[i] = signed ? down[Math.round(1024 * mapped(Math.min(-x / white, 1), scale))] : up[0];
  }
  return table;
}

/// What an image and the one beside it share: which part is seen.
export class Window {
  zoom = 1;  // screen points a pixel
  x = 0;     // in the middle of the canvas
  y = 0;
  fitted = true;

  toScreen(canvas, [x, y]) {
    return [(x - this.x) * this.zoom + canvas.width / 2, (y - this.y) * this.zoom + canvas.height / 2];
  }
  toImage(canvas, [x, y]) {
    return [(x - canvas.width / 2) / this.zoom + this.x, (y - canvas.height / 2) / this.zoom + this.y];
  }
}

export class PanelImage {
  constructor(canvas, window) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d', {alpha: false});
    this.window = window;
    this.places = {panels: [], beam: null, rings: []};
    this.frame = null;
    this.tiles = [];  // one a panel: a canvas of its own
  }

  /// The box around the panels.
  extent() {
    const xs = [], ys = [];
    for (const p of this.places.panels) {
      if (!p.origin) continue;
      for (const f of [0, 1]) for (const s of [0, 1]) {
        xs.push(p.origin[0] + f * (p.fast_end[0] - p.origin[0]) + s * (p.slow_end[0] - p.origin[0]));
        ys.push(p.origin[1] + f * (p.fast_end[1] - p.origin[1]) + s * (p.slow_end[1] - p.origin[1]));
      }
    }
    return {left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys)};
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio)),
          height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
  }

  fit() {
    const box = this.extent();
    this.window.zoom = Math.min(this.canvas.width / (box.right - box.left), this.canvas.height / (box.bottom - box.top));
    this.window.x = (box.left + box.right) / 2;
    this.window.y = (box.top + box.bottom) / 2;
    this.window.fitted = true;
  }

  show(frame, table) {
    this.frame = frame;
    this.table = table;
    this.paint();
  }

  recolor(table) {
    this.table = table;
    if (this.frame) this.paint();
  }

  /// As many pixels along each edge become one point, the largest of them, where the window is too
  /// small for all: no spot is lost.
  reduction() {
    return Math.max(1, Math.floor(1 / (this.window.zoom * this.frame.every)));
  }

  paint() {
    const {values, every} = this.frame, table = this.table;
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const n = this.reduction();
    this.painted = n;
    let first = 0;
    this.places.panels.forEach((panel, i) => {
      const width = Math.ceil(panel.fast_pixels / every), height = Math.ceil(panel.slow_pixels / every);
      const wide = Math.ceil(width / n), high = Math.ceil(height / n);
      let tile = this.tiles[i];
      if (!tile || tile.canvas.width !== wide || tile.canvas.height !== high) {
        const canvas = document.createElement('canvas');
        canvas.width = wide;
        canvas.height = high;
        const context = canvas.getContext('2d', {alpha: false, willReadFrequently: true});
        const data = context.createImageData(wide, high);
        tile = this.tiles[i] = {canvas, context, data, colors: new Uint32Array(data.data.buffer)};
      }
      const {colors} = tile;
      if (n === 1) {
        for (let k = 0; k < colors.length; ++k) colors[k] = table[bits[first + k] >>> shift];
      } else {
        for (let y = 0, k = 0; y < high; ++y)
          for (let x = 0; x < wide; ++x, ++k) {
            let most = -1, at = first + y * n * width + x * n;
            const yEnd = Math.min(n, height - y * n), xEnd = Math.min(n, width - x * n);
            for (let dy = 0; dy < yEnd; ++dy)
              for (let dx = 0; dx < xEnd; ++dx) {
                const place = first + (y * n + dy) * width + x * n + dx, size = Math.abs(values[place]);
                if (size > most) {
                  most = size;
                  at = place;
                }
              }
            colors[k] = table[bits[at] >>> shift];
          }
      }
      tile.context.putImageData(tile.data, 0, 0);
      first += width * height;
    });
    this.draw();
  }

  draw() {
    const {context, canvas, window} = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#475569';
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!this.frame) return;
    if (this.painted !== this.reduction()) return this.paint();
    const {every} = this.frame, n = this.painted * every, several = this.places.panels.length > 1;
    this.places.panels.forEach((panel, i) => {
      const tile = this.tiles[i];
      if (!panel.origin || !tile) return;
      const [x, y] = window.toScreen(canvas, panel.origin);
      const step = (end, pixels) => [0, 1].map((k) => (end[k] - panel.origin[k]) / pixels * window.zoom);
      const fast = step(panel.fast_end, panel.fast_pixels), slow = step(panel.slow_end, panel.slow_pixels);
      context.setTransform(fast[0], fast[1], slow[0], slow[1], x, y);
      context.imageSmoothingEnabled = window.zoom * n < 1;
      // The last point may stand for fewer pixels than the others
      context.save();
      context.beginPath();
      context.rect(0, 0, panel.fast_pixels, panel.slow_pixels);
      context.clip();
      context.drawImage(tile.canvas, 0, 0, tile.canvas.width * n, tile.canvas.height * n);
      context.restore();
    });
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (several) this.drawOutlines();
    this.drawMarks();
  }

  drawOutlines() {
    const {context, canvas, window} = this;
    context.strokeStyle = '#94a3b8';
    context.lineWidth = 1;
    for (const panel of this.places.panels) {
      if (!panel.origin) continue;
      const far = [0, 1].map((k) => panel.fast_end[k] + panel.slow_end[k] - panel.origin[k]);
      context.beginPath();
      [panel.origin, panel.fast_end, far, panel.slow_end].forEach((point, k) => {
        const at = window.toScreen(canvas, point);
        if (k === 0) context.moveTo(...at);
        else context.lineTo(...at);
      });
      context.closePath();
      context.stroke();
    }
  }

  drawMarks() {
    const {context, canvas, window} = this;
    context.strokeStyle = '#22c55e';
    context.fillStyle = '#22c55e';
    context.lineWidth = 1;
    context.font = `${12 * (devicePixelRatio || 1)}px system-ui, sans-serif`;
    for (const {d_A, parts} of this.places.rings)
      parts.forEach((part, number) => {
        context.beginPath();
        part.forEach((point, k) => {
          if (!point) return;
          const at = window.toScreen(canvas, point);
          if (k === 0) context.moveTo(...at);
          else context.lineTo(...at);
        });
        context.stroke();
        if (number === 0 && part.length > 0 && part[0])
          context.fillText(`${d_A} Å`, ...window.toScreen(canvas, part[0]).map((x) => x + 3));
      });
    if (!this.places.beam) return;
    const [x, y] = window.toScreen(canvas, this.places.beam), arm = 8;
    context.strokeStyle = '#38bdf8';
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
  }

  /// The point of a panel that is seen at a point of the canvas; beside the panels, of the plane of
  /// the nearest one's, if `anywhere`.
  pointAt(screen, anywhere = false) {
    const [x, y] = this.window.toImage(this.canvas, screen);
    let nearest = null, far = Infinity;
    this.places.panels.forEach((p, i) => {
      if (!p.origin) return;
      const f = [0, 1].map((k) => (p.fast_end[k] - p.origin[k]) / p.fast_pixels),
            s = [0, 1].map((k) => (p.slow_end[k] - p.origin[k]) / p.slow_pixels);
      const area = f[0] * s[1] - f[1] * s[0], dx = x - p.origin[0], dy = y - p.origin[1];
      const fast = (dx * s[1] - dy * s[0]) / area, slow = (dy * f[0] - dx * f[1]) / area;
      const outside = Math.max(0, -fast, fast - p.fast_pixels) + Math.max(0, -slow, slow - p.slow_pixels);
      if (outside < far) {
        far = outside;
        nearest = {panel: i, fast, slow};
      }
    });
    return nearest && (anywhere || far === 0) ? nearest : null;
  }

  /// What the shown image has at a pixel; undefined: nothing yet.
  valueAt({panel, fast, slow}) {
    if (!this.frame) return undefined;
    const {values, every} = this.frame;
    let first = 0;
    for (let i = 0; i < panel; ++i)
      first += Math.ceil(this.places.panels[i].fast_pixels / every) * Math.ceil(this.places.panels[i].slow_pixels / every);
    return values[first + Math.floor(slow / every) * Math.ceil(this.places.panels[panel].fast_pixels / every) +
                  Math.floor(fast / every)];
  }
}
