// The skeleton in 3D, by three.js. The constructor throws without WebGL; the page then takes flat.js, which has the same interface.

import * as THREE from "./vendor/three.min.js";
import { Pose } from "./pose.js";

const UP = new THREE.Vector3(0, 1, 0);
const NOWHERE = new THREE.Matrix4().makeScale(0, 0, 0);
// Temporaries, allocated once.
const [matrix, turned, size] = [new THREE.Matrix4(), new THREE.Quaternion(), new THREE.Vector3()];
const [one, other, middle] = [new THREE.Vector3(), new THREE.Vector3(), new THREE.Vector3()];

export class Scene {
  // soft: WebGL is computed by the CPU, for which pixels, antialiasing and vertices are expensive.
  constructor(canvas, colors, soft) {
    this.canvas = canvas;
    this.colors = colors;
    this.soft = soft;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: !soft, alpha: true });
    this.renderer.setPixelRatio(soft ? 1 : Math.min(devicePixelRatio, 2));
    this.world = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(32, 1, 0.1, 200);
    this.light = new THREE.DirectionalLight(0xffffff, 1.6);
    this.world.add(new THREE.HemisphereLight(0xffffff, 0x8a8f94, 1.9), this.light);
    this.controls = new THREE.OrbitControls(this.camera, canvas);
    this.controls.maxPolarAngle = Math.PI * 0.53;
    this.controls.addEventListener("change", () => this.redraw());
    this.group = null;
    this.time = 0;
    this.size();
  }

  show(clip) {
    if (this.group) {
      this.world.remove(this.group);
      this.group.traverse((thing) => { thing.geometry?.dispose(); thing.material?.dispose(); thing.dispose?.(); });
    }
    const pose = new Pose(clip);
    const [people, joints, bones] = [clip.people.length, clip.parts.length, clip.bones.length];
    const thick = Math.max(pose.high, 3) * 0.013;
    const group = new THREE.Group();
    const solid = (geometry, count) => {
      const mesh = new THREE.InstancedMesh(geometry, new THREE.MeshLambertMaterial(), count);
      mesh.frustumCulled = false;
      group.add(mesh);
      // The shadow: the same shapes, flattened.
      const shadow = new THREE.InstancedMesh(geometry, new THREE.MeshBasicMaterial(), count);
      shadow.instanceMatrix = mesh.instanceMatrix;
      shadow.scale.y = 0.0005;
      shadow.position.y = 0.004;
      shadow.frustumCulled = false;
      shadow.visible = clip.num_dims === 3;
      group.add(shadow);
      return [mesh, shadow];
    };
    const [round, down] = this.soft ? [9, 6] : [16, 12];
    this.balls = solid(new THREE.SphereGeometry(1, round, down), people * joints);
    this.sticks = solid(new THREE.CylinderGeometry(1, 1, 1, this.soft ? 6 : 10, 1, true), people * bones);
    this.floor = new THREE.GridHelper(24, 24);
    this.floor.visible = clip.num_dims === 3;
    group.add(this.floor);
    this.world.add(group);
    Object.assign(this, { clip, pose, thick, group });
    this.controls.enableRotate = clip.num_dims === 3;
    this.lit(null);
    this.theme();
    this.front();
  }

  // From the front: picture coordinates have x to the right, y up and z towards the viewer.
  front() {
    const { clip, camera, controls } = this;
    if (!clip) return;
    const high = Math.max(this.pose.high, 3);
    const fit = Math.max(high, 11 / Math.max(camera.aspect, 0.4) * 0.62);
    const away = (fit * 0.66) / Math.tan((camera.fov * Math.PI) / 360);
    controls.target.set(0, high * 0.47, 0);
    const is2d = clip.num_dims === 2;
    camera.position.set(is2d ? 0 : away * 0.28, high * (is2d ? 0.47 : 0.66), away);
    this.light.position.set(4, 12, 9);
    controls.update();
    this.redraw();
  }

  // A 2D clip has no other side: it can be zoomed, not turned.
  turn(sideways, upwards, closer = 1) {
    if (this.clip?.num_dims === 2) sideways = upwards = 0;
    const { camera, controls } = this;
    const from = camera.position.clone().sub(controls.target);
    const length = from.length() * closer;
    const round = Math.atan2(from.x, from.z) + sideways;
    const down = Math.min(Math.max(Math.acos(from.y / from.length()) + upwards, 0.1), controls.maxPolarAngle);
    from.set(Math.sin(down) * Math.sin(round), Math.cos(down), Math.sin(down) * Math.cos(round)).multiplyScalar(Math.min(Math.max(length, 3), 90));
    camera.position.copy(controls.target).add(from);
    controls.update();
    this.redraw();
  }

  // Highlight joints and fade the others; null highlights all.
  lit(joints) {
    if (!this.clip) return;
    const { clip } = this;
    const back = new THREE.Color(this.css("--paper"));
    const ink = new THREE.Color(this.css("--ink"));
    const lit = joints && new Set(joints);
    const color = (joint, person) => {
      const own = new THREE.Color(this.colors[clip.parts[joint]]);
      if (person % 2) own.lerp(ink, 0.28);
      return lit && !lit.has(joint) ? own.lerp(back, 0.8) : own;
    };
    clip.people.forEach((_, person) => {
      clip.parts.forEach((_, joint) => this.balls[0].setColorAt(person * clip.parts.length + joint, color(joint, person)));
      clip.bones.forEach(([child], place) => this.sticks[0].setColorAt(person * clip.bones.length + place, color(child, person)));
    });
    for (const [mesh] of [this.balls, this.sticks]) mesh.instanceColor.needsUpdate = true;
    this.joints = joints;
    this.redraw();
  }

  css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  theme() {
    if (!this.clip) return;
    for (const [, shadow] of [this.balls, this.sticks]) shadow.material.color.set(this.css("--shadow"));
    this.floor.material.vertexColors = false;
    this.floor.material.color.set(this.css("--line"));
    this.floor.material.needsUpdate = true;
    this.lit(this.joints ?? null);
  }

  size() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.redraw();
  }

  redraw() {
    if (this.clip) this.draw(this.time);
  }

  draw(time) {
    this.time = time;
    const { clip, thick } = this;
    const people = this.pose.move(time);
    const [ball, stick] = [this.balls[0], this.sticks[0]];
    people.forEach((at, person) => {
      for (let joint = 0; joint < this.pose.joints; joint += 1) {
        one.fromArray(at, 3 * joint);
        const place = person * this.pose.joints + joint;
        if (Number.isNaN(one.x)) ball.setMatrixAt(place, NOWHERE);
        else {
          size.setScalar(thick * (joint === this.pose.head ? 3.6 : 1.55));
          ball.setMatrixAt(place, matrix.compose(one, turned.identity(), size));
        }
      }
      clip.bones.forEach(([child, parent], bone) => {
        one.fromArray(at, 3 * child);
        other.fromArray(at, 3 * parent);
        const place = person * clip.bones.length + bone;
        const length = one.distanceTo(other);
        if (!(length > 0)) stick.setMatrixAt(place, NOWHERE); // not seen, or of no length
        else {
          middle.addVectors(one, other).multiplyScalar(0.5);
          turned.setFromUnitVectors(UP, one.sub(other).divideScalar(length));
          stick.setMatrixAt(place, matrix.compose(middle, turned, size.set(thick, length, thick)));
        }
      });
    });
    ball.instanceMatrix.needsUpdate = true;
    stick.instanceMatrix.needsUpdate = true;
    this.renderer.render(this.world, this.camera);
  }
}
