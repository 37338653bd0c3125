"""A vLLM or SGLang server that writes rollouts and takes the new weights of every step.

Weights are read by the server from a folder that both see. That it has them is probed: its
log-probabilities of a fixed text must have come near to the trainer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmreason.models.endpoint_http import EndpointLimits, RequestError
from mmreason.training.generation.endpoint import EndpointSampler
from mmreason.training.generation.sampling import SampleRequest
from mmreason.training.generation.server_control import (
    ControlClient,
    ServerError,
    SglangServer,
    VllmServer,
    WeightsServer,
)
from mmreason.training.generation.server_settings import ServerSettings
from mmreason.training.rollouts.types import Completion, SampleFailure

MOST_PROBE_GAP_NATS = 0.25
"""Mean difference of log-probabilities of server and trainer: kernels and bfloat16 stay below,
another model does not."""
MOVED_NATS = 1e-3
"""Mean difference from which the trainer's weights count as other ones."""


class ServedSampler:
    """See `Sampler`. `load_weights` comes before the first `sample`."""

    follows_weights = True

    def __init__(self, settings: ServerSettings, *, end_ids: Sequence[int]):
        """Connect. UsageError where the server cannot be reached or its model not be told."""
        key = None
        if settings.api_key_file is not None:
            key = Path(settings.api_key_file).read_text(encoding="utf-8").strip()
        limits = EndpointLimits(
            timeout_s=settings.timeout_s,
            total_s=2 * settings.timeout_s,
            concurrency=settings.at_once,
        )
        self._settings = settings
        self._endpoint = EndpointSampler.connect(
            settings.url,
            end_ids=end_ids,
            served_model=settings.model,
            api_key=key,
            limits=limits,
            logprobs_at_temperature=settings.logprobs_at_temperature,
        )
        client = ControlClient(settings.url, api_key=key, timeout_s=settings.timeout_s)
        kind = VllmServer if settings.engine == "vllm" else SglangServer
        self._server: WeightsServer = kind(client)
        self._control = client
        self._adapter: str | None = None
        self._sleeps = False
        self._last_probe: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server did not tell so far."""
        return self._endpoint.notes

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()
        self._control.close()

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        """See `Sampler`."""
        return self._endpoint.sample(requests)

    def load_weights(self, folder: Path, version: str) -> None:
        """Have the server take the weights of a folder. ServerError where it does not."""
        if self._sleeps:
            self._server.wake_weights()
        if self._settings.weights_as == "adapter":
            before, self._adapter = self._adapter, self._server.load_adapter(folder, version)
            self._endpoint.use_model(self._adapter)
            if before is not None:
                self._server.unload_adapter(before)
        else:
            self._server.load_model(folder, version)
        self._wake_cache()

    def wake(self) -> None:
        """Make requests possible again, with the weights that the server has."""
        if self._sleeps:
            self._server.wake_weights()
            self._wake_cache()

    def sleep(self, *, keeps_weights: bool = False) -> None:
        """Give memory back, where the settings say so. Weights that come anew are not kept."""
        if self._settings.sleeps and not self._sleeps:
            # An adapter is added to weights that the server must not forget.
            keeps_weights = keeps_weights or self._settings.weights_as == "adapter"
            self._server.sleep(keeps_weights=keeps_weights)
            self._sleeps = True

    def check_weights(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> float:
        """Mean difference in nats between the server's log-probabilities of all but the first of
        these tokens and `logprobs`, the trainer's. ServerError where the server has other weights:
        it is far off, or is where it was while the trainer has moved on."""
        try:
            probe = self._endpoint.score(token_ids)
        except RequestError as error:
            raise ServerError(f"its weights cannot be probed: {error}") from error
        before, self._last_probe = self._last_probe, (probe, tuple(logprobs))
        gap = _mean_gap(probe, logprobs)
        if gap > MOST_PROBE_GAP_NATS:
            raise ServerError(
                f"{self._control.root}: the server differs by {gap:.2g} nats a token from the "
                "trainer on a fixed text: it does not have the weights that it was given, or is of "
                "another model"
            )
        # Unmoved to the last digit although the trainer moved by more than rounding.
        if (
            before is not None
            and before[0] == probe
            and _mean_gap(before[1], logprobs) > MOVED_NATS
        ):
            raise ServerError(
                f"{self._control.root}: the server said that it took new weights, and gives the "
                f"very log-probabilities of before, {gap:.2g} nats a token from the trainer's"
            )
        return gap

    def _wake_cache(self) -> None:
        if self._sleeps:
            self._server.wake_cache()
            self._sleeps = False


def _mean_gap(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / max(1, len(first))
