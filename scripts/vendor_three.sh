#!/usr/bin/env bash
# Vendors three.js for the web page: the parts that the page uses, from npm, bundled and minified into one file, with its licence.
# Needs npm. Says what it made; `tests/app/web/test_vendor.py` compares the file with the hash written beside it.
set -euo pipefail
three=0.187.0
esbuild=0.28.2
to="$(cd "$(dirname "$0")/.." && pwd)/src/poseglot/app/web/static/vendor"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes > npm.log
npm install --no-audit --no-fund "three@$three" "esbuild@$esbuild" >> npm.log
cat > used.js <<'JS'
export {
  AmbientLight, BufferGeometry, Color, CylinderGeometry, DirectionalLight, Float32BufferAttribute, GridHelper, Group, HemisphereLight,
  InstancedMesh, LineBasicMaterial, LineLoop, Matrix4, Mesh, MeshBasicMaterial, MeshLambertMaterial, PerspectiveCamera, PlaneGeometry,
  Quaternion, Scene, SphereGeometry, Vector3, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
JS
npx esbuild used.js --bundle --minify --format=esm --target=es2022 --legal-comments=inline --outfile=three.min.js
mkdir -p "$to"
cp three.min.js "$to/three.min.js"
cp node_modules/three/LICENSE "$to/three.LICENSE"
cd "$to"
cat > VERSIONS <<TEXT
three.min.js  three $three (npm, MIT licence: three.LICENSE), bundled by esbuild $esbuild; made by scripts/vendor_three.sh
sha256 $(sha256sum three.min.js | cut -d' ' -f1)
TEXT
cat VERSIONS
