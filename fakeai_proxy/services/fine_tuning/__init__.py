"""Fine-tuning: jobs that are validated, trained and leave a model, and graders of their answers."""

from __future__ import annotations

from fakeai_proxy.services.fine_tuning import permissions, service
from fakeai_proxy.services.fine_tuning.grading import (
    RunGraderRequest,
    ValidateGraderRequest,
    run_grader,
    validate_grader,
)
from fakeai_proxy.services.fine_tuning.record import CHECKPOINTS, EVENTS
from fakeai_proxy.services.fine_tuning.record import JOBS as _JOBS
from fakeai_proxy.services.fine_tuning.training import TRAINING
from fakeai_proxy.services.fine_tuning.wire import CreateJobRequest, CreatePermissionsRequest
from fakeai_proxy.services.operation import Operation

_ONE = "/fine_tuning/jobs/{fine_tuning_job_id}"
_PERMISSIONS = "/fine_tuning/checkpoints/{checkpoint}/permissions"
JOBS = (TRAINING,)
OPERATIONS = (
    Operation("createFineTuningJob", "POST", _JOBS.path, service.create_job, CreateJobRequest),
    Operation("listPaginatedFineTuningJobs", "GET", _JOBS.path, service.list_jobs),
    *_JOBS.operations(retrieve="retrieveFineTuningJob"),
    Operation("cancelFineTuningJob", "POST", _ONE + "/cancel", service.cancel_job),
    Operation("pauseFineTuningJob", "POST", _ONE + "/pause", service.pause_job),
    Operation("resumeFineTuningJob", "POST", _ONE + "/resume", service.resume_job),
    *EVENTS.operations(list="listFineTuningEvents"),
    *CHECKPOINTS.operations(list="listFineTuningJobCheckpoints"),
    Operation(
        "createFineTuningCheckpointPermission", "POST", _PERMISSIONS,
        permissions.create_permissions, CreatePermissionsRequest,
    ),
    Operation(
        "listFineTuningCheckpointPermissions", "GET", _PERMISSIONS, permissions.list_permissions
    ),
    Operation(
        "deleteFineTuningCheckpointPermission", "DELETE", _PERMISSIONS + "/{permission_id}",
        permissions.delete_permission,
    ),
    Operation(
        "runGrader", "POST", "/fine_tuning/alpha/graders/run", run_grader, RunGraderRequest,
        threaded=True,
    ),
    Operation(
        "validateGrader", "POST", "/fine_tuning/alpha/graders/validate", validate_grader,
        ValidateGraderRequest,
    ),
)  # fmt: skip
