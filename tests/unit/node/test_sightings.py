"""When an end that the chain speaks of is certain."""

from workdeed.node.sightings import Sightings


def test_one_block_is_not_enough():
    seen = Sightings()
    assert not seen.is_over(10)
    assert not seen.is_over(10)
    assert seen.is_over(11)
    assert seen.is_over(11)


def test_a_block_that_speaks_against_it_starts_anew():
    seen = Sightings()
    assert not seen.is_over(10)
    seen.stands(11)
    assert not seen.is_over(12)
    assert seen.is_over(13)


def test_blocks_from_before_the_last_good_one_say_nothing():
    seen = Sightings()
    seen.stands(20)
    assert not any(seen.is_over(number) for number in (10, 11, 19))
    seen.stands(15)  # an RPC that is behind takes nothing back
    assert not any(seen.is_over(number) for number in (16, 17))
    assert not seen.is_over(20)
    assert seen.is_over(21)
