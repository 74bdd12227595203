"""Transforms: from stored clips to what a network sees, for whole batches, on their device.

A *pipeline* is a list of named transforms, written in YAML. Packaged are:

| pipeline | for | place and size | frames |
|---|---|---|---|
| `nw-ucla` | NW-UCLA, as the field feeds it | centre joint of the first frame; every axis to [-1, 1] | 52, drawn |
| `nw-ucla-scaled` | the same, with a random scale that has an effect | as `nw-ucla` | 52, drawn |
| `nw-ucla-early` | the same, for answers before an action is over: training clips end early | as `nw-ucla` | 52, drawn |
| `ntu` | NTU RGB+D, centred when it was prepared | as they are | a crop, resized to 64 |
| `metric` | own 3D joints in real units, any layout | centre joint of the first person | a crop, resized to 64 |
| `image` | pixels or any units, any layout | bounding box of the clip to [-1, 1], proportions kept | a crop, resized to 64 |
| `live` | streams, any layout | running means of the centre joint and of the bones' length | drawn: a crop, 12 to 64; in evaluation 52 |
| `live-early` | the same, for answers before an action is over | the centre joint of the first frame | drawn: from the first, 8 to 64 |

Only frames that hold somebody count, wherever they are, and only people who are there.

No per-sample Python: a batch is transformed by a few tensor operations. Every random number is a hash of (seed, epoch, sample index,
purpose), so inputs do not depend on workers, devices, processes or resuming. To add a transform, see `register_transform`.
"""

from poseglot.transforms.augmenting import AxisDrop, JointDrop, Mirror, RandomRotate, RandomScale
from poseglot.transforms.modality import MODALITIES, Modality, ToModality, to_modality
from poseglot.transforms.pipeline import Pipeline, apply_pipeline, list_pipelines, load_pipeline
from poseglot.transforms.placing import Centre, FitBox, MinMax, RunningPlace
from poseglot.transforms.sampling import Crop, DropEmptyFrames, RandomPrefix, Resize, SampleFrames, SampleLengths
from poseglot.transforms.streaming import FrameState, StreamingPipeline
from poseglot.transforms.transform import TRANSFORMS, PipelineError, Randomness, Transform, register_transform

__all__ = [
    "MODALITIES",
    "TRANSFORMS",
    "AxisDrop",
    "Centre",
    "Crop",
    "DropEmptyFrames",
    "FitBox",
    "FrameState",
    "JointDrop",
    "MinMax",
    "Mirror",
    "Modality",
    "Pipeline",
    "PipelineError",
    "RandomPrefix",
    "RandomRotate",
    "RandomScale",
    "Randomness",
    "Resize",
    "RunningPlace",
    "SampleFrames",
    "SampleLengths",
    "StreamingPipeline",
    "ToModality",
    "Transform",
    "apply_pipeline",
    "list_pipelines",
    "load_pipeline",
    "register_transform",
    "to_modality",
]
