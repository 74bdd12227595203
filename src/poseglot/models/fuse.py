"""A recognizer for inference: the same answers from fewer operations.

    fused = fuse(recognizer)
    fused(clips)                    # (N, M, T, V, C) -> logits (N, classes)
    fused.joint_features(clips)     # (N, V, F), whose mean over joints, classified, is the logits

It has no heads, and no parameter that learns; every BatchNorm is folded into the convolution in front of it, in double precision
(`encoders.folding`). An encoder that has kernels for the CPU (`prepare`) runs in them there. Everywhere else, in exported files and while
streaming (`continual`), the folded modules run. Modules that do not know how to fold keep their BatchNorms and compute the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from poseglot.kernels import disabled_reason
from poseglot.models.encoders.backbone import SkeletonEncoder
from poseglot.models.encoders.folding import ScaleShift, belongs_to_forward, fold_batch_norms, scale_and_shift
from poseglot.models.recognizer import Recognizer, RecognizerSpec, described_in_short
from poseglot.skeletons.layout import Layout


def fuse(recognizer: Recognizer) -> FusedRecognizer:
    """Return the fused form of a recognizer, with its dtype and on its device. Later changes to its weights are not seen."""
    return FusedRecognizer(recognizer)


class FusedRecognizer(nn.Module):
    """Clips (N, M, T, V, C), M up to the spec's people -> logits (N, classes). For inference only.

    Args:
        recognizer: in any mode; the fused form is that of evaluation. Nothing is shared with it.

    Attributes:
        has_kernels: whether the encoder runs in kernels on the CPU.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.layout: Layout = recognizer.layout
        self.spec: RecognizerSpec = replace(recognizer.spec, levels=None, embed_dim=0)
        encoder = copy.deepcopy(recognizer.encoder).eval().requires_grad_(False)
        # Before anything is folded: the kernels apply BatchNorms by themselves.
        self._kernels: Callable[[Tensor], Tensor] | None = None
        if belongs_to_forward(encoder, "prepare"):
            self._kernels, self._kernels_dtype = encoder.prepare(), recognizer.classifier.weight.dtype  # type: ignore[operator]
        self.encoder = fold_batch_norms(encoder)
        if isinstance(encoder, SkeletonEncoder):
            norm = encoder.input_norm
            encoder.input_norm = ScaleShift(*scale_and_shift(norm), like=norm.weight, dims=1)  # type: ignore[assignment]
        self.classifier = copy.deepcopy(recognizer.classifier)
        transform = recognizer.input_transform
        self.register_buffer("input_transform", None if transform is None else transform.clone(), persistent=False)
        self.input_transform: Tensor | None
        self.eval().requires_grad_(False)

    @property
    def has_kernels(self) -> bool:
        return self._kernels is not None

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self._encode(x).mean(dim=(1, 2, 3)))

    def joint_features(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to (N, V, F), the mean over people and frames."""
        return self._encode(x).mean(dim=(1, 2))

    def features_over_time(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to (N, T', F), the mean over people and joints."""
        return self._encode(x).mean(dim=(1, 3))

    def classify(self, features: Tensor) -> Tensor:
        """Map mean features (N, F) to logits (N, classes)."""
        logits: Tensor = self.classifier(features)
        return logits

    def enter(self, x: Tensor) -> Tensor:
        """Apply the input transform, if there is one."""
        return x if self.input_transform is None else self.input_transform.to(x.dtype) @ x

    def _encode(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        if self._kernels is not None and disabled_reason() is None and (x.device.type, x.dtype) == ("cpu", self._kernels_dtype):
            return self._kernels(x)
        y: Tensor = self.encoder(x)
        return y

    def __repr__(self) -> str:
        way = "CPU kernels" if self.has_kernels else f"torch on {self.classifier.weight.device}"
        return f"FusedRecognizer({described_in_short(self.spec, self.layout)}, {way})"
