// The skeleton on a 2D canvas: the interface of scene.js without a GPU. Where WebGL is missing or computed by the CPU, sorted lines and
// circles are far faster and look nearly the same.

import { Pose } from "./pose.js";

const NEAR = 0.5;
const GRID = 12; // lines to each side

export class Flat {
  constructor(canvas, colors) {
    this.canvas = canvas;
    this.colors = colors;
    this.soft = true;
    this.context = canvas.getContext("2d");
    this.time = 0;
    this.joints = null;
    this.drag();
    this.size();
  }

  show(clip) {
    this.clip = clip;
    this.pose = new Pose(clip);
    this.joints = null;
    this.theme();
    this.front();
  }

  // From the front, as in scene.js: picture coordinates have x to the right, y up and z towards the viewer.
  front() {
    if (!this.clip) return;
    const high = Math.max(this.pose.high, 3);
    const is2d = this.clip.num_dims === 2;
    this.round = is2d ? 0 : 0.27;
    this.up = is2d ? 0 : 0.13;
    const aspect = this.canvas.width / Math.max(this.canvas.height, 1);
    this.away = (Math.max(high, (11 / Math.max(aspect, 0.4)) * 0.62) * 0.66) / Math.tan((16 * Math.PI) / 180);
    this.redraw();
  }

  // A 2D clip has no other side: it can be zoomed, not turned.
  turn(sideways, upwards, closer = 1) {
    if (this.clip?.num_dims === 2) sideways = upwards = 0;
    this.round += sideways;
    this.up = Math.min(Math.max(this.up - upwards, -0.1), 1.45);
    this.away = Math.min(Math.max(this.away * closer, 3), 90);
    this.redraw();
  }

  lit(joints) {
    this.joints = joints && new Set(joints);
    this.redraw();
  }

  theme() {
    const styles = getComputedStyle(document.documentElement);
    this.css = Object.fromEntries(["line", "shadow", "paper"].map((name) => [name, styles.getPropertyValue(`--${name}`).trim()]));
    this.redraw();
  }

  size() {
    const ratio = Math.min(devicePixelRatio, 2);
    this.canvas.width = this.canvas.clientWidth * ratio;
    this.canvas.height = this.canvas.clientHeight * ratio;
    this.redraw();
  }

  redraw() {
    if (this.clip && this.away) this.draw(this.time);
  }

  draw(time) {
    this.time = time;
    if (!this.away) return;
    const { canvas, clip, context, pose } = this;
    const [width, height] = [canvas.width, canvas.height];
    const high = Math.max(pose.high, 3);
    const focus = height / 2 / Math.tan((16 * Math.PI) / 180);
    const [cos, sin, above, level] = [Math.cos(this.round), Math.sin(this.round), Math.sin(this.up), Math.cos(this.up)];
    // A point -> x and y on the canvas, its depth, and the pixels per unit there.
    const project = (x, y, z) => {
      const back = x * sin + z * cos;
      const raised = y - high * 0.47;
      const depth = this.away - back * level - raised * above;
      const size = focus / Math.max(depth, NEAR);
      return [width / 2 + (x * cos - z * sin) * size, height / 2 - (raised * level - back * above) * size, depth, size];
    };
    context.clearRect(0, 0, width, height);
    context.lineCap = "round";
    if (clip.num_dims === 3) this.floor(project);

    const thick = high * 0.013;
    const shapes = []; // [depth, part, lit, person, then a circle's x, y, radius or a line's x, y, x, y, width]
    pose.move(time).forEach((at, person) => {
      const places = clip.parts.map((_, joint) => {
        const [x, y, z] = at.subarray(3 * joint, 3 * joint + 3);
        return Number.isNaN(x) ? null : [project(x, y, z), clip.num_dims === 2 ? null : project(x, 0, z)];
      });
      const lit = (joint) => !this.joints || this.joints.has(joint);
      context.strokeStyle = this.css.shadow;
      for (const [child, parent] of clip.bones) {
        if (!places[child] || !places[parent]) continue;
        const [[one, below], [other, under]] = [places[child], places[parent]];
        shapes.push([(one[2] + other[2]) / 2 + thick, clip.parts[child], lit(child), person, one[0], one[1], other[0], other[1], thick * (one[3] + other[3])]);
        if (!below) continue;
        context.lineWidth = thick * 2 * below[3];
        context.beginPath();
        context.moveTo(below[0], below[1]);
        context.lineTo(under[0], under[1]);
        context.stroke();
      }
      places.forEach((place, joint) => {
        if (place) shapes.push([place[0][2], clip.parts[joint], lit(joint), person, place[0][0], place[0][1], place[0][3] * thick * (joint === pose.head ? 3.6 : 1.55)]);
      });
    });
    shapes.sort((one, other) => other[0] - one[0]);
    for (const [, part, lit, person, x, y, ...rest] of shapes) {
      const color = this.colors[part];
      // Faded shapes are mixed with the background, not transparent: joints would show through bones.
      context.strokeStyle = context.fillStyle = lit
        ? person % 2 ? `color-mix(in srgb, ${color} 72%, #000)` : color
        : `color-mix(in srgb, ${color} 20%, ${this.css.paper})`;
      context.beginPath();
      if (rest.length === 1) {
        context.arc(x, y, rest[0], 0, 2 * Math.PI);
        context.fill();
      } else {
        context.lineWidth = rest[2];
        context.moveTo(x, y);
        context.lineTo(rest[0], rest[1]);
        context.stroke();
      }
    }
  }

  floor(project) {
    const { context } = this;
    context.strokeStyle = this.css.line;
    context.lineWidth = Math.max(1, devicePixelRatio);
    context.beginPath();
    const line = (...ends) => {
      const [one, other] = ends.map(([x, z]) => project(x, 0, z));
      if (one[2] < NEAR || other[2] < NEAR) return; // behind the camera
      context.moveTo(one[0], one[1]);
      context.lineTo(other[0], other[1]);
    };
    for (let at = -GRID; at <= GRID; at += 1) {
      line([at, -GRID], [at, 0]);
      line([at, 0], [at, GRID]);
      line([-GRID, at], [0, at]);
      line([0, at], [GRID, at]);
    }
    context.stroke();
  }

  // Dragging turns; two fingers or the wheel zoom.
  drag() {
    const { canvas } = this;
    const fingers = new Map();
    const span = () => {
      const [one, other] = [...fingers.values()];
      return Math.hypot(one[0] - other[0], one[1] - other[1]);
    };
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const from = fingers.get(event.pointerId);
      if (!from) return;
      const before = fingers.size === 2 ? span() : 0;
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (before) this.turn(0, 0, before / Math.max(span(), 1));
      else this.turn((from[0] - event.clientX) / 130, (from[1] - event.clientY) / 130);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.turn(0, 0, event.deltaY > 0 ? 1.08 : 0.93); }, { passive: false });
  }
}
