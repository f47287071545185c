"""The shapes of input items about the vendor's own tools: calls that come back as they went out, and
what a client answers to those that it carries out itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fakeai_proxy.services.wire import Shape

Status = Literal["in_progress", "completed", "incomplete"]
CallId = Annotated[str, Field(min_length=1, max_length=64)]


class Screenshot(Shape):
    type: Literal["computer_screenshot", "input_image"]
    file_id: str | None = None
    image_url: str | None = None


class ComputerCall(Shape):
    type: Literal["computer_call"]
    call_id: CallId
    id: str | None = None
    action: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None
    pending_safety_checks: list[dict[str, Any]] | None = None
    status: Status | None = None


class ComputerCallOutput(Shape):
    type: Literal["computer_call_output"]
    call_id: CallId
    output: Screenshot
    id: str | None = None
    acknowledged_safety_checks: list[dict[str, Any]] | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] | None = None


class LocalShellCall(Shape):
    type: Literal["local_shell_call"]
    call_id: CallId
    action: dict[str, Any]
    id: str | None = None
    status: Status | None = None


class LocalShellCallOutput(Shape):
    """The vendor documents `id` as that of the call; clients send `call_id`, too."""

    type: Literal["local_shell_call_output"]
    output: str
    id: str | None = None
    call_id: CallId | None = None
    status: Status | None = None

    @model_validator(mode="after")
    def _of_a_call(self) -> LocalShellCallOutput:
        if self.id is None and self.call_id is None:
            raise ValueError("expected the 'id' of a call")
        return self


class ShellAction(Shape):
    commands: list[str]
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellCall(Shape):
    type: Literal["shell_call"]
    call_id: CallId
    action: ShellAction
    id: str | None = None
    status: Status | None = None


class ShellOutcome(Shape):
    type: Literal["exit", "timeout"]
    exit_code: int | None = None


class ShellOutput(Shape):
    stdout: str
    stderr: str
    outcome: ShellOutcome


class ShellCallOutput(Shape):
    type: Literal["shell_call_output"]
    call_id: CallId
    output: list[ShellOutput]
    id: str | None = None
    max_output_length: int | None = None
    status: Status | None = None


class PatchOperation(Shape):
    type: Literal["create_file", "update_file", "delete_file"]
    path: str
    diff: str | None = None


class ApplyPatchCall(Shape):
    type: Literal["apply_patch_call"]
    call_id: CallId
    operation: PatchOperation
    id: str | None = None
    status: Status | None = None


class ApplyPatchCallOutput(Shape):
    type: Literal["apply_patch_call_output"]
    call_id: CallId
    status: Literal["completed", "failed"]
    id: str | None = None
    output: str | None = None


class McpApprovalRequest(Shape):
    type: Literal["mcp_approval_request"]
    id: str
    arguments: str
    name: str
    server_label: str


class ApprovalResponse(Shape):
    type: Literal["mcp_approval_response"]
    approval_request_id: str
    approve: bool
    id: str | None = None
    reason: str | None = None


class AdditionalTools(Shape):
    type: Literal["additional_tools"]
    role: Literal["developer"]
    tools: list[dict[str, Any]]
    id: str | None = None


class BuiltIn(Shape):
    """Something that a tool of the vendor's did before, sent back as it came."""

    type: Literal[
        "file_search_call", "web_search_call", "image_generation_call", "code_interpreter_call",
        "mcp_list_tools", "mcp_call", "tool_search_call", "tool_search_output",
        "configuration_update", "program", "program_output",
    ]  # fmt: skip
    id: str | None = None


ToolItem = (
    ComputerCall
    | ComputerCallOutput
    | LocalShellCall
    | LocalShellCallOutput
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
    | McpApprovalRequest
    | ApprovalResponse
    | AdditionalTools
    | BuiltIn
)
