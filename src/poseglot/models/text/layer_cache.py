"""The lower layers of a text encoder, run once: training its last layers costs a fraction, and gives the same numbers.

The texts of a data set are few and known. What goes into the first trained layer is kept for each of them; a step runs from there. The
layers below are skipped by handing on their input, so that everything around them (masks, positions, pooling) is the model's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.devices import to_device
from poseglot.errors import SettingError
from poseglot.models.text.encoder import LENGTH_GROUPS, TextEncoder, Tokens

TOLERANCE = 1e-4


class LayerCache(nn.Module):
    """The input of a text encoder's first trained layer, for a list of texts.

    Makes what lies below that layer untrained. The encoder's own weights and names stay as they are.

    Args:
        encoder: Pre-trained.
        tokens: Of all texts.
        train_layers: The number of last layers that learn.

    Raises:
        SettingError: The encoder has fewer layers, or does not give the same features with its lower layers skipped.
    """

    def __init__(self, encoder: TextEncoder, tokens: Tokens, train_layers: int) -> None:
        super().__init__()
        layers = transformer_layers(encoder.model)
        if not 1 <= train_layers <= len(layers):
            raise SettingError(f"text.train_layers must be from 1 to the encoder's {len(layers)} layers, not {train_layers}.")
        # In a list, not as modules: they belong to the encoder.
        self._skipped, self._first = list(layers[: len(layers) - train_layers]), [layers[len(layers) - train_layers]]
        self._tuples = False
        encoder.eval()
        with torch.no_grad():
            hidden, whole = self._read(encoder, tokens)
        self.register_buffer("hidden", hidden, persistent=False)
        self.hidden: Tensor
        with torch.no_grad():
            same = torch.allclose(self(encoder, tokens, torch.arange(len(tokens))), whole, rtol=TOLERANCE, atol=TOLERANCE)
        if not same:
            raise SettingError("this text encoder gives other features with its lower layers skipped; set text.train_layers 0.")
        self._freeze_below(encoder, tokens)

    def forward(self, encoder: TextEncoder, tokens: Tokens, indices: Tensor) -> Tensor:
        """Encode some of the texts.

        Args:
            tokens: Of all texts.
            indices: (n,), on the CPU.

        Returns:
            (n, width).
        """
        features = []
        groups = _groups(tokens, indices)
        for group in groups:
            chosen = tokens.select(indices[group])
            hidden = self.hidden.index_select(0, to_device(indices[group], self.hidden.device))[:, : chosen.ids.shape[1]]
            with self._started_from(hidden):
                features.append(encoder._encode(chosen))
        together, order = torch.cat(features), torch.cat(groups)
        return torch.zeros_like(together).index_copy(0, to_device(order, together.device), together)

    def _read(self, encoder: TextEncoder, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Run the whole encoder; return the first trained layer's inputs, padded to the longest text, and the features."""
        inputs: list[Tensor] = []
        features = []

        def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs.append(args[0] if args else kwargs["hidden_states"])

        def see(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._tuples = isinstance(output, tuple)

        groups = _groups(tokens, torch.arange(len(tokens)))
        with ExitStack() as stack:
            stack.callback(self._first[0].register_forward_pre_hook(keep, with_kwargs=True).remove)
            stack.callback(self._first[0].register_forward_hook(see).remove)
            for group in groups:
                features.append(encoder._encode(tokens.select(group)))
        longest = tokens.ids.shape[1]
        padded = [nn.functional.pad(each, (0, 0, 0, longest - each.shape[1])) for each in inputs]
        back = torch.cat(groups).argsort()
        return torch.cat(padded)[back], torch.cat(features)[back]

    @contextmanager
    def _started_from(self, hidden: Tensor) -> Iterator[None]:
        """Skip the lower layers, and give the first trained layer this input."""

        def skip(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            return (x,) if self._tuples else x

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            given = hidden.to(args[0].dtype if args else kwargs["hidden_states"].dtype)
            return ((given, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": given})

        with ExitStack() as stack:
            for layer in self._skipped:
                layer.forward = skip
                stack.callback(delattr, layer, "forward")
            stack.callback(self._first[0].register_forward_pre_hook(enter, with_kwargs=True).remove)
            yield

    def _freeze_below(self, encoder: TextEncoder, tokens: Tokens) -> None:
        """Leave only those parameters to be trained that the features depend on from the first trained layer onwards."""
        named = [(name, parameter) for name, parameter in encoder.named_parameters() if parameter.requires_grad]
        with torch.enable_grad():
            features = self(encoder, tokens, torch.arange(1))
            gradients = torch.autograd.grad(features.sum(), [parameter for _, parameter in named], allow_unused=True)
        for (_, parameter), gradient in zip(named, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)


def transformer_layers(model: nn.Module) -> nn.ModuleList:
    """Find the list of a transformers model's layers.

    Raises:
        SettingError: The model has no such list.
    """
    config: Any = model.config
    count = getattr(config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise SettingError(f"the layers of a {type(model).__name__} were not found; set text.train_layers 0.")


def _groups(tokens: Tokens, indices: Tensor) -> list[Tensor]:
    """Divide some texts into groups of similar length, as `TextEncoder.forward` does: positions in `indices`."""
    order = tokens.mask[indices].sum(dim=1).argsort(stable=True)
    return list(order.tensor_split(min(LENGTH_GROUPS, len(indices))))
