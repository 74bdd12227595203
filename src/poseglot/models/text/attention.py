"""Attention masks without a device synchronisation.

transformers omits the mask where nothing is padded, and finds out by reading it: on a GPU every forward pass would wait there. Whoever
tokenized the texts knows it on the CPU already. So a text encoder passes no mask where there is no padding, and one that is never read
where there is. Same masks, same numbers.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

# transformers treats every name that contains sdpa as torch's scaled_dot_product_attention.
NAME = "poseglot-sdpa"


def skip_mask_checks(model: nn.Module) -> bool:
    """Give a transformers model attention that does not read its masks; return whether the model took it.

    Models without scaled_dot_product_attention (T5), and versions of transformers without exchangeable attention, stay as they are.
    """
    config: Any = getattr(model, "config", None)
    if getattr(config, "_attn_implementation", None) not in ("sdpa", NAME):
        return False
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.integrations.sdpa_attention import sdpa_attention_forward
        from transformers.masking_utils import sdpa_mask
    except ImportError:
        return False

    def mask(**options: Any) -> Tensor | None:
        if options.get("attention_mask") is not None:
            options |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        made: Tensor | None = sdpa_mask(**options)
        return made

    AttentionInterface.register(NAME, sdpa_attention_forward)
    AttentionMaskInterface.register(NAME, mask)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
    return bool(config._attn_implementation == NAME)
