"""Which server writes rollouts, and how new weights come to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mmreason.training.checked_settings import Kind, check_settings, setting
from mmreason.types import UsageError

Engine = Literal["vllm", "sglang"]
WeightsAs = Literal["model", "adapter"]

_TEXT = Kind(lambda value: isinstance(value, str), "a text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """A server of one model that is trained.

    Example:
        >>> ServerSettings(engine="vllm", url="http://localhost:8000/v1").weights_as
        'model'
    """

    engine: Engine = setting("vllm", choices=get_args(Engine))
    url: str = setting("", kind=_TEXT, moves_numbers=False)
    """Up to and including `/v1`."""
    model: str | None = setting(None, kind=_TEXT, moves_numbers=False)
    """As the server calls it; None: the only one that it has."""
    api_key_file: str | None = setting(None, kind=_TEXT, moves_numbers=False)
    """File that holds the key."""
    weights_as: WeightsAs = setting("model", choices=get_args(WeightsAs))
    """The whole model, adapters merged in, or the LoRA adapter alone."""
    weights_folder: str | None = setting(None, kind=_TEXT, moves_numbers=False)
    """Where weights are written for the server, which must see it under the same path; None: in the
    folder of the run."""
    sleeps: bool = setting(False, moves_numbers=False)
    """Let the server give its memory back while the model is trained: both on one GPU."""
    logprobs_at_temperature: bool = setting(False)
    """The server's log-probabilities are those at the temperature that it samples at (vLLM:
    `--logprobs-mode processed_logprobs`)."""
    at_once: int = setting(64, least=1, moves_numbers=False)
    """Most requests at a time."""
    timeout_s: float = setting(600.0, above=0, moves_numbers=False)
    """Longest wait for a rollout, and for weights to be taken."""

    def __post_init__(self) -> None:
        check_settings(self, "sampling.server")
        if not self.url:
            raise UsageError(
                "recipe: sampling.server.url must be the URL of a server, up to and including /v1"
            )
