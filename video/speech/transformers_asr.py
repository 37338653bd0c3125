"""Recognisers of transformers: Whisper, Moonshine, Parakeet and Qwen3-ASR, by hub id or folder.

They give text without times of words: each stretch of speech is heard by itself, and its text has
the stretch's time. Weights are safetensors, and no code of a model's author runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.speech.recogniser import RecogniserError, make_key
from mmreason.video.speech.transcript import Segment

_Way = Literal["text", "ctc", "chat"]
_FAMILIES: dict[str, tuple[str, _Way]] = {
    "whisper": ("WhisperForConditionalGeneration", "text"),
    "moonshine": ("MoonshineForConditionalGeneration", "text"),
    "parakeet_ctc": ("ParakeetForCTC", "ctc"),
    "parakeet_tdt": ("ParakeetForTDT", "text"),
    "parakeet_rnnt": ("ParakeetForRNNT", "text"),
    "qwen3_asr": ("Qwen3ASRForConditionalGeneration", "chat"),
}
_TOKENS_PER_S, _BASE_TOKENS = 8, 24
_STATED_LENGTH = ("whisper", "moonshine", "qwen3_asr")
"""Families whose `generate` takes a number of tokens; of the others sound sets the length."""


class TransformersRecogniser:
    """A model of transformers with its processor."""

    window_s = 20.0
    """Long enough for sentences, short enough that a text's time says something."""
    has_word_times = False

    def __init__(
        self,
        name: str,
        model: Any,
        processor: Any,
        *,
        language: str | None = None,
    ) -> None:
        """Wrap a loaded model; people call `load_recogniser`. Raises RecogniserError for a family
        that is not known."""
        self._family = str(model.config.model_type)
        if self._family not in _FAMILIES:
            raise RecogniserError(
                f"{name}: is a model of the family {self._family}, which is no recogniser that is "
                f"known; known are {', '.join(_FAMILIES)}"
            )
        self._name, self._model, self._processor = name, model.eval(), processor
        takes_language = self._family == "qwen3_asr" or (
            self._family == "whisper" and self._is_multilingual
        )
        if language is not None and not takes_language:
            raise RecogniserError(
                f"{name}: takes no language; leave it out, or give a model of many languages"
            )
        self._language = language

    @property
    def name(self) -> str:
        """See `Recogniser`."""
        return self._name

    @property
    def key(self) -> str:
        """See `Recogniser`."""
        return make_key(f"transformers {self._name}", {"language": self._language})

    @property
    def languages(self) -> tuple[str, ...]:
        """See `Recogniser`. Whisper's and Moonshine's English models say so in their settings."""
        is_english = self._family == "moonshine" or (
            self._family == "whisper" and self._is_multilingual is False
        )
        return ("en",) if is_english else ()

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        """See `Recogniser`."""
        import torch

        with torch.inference_mode():
            text, confidence = {
                "text": self._write,
                "ctc": self._read_frames,
                "chat": self._answer,
            }[_FAMILIES[self._family][1]](samples)
        text = " ".join(text.split())
        if not text:
            return ()
        language = self._language or (self.languages[0] if self.languages else "")
        return (Segment(samples.span, text, confidence=confidence, language=language),)

    def _write(self, samples: AudioSamples) -> tuple[str, float | None]:
        """Token after token, as Whisper and Moonshine do."""
        inputs = self._prepare(samples)
        settings: dict[str, Any] = {}
        if self._family in _STATED_LENGTH:
            settings = {
                "max_new_tokens": self._most_tokens(samples),
                "do_sample": False,
                "output_scores": True,
            }
        if self._family == "whisper" and self._is_multilingual:
            settings |= {"task": "transcribe", "language": self._language}
        written = self._model.generate(**inputs, return_dict_in_generate=True, **settings)
        ids = written.sequences
        text = self._processor.batch_decode(ids, skip_special_tokens=True)[0]
        return text, self._confidence(written)

    def _read_frames(self, samples: AudioSamples) -> tuple[str, float | None]:
        """A token or none for each moment (CTC)."""
        logits = self._model(**self._prepare(samples)).logits[0].float()
        probabilities, ids = logits.softmax(-1).max(-1)
        text = self._processor.batch_decode(ids[None], skip_special_tokens=True)[0]
        return text, round(float(probabilities.log().mean().exp()), 4)

    def _answer(self, samples: AudioSamples) -> tuple[str, float | None]:
        """An answer to a request in a chat (Qwen3-ASR)."""
        inputs = self._processor.apply_transcription_request(
            audio=samples.samples, language=self._language
        ).to(self._model.device, self._model.dtype)
        written = self._model.generate(
            **inputs,
            max_new_tokens=self._most_tokens(samples),
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        ids = written.sequences[:, inputs["input_ids"].shape[1] :]
        text = self._processor.decode(ids, return_format="transcription_only")
        return text if isinstance(text, str) else text[0], self._confidence(written)

    def _prepare(self, samples: AudioSamples) -> Any:
        inputs = self._processor(
            samples.samples, sampling_rate=samples.rate_hz, return_tensors="pt"
        )
        return inputs.to(self._model.device, self._model.dtype)

    @property
    def _is_multilingual(self) -> bool | None:
        """Of Whisper; None where its settings do not say so, so that no language can be named."""
        return getattr(self._model.generation_config, "is_multilingual", None)

    def _most_tokens(self, samples: AudioSamples) -> int:
        return _BASE_TOKENS + math.ceil(_TOKENS_PER_S * len(samples) / samples.rate_hz)

    def _confidence(self, written: Any) -> float | None:
        """e to the mean log-probability of what was written."""
        scores = getattr(written, "scores", None)
        if not scores:
            return None
        taken = self._model.compute_transition_scores(
            written.sequences, scores, normalize_logits=True
        )[0]
        taken = taken[taken.isfinite()]
        return round(float(taken.mean().exp()), 4) if len(taken) else None


def load_transformers(
    name: str | Path, *, hotwords: Sequence[str], language: str | None
) -> TransformersRecogniser:
    """The model in the folder or of the hub id `name`. Raises RecogniserError."""
    import transformers

    if hotwords:
        raise RecogniserError(
            f"{name}: hotwords are taken by faster-whisper and by servers alone; leave them out"
        )
    title = Path(name).name if isinstance(name, Path) else name
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        if config.model_type not in _FAMILIES:
            raise RecogniserError(
                f"{title}: is a model of the family {config.model_type}, which is no recogniser "
                f"that is known; known are {', '.join(_FAMILIES)}"
            )
        kind = getattr(transformers, _FAMILIES[config.model_type][0])
        model = kind.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
        processor = transformers.AutoProcessor.from_pretrained(name, trust_remote_code=False)
    except RecogniserError:
        raise
    except Exception as error:  # of the hub's client, of the files
        reason = " ".join(str(error).split())[:200]
        raise RecogniserError(
            f"{title}: no recogniser that can be loaded ({type(error).__name__}: {reason})"
        ) from error
    return TransformersRecogniser(title, model, processor, language=language)
