"""Write a packaged recognizer, `src/poseglot/recognizers/NAME`, from a run: half precision, card, licence.

    poseglot train --config nw-ucla/fast --seed 0 --out runs/fast/seed0
    poseglot train --config nw-ucla/fast --seed 1 --out runs/fast/seed1
    OMP_NUM_THREADS=1 python scripts/package_recognizer.py runs/fast/seed0 nw-ucla --seeds runs/fast/seed1 \\
        --learned-from "NW-UCLA Multiview Action 3D (Wang et al., CVPR 2014)"

The run is that of the first seed, whatever the others reach: to choose one by its test clips would be to choose on the test set. The
script evaluates the run and what it wrote on the run's store, and refuses if they differ in more than one clip.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from poseglot.errors import PoseglotError
from poseglot.models.card import Licence
from poseglot.models.pretrained import RECOGNIZER_FILE, describe_recognizer
from poseglot.report.publish import publish_run
from poseglot.training.evaluate import evaluate

FOLDER = Path(__file__).parent.parent / "src" / "poseglot" / "recognizers"
LICENCE_NAME = "LicenseRef-Poseglot-Research-Weights"
LICENCE = """\
Poseglot research weights: licence of the weights in this folder
({id})

The software Poseglot is under the Apache License 2.0. This licence is for the file {file} beside it, and for nothing else.

The weights were learned from {data}.
The data were published for research by their authors, who keep their rights in them. None of the data are in the weights' file.

1. You may use, copy, change and pass on the weights, free of charge, for research, teaching and personal study, as long as this licence
   and the model card go with them.
2. Any other use, commercial use in particular, needs permission of the authors of the data.
3. Publications that use the weights cite the data and Poseglot.
4. The weights may not be used to identify people, nor for decisions about a person.

THE WEIGHTS ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND. NOBODY WHO MADE OR PASSED THEM ON IS LIABLE FOR ANY DAMAGE FROM THEIR USE.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a packaged recognizer from a run.")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--learned-from", required=True, metavar="DATA", help="the data set and its paper")
    parser.add_argument("--store", type=Path, help="the store of the run's clips, if it has moved")
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], metavar="RUN", help="the runs of the other seeds")
    parsed = parser.parse_args()
    licence = Licence(
        "other",
        LICENCE_NAME,
        f"For research only: the weights learned from {parsed.learned_from}; their LICENSE says what is allowed.",
    )
    text = LICENCE.format(id=LICENCE_NAME, file=RECOGNIZER_FILE, data=parsed.learned_from)
    try:
        folder = publish_run(
            parsed.run,
            FOLDER / parsed.name,
            name=parsed.name,
            store=parsed.store,
            seeds=parsed.seeds,
            licence=licence,
            licence_text=text,
            loading=parsed.name,
            notes=["- The run is that of the first seed; the others were not looked at to choose it."] if parsed.seeds else [],
            overwrite=True,
        )
        found = describe_recognizer(parsed.name)
        before = evaluate(parsed.run, parsed.store).top1.correct
    except PoseglotError as error:
        print(f"package_recognizer: {error}", file=sys.stderr)
        return 1
    after = found.results[0]["correct"]
    print(f"{folder}: {found.size / 1e6:.2f} MB; {after} of {found.results[0]['total']} test clips, the run {before}")
    if abs(after - before) > 1:
        print("package_recognizer: half precision changes more than one clip; save it in full.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
