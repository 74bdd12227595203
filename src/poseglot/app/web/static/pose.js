// The positions of the joints at a time between two frames, for both ways of drawing.

export class Pose {
  constructor(clip) {
    this.clip = clip;
    this.joints = clip.parts.length;
    // Ten units are the clip's extent. NaN where a joint was not seen.
    this.at = clip.people.map(() => new Float32Array(3 * this.joints));
    this.high = 0;
    for (const person of clip.people) {
      for (const flat of person) {
        if (flat) for (let k = 1; k < flat.length; k += 3) if (flat[k] !== null && flat[k] / 100 > this.high) this.high = flat[k] / 100;
      }
    }
    // The end joint of the head, if there is exactly one, is drawn as a head.
    const parents = new Set(clip.bones.map(([, parent]) => parent));
    const ends = clip.parts.map((part, joint) => (part === "head" && !parents.has(joint) ? joint : -1)).filter((joint) => joint >= 0);
    this.head = ends.length === 1 ? ends[0] : -1;
  }

  move(time) {
    const frame = Math.floor(time);
    const share = time - frame;
    this.clip.people.forEach((frames, person) => {
      const one = frames[frame];
      const other = (share > 0 && frames[frame + 1]) || one;
      const at = this.at[person];
      for (let k = 0; k < at.length; k += 1) {
        const from = one ? one[k] : null;
        if (from === null) at[k] = NaN;
        else at[k] = (from + share * ((other[k] ?? from) - from)) / 100;
      }
    });
    return this.at;
  }
}
