// The skeleton on a plain canvas, for browsers without WebGL: the methods of scene.js, seen from far away, turned by dragging.

import { Pose } from "./pose.js";

export class Flat {
  constructor(canvas, colours) {
    this.canvas = canvas;
    this.colours = colours;
    this.context = canvas.getContext("2d");
    this.time = 0;
    this.joints = null;
    this.front();
    let from = null;
    canvas.addEventListener("pointerdown", (event) => { from = event.clientX; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      this.turn((from - event.clientX) / 120, 0);
      from = event.clientX;
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.turn(0, 0, event.deltaY > 0 ? 1.1 : 0.9); }, { passive: false });
    this.size();
  }

  show(clip) {
    this.clip = clip;
    this.pose = new Pose(clip);
    this.joints = null;
    this.front();
  }

  front() {
    this.angle = this.clip?.flat ? 0 : Math.PI - 0.25;
    this.zoom = 1;
    this.redraw();
  }

  turn(sideways, upwards, closer = 1) {
    this.angle -= sideways;
    this.zoom = Math.min(Math.max(this.zoom / closer, 0.3), 6);
    this.redraw();
  }

  lit(joints) {
    this.joints = joints && new Set(joints);
    this.redraw();
  }

  theme() { this.redraw(); }

  size() {
    const ratio = Math.min(devicePixelRatio, 2);
    this.canvas.width = this.canvas.clientWidth * ratio;
    this.canvas.height = this.canvas.clientHeight * ratio;
    this.redraw();
  }

  redraw() { if (this.clip) this.draw(this.time); }

  draw(time) {
    this.time = time;
    const { canvas, clip, context, pose } = this;
    const [width, height] = [canvas.width, canvas.height];
    const high = Math.max(pose.high, 3);
    const scale = this.zoom * Math.min((0.82 * height) / high, (0.86 * width) / 10);
    const [cos, sin] = [Math.cos(this.angle), Math.sin(this.angle)];
    context.clearRect(0, 0, width, height);
    context.lineCap = "round";
    pose.move(time).forEach((at, person) => {
      const place = (joint) => {
        const [x, y, z] = at.subarray(3 * joint, 3 * joint + 3);
        return [width / 2 + scale * (x * cos + z * sin), height / 2 - scale * (y - high / 2)];
      };
      const seen = (joint) => !Number.isNaN(at[3 * joint]);
      const paint = (joint) => {
        context.globalAlpha = (this.joints && !this.joints.has(joint) ? 0.18 : 1) * (person % 2 ? 0.7 : 1);
        context.strokeStyle = context.fillStyle = this.colours[clip.parts[joint]];
      };
      const thick = high * scale * 0.012;
      context.lineWidth = 2 * thick;
      for (const [child, parent] of clip.bones) {
        if (!seen(child) || !seen(parent)) continue;
        paint(child);
        context.beginPath();
        context.moveTo(...place(parent));
        context.lineTo(...place(child));
        context.stroke();
      }
      for (let joint = 0; joint < pose.joints; joint += 1) {
        if (!seen(joint)) continue;
        paint(joint);
        context.beginPath();
        context.arc(...place(joint), thick * (joint === pose.head ? 3.6 : 1.5), 0, 2 * Math.PI);
        context.fill();
      }
    });
    context.globalAlpha = 1;
  }
}
