"""What servers are told beside requests: take these weights, give memory back, go on.

Routes as vLLM and SGLang document them. vLLM knows `/sleep`, `/wake_up`, `/collective_rpc` and
`/reset_prefix_cache` in its development mode (`VLLM_SERVER_DEV_MODE=1`, `--enable-sleep-mode`), and
adapters with `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`. Every answer is checked; one that does not
say that it was done ends the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx2

from mmreason.models.endpoint_http import checked_key, checked_url
from mmreason.models.key_cleaning import KeyCleaner
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

MOST_CONTROL_BYTES = 2**20
"""Of an answer to a command."""
_SHOWN = 200


class ServerError(UsageError):
    """A server did not do what it was told. One line that names the route."""


class WeightsServer(Protocol):
    """A server that takes weights: one contract test over all."""

    def load_model(self, folder: Path, version: str) -> None:
        """Take the weights of a model folder. ServerError where it does not."""
        ...

    def load_adapter(self, folder: Path, version: str) -> str:
        """Take the adapter of a folder; the name that requests call it by."""
        ...

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        ...

    def sleep(self, *, keeps_weights: bool) -> None:
        """Give memory back; weights too, unless they are needed again."""
        ...

    def wake_weights(self) -> None:
        """Take memory for weights again."""
        ...

    def wake_cache(self) -> None:
        """Take memory for keys and values again: requests can follow."""
        ...


class ControlClient:
    """Posts commands to the root of a server and reads what it says."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float):
        self.root = checked_url(url).removesuffix("/v1")
        key = checked_key(api_key)
        self._cleaner = KeyCleaner(key)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # A redirect could carry the key to another host.
        self._client = httpx2.Client(headers=headers, timeout=timeout_s, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """The text of an answer with status 200. ServerError for any other."""
        url = f"{self.root}{path}"
        try:
            with self._client.stream(method, url, json=body, params=query) as response:
                raw = b""
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > MOST_CONTROL_BYTES:
                        raise ServerError(f"{url}: answers more than {MOST_CONTROL_BYTES:,} bytes")
        except httpx2.HTTPError as error:
            what = self._show(str(error)) or type(error).__name__
            raise ServerError(f"{url}: the server cannot be reached ({what})") from error
        text = raw.decode("utf-8", errors="replace")
        if response.status_code != 200:
            hint = "; see docs/reinforcement.md for how to start it" if response.is_error else ""
            raise ServerError(
                f"{url}: expected status 200, found {response.status_code}: "
                f"{self._show(text) or 'no reason given'}{hint}"
            )
        return text

    def send_json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A JSON object."""
        text = self.send(method, path, body)
        try:
            value = parse_json(text, most_bytes=MOST_CONTROL_BYTES)
        except JsonInputError as error:
            raise ServerError(
                f"{self.root}{path}: expected JSON, found {self._show(text)!r}"
            ) from error
        if not isinstance(value, dict):
            raise ServerError(
                f"{self.root}{path}: expected a JSON object, found {self._show(text)!r}"
            )
        return value

    def refuse(self, path: str, expected: str, found: object) -> ServerError:
        """The error for an answer that does not say what it should."""
        shown = self._show(json.dumps(found, ensure_ascii=False, default=str))
        return ServerError(f"{self.root}{path}: expected {expected}, found {shown}")

    def _show(self, text: str) -> str:
        return self._cleaner.clean_text(show_line(self._cleaner.clean_text(text)))[:_SHOWN]


class VllmServer:
    """See `WeightsServer`."""

    def __init__(self, client: ControlClient):
        self._client = client

    def load_model(self, folder: Path, version: str) -> None:
        """See `WeightsServer`: every worker reads the folder's safetensors."""
        body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        answer = self._client.send_json("POST", "/collective_rpc", body)
        results = answer.get("results")
        # One result a worker; a method without a value gives null.
        if not isinstance(results, list) or not results:
            raise self._client.refuse("/collective_rpc", "a result of each worker", answer)
        # Keys and values of the old weights would be taken for those of the new ones.
        self._client.send("POST", "/reset_prefix_cache")

    def load_adapter(self, folder: Path, version: str) -> str:
        """See `WeightsServer`. Another name for every version: nothing cached can be mistaken."""
        name = f"mmreason-{version}"
        # A run that goes on may find what it left behind.
        if name in self._list_models():
            self.unload_adapter(name)
        body = {"lora_name": name, "lora_path": str(folder)}
        self._client.send("POST", "/v1/load_lora_adapter", body)
        names = self._list_models()
        if name not in names:
            raise self._client.refuse("/v1/models", f"the adapter {name!r} among them", names)
        return name

    def unload_adapter(self, name: str) -> None:
        """See `WeightsServer`."""
        self._client.send("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def sleep(self, *, keeps_weights: bool) -> None:
        """See `WeightsServer`: level 1 keeps weights in main memory, level 2 drops them."""
        self._client.send("POST", "/sleep", query={"level": "1" if keeps_weights else "2"})

    def wake_weights(self) -> None:
        """See `WeightsServer`."""
        self._client.send("POST", "/wake_up", query={"tags": "weights"})

    def wake_cache(self) -> None:
        """See `WeightsServer`."""
        self._client.send("POST", "/wake_up", query={"tags": "kv_cache"})

    def _list_models(self) -> list[Any]:
        listed = self._client.send_json("GET", "/v1/models").get("data")
        return [m.get("id") for m in listed if isinstance(m, dict)] if listed else []


class SglangServer:
    """See `WeightsServer`."""

    def __init__(self, client: ControlClient):
        self._client = client
        self._has_weights = True

    def load_model(self, folder: Path, version: str) -> None:
        """See `WeightsServer`; the server must tell the version that it was given."""
        body = {"model_path": str(folder), "weight_version": version, "flush_cache": True}
        self._expect_success("/update_weights_from_disk", body)
        info = self._client.send_json("GET", "/model_info")
        if info.get("weight_version") != version:
            raise self._client.refuse(
                "/model_info", f"weight_version {version!r}", info.get("weight_version")
            )

    def load_adapter(self, folder: Path, version: str) -> str:
        """See `WeightsServer`."""
        name = f"mmreason-{version}"
        self._expect_success("/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        return name

    def unload_adapter(self, name: str) -> None:
        """See `WeightsServer`."""
        self._expect_success("/unload_lora_adapter", {"lora_name": name})

    def sleep(self, *, keeps_weights: bool) -> None:
        """See `WeightsServer`: weights that are needed again stay where they are."""
        tags = ["kv_cache"] if keeps_weights else ["kv_cache", "weights"]
        self._client.send("POST", "/release_memory_occupation", {"tags": tags})
        self._has_weights = keeps_weights

    def wake_weights(self) -> None:
        """See `WeightsServer`."""
        if not self._has_weights:
            self._client.send("POST", "/resume_memory_occupation", {"tags": ["weights"]})

    def wake_cache(self) -> None:
        """See `WeightsServer`."""
        self._client.send("POST", "/resume_memory_occupation", {"tags": ["kv_cache"]})

    def _expect_success(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self._client.send_json("POST", path, body)
        if answer.get("success") is not True:
            raise self._client.refuse(path, '"success": true', answer)
