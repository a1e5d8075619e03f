"""The settings every followed exchange has; an exchange plugin's model adds its own keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ExchangeSettings(BaseModel):
    """`[exchanges.<name>]`: what to follow, and how fast to ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[str, ...] = Field(
        default=(), description='ids, globs ("*-USD"), "top:N" by volume, or "held" with a key'
    )
    requests_per_second: float | None = Field(
        default=None, gt=0, le=1000, description="pace of requests; the exchange's own limit where not set"
    )
    burst: int | None = Field(default=None, ge=1, le=1000, description="requests that may leave at once")

    def other_urls(self) -> dict[str, str]:
        """The addresses (`..._url`) that are not the exchange's own, by key: `status` shows them."""
        fields = {key: field.default for key, field in type(self).model_fields.items() if key.endswith("_url")}
        return {key: value for key, default in fields.items() if (value := getattr(self, key)) != default}
