"""MediaPipe's pose landmarker as a .task file, made of the weights in its wheel: npm's package has none.

A .task file is a zip of two models. That of the landmarks lacks only the note of how pixels are normalised; the wheel has its schema.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_MAKE = """
import sys, zipfile
sys.path[:0] = ["packages", "mediapipe/tasks/metadata"]
import flatbuffers, metadata_schema_py_generated as M, schema_py_generated as S
model = S.ModelT.InitFromObj(S.Model.GetRootAsModel(open("mediapipe/modules/pose_landmark/pose_landmark_full.tflite", "rb").read(), 0))
image, content, unit = M.TensorMetadataT(), M.ContentT(), M.ProcessUnitT()
content.contentPropertiesType, content.contentProperties = M.ContentProperties.ImageProperties, M.ImagePropertiesT()
content.contentProperties.colorSpace = M.ColorSpaceType.RGB
unit.optionsType, unit.options = M.ProcessUnitOptions.NormalizationOptions, M.NormalizationOptionsT()
unit.options.mean, unit.options.std = [0.0], [255.0]
image.content, image.processUnits = content, [unit]
graph, notes = M.SubGraphMetadataT(), M.ModelMetadataT()
graph.inputTensorMetadata = [image]
graph.outputTensorMetadata = [M.TensorMetadataT() for _ in model.subgraphs[0].outputs]
notes.subgraphMetadata = [graph]
def packed(table, name):
    builder = flatbuffers.Builder(0)
    builder.Finish(table.Pack(builder), name)
    return bytes(builder.Output())
buffer, entry = S.BufferT(), S.MetadataT()
buffer.data = list(packed(notes, b"M001"))
model.buffers.append(buffer)
entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
model.metadata = [*(model.metadata or []), entry]
with zipfile.ZipFile("pose.task", "w") as task:
    task.write("mediapipe/modules/pose_detection/pose_detection.tflite", "pose_detector.tflite")
    task.writestr("pose_landmarks_detector.tflite", packed(model, b"TFL3"))
"""


def make_task(folder: Path) -> Path:
    """Return the file; skip the test if the packages cannot be had."""
    wheel = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    for command in (
        ["download", *wheel, "--dest", ".", "mediapipe==0.10.21"],
        ["install", "--target", "packages", "flatbuffers"],
    ):
        done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *command], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"pip {command[0]} failed: {done.stderr[-300:]}")
    with zipfile.ZipFile(next(folder.glob("mediapipe-*.whl"))) as archive:
        archive.extractall(
            folder, [name for name in archive.namelist() if "modules/pose_" in name or "tasks/metadata/" in name]
        )
    subprocess.run([sys.executable, "-c", _MAKE], cwd=folder, check=True)
    return folder / "pose.task"
