"""What all messages have in common, tried on small ones."""

import json

import pytest

from workdeed.protocol.canonical import canonical_bytes, canonical_hash
from workdeed.protocol.eip712 import Domain, envelope_digest
from workdeed.protocol.errors import MessageError, SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SMALL_BYTES
from workdeed.protocol.messages import ErrorBody, ObservationRequest, Probe
from workdeed.protocol.signing import address_of, sign_digest
from workdeed.protocol.wire import SignedMessage, sign, signer_of


def probe() -> Probe:
    return Probe(nonce=keccak(b"nonce"), window=3, block_hash=keccak(b"block"))


def request(leader: bytes, asked: bytes) -> ObservationRequest:
    return ObservationRequest(
        window=3, turn=0, windows=(2, 3), member=address_of(leader), recipient=address_of(asked)
    )


def test_a_message_survives_the_wire() -> None:
    assert Probe.parse(probe().to_json()) == probe()
    assert Probe.parse(probe().canonical()) == probe()


def test_a_message_carries_its_schema() -> None:
    assert json.loads(probe().to_json())["schema"] == "workdeed/probe@1"
    assert probe().schema_ == "workdeed/probe@1"


def test_a_message_is_immutable_and_hashable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        probe().window = 4  # type: ignore[misc] # what the test is about
    assert len({probe(), probe()}) == 1


@pytest.mark.parametrize("key", ["schema", "nonce", "window", "block_hash"])
def test_no_key_may_be_left_out_on_the_wire(key: str) -> None:
    body = json.loads(probe().to_json())
    del body[key]
    with pytest.raises(MessageError, match=key) as caught:
        Probe.parse(json.dumps(body).encode())
    assert caught.value.field in (key, "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"schema": "workdeed/probe@2"}, "schema"),
        ({"window": "3"}, "window"),
        ({"window": 0}, "window"),
        ({"nonce": "0x12"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"schema_": "workdeed/probe@1"}, "schema_"),
    ],
)
def test_a_malformed_message_is_refused_naming_the_field(
    change: dict[str, object], field: str
) -> None:
    body = json.loads(probe().to_json()) | change
    with pytest.raises(MessageError, match=rf"^{field}: ") as caught:
        Probe.parse(json.dumps(body).encode())
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 4000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError, match=r"^body: "):
        Probe.parse(data)


def test_a_long_body_is_refused_unread() -> None:
    body = probe().to_json()
    assert Probe.parse(body.ljust(MAX_SMALL_BYTES)) == probe()
    with pytest.raises(MessageError, match="exceeds 4096 bytes"):
        Probe.parse(body.ljust(MAX_SMALL_BYTES + 1))


def test_signing_covers_everything_but_the_signature(
    oracles: list[bytes], committee_domain: Domain
) -> None:
    message = request(oracles[0], oracles[1])
    signed = sign(message, committee_domain, oracles[0])
    content = json.loads(signed.to_json())
    del content["signature"]
    assert signed.signed_content() == message.signed_content() == canonical_bytes(content)
    digest = envelope_digest(
        committee_domain, "workdeed/observation-request@1", canonical_hash(content)
    )
    assert signed.signature == sign_digest(oracles[0], digest)
    assert signed.verify(committee_domain) == signer_of(signed, committee_domain) == message.member


def test_a_signature_is_bound_to_message_and_domain(
    oracles: list[bytes], committee_domain: Domain
) -> None:
    signed = sign(request(oracles[0], oracles[1]), committee_domain, oracles[0])
    other_chain = Domain(committee_domain.name, 1, committee_domain.contract)
    changed = signed.model_copy(update={"turn": 1})
    for message, domain in ((signed, other_chain), (changed, committee_domain)):
        with pytest.raises(SignatureError):
            message.verify(domain)


def test_another_members_signature_is_told(oracles: list[bytes], committee_domain: Domain) -> None:
    forged = request(oracles[0], oracles[1])
    forged = forged.model_copy(
        update={"signature": sign_digest(oracles[1], forged.digest(committee_domain))}
    )
    assert signer_of(forged, committee_domain) == address_of(oracles[1])
    with pytest.raises(SignatureError, match=f"by {address_of(oracles[1])}"):
        forged.verify(committee_domain)


def test_only_the_named_key_signs(oracles: list[bytes], committee_domain: Domain) -> None:
    with pytest.raises(SignatureError, match="private_key"):
        sign(request(oracles[0], oracles[1]), committee_domain, oracles[1])


def test_an_unsigned_message_neither_verifies_nor_travels(
    oracles: list[bytes], committee_domain: Domain
) -> None:
    unsigned = request(oracles[0], oracles[1])
    with pytest.raises(SignatureError, match="0 bytes"):
        unsigned.verify(committee_domain)
    with pytest.raises(MessageError, match="signature"):
        ObservationRequest.parse(unsigned.to_json())
    body = json.loads(unsigned.to_json())
    del body["signature"]
    with pytest.raises(MessageError, match="signature"):
        ObservationRequest.parse(json.dumps(body).encode())


def test_the_common_form_is_no_message_itself() -> None:
    with pytest.raises(TypeError, match="abstract"):
        SignedMessage(schema_="workdeed/probe@1")  # type: ignore[abstract] # what the test is about


def test_an_error_body_tells_the_field_and_is_cut() -> None:
    body = ErrorBody.of(MessageError("window: must be 1 or more", "window"))
    assert (body.error, body.field) == ("window: must be 1 or more", "window")
    long = ErrorBody.of(ValueError("x" * 5000))
    assert (len(long.error), long.field) == (1024, "")
    assert ErrorBody.parse(long.to_json()) == long
