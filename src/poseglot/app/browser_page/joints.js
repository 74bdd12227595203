// Joints of MediaPipe's pose and of clips, in the channels that the model takes, and as flat.js draws them.

const MIN_SCORE = 0.3; // as poseglot.skeletons.clip
const EXTENT = 1000; // flat.js: ten units of 100
const PICTURE_METRES = 2.2; // the height of the live view

// A frame of the pose landmarker -> pixels, metres of a depth camera (x to the left, y up, z away), confidence; null without anybody.
export function frameOf(found, width, height) {
  const marks = found.landmarks[0];
  if (!marks) return null;
  return {
    pixels: marks.map(({ x, y }) => [x * width, y * height]),
    world: found.worldLandmarks[0].map(({ x, y, z }) => [-x, -y, z]),
    scores: marks.map(({ visibility }) => Math.min(Math.max(visibility ?? 1, 0), 1)),
  };
}

// Frames, some of them null -> nested joints (1, T, V, C) of the model's input.
export function jointsOf(frames, size, { joints, num_dims: dims, has_scores: hasScores }) {
  const places = dims === 2 ? frames.map((frame) => frame?.pixels) : placed(frames, size);
  const absent = Array.from({ length: joints }, () => Array(dims + hasScores).fill(0));
  return [frames.map((frame, at) => {
    if (!frame) return absent;
    return places[at].map((place, joint) => {
      if (hasScores) return [...place, frame.scores[joint]];
      return frame.scores[joint] < MIN_SCORE ? absent[joint] : place;
    });
  })];
}

// World joints are centred on the hips in every frame. Move them sideways and up to where the picture shows the person, with one scale for
// all frames (as poseglot.inference.video.extract.place_world).
function placed(frames, [width, height]) {
  const fits = frames.map((frame) => {
    if (!frame) return null;
    const weights = frame.scores.map((score) => (score >= MIN_SCORE ? 1 : 0) + 1e-6);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const metres = frame.world.map(([x, y]) => [-x, -y]);
    const mean = (points, axis) => points.reduce((sum, point, joint) => sum + weights[joint] * point[axis], 0) / total;
    const [centre, pixelCentre] = [metres, frame.pixels].map((points) => [mean(points, 0), mean(points, 1)]);
    let [up, down] = [0, 0];
    metres.forEach((point, joint) => point.forEach((value, axis) => {
      const offset = value - centre[axis];
      up += weights[joint] * offset * (frame.pixels[joint][axis] - pixelCentre[axis]);
      down += weights[joint] * offset * offset;
    }));
    return { centre, pixelCentre, scale: up / Math.max(down, 1e-12) };
  });
  const scales = fits.filter((fit) => fit && fit.scale > 0).map((fit) => fit.scale).sort((one, other) => one - other);
  if (!scales.length) return frames.map((frame) => frame?.world);
  const middle = scales.length >> 1;
  const scale = scales.length % 2 ? scales[middle] : (scales[middle - 1] + scales[middle]) / 2;
  return frames.map((frame, at) => frame && frame.world.map(([x, y, z]) => {
    const { centre, pixelCentre } = fits[at];
    return [x - ((pixelCentre[0] - width / 2) / scale - centre[0]), y - ((pixelCentre[1] - height / 2) / scale - centre[1]), z];
  }));
}

// A clip's joints as nested arrays (M, T, V, C), of {"joints": (M, T, V, C) or (T, V, C)}; an Error says what is wrong.
export function clipJoints(table, input) {
  const { joints: count, channels, num_persons: most } = input;
  let people = table?.joints;
  if (Array.isArray(people?.[0]?.[0]) && !Array.isArray(people[0][0][0])) people = [people];
  const frames = people?.[0]?.length;
  const fits = Array.isArray(people) && frames > 0 && people.every((person) => person.length === frames && person.every((frame) => (
    frame.length === count && frame.every((joint) => joint.length === channels && joint.every(Number.isFinite)))));
  if (!fits) throw new Error(`a clip is {"joints": [people][frames][${count} joints of ${input.layout}][${channels} numbers]}`);
  if (people.length > most) throw new Error(`${people.length} people came; the model takes ${most}`);
  return people;
}

// A clip as flat.js draws it: its box becomes EXTENT, the floor is y = 0.
export function drawingOf(people, { num_dims: dims, has_scores: hasScores, bones, parts }) {
  const points = people.map((person) => person.map((frame) => frame.map((joint) => {
    const seen = hasScores ? joint[dims] >= MIN_SCORE : joint.some((value) => value !== 0);
    if (!seen) return null;
    return dims === 2 ? [joint[0], -joint[1], 0] : [-joint[0], joint[1], -joint[2]];
  })));
  const low = [Infinity, Infinity, Infinity], high = low.map((value) => -value);
  for (const point of points.flat(2)) {
    point?.forEach((value, axis) => { low[axis] = Math.min(low[axis], value); high[axis] = Math.max(high[axis], value); });
  }
  const scale = EXTENT / (Math.max(...high.map((value, axis) => value - low[axis])) || 1);
  const origin = low.map((value, axis) => (axis === 1 ? value : (value + high[axis]) / 2));
  const row = (frame) => frame.flatMap((point) => (point ? point.map((value, axis) => Math.round((value - origin[axis]) * scale)) : [null, null, null]));
  return { people: points.map((person) => person.map(row)), frames: people[0].length, num_dims: dims, bones, parts };
}

// A frame of the camera as flat.js draws it, about the hips.
export function liveRow(frame) {
  if (!frame) return null;
  const scale = EXTENT / PICTURE_METRES;
  return frame.world.flatMap(([x, y, z], joint) => (
    frame.scores[joint] < MIN_SCORE ? [null, null, null] : [-x * scale, y * scale + EXTENT / 2, -z * scale].map(Math.round)));
}
