# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Timelock
@custom:contract-name Timelock
@license GNU Affero General Public License v3.0 only
@notice The governor of a deployment: what proposers schedule, executors carry out once the delay is over.
        Proposers may cancel as well. The zero address as an executor lets anyone execute.
@custom:security Administers itself: roles change by a scheduled operation only, nobody can be made an admin beside it,
        and the last member of a role stays. The delay is fixed, so that what rests on it (a suspension arrives while a
        freeze still holds, a bond is still here) stays true; for another one, hand the governor's role to another
        timelock. `update_delay`, `set_role_admin` and the receivers of NFTs are left out.
        An operation may call back while it is executed: snekmate checks afterwards that it is still pending.
@custom:kill Not possible from outside. Hand the governor's role over, in two steps that each pass through here; this
        timelock then governs nothing.
"""

from ethereum.ercs import IERC165

implements: IERC165

from snekmate.auth import access_control

initializes: access_control

from snekmate.auth.interfaces import IAccessControl

implements: IAccessControl

from snekmate.governance import timelock_controller

initializes: timelock_controller[access_control := access_control]

exports: (
    # Who holds a role.
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.hasRole,
    access_control.getRoleAdmin,
    timelock_controller.PROPOSER_ROLE,
    timelock_controller.EXECUTOR_ROLE,
    timelock_controller.CANCELLER_ROLE,
    # Operations.
    timelock_controller.schedule,
    timelock_controller.schedule_batch,
    timelock_controller.cancel,
    timelock_controller.execute,
    timelock_controller.execute_batch,
    timelock_controller.hash_operation,
    timelock_controller.hash_operation_batch,
    timelock_controller.get_minimum_delay,
    timelock_controller.get_timestamp,
    timelock_controller.get_operation_state,
    timelock_controller.is_operation,
    timelock_controller.is_operation_pending,
    timelock_controller.is_operation_ready,
    timelock_controller.is_operation_done,
)


# @dev How many proposers and executors the constructor takes.
MAX_FIRST_MEMBERS: constant(uint256) = 8


# @dev The ERC-165 ids of `IERC165` and `IAccessControl`.
_INTERFACES: constant(bytes4[2]) = [0x01FFC9A7, 0x7965DB0B]


# @dev How many members a role has.
member_count: public(HashMap[bytes32, uint256])


@deploy
def __init__(
    min_delay: uint256,
    proposers: DynArray[address, MAX_FIRST_MEMBERS],
    executors: DynArray[address, MAX_FIRST_MEMBERS],
):
    """
    @notice Fixes the delay and names the first members; the deployer keeps nothing.
    @param min_delay The least delay of an operation, in seconds.
    @param proposers Who may schedule and cancel.
    @param executors Who may execute; the zero address for anyone.
    """
    assert min_delay > 0, "timelock: zero delay"
    assert len(proposers) > 0, "timelock: no proposers"
    assert len(executors) > 0, "timelock: no executors"
    access_control.__init__()
    timelock_controller.__init__(min_delay, [], [], empty(address))
    self.member_count[access_control.DEFAULT_ADMIN_ROLE] = 1
    for proposer: address in proposers:
        assert proposer != empty(address), "timelock: zero proposer"
        self._grant(timelock_controller.PROPOSER_ROLE, proposer)
        self._grant(timelock_controller.CANCELLER_ROLE, proposer)
    for executor: address in executors:
        self._grant(timelock_controller.EXECUTOR_ROLE, executor)


@external
def grantRole(role: bytes32, account: address):
    """
    @notice Names a proposer, executor or canceller; for this contract, by an operation.
    @param role The role.
    @param account The account.
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    assert role != access_control.DEFAULT_ADMIN_ROLE, "timelock: no other admin"
    self._grant(role, account)


@external
def revokeRole(role: bytes32, account: address):
    """
    @notice Ends a role of an account, but for the last member of it; for this contract, by an operation.
    @param role The role.
    @param account The account.
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._revoke(role, account)


@external
def renounceRole(role: bytes32, account: address):
    """
    @notice Gives up a role of the caller, but for the last member of it.
    @param role The role.
    @param account The caller.
    """
    assert account == msg.sender, "timelock: not the caller"
    self._revoke(role, account)


@external
@view
def supportsInterface(interface_id: bytes4) -> bool:
    """
    @notice Says whether an interface is there.
    @param interface_id Its ERC-165 id.
    @return bool Whether it is.
    """
    return interface_id in _INTERFACES


@internal
def _grant(role: bytes32, account: address):
    """
    @dev Names a member and counts it.
    @param role The role.
    @param account The account.
    """
    if not access_control.hasRole[role][account]:
        self.member_count[role] += 1
        access_control._grant_role(role, account)


@internal
def _revoke(role: bytes32, account: address):
    """
    @dev Ends a membership unless it is the last one: without proposers, executors or an admin nothing would ever
         happen again. This contract is the only admin, so its own role stays.
    @param role The role.
    @param account The account.
    """
    if access_control.hasRole[role][account]:
        assert self.member_count[role] > 1, "timelock: last of its role"
        self.member_count[role] -= 1
        access_control._revoke_role(role, account)
