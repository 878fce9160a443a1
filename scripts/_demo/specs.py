"""What the payer wants to run: a commit of a git repository, and an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workdeed.intent.spec import Spec

MORNING, EVENING = "Good morning", "Good evening"
"""What a job says before and after it is updated."""

RECREATE: Mapping[str, Any] = {"policy": "recreate"}
ROLLING: Mapping[str, Any] = {"policy": "rolling", "settle_ms": 1_000, "deadline_ms": 60_000}

_HEALTH = {
    "kind": "http",
    "path": "/healthz",
    "interval_ms": 500,
    "timeout_ms": 1_000,
    "start_period_ms": 10_000,
}
# The shell takes the signal to end: the first process of a container ignores it otherwise.
_SERVE = """
mkdir -p /tmp/www
echo "$GREETING" > /tmp/www/index.html
echo well > /tmp/www/healthz
trap 'exit 0' TERM
httpd -f -p "$PORT" -h /tmp/www &
wait
"""


def git_spec(
    url: str, commit: str, greeting: str = MORNING, rollout: Mapping[str, Any] = RECREATE
) -> Spec:
    """Return a job that builds and runs a commit."""
    return _spec(
        name="hello",
        runner="war",
        source={"git": {"url": url, "commit": commit}},
        build=[["python3", "-m", "py_compile", "server.py"]],
        run=["python3", "server.py"],
        env={"GREETING": greeting},
        port={"name": "main", "env": "PORT"},
        rollout=rollout,
        resources={"cpu_milli": 250, "memory_mb": 256, "storage_mb": 256},
    )


def image_spec(image: str, greeting: str) -> Spec:
    """Return a job that runs an image which is there, and is updated one replica at a time."""
    return _spec(
        name="pages",
        runner="car",
        source={"image": {"reference": image, "pull": "never"}},
        run=["sh", "-c", _SERVE],
        env={"GREETING": greeting},
        port={"name": "main", "env": "PORT", "number": 8080},
        rollout=ROLLING,
        resources={"cpu_milli": 250, "memory_mb": 64, "storage_mb": 64},
    )


def _spec(**parts: Any) -> Spec:
    common = {
        "schema": "workdeed/spec@1",
        "class_id": 1,
        "health": _HEALTH,
    }
    return Spec.model_validate(common | parts)
