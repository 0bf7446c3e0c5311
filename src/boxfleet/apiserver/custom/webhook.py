"""Conversion by a webhook: one ConversionReview (apiextensions.k8s.io/v1) over HTTPS for many objects."""

import base64
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from boxfleet.apiserver import faults
from boxfleet.kit import ids

JsonObject = dict[str, Any]

# Seconds for a whole review, as on the real server.
_PATIENCE = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
# Bytes of an answer, and objects of one review.
_SIZE_LIMIT = 64 * 2**20
_BATCH = 500


class Webhook:
    """Somebody who converts objects."""

    def __init__(self, name: str, stated: JsonObject) -> None:
        """`name` is the definition's, for messages; `stated` its ``spec.conversion.webhook``."""
        config = stated["clientConfig"]
        self._name = name
        self._url = str(config["url"])
        self._bundle = str(config.get("caBundle") or "")

    async def convert(self, objects: Sequence[JsonObject], *, to: str) -> list[JsonObject]:
        """The objects in another version, in their order; raises Fault 500 with what went wrong."""
        found: list[JsonObject] = []
        try:
            connector = aiohttp.TCPConnector(ssl=self._tls())
            async with aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as session:
                for start in range(0, len(objects), _BATCH):
                    found += await self._review(session, objects[start : start + _BATCH], to=to)
        except TimeoutError:
            raise self._failed(f"no answer within {_PATIENCE.total:.0f} s") from None
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            raise self._failed(str(error)) from None
        return found

    async def _review(
        self, session: aiohttp.ClientSession, objects: Sequence[JsonObject], *, to: str
    ) -> list[JsonObject]:
        uid = ids.new_uid()
        review = {
            "kind": "ConversionReview",
            "apiVersion": "apiextensions.k8s.io/v1",
            "request": {"uid": uid, "desiredAPIVersion": to, "objects": objects},
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        async with session.post(
            self._url, data=msgspec.json.encode(review), headers=headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise self._failed(f"it answered with status {answer.status}")
            body = b""
            async for chunk in answer.content.iter_chunked(2**16):
                body += chunk
                if len(body) > _SIZE_LIMIT:
                    raise self._failed(f"its answer is larger than {_SIZE_LIMIT} bytes")
        return self._checked(body, objects, uid=uid, to=to)

    def _checked(self, body: bytes, objects: Sequence[JsonObject], *, uid: str, to: str) -> list[JsonObject]:
        """What an answer says, held against what may be changed: all but metadata, of which labels and annotations."""
        try:
            response = msgspec.json.decode(body)["response"]
            result, converted = response.get("result") or {}, response.get("convertedObjects") or []
        except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError, KeyError, AttributeError):
            raise self._failed("its answer is no ConversionReview") from None
        if not isinstance(result, dict) or result.get("status") != "Success":
            message = result.get("message") if isinstance(result, dict) else ""
            raise self._failed(str(message or "it gave no reason"))
        if response.get("uid") != uid:
            raise self._failed("its answer is to another request")
        if not isinstance(converted, list) or len(converted) != len(objects):
            raise self._failed(f"it was given {len(objects)} objects and answered with another number")
        return [self._one(old, new, to=to) for old, new in zip(objects, converted, strict=True)]

    def _one(self, old: JsonObject, new: Any, *, to: str) -> JsonObject:
        if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
            raise self._failed("one of its objects is none")
        if (new.get("apiVersion"), new.get("kind")) != (to, old.get("kind")):
            raise self._failed(f"it was asked for {to} and answered with {new.get('apiVersion')}")
        before, after = old["metadata"], new["metadata"]
        if any(before.get(key) != after.get(key) for key in ("name", "namespace", "uid")):
            raise self._failed("it changed name, namespace or uid of an object")
        kept = {key: value for key, value in before.items() if key not in ("labels", "annotations")}
        for key in ("labels", "annotations"):
            if after.get(key):
                kept[key] = after[key]
        new["metadata"] = kept
        return new

    def _failed(self, why: str) -> faults.Fault:
        return faults.internal(f"conversion webhook for {self._name} failed: Post {faults.shown(self._url)}: {why}")

    def _tls(self) -> ssl.SSLContext:
        if not self._bundle:
            return ssl.create_default_context()
        return ssl.create_default_context(cadata=base64.b64decode(self._bundle).decode("ascii"))
