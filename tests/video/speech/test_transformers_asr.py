"""Recognisers of transformers, tiny and random: what goes in and comes out, not what is heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video.audio import AudioSamples
from mmreason.video.speech import RecogniserError, load_recogniser
from mmreason.video.speech.transformers_asr import TransformersRecogniser
from tests.fakes.tiny_parts import words_of

SOUND = AudioSamples(
    samples=np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32),
    rate_hz=16_000,
    start_s=5.0,
)


def save_whisper(folder: Path) -> None:
    import transformers

    words = words_of("<|endoftext|>", "<|startoftranscript|>")
    config = transformers.WhisperConfig(
        vocab_size=len(words),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_source_positions=1500,
        max_target_positions=448,
        num_mel_bins=80,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=0,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config.update(is_multilingual=False, no_timestamps_token_id=1)
    model.save_pretrained(folder)
    transformers.WhisperProcessor(
        transformers.WhisperFeatureExtractor(feature_size=80), words
    ).save_pretrained(folder)


def save_moonshine(folder: Path) -> None:
    import transformers

    words = words_of("<unk>", "<s>", "</s>")
    config = transformers.MoonshineConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        pad_token_id=2,
    )
    model = transformers.MoonshineForConditionalGeneration(config)
    # Of zeros no logit is the largest: it writes letters, and does not end at once.
    model.state_dict()["model.decoder.embed_tokens.weight"][:3] = 0
    model.save_pretrained(folder)
    transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), words).save_pretrained(
        folder
    )


def save_parakeet(folder: Path) -> None:
    import transformers

    words = words_of("<unk>", "<pad>")
    encoder = transformers.ParakeetEncoderConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        subsampling_conv_channels=8,
        num_mel_bins=80,
    )
    config = transformers.ParakeetCTCConfig(
        vocab_size=len(words), encoder_config=encoder.to_dict(), pad_token_id=1
    )
    transformers.ParakeetForCTC(config).save_pretrained(folder)
    transformers.ParakeetProcessor(
        transformers.ParakeetFeatureExtractor(feature_size=80), words
    ).save_pretrained(folder)


@pytest.mark.parametrize("save", [save_whisper, save_moonshine, save_parakeet])
def test_a_model_of_the_family_hears_a_window(tmp_path: Path, save: Callable[[Path], None]) -> None:
    import torch

    torch.manual_seed(0)
    save(tmp_path)
    recogniser = load_recogniser(tmp_path)
    assert isinstance(recogniser, TransformersRecogniser) and not recogniser.has_word_times
    segments = recogniser.recognise(SOUND)
    for segment in segments:
        assert segment.span == SOUND.span and segment.text == " ".join(segment.text.split())
        assert segment.confidence is not None and 0 < segment.confidence < 1
    assert segments == recogniser.recognise(SOUND)
    assert segments, "random weights write something"


def test_hotwords_are_not_dropped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}', encoding="utf-8")
    with pytest.raises(RecogniserError, match="hotwords are taken by faster-whisper"):
        load_recogniser(tmp_path, hotwords=["mmreason"])


class ChatProcessor:
    """Takes what Qwen3-ASR's processor takes, and says what it got."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def apply_transcription_request(self, **request: Any) -> Any:
        import torch
        from transformers import BatchFeature

        self.asked = request
        return BatchFeature({"input_ids": torch.zeros((1, 3), dtype=torch.long)})

    def decode(self, ids: Any, return_format: str) -> list[str]:
        assert ids.shape[1] > 0 and return_format == "transcription_only"
        return [" said  so "]


def test_qwen_is_asked_in_a_chat_and_only_its_answer_is_text() -> None:
    from types import SimpleNamespace

    import torch

    class Model:
        config = SimpleNamespace(model_type="qwen3_asr")
        device, dtype = torch.device("cpu"), torch.float32

        def eval(self) -> Model:
            return self

        def generate(self, input_ids: Any, **settings: Any) -> Any:
            assert settings["max_new_tokens"] == 32 and not settings["do_sample"]
            ids = torch.cat([input_ids, torch.ones((1, 2), dtype=torch.long)], 1)
            return SimpleNamespace(sequences=ids, scores=())

    processor = ChatProcessor()
    (segment,) = TransformersRecogniser("qwen", Model(), processor, language="de").recognise(SOUND)
    assert (segment.text, segment.language, segment.confidence) == ("said so", "de", None)
    assert processor.asked["language"] == "de" and len(processor.asked["audio"]) == 16_000
