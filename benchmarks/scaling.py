"""What several processes say to each other in a step, and what a model of their wires makes of it. Nothing is measured but the counts.

Data parallel, as the engine does it: gradients are averaged (DistributedDataParallel), every BatchNorm sees the whole batch, the features to
be aligned are gathered. `traffic` counts that; `tests/training/test_scaling.py` counts the same in two real processes.
The model of time is a ring's: 2 (p - 1) / p * bytes / bandwidth for what is reduced, and a latency for each collective.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from measuring import table
from torch import nn

from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.skeletons.layout import load_layout

TEXT = {"none or frozen": (0, 384), "MiniLM, tuned": (22_713_216, 384), "CLIP ViT-B/32's, tuned": (63_428_096, 512)}
# bytes a second that each process can send, and seconds that the smallest collective of two takes
WIRES = {"1 GbE": (0.117e9, 50e-6), "25 GbE": (2.9e9, 30e-6), "within a machine": (150e9, 15e-6)}


@dataclass(frozen=True)
class Traffic:
    """Of one step and one process: numbers reduced or gathered, and collectives."""

    gradients: int
    statistics: int
    features: int
    collectives: int

    @property
    def numbers(self) -> int:
        return self.gradients + self.statistics + self.features


def traffic(module: nn.Module, *, levels: int, width: int, batch: int, texts: int = 0, buckets: int = 1) -> Traffic:
    """What a step sends.

    Args:
        module: everything that learns.
        levels, width: of the aligned features; 0 levels without words.
        batch: of all processes.
        texts: distinct ones in a step, whose features are gathered where their encoder learns.
        buckets: in which gradients go.
    """
    norms = [norm.num_features for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm)]
    gradients = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    # Forward: sums and a count, then squares; backward: the gradients of both.
    statistics = sum(2 * (channels + 1) + 2 * channels for channels in norms)
    features = (levels * batch + texts) * width
    return Traffic(gradients, statistics, features, 4 * len(norms) + (levels > 0) + (texts > 0) + buckets)


def seconds(traffic: Traffic, processes: int, bandwidth: float, latency: float) -> float:
    """Of a step's communication, if none of it hid behind computing."""
    if processes == 1:
        return 0.0
    reduced = 4 * (traffic.gradients + traffic.statistics) * 2 * (processes - 1) / processes
    gathered = 4 * traffic.features * (processes - 1) / processes
    steps = max(1, (processes - 1).bit_length())
    return (reduced + gathered) / bandwidth + traffic.collectives * latency * steps


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name, layout, people, classes, batch in (("NW-UCLA", "kinect20", 1, 10, 64), ("NTU RGB+D 120", "ntu25", 2, 120, 200)):
        rows, times = [], []
        table_of = load_layout(layout)
        levels = {"global": tuple(range(len(table_of))), **table_of.partition("four")}
        for text, (learned, width) in TEXT.items():
            spec = RecognizerSpec(
                layout=layout, people=people, classes=tuple(map(str, range(classes))), levels=levels, text_width=width
            )
            recognizer = new_recognizer(spec, seed=0)
            texts = 0 if not learned else min(5 * batch, 450)
            found = traffic(recognizer, levels=len(levels), width=width, batch=batch, texts=texts)
            found = Traffic(found.gradients + learned, found.statistics, found.features, found.collectives)
            rows.append(
                {
                    "text encoder": text, "gradients, MB": 4 * found.gradients / 1e6, "statistics, MB": 4 * found.statistics / 1e6,
                    "features, MB": 4 * found.features / 1e6, "collectives": found.collectives,
                }
            )  # fmt: skip
            for wire, (bandwidth, latency) in WIRES.items():
                times.append(
                    {"text encoder": text, "wire": wire}
                    | {f"{p} processes, ms": 1e3 * seconds(found, p, bandwidth, latency) for p in (2, 8, 64)}
                )
        print(f"{name}, batch {batch}: one step\n\n{table(rows)}\nmodel, not measured:\n\n{table(times)}")


if __name__ == "__main__":
    main()
