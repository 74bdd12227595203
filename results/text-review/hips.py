"""What the bodies do in NW-UCLA's training view 1, for the check of its words: medians over the clips of a class, by eighths of a clip.

    python results/text-review/hips.py all_sqe.zip

Prints, for each action: travel of the hips over the floor (m), and for each eighth their speed (m/frame), the height of the head over
the lower ankle (m), and the height of the higher hand over the hips (m).
"""

import collections
import json
import sys
import zipfile

import numpy as np

HIP, HEAD, HANDS, ANKLES = 0, 3, (7, 11), (14, 18)  # places of the file's 20 joints
ACTIONS = {
    "a01": "pick up with one hand",
    "a02": "pick up with two hands",
    "a03": "drop trash",
    "a04": "walk around",
    "a05": "sit down",
    "a06": "stand up",
    "a08": "donning",
    "a09": "doffing",
    "a11": "throw",
    "a12": "carry",
}


def main(path: str) -> None:
    travel, curves = collections.defaultdict(list), collections.defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith("_v01.json"):
                continue
            joints = np.array(json.loads(archive.read(name))["skeletons"], float)  # (T, 20, 3), metres, y up
            if joints.ndim != 3 or len(joints) < 12:
                continue
            action = ACTIONS[name.rsplit("/", 1)[-1][:3]]
            floor = joints[:, HIP][:, [0, 2]]
            travel[action].append(np.linalg.norm(np.ptp(floor, axis=0)))
            speed = np.linalg.norm(np.gradient(floor, axis=0), axis=1)
            head = joints[:, HEAD, 1] - joints[:, ANKLES, 1].min(1)
            hand = joints[:, HANDS, 1].max(1) - joints[:, HIP, 1]
            both = np.stack([speed, head, hand], axis=1)
            curves[action].append([piece.mean(0) for piece in np.array_split(both, 8)])
    for action in ACTIONS.values():
        print(f"{action}: {len(curves[action])} clips, hips travel {np.median(travel[action]):.2f} m")
        for row, what in zip(np.median(curves[action], axis=0).T, ("hip speed", "head height", "higher hand"), strict=True):
            print(f"    {what:12}", *(f"{value:6.2f}" for value in row))


if __name__ == "__main__":
    main(sys.argv[1])
