"""The two JavaScript libraries of the browser page: versions, files and hashes, from a node_modules folder or a content network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poseglot.errors import FileError

NETWORK = "https://cdn.jsdelivr.net"


@dataclass(frozen=True)
class Library:
    """A package of npm.

    Attributes:
        name, version: The package.
        files: What a file is for -> its path in the package and its SHA-384 in base64.
    """

    name: str
    version: str
    files: Mapping[str, tuple[str, str]]

    def urls(self) -> dict[str, dict[str, str]]:
        """Return what each file is for -> its address on the content network and its hash, as a browser checks it."""
        base = f"{NETWORK}/npm/{self.name}@{self.version}"
        return {use: {"url": f"{base}/{file}", "integrity": f"sha384-{digest}"} for use, (file, digest) in self.files.items()}

    def read(self, node_modules: Path) -> dict[str, bytes]:
        """Return what each file is for -> its bytes in a node_modules folder.

        Raises:
            FileError: A file is missing, or of another version.
        """
        read = {}
        for use, (file, digest) in self.files.items():
            path = node_modules / self.name / file
            try:
                read[use] = path.read_bytes()
            except OSError as error:
                raise FileError(
                    f"could not read {path}: {error.strerror}. `npm install {self.name}@{self.version}` brings it."
                ) from error
            if integrity(read[use]) != f"sha384-{digest}":
                raise FileError(f"{path} is not that of version {self.version}: `npm install {self.name}@{self.version}`.")
        return read


def integrity(content: bytes) -> str:
    """Return the hash of a file as a browser checks it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


LIBRARIES: Mapping[str, Library] = {
    "runtime": Library(
        "onnxruntime-web",
        "1.30.0",
        {
            "module": ("dist/ort.wasm.min.mjs", "SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ"),
            "loader": ("dist/ort-wasm-simd-threaded.mjs", "XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"),
            "wasm": ("dist/ort-wasm-simd-threaded.wasm", "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"),
        },
    ),
    "vision": Library(
        "@mediapipe/tasks-vision",
        "1.1.0",
        {
            "module": ("vision_bundle.mjs", "K9SZSZsVUHJTcMp4orEz7jVOD7Ro/2+0a1VxJvrOorWMtdXCO/rYlF17bw+iomf4"),
            "loader": ("wasm/vision_wasm_internal.js", "jtdjdNIo/J/KCH4Cdzr0WgtLSeu00Z2fb8m+3ZtlUjdU0qa7b2BY2DH+xDyT5h+Z"),
            "wasm": ("wasm/vision_wasm_internal.wasm", "/8GYMkLZzcgbPHE7bao2HMZy558ZB+mbLg8RZv/JcFMf6w+tTW6j0o6bigM78NVV"),
        },
    ),
}
