"""Whether a job fits what is paid for it, and beside the others on this node. Pure."""

from collections.abc import Mapping
from typing import Final

from workdeed.intent import Spec
from workdeed.node.errors import DispatchRefusedError
from workdeed.protocol.limits import MAX_WORKLOADS
from workdeed.protocol.messages import Resources

_SIZES: Final = ("cpu_milli", "memory_mb", "storage_mb")


def check_class(spec: Spec, class_id: int, paid: Resources) -> None:
    """Refuse a spec that asks for more than is paid; a revision may do so.

    Args:
        spec: what to run.
        class_id: the price class of the job on chain, whatever the spec says of it.
        paid: what that class gives.

    Raises:
        DispatchRefusedError: naming the resource that is not paid.

    """
    for name in _SIZES:
        asked, given = getattr(spec.resources, name), getattr(paid, name)
        if asked > given:
            raise DispatchRefusedError(
                f"resources.{name}: the spec asks for {asked}, and class {class_id}, which is paid "
                f"for, gives {given}; revise the job",
                f"spec.resources.{name}",
            )


def check_room(job_id: int, spec: Spec, held: Mapping[int, Spec], offered: Resources) -> None:
    """Refuse a spec that does not fit.

    Args:
        job_id: the job that it is for; what the node holds of it already does not count.
        spec: what to run.
        held: the specs of all jobs on this node, by job.
        offered: what the node gives to all of them together.

    Raises:
        DispatchRefusedError: naming the resource that is short.

    """
    others = [one for number, one in held.items() if number != job_id]
    if len(others) >= MAX_WORKLOADS // 2:
        raise DispatchRefusedError("job_id: this node has all the jobs that it can answer for")
    for name in _SIZES:
        asked = sum(getattr(one.resources, name) for one in (*others, spec))
        if asked > getattr(offered, name):
            raise DispatchRefusedError(
                f"resources.{name}: with this job {asked} would be in use, and the node offers "
                f"{getattr(offered, name)}; place the job elsewhere",
                f"spec.resources.{name}",
            )
