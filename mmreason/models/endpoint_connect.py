"""Finding the server and the model behind a URL."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace

from mmreason.models.endpoint_http import (
    EndpointLimits,
    JsonClient,
    RequestError,
    checked_key,
    checked_url,
    is_private,
)
from mmreason.models.endpoint_replies import ListedModel, SchemaError, listed_models
from mmreason.types import UsageError

_FIRST_LOOK = EndpointLimits(attempts=2, timeout_s=20.0, total_s=40.0)
"""Connecting fails sooner than a reply does."""

_TAKEN = "the server does not list the model {!r}, which is taken as given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A client of a server, and the model to ask for."""

    client: JsonClient
    model: ListedModel
    notes: tuple[str, ...]


def connect_client(
    url: str, requested_model: str | None, api_key: str | None, limits: EndpointLimits
) -> Connection:
    """A client of the server with the model to ask for. UsageError for a URL or key that is none,
    and where the server or the model cannot be told."""
    base_url, key = checked_url(url), checked_key(api_key)
    client = JsonClient(base_url, api_key=key, limits=limits)
    try:
        model, notes = _find_model(client, requested_model, limits)
    except BaseException:
        client.close()
        raise
    if key is not None and not is_private(base_url):
        notes += ("the API key travels without encryption: the URL is no https",)
    return Connection(client=client, model=model, notes=notes)


def _find_model(
    client: JsonClient, requested_model: str | None, limits: EndpointLimits
) -> tuple[ListedModel, tuple[str, ...]]:
    """(the model to ask for, notes). UsageError where the server or the model cannot be told."""
    first_look = replace(
        limits,
        attempts=min(limits.attempts, _FIRST_LOOK.attempts),
        timeout_s=min(limits.timeout_s, _FIRST_LOOK.timeout_s),
        total_s=min(limits.total_s, _FIRST_LOOK.total_s),
    )
    url = f"{client.base_url}/models"
    try:
        answer = client.request(
            "GET", "models", limits=first_look, draw=random.Random(0), stop=threading.Event()
        )
        listed = listed_models(answer)
    except RequestError as error:
        # Servers may let a key chat that may not list.
        if requested_model is None or (error.status or 0) < 400:
            raise UsageError(f"the models of the endpoint cannot be listed: {error}") from error
        return ListedModel(requested_model), (_TAKEN.format(requested_model),)
    except SchemaError as error:
        if requested_model is None:
            raise UsageError(f"{url}: {client.said(str(error))}; name the model") from error
        return ListedModel(requested_model), (_TAKEN.format(requested_model),)
    if requested_model is not None:
        model = next((model for model in listed if model.name == requested_model), None)
        if model is None:
            return ListedModel(requested_model), (_TAKEN.format(requested_model),)
        return model, ()
    if len(listed) != 1:
        names = client.said(", ".join(model.name for model in listed)) or "none"
        raise UsageError(
            f"{url}: expected one model, found {names}; name the one to use (served_model, "
            "--served-model)"
        )
    return listed[0], ()
