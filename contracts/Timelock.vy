# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Timelock
@custom:contract-name Timelock
@license GNU Affero General Public License v3.0 only
@notice Holds the governor's role: what a proposer schedules can be executed once `get_minimum_delay` is over, and
        cancelled until then. Whoever is judged has that long to see it coming.
@custom:security Its only admin is itself: roles change through it, behind the delay. The delay is fixed: freezes are
        timed to outlast it. The last admin cannot go, and nobody can be locked out by renouncing. No ether is taken.
@custom:kill Not possible. Proposers can be revoked through it; a registry that names another governor leaves it
        without a role.
"""

from snekmate.auth import access_control

initializes: access_control

from snekmate.governance import timelock_controller

initializes: timelock_controller[access_control := access_control]

exports: (
    # Roles, less those functions that could leave it without an admin.
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.hasRole,
    access_control.getRoleAdmin,
    access_control.grantRole,
    timelock_controller.PROPOSER_ROLE,
    timelock_controller.EXECUTOR_ROLE,
    timelock_controller.CANCELLER_ROLE,
    # Operations, less `update_delay`.
    timelock_controller.get_minimum_delay,
    timelock_controller.get_timestamp,
    timelock_controller.get_operation_state,
    timelock_controller.is_operation,
    timelock_controller.is_operation_pending,
    timelock_controller.is_operation_ready,
    timelock_controller.is_operation_done,
    timelock_controller.hash_operation,
    timelock_controller.hash_operation_batch,
    timelock_controller.schedule,
    timelock_controller.schedule_batch,
    timelock_controller.cancel,
    timelock_controller.execute,
    timelock_controller.execute_batch,
)


# @dev Accounts that the constructor takes for each role: as many as the module does.
MAX_ACCOUNTS: constant(uint8) = max_value(uint8)


@deploy
def __init__(
    minimum_delay: uint256,
    proposers: DynArray[address, MAX_ACCOUNTS],
    executors: DynArray[address, MAX_ACCOUNTS],
):
    """
    @notice Hands every role over at once; the deployer keeps none.
    @param minimum_delay How long a proposal waits, in seconds.
    @param proposers Who may schedule and cancel.
    @param executors Who may execute; the zero address stands for everybody.
    """
    assert minimum_delay > 0, "timelock: zero delay"
    assert len(proposers) > 0, "timelock: no proposers"
    assert len(executors) > 0, "timelock: no executors"
    access_control.__init__()
    timelock_controller.__init__(minimum_delay, proposers, executors, empty(address))


@external
def revokeRole(role: bytes32, account: address):
    """
    @notice Takes a role from an account; for the timelock itself.
    @param role The role; that of the admin stays where it is.
    @param account The account.
    """
    access_control._check_role(access_control.getRoleAdmin[role], msg.sender)
    assert role != access_control.DEFAULT_ADMIN_ROLE, "timelock: last admin"
    access_control._revoke_role(role, account)
