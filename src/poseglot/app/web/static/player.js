// Plays a clip: time, keys, speed. It draws with scene.js or flat.js, and only when something changes.

const PLAY = "M7 4.5v15l13-7.5z";
const PAUSE = "M6 4.500h4.500v15h-4.500zM13.500 4.500h4.500v15h-4.500z";
const PACE = 30; // frames per second; clips do not state their own
const MIN_DURATION = 2; // seconds; shorter clips are slowed down to be understood
// Milliseconds between updates of the curves' marks while the CPU draws: the browser composes everything between two changing elements
// again, which costs more than the skeleton.
const MARK_INTERVAL = 200;

export class Player {
  constructor(drawing, changed) {
    this.drawing = drawing;
    this.changed = changed;
    this.time = 0; // in frames
    this.frames = 0;
    this.playing = false;
    this.shown = null; // the frame of the label
    this.drawn = 0; // drawings so far, for measurements
    this.last = null;
    this.told = -Infinity; // the time of the last `changed`
    for (const id of ["play", "seek", "frame", "speed", "front", "canvas"]) this[id] = document.getElementById(id);
    this.play.addEventListener("click", () => this.set(!this.playing));
    this.seek.addEventListener("input", () => { this.set(false); this.go(Number(this.seek.value)); });
    this.front.addEventListener("click", () => this.drawing.front());
    this.canvas.addEventListener("keydown", (event) => this.turn(event));
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.drawing.size()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawing.theme());
    document.addEventListener("visibilitychange", () => { this.last = null; }); // hidden, it pauses
  }

  show(clip) {
    this.frames = clip.frames;
    this.pace = Math.min(PACE, clip.frames / MIN_DURATION);
    this.seek.max = clip.frames - 1;
    this.seek.disabled = this.play.disabled = clip.frames < 2;
    this.shown = null;
    const is2d = clip.num_dims === 2;
    this.front.hidden = is2d;
    this.canvas.setAttribute("aria-label", is2d ? "The skeleton. Plus and minus zoom." : "The skeleton. Arrow keys turn it, plus and minus zoom.");
    this.drawing.show(clip);
    this.go(0);
    this.set(clip.frames > 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  set(playing) {
    this.playing = playing && this.frames > 1;
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.querySelector("path").setAttribute("d", this.playing ? PAUSE : PLAY);
    this.last = null;
    if (!this.playing) this.tell();
    if (this.playing && !this.waiting) this.wait();
  }

  // Tell listeners and screen readers the time; not while it plays, when a screen reader would stutter.
  tell() {
    this.told = performance.now();
    this.seek.setAttribute("aria-valuetext", `frame ${Math.round(this.time) + 1} of ${this.frames}`);
    this.changed(this.time);
  }

  go(time) {
    this.time = Math.min(Math.max(time, 0), Math.max(this.frames - 1, 0));
    const frame = Math.round(this.time);
    if (this.shown !== frame) {
      this.shown = frame;
      this.seek.value = frame;
      this.frame.textContent = `${frame + 1} / ${this.frames}`;
    }
    this.drawing.draw(this.time);
    this.drawn += 1;
    if (!this.playing) this.tell();
    else if (!this.drawing.soft || performance.now() - this.told >= MARK_INTERVAL) {
      this.told = performance.now();
      this.changed(this.time);
    }
  }

  // By the clock: slow drawing skips frames and keeps the pace.
  wait() {
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      if (!this.playing) return;
      const passed = this.last === null ? 0 : (now - this.last) / 1000;
      this.last = now;
      const length = this.frames - 1;
      this.go((this.time + passed * this.pace * Number(this.speed.value)) % (length || 1));
      this.wait();
    });
  }

  // Keys of the whole page, except in fields and on buttons.
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]") || !this.frames) return;
    const inside = event.target.closest?.("button, a, select, input, summary, label");
    if (event.key === " " && (!inside || inside === this.seek)) this.set(!this.playing);
    else if (inside || event.target === this.canvas) return;
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      this.set(false);
      this.go(Math.round(this.time) + (event.key === "ArrowLeft" ? -1 : 1));
    } else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.frames - 1);
    else return;
    event.preventDefault();
  }

  turn(event) {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.07], ArrowDown: [0, 0.07], "+": [0, 0, 0.9], "-": [0, 0, 1.1] };
    if (!turns[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.drawing.turn(...turns[event.key]);
  }
}
