"""The signer on its UNIX socket: one thread for each client, one request after the other."""

import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from wallet.approvals import IntentText
from wallet.keys.errors import KeysError
from wallet.signer.denials import Denial, Denied
from wallet.signer.journal import JournalError, Position
from wallet.signer.messages import (
    Answer,
    Ask,
    AskMessage,
    AskRequirement,
    AskSignature,
    AskStatus,
    AskXpub,
    BadFrame,
    Behind,
    Failed,
    JournalMark,
    MessageSignature,
    No,
    OfficerText,
    RequirementText,
    Sealed,
    Signature,
    Status,
    Xpub,
    receive,
    send,
)
from wallet.signer.rlp import BadEncoding
from wallet.signer.rules import KeyRef, Request, no_rule
from wallet.signer.signer import Signer
from wallet.signer.transaction import decode
from wallet.types import Address, ChainId, Slot
from wallet.vault.document import Role

CONNECTIONS_MAX: Final = 16
END_S_MAX: Final = 5.0
"""How long what is under way may take when the signer is told to stop; what is not answered then
is asked again of the next one."""
PEER: Final = struct.Struct("3i")
SINGLE_KEYS: Final = tuple(KeyRef(role=role, index=0) for role in (Role.HOT, Role.GAS, Role.COLD))
"""The roles that have one address."""

_log = logging.getLogger(__name__)


class SocketInUse(Exception):
    """Another signer listens here."""


def listen(path: Path, *, group: int | None = None) -> socket.socket:
    """Return a socket that only our user can connect to, and members of a group when one is given.

    Raises: SocketInUse: someone answers there. A socket that a dead signer left is taken over.
    OSError: it cannot be made, or we may not give it to that group.
    """
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise SocketInUse(f"another signer listens on {path}")
        path.unlink()
    server = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        server.bind(str(path))
    finally:
        os.umask(before)
    if group is not None:
        # In this order it is never open to the group that a new file has by default.
        os.chown(path, -1, group)
        path.chmod(0o660)
    server.listen(CONNECTIONS_MAX)
    return server


class Server:
    """Answers the clients of one signer until it is told to stop, or must."""

    def __init__(
        self,
        *,
        signer: Signer,
        listening: socket.socket,
        uids: frozenset[int],
        hardening: Sequence[str],
    ) -> None:
        """uids: the users whose processes may ask."""
        self._signer = signer
        self._listening = listening
        self._uids = uids
        self._hardening = tuple(hardening)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._failed = threading.Event()
        self._woken, self._wake = socket.socketpair()

    def serve(self) -> bool:
        """Answer until `stop`; return False when the signer cannot go on."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    break
                connection, _ = self._listening.accept()
                self._admit(connection)
        self._end()
        return not self._failed.is_set()

    def stop(self) -> None:
        """End `serve`. May be called from a signal handler, and when it has ended."""
        with suppress(OSError):  # It is closed: what it was to end has ended.
            self._wake.send(b"x")

    def _admit(self, connection: socket.socket) -> None:
        uid = peer_uid(connection)
        if uid not in self._uids or len(self._connections) >= CONNECTIONS_MAX:
            _log.warning("refused a connection of user %d", uid)
            connection.close()
            return
        connection.settimeout(None)
        thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
        self._connections[connection] = thread
        thread.start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            while not self._failed.is_set() and (frame := receive(connection)) is not None:
                answer = self._answer(frame)
                if isinstance(answer, Failed):
                    self._failed.set()
                send(connection, answer)
        except (BadFrame, OSError) as error:
            _log.warning("a connection ended: %s", error)
        finally:
            if self._failed.is_set():
                self.stop()
            del self._connections[connection]
            connection.close()

    def _answer(self, frame: bytes) -> Answer:
        try:
            answer = self._sealed(frame)
        except JournalError as error:
            _log.critical("%s", error)
            return Failed(message=str(error))
        return msgspec.structs.replace(answer, at=self._mark())

    def _sealed(self, frame: bytes) -> Sealed:
        try:
            ask = msgspec.msgpack.decode(frame, type=Ask)
        except msgspec.MsgspecError as error:
            return self._refused(Denied(Denial.BAD_INTENT, f"no such request: {error}"))
        if ask.known is not None and not self._signer.has_been_at(_position(ask.known)):
            return self._behind(ask.known)
        try:
            return self._do(ask)
        except Denied as denied:
            return No(code=denied.code, message=denied.message)

    def _mark(self) -> JournalMark:
        position = self._signer.position
        return JournalMark(position.count, position.hash)

    def _behind(self, known: JournalMark) -> Sealed:
        """Refuse: somebody knows more than our journal does, so it forgot whom it has paid.

        It is not in the journal, for that is not to be made any longer.
        """
        message = (
            f"its journal has {self._signer.position.count} records and is not the one of which"
            f" {known.count} were seen: bring back the newest copy, both files (docs/security.md)"
        )
        _log.critical("%s", message)
        return Behind(message=message)

    def _do(self, ask: Ask) -> Sealed:
        match ask:
            case AskStatus():
                return self._status()
            case AskXpub(role=role):
                return self._xpub(role)
            case AskRequirement():
                return self._requirement(ask.intent)
            case AskSignature():
                return self._sign(ask)
            case AskMessage():
                return self._sign_message(ask)

    def _status(self) -> Status:
        signer = self._signer
        return Status(
            vault_id=signer.keyring.vault_id,
            generation=signer.keyring.generation,
            policy=signer.policy.hash,
            chains=tuple(signer.policy.chains),
            roles=signer.keyring.roles,
            stopped=signer.is_stopped(),
            position=signer.position.count,
            head=signer.position.hash.hex(),
            hardening=self._hardening,
            rules=tuple(rule.name for rule in signer.policy.rules),
        )

    def _xpub(self, role: str) -> Sealed:
        try:
            return Xpub(text=self._signer.keyring.xpub(Role(role)).text)
        except ValueError:
            return No(code=Denial.WRONG_KEY, message="there is no such role here")

    def _requirement(self, intent: IntentText) -> Sealed:
        """Say what the policy wants. A question is no request: it is not in the journal."""
        policy = self._signer.policy
        rule = policy.rule(intent.chain, intent.kind, intent.token)
        try:
            amount = intent.intent().amount
        except ValueError:
            return No(code=Denial.BAD_INTENT, message="its parts do not fit each other")
        if rule is None:
            denied = no_rule(intent.kind, intent.token)
            return No(code=denied.code, message=denied.message)
        return RequirementText(
            officers=tuple(OfficerText(*each) for each in policy.officers.keys.items()),
            needed=rule.approvals_needed(amount),
            age_s_max=policy.officers.age_s_max,
        )

    def _sign(self, ask: AskSignature) -> Sealed:
        try:
            intent, transaction = ask.intent.intent(), decode(ask.raw)
        except BadEncoding as error:
            return self._refused(Denied(Denial.BAD_TRANSACTION, str(error)))
        except ValueError:
            return self._refused(Denied(Denial.BAD_INTENT, "its parts do not fit each other"))
        slot = Slot(
            chain=ChainId(ask.slot.chain), owner=Address(ask.slot.owner), anchor=ask.slot.anchor
        )
        key = self._key(slot.owner, ask.index)
        if key is None:
            return self._refused(Denied(Denial.WRONG_KEY, "the sender is no address of ours"))
        request = Request(
            intent=intent,
            transaction=transaction,
            slot=slot,
            key=key,
            destination=self._key(intent.to or "", ask.to_index),
            approvals=ask.approvals,
        )
        signed = self._signer.sign(request)
        return Signature(raw=signed.raw, txid=signed.txid)

    def _sign_message(self, ask: AskMessage) -> Sealed:
        try:
            key = KeyRef(role=Role(ask.role), index=ask.index)
            address, signature = self._signer.sign_message(key, ask.text)
        except (KeysError, ValueError):
            return self._refused(Denied(Denial.WRONG_KEY, "there is no such key here"))
        return MessageSignature(address=address, signature=signature)

    def _key(self, address: str, index: int | None) -> KeyRef | None:
        """Return which of our addresses one is said to be; the rules check that it is."""
        if index is not None:
            return KeyRef(role=Role.DEPOSIT, index=index)
        known = (key for key in SINGLE_KEYS if key.role in self._signer.keyring.roles)
        wanted = address.lower()
        return next((key for key in known if self._signer.address(key).lower() == wanted), None)

    def _refused(self, denied: Denied) -> Sealed:
        self._signer.refuse(denied)
        return No(code=denied.code, message=denied.message)

    def _end(self) -> None:
        """Answer what is under way, and nothing else; the journal is closed after this."""
        give_up_s = time.monotonic() + END_S_MAX
        under_way = dict(self._connections)
        for connection in under_way:
            with suppress(OSError):  # It ended by itself.
                connection.shutdown(socket.SHUT_RD)
        for thread in under_way.values():
            thread.join(max(0.0, give_up_s - time.monotonic()))
        for end in (self._listening, self._woken, self._wake):
            end.close()


def _position(mark: JournalMark) -> Position:
    return Position(mark.count, mark.seal)


def peer_uid(connection: socket.socket) -> int:
    """Return the user of the process at the other end, as the kernel says."""
    _, uid, _ = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return int(uid)
