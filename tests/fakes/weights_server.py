"""A server of a tiny model with the routes of vLLM or SGLang by which weights are brought to it: it
reads the folder that it is given, and refuses what the real ones would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import torch
from safetensors.torch import load_file

from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.types import Completion, Prompt
from tests.fakes import tiny_rl
from tests.models.servers import Back, Sent, listing


@dataclass
class WeightsServerFake:
    """Give `answer` to `tests.models.servers.serving`."""

    engine: str
    ignores_weights: bool = False
    """Says that it took weights, and goes on with the old ones."""
    policy: PolicyModel = field(default_factory=lambda: tiny_rl.policy(seed=7))
    """Of other weights than any trainer's."""
    version: str = "default"
    asleep: set[str] = field(default_factory=set)
    adapters: dict[str, PolicyModel] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def answer(self, sent: Sent) -> Back:
        url = urlsplit(sent.path)
        path, query = url.path, {name: v[0] for name, v in parse_qs(url.query).items()}
        if not path.startswith("/v1/completions"):
            self.log.append(f"{path} {' '.join(query.values())}".strip())
        routes = self.vllm if self.engine == "vllm" else self.sglang
        if path == "/v1/completions":
            return self.complete(sent.body)
        if path == "/v1/models":
            return Back(listing("tiny", *self.adapters))
        return routes(path, sent.body, query)

    def vllm(self, path: str, body: dict[str, Any], query: dict[str, str]) -> Back:
        if path == "/collective_rpc":
            if body.get("method") != "reload_weights" or set(body) - {"method", "args", "kwargs"}:
                return Back({"detail": "Missing 'method' in request body"}, 400)
            self.load(body["kwargs"]["weights_path"])
            return Back({"results": [None]})
        if path == "/reset_prefix_cache":
            return Back(b"")
        if path == "/sleep":
            self.asleep = {"weights", "kv_cache"}
            if query["level"] == "2":
                self.policy = tiny_rl.policy(seed=9)  # dropped: garbage until they come anew
            return Back(b"")
        if path == "/wake_up":
            self.asleep -= {query["tags"]}
            return Back(b"")
        if path == "/v1/load_lora_adapter":
            if set(body) != {"lora_name", "lora_path"} or body["lora_name"] in self.adapters:
                return Back({"error": {"message": "bad adapter request"}}, 400)
            self.adapters[body["lora_name"]] = self.with_adapter(body["lora_path"])
            return Back(b"Success: LoRA adapter added successfully.")
        if path == "/v1/unload_lora_adapter":
            del self.adapters[body["lora_name"]]
            return Back(b"Success")
        return Back({"detail": "Not Found"}, 404)

    def sglang(self, path: str, body: dict[str, Any], query: dict[str, str]) -> Back:
        if path == "/update_weights_from_disk":
            if "model_path" not in body or not isinstance(body.get("weight_version"), str):
                return Back({"success": False, "message": "bad request"}, 400)
            self.load(body["model_path"])
            self.version = body["weight_version"]
            return Back({"success": True, "message": "Succeeded to update model weights."})
        if path == "/model_info":
            return Back({"weight_version": self.version})
        if path == "/release_memory_occupation":
            self.asleep |= set(body["tags"])
            return Back(b"null")
        if path == "/resume_memory_occupation":
            self.asleep -= set(body["tags"])
            return Back(b"null")
        return Back({"detail": "Not Found"}, 404)

    def load(self, folder: str) -> None:
        """The weights of a model folder, really read."""
        assert "weights" not in self.asleep, "weights were brought to a server that sleeps"
        if self.ignores_weights:
            return
        weights = load_file(str(Path(folder) / "model.safetensors"))
        missing, unexpected = self.policy.model.load_state_dict(weights, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)

    def with_adapter(self, folder: str) -> PolicyModel:
        from dataclasses import replace

        from peft import PeftModel

        base = tiny_rl.policy()
        model: Any = PeftModel.from_pretrained(base.model, folder)
        return replace(base, model=model)

    def complete(self, body: dict[str, Any]) -> Back:
        if self.asleep:
            return Back({"error": {"message": "the engine sleeps"}}, 400)
        policy = self.adapters.get(body["model"], self.policy)
        ids = body["prompt"]
        if body.get("echo"):
            logits = policy.model.eval()(input_ids=torch.tensor([ids])).logits[0, :-1]
            logp = torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids[1:])[:, None])
            values = [None, *logp[:, 0].tolist(), -1.0]
            return Back({"choices": [{"logprobs": {"tokens": [], "token_logprobs": values}}]})
        request = tiny_rl.request(
            Prompt(tuple(ids)), body["seed"], body["temperature"], body["max_tokens"]
        )
        (written,) = tiny_rl.sampler(policy).sample([request])
        assert isinstance(written, Completion)
        choice = {
            "text": written.text,
            "finish_reason": written.finish_reason,
            "token_ids": list(written.token_ids),
            "prompt_token_ids": ids,
            "logprobs": {"tokens": [], "token_logprobs": list(written.logprobs)},
        }
        return Back({"choices": [choice]})
