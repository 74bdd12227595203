"""A page that recognises actions in the browser alone: a folder of files for any web server, without a server of ours.

The page loads a raw ONNX file (`inference.export`) in ONNX Runtime Web and finds poses with MediaPipe. Its content security policy lets it
reach nothing but its own folder, and the content network of the libraries if they are not in the folder.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from poseglot.app.browser_page.libraries import LIBRARIES, NETWORK, integrity
from poseglot.app.web.drawing import part_names
from poseglot.colors import PART_COLORS
from poseglot.data.readers.reading import Reading
from poseglot.errors import FileError, SettingError
from poseglot.evaluation.temperature import temperature_of
from poseglot.files import sha256_of, write_atomically
from poseglot.inference.export import export_raw_onnx
from poseglot.models.pretrained import find_recognizer, recognizer_file
from poseglot.models.recognizer import load_recognizer
from poseglot.skeletons.common_body import is_common_body
from poseglot.skeletons.layout import load_layout

POSE_LAYOUT = "mediapipe33"
MODEL, POSE = "model.onnx", "pose.task"
_OWN = ("index.html", "browser.css", "browser.js", "joints.js")
_SHARED = ("flat.js", "pose.js", "icon.svg")  # of the page that is served


def write_browser_page(
    run: str | PathLike[str],
    out: str | PathLike[str],
    *,
    node_modules: str | PathLike[str] | None = None,
    pose_model: str | PathLike[str] | None = None,
    window: float = 2.0,
    stride: float = 0.25,
) -> float:
    """Write the page of a recognizer.

    Args:
        run: A run's folder, a recognizer's .safetensors file, or a name that `poseglot.load` knows.
        out: The folder to write, which may not exist or must be empty.
        node_modules: The folder from which the libraries are copied; by default the page loads them from a content network, by hash.
        pose_model: The .task file of MediaPipe's pose landmarker. Without one, the page takes clips and has no camera.
        window, stride: The seconds that are recognised at once, and from result to result.

    Returns:
        The largest difference of the exported probabilities from torch's.

    Raises:
        PoseglotError: The recognizer cannot be exported for such joints, a file cannot be read, or the folder holds files.
    """
    out, file = Path(out), recognizer_file(find_recognizer(run))
    if file.suffix == ".onnx":
        raise SettingError(f"{file} is exported already; give the run's folder, since the page's file takes {POSE_LAYOUT}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileError(f"{out} exists and is not an empty folder; choose another --out.")
    if not window >= 0.5 or not stride > 0:
        raise SettingError(f"windows of {window} s every {stride} s: a window is at least 0.5 s, and a stride more than 0.")
    recognizer = load_recognizer(file).drop_heads()
    spec, layout = recognizer.spec, load_layout(POSE_LAYOUT)
    options = Reading(spec.reading or {}, {}).options("poses")
    if options.scale != 1 or options.up is not None:
        raise SettingError(f"{file} was trained on poses in other units or with another axis up, which the page cannot make.")
    copies = {name: (resources.files(__package__) / name).read_bytes() for name in _OWN}
    static = resources.files("poseglot.app.web") / "static"
    copies |= {name: (static / name).read_bytes() for name in _SHARED}
    if pose_model is not None:
        copies[POSE] = _read(Path(pose_model))
    if (licence := file.with_name("LICENSE")).is_file():
        copies["LICENSE"] = licence.read_bytes()
    libraries = {use: library.urls() for use, library in LIBRARIES.items()}
    if node_modules is not None:
        for use, library in LIBRARIES.items():
            for name, content in library.read(Path(node_modules)).items():
                copies[f"lib/{use}/{(path := Path(library.files[name][0])).name}"] = content
                libraries[use][name]["url"] = f"lib/{use}/{path.name}"
    any_layout = is_common_body(recognizer.layout)
    with tempfile.TemporaryDirectory(prefix="poseglot-page-") as folder:
        model = Path(folder) / MODEL
        difference = export_raw_onnx(
            recognizer,
            model,
            layout=layout,
            has_scores=True if any_layout else None,
            made_from=sha256_of(file),
            temperature=temperature_of(file),
        )
        copies[MODEL] = model.read_bytes()
    num_dims, has_scores = (3, True) if any_layout else (spec.channels - spec.has_scores, spec.has_scores)
    table = {
        "about": f"{spec.encoder}, {len(spec.classes)} actions, {num_dims}D joints of {POSE_LAYOUT}."
        + (" The file LICENSE says what the weights may be used for." if "LICENSE" in copies else ""),
        "classes": spec.classes,
        "model": _file(MODEL, copies[MODEL]),
        "pose": _file(POSE, copies[POSE]) if POSE in copies else None,
        "libraries": libraries,
        "input": {
            "layout": layout.name,
            "joints": len(layout),
            "num_dims": num_dims,
            "has_scores": has_scores,
            "channels": num_dims + has_scores,
            "num_persons": spec.num_persons,
            "bones": layout.bone_pairs,
            "parts": part_names(layout),
        },
        "colors": dict(PART_COLORS),
        "window": window,
        "stride": stride,
        "min_duration": 0.5,
    }
    copies["page.json"] = json.dumps(table).encode()
    copies["index.html"] = _with_policy(copies["index.html"].decode(), libraries, network=node_modules is None)
    for name, content in copies.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return difference


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"could not read the pose model {path}: {error.strerror}.") from error


def _file(name: str, content: bytes) -> dict[str, str]:
    """Return a file's address in the folder, and its hash as a browser checks it."""
    return {"url": name, "integrity": integrity(content)}


def _with_policy(html: str, libraries: dict[str, Any], *, network: bool) -> bytes:
    """Return the page with the hashes of the modules that it imports, and a policy that keeps everything on the machine."""
    modules = {"integrity": {}, "imports": {}}  # type: dict[str, dict[str, str]]
    for files in libraries.values():
        for use in ("module", "loader"):
            url = files[use]["url"]
            modules["integrity"][url if network else f"./{url}"] = files[use]["integrity"]
    imports = json.dumps(modules)
    own = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    other = f" {NETWORK}" if network else ""
    policy = (
        f"default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval' 'sha256-{own}'{other}; connect-src 'self' blob:{other}; "
        "style-src 'self'; img-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
    )
    return html.replace("POLICY", policy).replace("IMPORTS", imports).encode()
