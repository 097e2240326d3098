from gateway.media.peer import LEFT_S, Peer

TOLD = ("198.51.100.7", 4000)
PRIVATE = ("192.168.1.20", 4000)
OUTSIDE = ("203.0.113.9", 61000)


def told(ip: str, port: int) -> Peer:
    peer = Peer()
    peer.tell(ip, port, 0.0)
    return peer


def comes(peer: Peer, source: tuple[str, int], sequence: int = 1, *, ssrc: int = 9, now: float = 1.0) -> bool:
    return source == peer.locked or (peer.may_be(source, now) and peer.lock(source, ssrc, sequence, now))


def test_nobody_is_believed_before_an_address_was_named() -> None:
    assert not comes(Peer(), TOLD)


def test_the_named_address_is_believed_at_once_and_no_other_after_it() -> None:
    peer = told(*TOLD)

    assert comes(peer, TOLD, now=0.0)
    assert not any(comes(peer, (TOLD[0], 5555), sequence) for sequence in range(50))
    assert peer.remote == TOLD


def test_another_port_of_the_named_ip_is_believed_after_three_packets_in_a_row_where_nothing_comes_from_the_named() -> (
    None
):
    peer = told(*TOLD)

    assert [comes(peer, (TOLD[0], 5555), sequence) for sequence in range(3)] == [False, False, True]
    assert peer.remote == (TOLD[0], 5555)
    assert not comes(peer, TOLD)


def test_the_rest_of_another_call_from_the_same_media_server_is_not_taken_for_this_one() -> None:
    peer = told(*TOLD)

    assert not any(comes(peer, (TOLD[0], 5555), sequence, now=0.02 * sequence) for sequence in range(10))
    assert comes(peer, TOLD, now=0.19)
    assert peer.remote == TOLD


def test_where_a_public_address_was_named_no_other_is_ever_believed() -> None:
    peer = told(*TOLD)

    assert not any(comes(peer, OUTSIDE, sequence) for sequence in range(50))
    assert peer.remote == TOLD


def test_behind_nat_a_source_is_believed_after_three_packets_in_a_row() -> None:
    peer = told(*PRIVATE)

    assert [comes(peer, OUTSIDE, sequence) for sequence in (0xFFFE, 0xFFFF, 0)] == [False, False, True]
    assert peer.remote == OUTSIDE
    assert not comes(peer, PRIVATE)


def test_behind_nat_packets_that_do_not_follow_one_another_prove_nothing() -> None:
    peer = told(*PRIVATE)
    strangers = [("203.0.113.9", 61000 + number) for number in range(6)]

    assert not any(comes(peer, source, number) for number, source in enumerate(strangers))
    assert not any(comes(peer, OUTSIDE, 1, ssrc=number) for number in range(6))
    assert not any(comes(peer, OUTSIDE, number) for number in range(0, 40, 2))


def test_the_same_address_named_again_changes_nothing() -> None:
    peer = told(*PRIVATE)
    for sequence in range(3):
        comes(peer, OUTSIDE, sequence)
    peer.tell(*PRIVATE, 5.0)

    assert peer.remote == peer.locked == OUTSIDE


def test_after_a_move_the_old_place_is_not_believed_again_though_its_last_packets_still_come() -> None:
    peer = told(*TOLD)
    comes(peer, TOLD)
    peer.tell(TOLD[0], 6000, 10.0)

    assert peer.remote == (TOLD[0], 6000)
    assert not comes(peer, TOLD, now=10.0 + LEFT_S / 2)
    assert comes(peer, (TOLD[0], 6000), now=10.1)
    assert not comes(peer, TOLD, now=20.0)


def test_who_was_found_where_the_new_sdp_says_stays_locked() -> None:
    peer = told(*TOLD)
    for sequence in range(3):
        comes(peer, (TOLD[0], 6000), sequence)
    peer.tell(TOLD[0], 6000, 10.0)

    assert peer.locked == (TOLD[0], 6000)
