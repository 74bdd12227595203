"""Feeding protocols by name: how the clips of a benchmark, or somebody's own, become what an encoder sees.

| protocol | for | place and size | frames |
|---|---|---|---|
| `nw-ucla` | NW-UCLA, as the field feeds it | centre joint of frame 0; every axis to [-1, 1] | 52, drawn |
| `ntu` | NTU RGB+D, centred when it was prepared | as they are | a crop, resized to 64 |
| `metric` | own 3D joints in real units, any layout | centre joint of the first person's first frame | a crop, resized to 64 |
| `live` | streams, any layout | running means of the centre joint and of the bones' length | drawn: a crop, 12 to 64; testing 52 |
| `image` | own 2D joints in pixels, or any units, any layout | bounding box of the clip to [-1, 1], aspect kept | a crop, resized to 64 |

`nw_ucla` and `ntu` hold one family each, `live` is NW-UCLA's placed otherwise; what they share is in `protocol`. Every protocol can also
place one frame after the other; of `causal` ones (`ntu`, `metric`, `live`) this is what is done to a whole clip, of the others (a box
of what is still to come) it is not.
"""

from __future__ import annotations

from collections.abc import Mapping

from poseglot.errors import PoseglotError
from poseglot.skeletons.protocols.live import Live
from poseglot.skeletons.protocols.ntu import NTU, Image, Metric
from poseglot.skeletons.protocols.nw_ucla import NWUCLA
from poseglot.skeletons.protocols.protocol import Augmentation, Protocol, RawClips

PIPELINES: Mapping[str, Protocol] = {
    pipeline.name: pipeline
    for pipeline in (
        NWUCLA("nw-ucla", layout="kinect20", frames=52),
        NTU("ntu", layout="ntu25", frames=64),
        Metric("metric", layout=None, frames=64),
        Image("image", layout=None, frames=64),
        Live("live", layout=None, frames=52),
    )
}


def load_pipeline(name: str) -> Protocol:
    """A feeding protocol by name.

    Raises:
        PoseglotError: no such protocol.
    """
    if name not in PIPELINES:
        raise PoseglotError(f"unknown protocol {name!r}; there are {', '.join(PIPELINES)}.")
    return PIPELINES[name]


__all__ = ["PIPELINES", "Augmentation", "Protocol", "RawClips", "load_pipeline"]
